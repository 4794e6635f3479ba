"""Wakes what is due. Holds nothing that the log does not: every alarm is armed again from it."""

from __future__ import annotations

from collections.abc import Callable

from agnt5.actors.clock import Alarm, Clock


class Timers:
    """The alarms of one run that is in memory, by key."""

    __slots__ = ("_alarms", "_clock", "_wake")

    def __init__(self, clock: Clock, wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._alarms: dict[str, list[Alarm]] = {}

    def arm(self, key: str, due_at: int) -> None:
        """Wake this key at this time; a key may have several times."""
        alarm = self._clock.call_at(due_at, lambda: self._wake(key))
        self._alarms.setdefault(key, []).append(alarm)

    def disarm(self, key: str) -> None:
        """The key is settled."""
        for alarm in self._alarms.pop(key, ()):
            alarm.cancel()

    def close(self) -> None:
        """Disarm every key."""
        for key in list(self._alarms):
            self.disarm(key)


class Deadline:
    """One alarm that may be moved: when the time of a run is over."""

    __slots__ = ("_alarm", "_at", "_clock", "_due")

    def __init__(self, clock: Clock, due: Callable[[], None]) -> None:
        self._clock = clock
        self._due = due
        self._alarm: Alarm | None = None
        self._at: int | None = None

    def expect(self, due_at: int | None) -> None:
        """Call at this time, and at no other; None: not at all."""
        if due_at == self._at:
            return
        self.close()
        if due_at is not None:
            self._at = due_at
            self._alarm = self._clock.call_at(due_at, self._fire)

    def close(self) -> None:
        """Call nobody."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._at = None, None

    def _fire(self) -> None:
        self._alarm, self._at = None, None
        self._due()


class ParkedWakes:
    """One alarm for all parked runs: the earliest time at which one of them must come back."""

    def __init__(self, clock: Clock, due: Callable[[], None]) -> None:
        self._clock = clock
        self._due = due
        self._alarm: Alarm | None = None
        self._at: int | None = None

    def expect(self, wake_at: int | None) -> None:
        """A run was parked until this time."""
        if wake_at is None or (self._at is not None and self._at <= wake_at):
            return
        self.close()
        self._at = wake_at
        self._alarm = self._clock.call_at(wake_at, self._fire)

    def close(self) -> None:
        """Wake nobody."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._at = None, None

    def _fire(self) -> None:
        self._alarm, self._at = None, None
        self._due()
