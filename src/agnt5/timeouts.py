"""A timeout whose expiry is a recorded fact, shaped like ``asyncio.timeout``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class DurableTimeout:
    """Cancels the block when a durable timer fires, and turns that into TimeoutError."""

    def __init__(self, start: Callable[[], asyncio.Future[Any]], seconds: float) -> None:
        self._start = start
        self._seconds = seconds
        self._timer: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._expired = False
        self._left = False

    @property
    def expired(self) -> bool:
        """Whether the time was over before the block ended."""
        return self._expired

    async def __aenter__(self) -> Self:
        """Start the timer."""
        if self._timer is not None:
            msg = "a timeout can be entered once: call ctx.timeout(...) again"
            raise RuntimeError(msg)
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        self._timer = self._start()
        self._timer.add_done_callback(self._fire)
        return self

    def _fire(self, timer: asyncio.Future[Any]) -> None:
        if timer.cancelled() or self._left or self._task is None:
            return
        self._expired = True
        self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the timer.

        Raises:
            TimeoutError: When the time was over.
        """
        self._left = True
        timer, task = self._timer, self._task
        if timer is not None and not timer.done():
            timer.cancel()
        if not self._expired or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            msg = f"the block did not end within {self._seconds:g} s"
            raise TimeoutError(msg) from error
