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
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from pydantic import JsonValue

from agnt5.actors.actor import Actor
from agnt5.actors.images import made_of
from agnt5.actors.mailbox import Envelope
from agnt5.actors.ports import After, AttemptInfo, FunctionWork, Handler
from agnt5.actors.threads import Threads
from agnt5.exceptions import BodyClosed, ExecutionError, PayloadError, StepTimeoutError
from agnt5.payloads import faithful

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
    deleted: list[str] | None = None


@dataclass(slots=True)
class Failure:
    """An attempt failed."""

    error: BaseException
    retryable: bool
    after: After | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """Run this, and report."""

    info: AttemptInfo
    work: FunctionWork
    report: Callable[[AttemptInfo, Success | Failure], None]
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
    ) -> None:
        super().__init__(f"function {handler.name}", context)
        self.handler = handler
        self._encode = encode
        self._threads = threads
        self._waiting: deque[Attempt] = deque()
        self._running: dict[tuple[str, str], tuple[Attempt, asyncio.Task[None]]] = {}
        self._abandoned: set[asyncio.Task[None]] = set()

    def receive(self, batch: Sequence[Envelope[Attempt | Cancel]]) -> None:
        """Start, queue or cancel attempts."""
        limit = self.handler.concurrency
        for envelope in batch:
            command = envelope.command
            if isinstance(command, Cancel):
                self._cancel(command)
            elif limit is None or len(self._running) < limit:
                self._start(command)
            else:
                self._waiting.append(command)

    def crashed(self, error: Exception) -> None:
        """Nothing is lost: the attempts of its runs are owed again when those are read again."""
        logger.error("%s failed: %s", self.address, error, exc_info=error)

    @property
    def is_busy(self) -> bool:
        """Whether attempts run or wait."""
        return bool(self._running or self._waiting) or not self.is_idle

    async def close(self) -> None:
        """Cancel what runs and wait for it. Cancelled attempts report nothing: they are owed."""
        self._waiting.clear()
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
        limit = self.handler.concurrency
        while self._waiting and (limit is None or len(self._running) < limit):
            self._start(self._waiting.popleft())

    async def _run(self, attempt: Attempt) -> None:
        started = time.perf_counter_ns()
        info, work = attempt.info, attempt.work
        if work.images is not None and work.before is None:
            work.before = work.images.capture()
        result: Success | Failure
        try:
            value = await self._call(attempt)
            output = self._encode(value, f"result of step {info.name!r} ({info.key!r})")
            result = Success(value, output, (time.perf_counter_ns() - started) // 1000)
        except PayloadError as error:
            result = Failure(error, retryable=False)
        except asyncio.CancelledError as error:
            if attempt.cancelled:
                return
            result = Failure(_cancelled(info, error), retryable=True)
        except (Exception, SystemExit, BodyClosed) as error:  # noqa: BLE001 - user code
            result = Failure(faithful(error), retryable=True)
        if attempt.cancelled:
            return
        if work.images is not None and work.before is not None:
            result.after = made_of(info.key, work.before, work.images)
        self._running.pop((info.run_id, info.key), None)
        attempt.report(info, result)
        if self._waiting:
            self._start_next()

    async def _call(self, attempt: Attempt) -> object:
        seconds = self.handler.timeout_s
        if seconds is None:
            return await self._invoke(attempt)
        with anyio.move_on_after(seconds) as scope:
            return await self._invoke(attempt)
        if scope.cancelled_caught:
            name, ms = self.handler.name, round(seconds * 1000)
            msg = f"function {name!r} did not end within its timeout of {ms} ms"
            raise StepTimeoutError(msg)
        raise asyncio.CancelledError

    async def _invoke(self, attempt: Attempt) -> Any:
        handler, work = self.handler, attempt.work
        if handler.on_thread:
            call = partial(handler.call, attempt.info, work.args, work.kwargs)
            return await self._threads.call(call)
        result: Any = handler.call(attempt.info, work.args, work.kwargs)
        return await result


def _cancelled(info: AttemptInfo, error: BaseException) -> ExecutionError:
    failure = ExecutionError(f"step {info.name!r} was cancelled by its own code")
    failure.__cause__ = error
    return failure
