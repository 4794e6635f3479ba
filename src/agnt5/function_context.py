"""The context of functions, and what every context has in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

from agnt5.actors.ports import AttemptInfo
from agnt5.context_logger import ContextLogger
from agnt5.emitting import Emitting
from agnt5.events.traces import trace_id_of
from agnt5.payloads import decode
from agnt5.run_state import RunState, StepState

_current: ContextVar[Context | None] = ContextVar("agnt5_context", default=None)
_hosted: ContextVar[bool] = ContextVar("agnt5_hosted", default=False)


def get_current_context() -> Context | None:
    """The context of the function or workflow that is running here, or None."""
    return _current.get()


def set_current_context(context: Context | None) -> object:
    """Make this the current context; returns a token for ``reset_current_context``."""
    return _current.set(context)


def is_attempt() -> bool:
    """Whether the function of a step is running here, and not the program around the runtime."""
    return _hosted.get()


def enter_runtime() -> None:
    """From here on it is the runtime that calls: nothing of whoever opened it is current."""
    _current.set(None)
    _hosted.set(True)


def reset_current_context(token: object) -> None:
    """Undo :func:`set_current_context`."""
    _current.reset(cast("Any", token))


class Context(Emitting):
    """What every piece of user code may know of its run.

    Built by hand it serves to call a function outside of any run:

    >>> Context(run_id="local-1").run_id
    'local-1'
    """

    def __init__(
        self,
        run_id: str = "",
        correlation_id: str | None = None,
        parent_correlation_id: str | None = None,
        attempt: int = 0,
        session_id: str | None = None,
        component_name: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.correlation_id = correlation_id or run_id
        self.parent_correlation_id = parent_correlation_id
        self.component_name = component_name
        self._session_id = session_id
        self._metadata = metadata
        self._metadata_is_recorded = False
        """It comes from the log, and is decoded when it is asked for."""
        self._logger: ContextLogger | None = None

    @property
    def session_id(self) -> str:
        """The session; a run without one has a private session of its own."""
        return self._session_id or self.run_id

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of what the caller attached to the run."""
        given: Any = self._metadata or {}
        if self._metadata_is_recorded:
            given = decode(given, where=f"metadata of run {self.run_id}")
        return dict(given)

    @property
    def logger(self) -> ContextLogger:
        """A logger that knows the run, the step, the attempt and the trace."""
        if self._logger is None:
            fields: dict[str, object] = {"run_id": self.run_id, "attempt": self.attempt}
            speaker = self.speaker
            if speaker is not None:
                queued = speaker.queued
                traceparent = queued.traceparent if queued else None
                fields["trace_id"] = trace_id_of(speaker.run_id, traceparent)
                if speaker.key:
                    fields["step"] = speaker.key
            name = f"agnt5.{self.component_name or 'run'}"
            self._logger = ContextLogger(logging.getLogger(name), fields, self._is_silent)
        return self._logger

    def log(self, message: str | None = None, **fields: object) -> ContextLogger:
        """Log a message at level INFO; silent on replay.

        Args:
            message: The text; without one nothing is logged.
            **fields: What belongs to it, for people and for log exporters.

        Returns:
            The logger, for other levels.
        """
        if message is not None:
            cast("Any", self.logger).info("%s", message, stacklevel=3, **fields)
        return self.logger

    def _is_silent(self) -> bool:
        return False


class FunctionContext(Context):
    """What a function may know of the attempt that it is."""

    def __init__(
        self,
        run_id: str = "",
        correlation_id: str | None = None,
        parent_correlation_id: str | None = None,
        attempt: int = 0,
        session_id: str | None = None,
        component_name: str = "",
        metadata: Mapping[str, Any] | None = None,
        *,
        info: AttemptInfo | None = None,
    ) -> None:
        super().__init__(
            run_id,
            correlation_id,
            parent_correlation_id,
            attempt,
            session_id,
            component_name,
            metadata,
        )
        self._info = info
        self.speaker = info
        self.called_by: Context | None = None
        """The context of the body that called the function directly, as a part of itself."""
        self._state: RunState | None = None

    @property
    def state(self) -> RunState:
        """The state of the run as it was when this step was asked for.

        What is changed becomes part of the step's record, and counts when the step succeeds.
        """
        if self._state is None:
            info = self._info or AttemptInfo(self.run_id, "", self.component_name, self.attempt)
            self._state = StepState(info)
        return self._state

    @classmethod
    def of(cls, info: AttemptInfo) -> FunctionContext:
        """The context of an attempt."""
        context = cls(
            info.run_id,
            attempt=info.attempt,
            session_id=info.session_id,
            component_name=info.name,
            metadata=info.metadata,
            info=info,
        )
        context._metadata_is_recorded = True
        return context

    @classmethod
    def derived(cls, parent: Context, name: str, *, inline: bool) -> FunctionContext:
        """The context of a function that is called directly, within a run.

        Args:
            parent: The context of the caller.
            name: The function's name.
            inline: Whether it runs as a part of the caller's body: not on a thread.
        """
        context = cls(
            parent.run_id,
            parent.correlation_id,
            attempt=parent.attempt,
            session_id=parent.session_id,
            component_name=name,
            metadata=parent.metadata,
        )
        if inline and isinstance(parent, FunctionContext):
            context.called_by = parent.called_by
        elif inline:
            context.called_by = parent
        state = getattr(parent, "state", None)
        context._state = state if isinstance(state, RunState) else None
        context.speaker = parent.speaker
        return context

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this step and after every crash.

        Hand it to the service that you call, so that it can tell a repetition. 32 hex digits in
        a step, the run's id elsewhere.
        """
        return self._info.idempotency_key if self._info else self.run_id

    async def sleep(self, seconds: float) -> None:
        """Sleep, not durably: a crash begins the attempt again."""
        await asyncio.sleep(max(0.0, seconds))

    def should_retry(self, error: BaseException) -> bool:  # noqa: ARG002 - the SDK's signature
        """Always True; the policy decides."""
        return True
