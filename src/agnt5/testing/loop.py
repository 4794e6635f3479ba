"""An event loop whose time is virtual: it jumps to the next alarm when nothing is left to do.

``asyncio.sleep``, ``asyncio.timeout``, anyio's deadlines and the runtime's own clock all read this
time, so that a month passes within a millisecond and one seed is one run on every machine. Work
that would go to a thread pool is done at once, on the loop, for the same reason.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, cast

from agnt5.actors.clock import Alarm

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
START_US = 1_700_000_000_000_000
"""When every simulation begins: 14 November 2023, 22:13:20 UTC."""
IO_PATIENCE_S = 5.0
"""How long, in real seconds, time stands still for a socket that user code has opened."""
MOST_TURNS = 2_000_000
"""No body needs so many turns in a row between two jumps: it turns in a circle."""


class NoRestError(RuntimeError):
    """The program never waits: its loop turned far too often without time passing."""


class _Alarm(asyncio.TimerHandle):
    """Of those that are due at the same time, the one that was set first rings first."""

    order = 0

    def __lt__(self, other: object) -> bool:
        if isinstance(other, _Alarm):
            return (self.when(), self.order) < (other.when(), other.order)
        return NotImplemented


class VirtualLoop(asyncio.SelectorEventLoop):
    """One thread, virtual seconds from 0, no thread pool."""

    def __init__(self) -> None:
        self._time = 0.0
        self._orders = count()
        self.jumps = 0
        """How often time has passed."""
        self.at_rest: Callable[[bool], bool] = lambda has_alarm: has_alarm
        """Asked when nothing is left to do, with whether an alarm is armed: may time pass?"""
        self.patience_s: float | None = None
        """How long, in real seconds, to wait for another thread before ``on_patience``."""
        self.on_patience: Callable[[], None] = lambda: None
        super().__init__(_Idling(self))
        # Alarms that are due within it ring together: those of one microsecond. Less than that, and
        # a float of some months could not tell the two apart, and would never ring.
        self._clock_resolution = 5e-7

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._time

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a time of this loop."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        alarm = _Alarm(when, callback, args, self, context)
        alarm.order = next(self._orders)
        heapq.heappush(self._alarms, alarm)
        # As the base class marks it, to count the cancelled ones.
        setattr(alarm, "_scheduled", True)  # noqa: B010 - hidden from users
        return alarm

    def next_alarm(self) -> float | None:
        """When the next alarm is due, in seconds of this loop."""
        return self._alarms[0].when() if self._alarms else None

    @property
    def _alarms(self) -> list[asyncio.TimerHandle]:
        return cast("list[asyncio.TimerHandle]", getattr(self, "_scheduled"))  # noqa: B009

    def jump(self, upto: float | None = None) -> None:
        """Go on to the next alarm, or to this time."""
        due_at = self.next_alarm() if upto is None else upto
        if due_at is not None:
            self._time = max(self._time, due_at)
            self.jumps += 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call it now. An executor of the caller's own is used as it is."""
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        answer: asyncio.Future[T] = self.create_future()
        try:
            answer.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the call
            answer.set_exception(error)
        return answer


class _Idling(selectors.BaseSelector):
    """A selector that lets virtual time pass in place of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; asked for nothing but that, unless the loop has nothing else to do."""
        has_io = len(self._real.get_map()) > 1  # one is the loop's own, by which threads wake it
        if timeout == 0:
            self._turns += 1
            if self._turns > MOST_TURNS:
                self._turns = 0
                said = f"the event loop turned {MOST_TURNS:,} times and time did not pass"
                raise NoRestError(said)
            return self._real.select(0) if has_io else []
        self._turns = 0
        ready = self._real.select(IO_PATIENCE_S if has_io else 0)
        if ready:
            return ready
        if self._loop.at_rest(timeout is not None):
            self._loop.jump()
            return []
        return self._wait()

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        if getattr(self._loop, "_ready", None):
            return []  # being asked, somebody found something to do
        patience = self._loop.patience_s
        ready = self._real.select(patience)
        if not ready and patience is not None:
            self._loop.on_patience()
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Any:
        """As the real one."""
        return self._real.get_map()

    def close(self) -> None:
        """As the real one."""
        self._real.close()


class VirtualClock:
    """The runtime's clock on a :class:`VirtualLoop`. Microseconds since the epoch."""

    def __init__(self, loop: VirtualLoop, start: int = START_US) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> int:
        """Microseconds since the epoch."""
        return self._start + round(self._loop.time() * 1e6)

    def call_at(self, due_at: int, callback: Callable[[], None]) -> Alarm:
        """Call back once the time has come."""
        return self._loop.call_at((due_at - self._start) / 1e6, callback)
