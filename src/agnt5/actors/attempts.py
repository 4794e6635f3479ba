"""The attempts of one run that executors have: sent, cancelled, and their reports taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pydantic import JsonValue

from agnt5.actors.executor import Absent, Attempt, Cancel, Failure, Result, Success
from agnt5.actors.ports import AttemptInfo, FunctionWork, Handler
from agnt5.actors.script import Script
from agnt5.actors.streams import Streams
from agnt5.events.run import commands as c
from agnt5.events.run.state import OpPhase, RunState
from agnt5.exceptions import PayloadError
from agnt5.payloads import encode_error


class Employer(Protocol):
    """The actor of the run."""

    state: RunState
    script: Script | None
    stopped: BaseException | None

    def command(self, command: c.RunCommand) -> None:
        """A command to itself."""
        ...

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        ...


class Attempts:
    """Holds who executes which step, as long as somebody wants its result."""

    def __init__(
        self,
        actor: Employer,
        send: Callable[[Handler, Attempt | Cancel], None],
        streams: Streams,
    ) -> None:
        self._actor = actor
        self._streams = streams
        self._send = send
        self.to_verify: set[str] = set()
        """Steps of which only the outcome is to be found out, once the body asks for them."""
        self._handlers: dict[str, Handler] = {}

    def execute(self, key: str, attempt: int, work: FunctionWork) -> None:
        """Have an executor run an attempt."""
        self._handlers[key] = work.handler
        state = self._actor.state
        queued = state.queued
        info = AttemptInfo(
            state.run_id,
            key,
            work.handler.name,
            attempt,
            queued.session_id if queued else None,
            queued.metadata if queued else None,
            queued.user_id if queued else None,
            work.values,
            streams=self._streams,
            identity=state.identity,
            queued=queued,
        )
        verify = key in self.to_verify
        self.to_verify.discard(key)
        self._send(work.handler, Attempt(info, work, self._reported, verify))

    @property
    def under_way(self) -> bool:
        """Whether an executor has one of which it has not reported."""
        return any(key in self._handlers for key in self._actor.state.busy)

    def forget(self, key: str) -> None:
        """The step is settled."""
        self._handlers.pop(key, None)

    def cancel(self, key: str) -> None:
        """Nobody wants the result any more."""
        self.to_verify.discard(key)
        handler = self._handlers.pop(key, None)
        if handler is not None:
            self._send(handler, Cancel(self._actor.state.run_id, key))

    def cancel_all(self) -> None:
        """The run leaves memory."""
        for key in list(self._handlers):
            self.cancel(key)

    def _reported(self, info: AttemptInfo, result: Result) -> None:
        actor, key = self._actor, info.key
        if actor.stopped is not None:
            return
        op = actor.state.open.get(key)
        if op is None or op.attempt != info.attempt or op.phase is not OpPhase.RUNNING:
            return
        if isinstance(result, Absent):
            self.forget(key)
            actor.command(c.ReportAbsent(key, info.attempt))
            return
        if result.after is not None:
            try:
                actor.check_size(result.after, f"changed arguments of step {key!r}")
            except PayloadError as error:
                result = Failure(error, retryable=False)
        if isinstance(result, Success):
            self._hold(key, result.value)
            actor.command(
                c.ReportSuccess(
                    key,
                    info.attempt,
                    result.output,
                    result.duration_us,
                    result.after,
                    result.state,
                    result.deleted,
                )
            )
        else:
            recorded = encode_error(result.error)
            self._hold(key, (recorded, result.error))
            failed = c.ReportFailure(key, info.attempt, recorded, result.retryable, result.after)
            actor.command(failed)

    def _hold(self, key: str, value: object) -> None:
        if self._actor.script is not None:
            self._actor.script.hold_value(key, value)
