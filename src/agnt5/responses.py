"""What the client answers with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, cast

from agnt5.exceptions import RunError


class RunStatus(StrEnum):
    """The state of a run, as users see it."""

    ENQUEUED = "enqueued"
    QUEUED = "queued"
    PENDING = "pending"
    STARTED = "started"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    AWAITING_INPUT = "awaiting_input"
    AWAITING_USER_INPUT = "awaiting_user_input"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


_ENDED = {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMEOUT}
_PAUSED = {RunStatus.PAUSED, RunStatus.AWAITING_INPUT, RunStatus.AWAITING_USER_INPUT}
_RUNS = {RunStatus.STARTED, RunStatus.RUNNING}


@dataclass(frozen=True)
class RunErrorDetail:
    """Why a run failed, or why it cannot go on."""

    code: str
    message: str
    details: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(eq=False)
class RunResponse:
    """A run and, once it has ended, its output.

    Behaves like its output where the output is a mapping or a list: ``response["total"]``,
    ``"total" in response``, ``response.get("total")``, iteration, ``len``. It equals its output.
    A failed run does not raise: ask ``is_error``, or call :meth:`raise_for_status`.
    """

    run_id: str
    status_code: int
    status: RunStatus
    output: Any = None
    error: RunErrorDetail | None = None
    duration_ms: int | None = None
    trace_id: str | None = None
    component: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    session_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether the run completed."""
        return self.status_code == HTTPStatus.OK and self.status is RunStatus.COMPLETED

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person."""
        return self.status in _PAUSED

    @property
    def is_pending(self) -> bool:
        """Whether the run has not ended."""
        return self.status_code == HTTPStatus.ACCEPTED

    @property
    def is_error(self) -> bool:
        """Whether the run ended without success."""
        bad = {RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMEOUT}
        return self.status_code == HTTPStatus.INTERNAL_SERVER_ERROR or self.status in bad

    @property
    def elapsed(self) -> float | None:
        """Seconds from start to end, once it has ended."""
        return None if self.duration_ms is None else self.duration_ms / 1000

    def raise_for_status(self) -> RunResponse:
        """Return itself.

        Raises:
            RunError: When the run ended without success.
        """
        if not self.is_error:
            return self
        code = self.error.code if self.error else str(self.status).upper()
        message = self.error.message if self.error else f"the run is {self.status}"
        attempts = self.metadata.get("attempts")
        raise RunError(
            message,
            run_id=self.run_id,
            error_code=code,
            attempts=attempts,
            max_attempts=self.metadata.get("max_attempts"),
            metadata=dict(self.metadata),
        )

    def __getitem__(self, key: Any) -> Any:
        return self._container()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._container()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._container())

    def __len__(self) -> int:
        return len(self._container())

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """A field of the output."""
        return self._mapping().get(key, default)

    def keys(self) -> Any:
        """The fields of the output."""
        return self._mapping().keys()

    def values(self) -> Any:
        """The values of the output's fields."""
        return self._mapping().values()

    def items(self) -> Any:
        """The fields of the output with their values."""
        return self._mapping().items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RunResponse):
            return (self.run_id, self.status, self.output) == (
                other.run_id,
                other.status,
                other.output,
            )
        return bool(self.output == other)

    def __hash__(self) -> int:
        return hash(self.run_id)

    def _container(self) -> Any:
        if isinstance(self.output, (dict, list, tuple, str)):
            return cast("Any", self.output)
        raise TypeError(self._no_container("indexed"))

    def _mapping(self) -> dict[str, Any]:
        if isinstance(self.output, dict):
            return cast("dict[str, Any]", self.output)
        raise TypeError(self._no_container("read as a mapping"))

    def _no_container(self, verb: str) -> str:
        reason = f"its output is {type(self.output).__name__}"
        if not self.is_success:
            reason = f"it is {self.status}" + (f" ({self.error})" if self.error else "")
        return f"run {self.run_id} cannot be {verb}: {reason}"


@dataclass(frozen=True)
class SubmitResponse:
    """A run that was accepted; its record is durable."""

    run_id: str
    status_code: int
    status: RunStatus
    trace_id: str | None = None
    component: str | None = None
    created_at: datetime | None = None
    links: dict[str, str] = field(default_factory=dict)

    @property
    def status_url(self) -> str | None:
        """Where to ask for the status, when the run is behind a gateway."""
        return self.links.get("status")


@dataclass(frozen=True)
class WebhookResponse:
    """A webhook that was accepted, with the runs that it has started, now or when it first came."""

    status_code: int
    event_type: str | None
    delivery_id: str | None
    runs: list[SubmitResponse] = field(default_factory=list)
    challenge: str | None = None
    """Answer the sender with it: Slack asks so whether the address is right."""


@dataclass(frozen=True)
class StatusResponse:
    """Where a run is."""

    run_id: str
    status_code: int
    status: RunStatus
    trace_id: str | None = None
    component: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    kind: str | None = None
    version_label: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    parent_run_id: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return self.status in _ENDED

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person."""
        return self.status in _PAUSED

    @property
    def is_running(self) -> bool:
        """Whether the run is being executed."""
        return self.status in _RUNS


@dataclass(frozen=True)
class Event:
    """One event of a run, in the public vocabulary."""

    id: str
    event_type: str
    run_id: str
    step_key: str | None = None
    input_data: Any = None
    output_data: Any = None
    parent_event_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    trace_id: str | None = None
    timestamp_ns: int = 0
    created_at: datetime | None = None


@dataclass(frozen=True)
class EventsResponse:
    """The events of a run, in the order of its log."""

    items: list[Event]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
