"""Threads for blocking user functions.

They are daemons, so that a function that never returns cannot hold the process back after its
grace: its attempt is owed, and runs again at the next start.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Threads:
    """At most ``limit`` threads, made when needed, kept for the next call."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._made = 0
        self._busy = 0

    async def call(self, function: Callable[[], Any]) -> Any:
        """The result of a blocking call, in a copy of the caller's context.

        Cancelling the wait abandons the call: a thread cannot be stopped from outside.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        context = copy_context()
        self._jobs.put((lambda: context.run(function), loop, answer))
        self._busy += 1
        if self._busy > self._made and self._made < self._limit:
            self._made += 1
            threading.Thread(target=self._serve, name="agnt5-function", daemon=True).start()
        return await answer

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        for _ in range(self._made):
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, loop, answer = job
            result: Any = None
            failure: BaseException | None = None
            try:
                # One that was cancelled while it waited for a thread must not begin.
                result = None if answer.done() else function()
            except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the call
                failure = error
            try:
                loop.call_soon_threadsafe(self._settle, answer, result, failure)
            except RuntimeError:
                # The loop is closed: the attempt is owed, and nobody waits here any more.
                return

    def _settle(
        self, answer: asyncio.Future[Any], result: Any, failure: BaseException | None
    ) -> None:
        self._busy -= 1
        if answer.done():
            return
        if failure is None:
            answer.set_result(result)
            return
        if isinstance(failure, StopIteration):
            # A future cannot hold a StopIteration; Python itself turns it into this in coroutines.
            wrapped = RuntimeError("a function raised StopIteration")
            wrapped.__cause__ = failure
            failure = wrapped
        answer.set_exception(failure)
