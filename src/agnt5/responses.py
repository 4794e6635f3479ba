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
    """The state of a run, as users see it. Each is a text: ``response.status == "completed"``.

    Runs are ``queued``, ``running``, ``awaiting_user_input``, ``paused`` or ``suspended`` before
    they end, then ``completed``, ``failed``, ``cancelled`` or ``continued`` (as their successor).
    ``timeout`` says that the caller has waited long enough, ``unknown`` that there is no such run.
    The others are kept for programs written for the platform's SDK.
    """

    ENQUEUED = "enqueued"
    QUEUED = "queued"
    PENDING = "pending"
    STARTED = "started"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CONTINUED = "continued"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    AWAITING_INPUT = "awaiting_input"
    AWAITING_USER_INPUT = "awaiting_user_input"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


_ENDED = {
    RunStatus.COMPLETED,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.CONTINUED,
    RunStatus.TIMEOUT,
}
_PAUSED = {RunStatus.PAUSED, RunStatus.AWAITING_INPUT, RunStatus.AWAITING_USER_INPUT}
_RUNS = {RunStatus.STARTED, RunStatus.RUNNING}


@dataclass(frozen=True)
class RunErrorDetail:
    """Why a run failed, or why it cannot go on.

    Attributes:
        code: A stable word for programs, such as ``EXECUTION_ERROR`` or ``NOT_READY``.
        message: What happened, for people.
        details: Kept for programs written for the platform's SDK; None here.
    """

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

    Attributes:
        run_id: The run; of a chain that went on, its last one.
        status_code: As HTTP would say it: 200 ended well, 202 not ended, 404 unknown, 500 failed or
            cancelled, 504 the caller's time is over.
        status: How it stands; ``paused`` also when it waits for a person.
        output: What a completed run gave, with its type.
        error: Why there is no output.
        duration_ms: Milliseconds from the start to the end, of a run that has ended.
        trace_id: Its trace, 32 hex digits.
        component: The function or workflow.
        created_at: When it was accepted, in UTC, as all times.
        started_at: When its execution began.
        completed_at: When it ended well.
        failed_at: When it failed.
        session_id: The session that it was started with.
        metadata: What the caller attached; of a failed function its ``attempts``, of a run that
            waits for people the ``questions``.

    >>> response = RunResponse("r-1", 200, RunStatus.COMPLETED, {"total": 3})
    >>> response["total"], response.is_success, response == {"total": 3}
    (3, True, True)
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
    successor: str | None = None
    """The run that went on in its place, when its status is ``continued``."""

    @property
    def is_success(self) -> bool:
        """Whether the run completed."""
        return self.status_code == HTTPStatus.OK and self.status is RunStatus.COMPLETED

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person, or was paused by one."""
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
        """A field of the output. Raises TypeError when the output is no mapping."""
        return self._mapping().get(key, default)

    def keys(self) -> Any:
        """The fields of the output. Raises TypeError when it is no mapping."""
        return self._mapping().keys()

    def values(self) -> Any:
        """The values of the output's fields. Raises TypeError when it is no mapping."""
        return self._mapping().values()

    def items(self) -> Any:
        """The fields of the output with their values. Raises TypeError when it is no mapping."""
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
    """A run that was accepted; its record is durable.

    Attributes:
        run_id: The run; where a key was known, the run that it names.
        status_code: 202.
        status: How the run stands.
        trace_id: Its trace, 32 hex digits.
        component: The function or workflow.
        created_at: When it was accepted, in UTC.
        links: For runs behind a gateway; empty here.
    """

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
    """A webhook that was accepted, with the runs that it has started, now or when it first came.

    Attributes:
        status_code: What to answer the sender: 202 if it has started runs, else 200.
        event_type: The event that it stands for, such as ``stripe.paid``.
        delivery_id: Its id, by which repetitions are known.
        runs: Each run that was started.
    """

    status_code: int
    event_type: str | None
    delivery_id: str | None
    runs: list[SubmitResponse] = field(default_factory=list)
    challenge: str | None = None
    """Answer the sender with it: Slack asks so whether the address is right."""


@dataclass(frozen=True)
class StatusResponse:
    """Where a run is.

    Attributes:
        run_id: The run.
        status_code: 200 when it has ended, else 202.
        status: How it stands.
        trace_id: Its trace, 32 hex digits.
        component: The function or workflow.
        created_at: When it was accepted, in UTC, as all times.
        started_at: When its execution began.
        completed_at: When it ended, in whatever way.
        kind: ``"function"`` or ``"workflow"``.
        version_label: The version of the workflow to which it is pinned.
        session_id: The session that it was started with.
        user_id: The user.
        parent_run_id: The run that has started it as a child.
    """

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
    successor: str | None = None
    """The run that went on in its place, when its status is ``continued``."""

    @property
    def is_complete(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return self.status in _ENDED

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person, or was paused by one."""
        return self.status in _PAUSED

    @property
    def is_running(self) -> bool:
        """Whether the run is being executed."""
        return self.status in _RUNS


@dataclass(frozen=True)
class Event:
    """One event of a run, in the public vocabulary.

    Attributes:
        id: Unique in the store.
        event_type: What happened, such as ``workflow.step.completed``.
        run_id: The run.
        step_key: The key of the durable call that it is about, such as ``:charge#0``.
        input_data: What was given to what begins.
        output_data: What came of what has ended.
        parent_event_id: Kept for programs written for the platform's SDK; None here.
        metadata: What else is known: ``version``, the number of its fact in the run, and more by
            kind.
        trace_id: The trace of the run.
        timestamp_ns: When it was recorded, nanoseconds since the epoch.
        created_at: The same as a datetime in UTC.
    """

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
    """The events of a run, in the order of its log. It is iterable, and has a length.

    Attributes:
        items: Each of them.
    """

    items: list[Event]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
