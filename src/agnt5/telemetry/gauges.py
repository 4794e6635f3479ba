"""What can be looked up in a running house, from any thread: how many there are of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from weakref import WeakSet

from agnt5.actors.bus import Bus
from agnt5.events.leases import Tenure
from agnt5.events.run.state import RunState, is_waiting

Measured = tuple[int, dict[str, str]]
"""A number, and the attributes of what it is the number of."""


class Gauges:
    """Of one bus."""

    def __init__(self, bus: Bus, tenure: Tenure | None) -> None:
        self._bus, self._tenure = bus, tenure

    def runs(self) -> Iterable[Measured]:
        """Runs in memory that do not stand still: ``running``, ``waiting`` or ``queued``."""
        found = Counter({"running": 0, "waiting": 0, "queued": 0})
        for actor in list(self._bus.runs.values()):
            state = actor.state
            if state.may_start:
                found["queued"] += 1
            elif state.is_running:
                found["waiting" if _waits(state) else "running"] += 1
        return [(number, {"agnt5.state": name}) for name, number in found.items()]

    def queues(self) -> Iterable[Measured]:
        """Runs that wait for a place, by queue; the line of those without a queue has no name."""
        depths = self._bus.admission.depths()
        return [(number, {"agnt5.queue": name or ""}) for name, number in depths.items()]

    def attempts(self) -> Iterable[Measured]:
        """Attempts at executors, by function: under way, and waiting for their turn."""
        found: list[Measured] = []
        for executor in list(self._bus.executors.values()):
            name = executor.handler.name
            for state, number in executor.counts().items():
                found.append((number, {"agnt5.step.function": name, "agnt5.state": state}))
        return found

    def appends(self) -> Iterable[Measured]:
        """Appends that are decided and not on record yet."""
        return [(self._bus.journal.pending, {})]

    def epochs(self) -> Iterable[Measured]:
        """The epoch of the lease under which it writes, by store; none of one that is lost."""
        lease = None if self._tenure is None else self._tenure.lease
        if self._tenure is None or lease is None:
            return []
        return [(lease.epoch, {"agnt5.store": self._tenure.store})]


def _waits(state: RunState) -> bool:
    try:
        return is_waiting(state)
    except RuntimeError:  # it has changed while it was looked at: something is under way
        return False


open_houses: WeakSet[Gauges] = WeakSet()
"""Of this process. Instruments cannot be taken back, so that they are shared by all runtimes."""
