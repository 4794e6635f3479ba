"""Lets so many through in any period of time, on the house's clock. Nobody spins while it waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agnt5.actors.clock import Alarm, Clock
from agnt5.flow import RateLimit


class RateGate:
    """A gate that is shut while as many as allowed have passed within the last period.

    It keeps the times of the last passages and not a bucket that fills: so the limit holds in
    *every* period, also in one that begins in the middle of a burst.
    """

    def __init__(self, rate: RateLimit, clock: Clock, opened: Callable[[], None]) -> None:
        self._limit = rate.limit
        self._period_us = max(1, round(rate.per_seconds * 1e6))
        self._clock = clock
        self._opened = opened
        self._passed: deque[int] = deque()
        self._alarm: Alarm | None = None

    def is_open(self) -> bool:
        """Whether one may pass now; if not, ``opened`` will be called when one may."""
        now, passed = self._clock.now(), self._passed
        if passed and passed[-1] > now:
            # The wall clock was set back: nobody must wait for it to catch up.
            self._passed = passed = deque(min(at, now) for at in passed)
        while passed and passed[0] + self._period_us <= now:
            passed.popleft()
        if len(passed) < self._limit:
            return True
        if self._alarm is None:
            self._alarm = self._clock.call_at(passed[0] + self._period_us, self._fire)
        return False

    def take(self) -> bool:
        """Pass, if one may; see :meth:`is_open`."""
        if not self.is_open():
            return False
        self._passed.append(self._clock.now())
        return True

    @property
    def is_shut(self) -> bool:
        """Whether somebody found it shut, and it has not opened since."""
        return self._alarm is not None

    def close(self) -> None:
        """Call nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _fire(self) -> None:
        self._alarm = None
        self._opened()
