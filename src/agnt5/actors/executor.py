"""Runs attempts of one function: a concurrency limit, a deadline each, a report each.

An attempt is a plain task in the executor's set and not a member of a task group, because starting
one in a task group costs three times as much; the set is cancelled and awaited on close all the
same, so that no attempt outlives its executor.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from pydantic import JsonValue

from agnt5.actors.actor import Actor
from agnt5.actors.clock import Clock
from agnt5.actors.images import made_of
from agnt5.actors.mailbox import Envelope, Reply
from agnt5.actors.ports import UNDER_WAY, After, AttemptInfo, FunctionWork, Handler
from agnt5.actors.rate import RateGate
from agnt5.actors.threads import Threads
from agnt5.actors.tracing import enter_attempt
from agnt5.exceptions import (
    BodyClosed,
    ExecutionError,
    PayloadError,
    RuntimeClosedError,
    StepTimeoutError,
    UnknownOutcomeError,
)
from agnt5.payloads import faithful
from agnt5.policies import Happened, NotHappened, RetryPolicy

logger = logging.getLogger("agnt5.executor")

Encode = Callable[[object, str], JsonValue]


@dataclass(slots=True)
class Success:
    """An attempt has a result."""

    value: object
    output: JsonValue
    duration_us: int
    after: After | None = None
    state: dict[str, JsonValue] | None = None
    """What it has set in the state of the run."""
    deleted: list[str] | None = None


@dataclass(slots=True)
class Failure:
    """An attempt failed."""

    error: BaseException
    retryable: bool
    after: After | None = None


@dataclass(slots=True)
class Absent:
    """A verification says: the effect of the attempt did not happen."""


Result = Success | Failure | Absent


@dataclass(frozen=True, slots=True)
class AttemptDefaults:
    """What holds for functions that say nothing themselves."""

    timeout_s: float | None = None
    policy: RetryPolicy | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """Run this, and report."""

    info: AttemptInfo
    work: FunctionWork
    report: Callable[[AttemptInfo, Result], None]
    verify: bool = False
    """Only find out whether it has happened, before a crash."""
    cancelled: bool = False


@dataclass(slots=True)
class Cancel:
    """Nobody wants the result of this step any more."""

    run_id: str
    key: str


class Executor(Actor[Attempt | Cancel]):
    """The actor of one function."""

    def __init__(
        self,
        handler: Handler,
        context: Context,
        *,
        encode: Encode,
        threads: Threads,
        clock: Clock,
        defaults: AttemptDefaults,
    ) -> None:
        super().__init__(f"function {handler.name}", context)
        self.handler = handler
        self.closing = False
        """The house closes: an attempt that fails for that reason has not failed, but is owed."""
        self._encode = encode
        self._threads = threads
        self._defaults = defaults
        rate = handler.rate
        self._gate = None if rate is None else RateGate(rate, clock, self._start_next)
        self._waiting: deque[Attempt] = deque()
        self._running: dict[tuple[str, str], tuple[Attempt, asyncio.Task[None]]] = {}
        self._abandoned: set[asyncio.Task[None]] = set()

    def tell(
        self, command: Attempt | Cancel, reply: Reply | None = None, *, edge: bool = False
    ) -> None:
        """Read the letter at once: what it begins is a task, which waits for its turn itself."""
        if self.stopped is not None or not self.is_idle:
            super().tell(command, reply, edge=edge)
            return
        try:
            self._take(command)
        except Exception as error:  # noqa: BLE001 - an actor's crash is nobody else's business
            self.crashed(error)

    def receive(self, batch: Sequence[Envelope[Attempt | Cancel]]) -> None:
        """Start, queue or cancel attempts."""
        for envelope in batch:
            self._take(envelope.command)

    def _take(self, command: Attempt | Cancel) -> None:
        if isinstance(command, Cancel):
            self._cancel(command)
        elif not self._waiting and self._may_start():
            self._start(command)
        else:
            self._waiting.append(command)

    def crashed(self, error: Exception) -> None:
        """Nothing is lost: the attempts of its runs are owed again when those are read again."""
        logger.error("%s failed: %s", self.address, error, exc_info=error)

    @property
    def is_busy(self) -> bool:
        """Whether attempts run or wait."""
        # What waits for its turn in time is owed: a closing house does not wait with it.
        waits = self._waiting and not (self._gate is not None and self._gate.is_shut)
        return bool(self._running or waits) or not self.is_idle

    @property
    def is_empty(self) -> bool:
        """Whether no attempt is in it, in any state."""
        return self.is_idle and not (self._running or self._waiting or self._abandoned)

    def counts(self) -> dict[str, int]:
        """How many attempts there are, by state."""
        return {"running": len(self._running), "waiting": len(self._waiting)}

    def turns_of(self, run_id: str) -> dict[str, tuple[int, int]]:
        """By key, the place in line of each attempt of a run that waits; and how many wait."""
        waiting = [attempt.info for attempt in self._waiting]
        return {
            info.key: (number, len(waiting))
            for number, info in enumerate(waiting, 1)
            if info.run_id == run_id
        }

    async def close(self) -> None:
        """Cancel what runs and wait for it. Cancelled attempts report nothing: they are owed."""
        self._waiting.clear()
        if self._gate is not None:
            self._gate.close()
        running = [task for _, task in self._running.values()]
        for attempt, task in self._running.values():
            attempt.cancelled = True
            task.cancel()
        if running := [*running, *self._abandoned]:
            await asyncio.wait(running, timeout=5)

    def _start(self, attempt: Attempt) -> None:
        place = (attempt.info.run_id, attempt.info.key)
        task = self._loop.create_task(self._run(attempt), context=self._context.copy())
        self._running[place] = (attempt, task)

    def _cancel(self, command: Cancel) -> None:
        entry = self._running.pop((command.run_id, command.key), None)
        if entry is not None:
            attempt, task = entry
            attempt.cancelled = True
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)
            task.cancel()
            self._start_next()
            return
        for attempt in self._waiting:
            if (attempt.info.run_id, attempt.info.key) == (command.run_id, command.key):
                self._waiting.remove(attempt)
                return

    def _start_next(self) -> None:
        while self._waiting and self._may_start():
            self._start(self._waiting.popleft())

    def _may_start(self) -> bool:
        limit = self.handler.concurrency
        if limit is not None and len(self._running) >= limit:
            return False
        return self._gate is None or self._gate.take()

    async def _run(self, attempt: Attempt) -> None:
        info, work = attempt.info, attempt.work
        UNDER_WAY.set(info)
        enter_attempt(info)
        if work.images is not None and work.before is None:
            work.before = work.images.capture()
        result = await self._result(attempt)
        if attempt.cancelled:
            return
        if result is None:
            del self._running[info.run_id, info.key]
            return
        if not isinstance(result, Absent) and work.images is not None and work.before is not None:
            result.after = made_of(info.key, work.before, work.images)
        self._running.pop((info.run_id, info.key), None)
        attempt.report(info, result)
        if self._waiting:
            self._start_next()

    async def _result(self, attempt: Attempt) -> Result | None:
        """What came of it; None when nobody wants that any more."""
        started, info = time.perf_counter_ns(), attempt.info
        result: Result
        try:
            value = await self._call(attempt)
            if attempt.verify:
                value = _found(info, value)
            output = self._encode(value, f"result of step {info.name!r} ({info.key!r})")
            result = Success(value, output, (time.perf_counter_ns() - started) // 1000)
            if info.changes or info.deleted:
                result.state = info.changes or None
                result.deleted = list(info.deleted or ()) or None
        except _AbsentError:
            result = Absent()
        except PayloadError as error:
            result = Failure(error, retryable=False)
        except asyncio.CancelledError as error:
            if attempt.cancelled:
                return None
            result = self._failure(_cancelled(info, error))
        except (Exception, SystemExit, BodyClosed) as error:  # noqa: BLE001 - user code
            if self.closing and isinstance(error, RuntimeClosedError):
                return None
            result = self._failure(error)
        if attempt.verify and isinstance(result, Failure):
            result = Failure(_still_unknown(info, result.error), retryable=False)
        return result

    def _failure(self, error: BaseException) -> Failure:
        try:
            allowed = self.handler.is_retryable(error)
            if allowed is None:
                policy = self._defaults.policy
                allowed = policy is None or policy.allows(error)
        except Exception:
            logger.exception("%s: retry_if failed; there is no other attempt", self.address)
            allowed = False
        return Failure(faithful(error), retryable=allowed)

    def _call(self, attempt: Attempt) -> Awaitable[object]:
        seconds = self.handler.timeout_s
        if seconds is None:
            seconds = self._defaults.timeout_s
        if seconds is not None:
            return self._timed(attempt, seconds)
        begun: Awaitable[object] = self._invoke(attempt)
        return begun

    async def _timed(self, attempt: Attempt, seconds: float) -> object:
        with anyio.move_on_after(seconds) as scope:
            return await self._invoke(attempt)
        if scope.cancelled_caught:
            name, ms = self.handler.name, round(seconds * 1000)
            msg = f"function {name!r} did not end within its timeout of {ms} ms"
            raise StepTimeoutError(msg)
        raise asyncio.CancelledError

    def _invoke(self, attempt: Attempt) -> Any:
        handler, work = self.handler, attempt.work
        function, on_thread = handler.call, handler.on_thread
        if attempt.verify:
            function, on_thread = handler.verify, handler.verify_on_thread
        if on_thread:
            call = partial(function, attempt.info, work.args, work.kwargs)
            return self._threads.call(call)
        return function(attempt.info, work.args, work.kwargs)


class _AbsentError(Exception):
    """Within this file: the verification says that it has not happened."""


def _found(info: AttemptInfo, verdict: object) -> object:
    match verdict:
        case Happened():
            return verdict.value
        case NotHappened():
            raise _AbsentError
        case _:
            msg = (
                f"the verification of step {info.name!r} must return Happened(value) or"
                f" NotHappened(), not {verdict!r:.80}"
            )
            raise UnknownOutcomeError(msg)


def _still_unknown(info: AttemptInfo, cause: BaseException) -> UnknownOutcomeError:
    msg = (
        "the process ended while this attempt was under way, and its verification failed, so it is"
        f" not known whether its effect happened ({info.name!r}): {type(cause).__name__}: {cause}"
    )
    error = UnknownOutcomeError(msg)
    error.__cause__ = cause
    return error


def _cancelled(info: AttemptInfo, error: BaseException) -> ExecutionError:
    failure = ExecutionError(f"step {info.name!r} was cancelled by its own code")
    failure.__cause__ = error
    return failure
