"""The house's side of the log: one append queue, and the way back from the log's own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import Context
from weakref import WeakSet

import anyio

from agnt5.events.log import Append, EventLog

_LINGER_S = 0.004
"""How long an append that nobody waits for may wait for company."""

Listener = Callable[[Sequence[Append]], None]
"""Hears of settled appends after whoever made them. Must not raise."""


class Journal:
    """Hands the appends of one turn of the loop over as one group, so that they share a commit."""

    def __init__(self, log: EventLog, context: Context, listeners: Sequence[Listener] = ()) -> None:
        self.log = log
        self._context = context
        self._listeners = tuple(listeners)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._buffer: list[Append] = []
        self._flush_scheduled = False
        self._linger: asyncio.TimerHandle | None = None
        self._in_flight = 0
        self._drained: asyncio.Event = asyncio.Event()
        self._drained.set()
        self.followers: WeakSet[asyncio.Event] = WeakSet()
        """Set whenever something has become durable."""
        log.start(self._sink)

    def append(self, request: Append) -> None:
        """Append; ``request.on_settled`` is called on the loop."""
        self._buffer.append(request)
        if not self._in_flight:
            self._drained.clear()
        self._in_flight += 1
        if not request.urgent:
            if self._linger is None:
                self._linger = self._loop.call_later(
                    _LINGER_S, self._lingered, context=self._context
                )
        elif self._in_flight == len(self._buffer):
            # Nothing is being written: the first of a turn goes at once, the others share the next.
            self._flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush, context=self._context)

    @property
    def pending(self) -> int:
        """How many appends are not settled."""
        return self._in_flight

    async def drain(self, patience_s: float) -> None:
        """Wait until everything that was appended is settled, or the patience is over."""
        if self._buffer:
            self._flush()
        with anyio.move_on_after(patience_s):
            await self._drained.wait()

    def _lingered(self) -> None:
        self._linger = None
        self._flush()

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._buffer:
            requests, self._buffer = self._buffer, []
            self.log.append(requests)

    def _sink(self, settled: Sequence[Append]) -> None:
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._settle, settled, context=self._context)
            return
        try:
            self._loop.call_soon_threadsafe(self._settle, settled, context=self._context)
        except RuntimeError:
            # The loop is closed: what is durable stays durable, and nobody is left to be told.
            return

    def _settle(self, settled: Sequence[Append]) -> None:
        self._in_flight -= len(settled)
        for request in settled:
            request.on_settled(request)
        for listener in self._listeners:
            listener(settled)
        if not self._in_flight:
            self._drained.set()
        self.wake()

    def wake(self) -> None:
        """Tell those who follow the log that there is something new, or that it is over."""
        if len(self.followers):  # seldom any, and to walk through a WeakSet is not for nothing
            for follower in self.followers:
                follower.set()
