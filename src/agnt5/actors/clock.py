"""Where time comes from. Times are microseconds since the epoch."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

_LONGEST_WAIT_S = 3600.0


class Alarm(Protocol):
    """A call that will be made at a time."""

    def cancel(self) -> None:
        """Do not make it. Idempotent."""
        ...


class Clock(Protocol):
    """Tells the time, and calls back at a time: never early, on the loop's thread."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        ...

    def call_at(self, due_at: int, callback: Callable[[], None]) -> Alarm:
        """Call back once the time has come; soon, when it has come already."""
        ...


class _SystemAlarm:
    __slots__ = ("_callback", "_clock", "_due_at", "_handle")

    def __init__(self, clock: SystemClock, due_at: int, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._due_at = due_at
        self._callback = callback
        self._arm()

    def _arm(self) -> None:
        left = max(0.0, (self._due_at - self._clock.now()) / 1e6)
        # Wall time may be set, and the machine may sleep: look again at least once an hour.
        wait = min(left, _LONGEST_WAIT_S)
        self._handle = asyncio.get_running_loop().call_later(wait, self._fire)

    def _fire(self) -> None:
        if self._clock.now() < self._due_at:
            self._arm()
        else:
            self._callback()

    def cancel(self) -> None:
        self._handle.cancel()


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000

    def call_at(self, due_at: int, callback: Callable[[], None]) -> Alarm:
        """Call back once the time has come."""
        return _SystemAlarm(self, due_at, callback)


class _ManualAlarm:
    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock:
    """A clock that stands still until it is told to go on. For tests."""

    def __init__(self, now: int = 1_700_000_000_000_000) -> None:
        self._now = now
        self._order = count()
        self._alarms: list[tuple[int, int, _ManualAlarm]] = []

    def now(self) -> int:
        """Microseconds since the epoch."""
        return self._now

    def call_at(self, due_at: int, callback: Callable[[], None]) -> Alarm:
        """Call back when :meth:`advance` has passed the time."""
        alarm = _ManualAlarm(callback)
        heapq.heappush(self._alarms, (due_at, next(self._order), alarm))
        if due_at <= self._now:
            asyncio.get_running_loop().call_soon(self._fire_due)
        return alarm

    def advance(self, seconds: float) -> None:
        """Let time pass, and make the calls that are due, in the order of their times."""
        self._now += int(seconds * 1_000_000)
        self._fire_due()

    def next_due(self) -> int | None:
        """When the next alarm is due."""
        while self._alarms and self._alarms[0][2].cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def jump(self) -> bool:
        """Go on to the next alarm, if there is one; whether there was."""
        due_at = self.next_due()
        if due_at is None:
            return False
        self._now = max(self._now, due_at)
        self._fire_due()
        return True

    def _fire_due(self) -> None:
        while self._alarms and self._alarms[0][0] <= self._now:
            alarm = heapq.heappop(self._alarms)[2]
            if not alarm.cancelled:
                alarm.callback()
