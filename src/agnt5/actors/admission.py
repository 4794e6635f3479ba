"""Who may begin, and who waits in which line: the limit of the house, and those of its queues.

Nothing in here is the truth: the log says which runs are accepted and not begun, and a restart
lines them up again in the same order.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agnt5.actors.clock import Clock
from agnt5.actors.rate import RateGate
from agnt5.events.index import RunRow
from agnt5.events.run.state import RunState
from agnt5.flow import Queue

logger = logging.getLogger("agnt5.runtime")

_Entry = tuple[bool, int, int, str]
"""Sorts as the line does: what was begun before, then priority, then the order of acceptance."""


@dataclass(frozen=True, slots=True)
class Place:
    """What decides when a run may begin."""

    run_id: str
    queue: str | None
    priority: int
    accepted_at: int
    begun: bool = False
    """It comes back from a wait: it goes before those that have not begun."""


class _Line:
    """The runs of one queue."""

    def __init__(self, queue: Queue | None, clock: Clock, opened: Callable[[], None]) -> None:
        self.most = queue.concurrency if queue else None
        rate = queue.rate if queue else None
        self.gate = None if rate is None else RateGate(rate, clock, opened)
        self.active: set[str] = set()
        self.waiting: list[_Entry] = []

    @property
    def is_limited(self) -> bool:
        """Whether it has limits of its own, beside those of the house."""
        return self.most is not None or self.gate is not None

    def has_place(self, *, begun: bool) -> bool:
        """Whether one more may be active. What comes back needs no turn of the rate limit."""
        if self.most is not None and len(self.active) >= self.most:
            return False
        return begun or self.gate is None or self.gate.is_open()


class Admission:
    """Gives places, and takes them back."""

    def __init__(
        self,
        clock: Clock,
        queues: Iterable[Queue],
        has_room: Callable[[], bool],
        begin: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._has_room = has_room
        self._begin = begin
        self._lines: dict[str | None, _Line] = {
            queue.name: _Line(queue, clock, self.drain) for queue in queues
        }
        self._holders: dict[str, _Line] = {}
        self._waiting: dict[str, _Entry] = {}
        self._draining = False
        self._closed = False

    def open(self, rows: Iterable[RunRow]) -> None:
        """Line up what a former process has left, what had begun first, and begin what may."""
        unknown: set[str] = set()
        for row in rows:
            if row.queue is not None and row.queue not in self._lines:
                unknown.add(row.queue)
            begun = row.status != "queued"
            self.line_up(Place(row.run_id, row.queue, row.priority, row.created_at, begun))
        for name in sorted(unknown):
            logger.warning("there is no queue %r any more: its runs begin without a limit", name)
        self.drain()

    def admit(self, run_id: str, queue: str | None, *, begun: bool) -> bool:
        """Take a place now, unless there is none or somebody stands in line for it."""
        line = self._lines.get(queue)
        if line is None or not line.is_limited or run_id in self._holders:
            self._waiting.pop(run_id, None)
            return True
        if line.waiting and self._first(line) is not None:
            return False
        if not line.has_place(begun=begun):
            return False
        self._waiting.pop(run_id, None)
        self._give(run_id, line, begun=begun)
        return True

    def line_up(self, place: Place) -> None:
        """Wait for a place. A run stands in line once."""
        line = self._lines.get(place.queue)
        if line is None:
            line = self._lines[place.queue] = _Line(None, self._clock, self.drain)
        entry = (not place.begun, -place.priority, place.accepted_at, place.run_id)
        self._waiting[place.run_id] = entry
        heapq.heappush(line.waiting, entry)

    def begin_successor(self, ended: RunState, run_id: str) -> None:
        """A run went on as another one, which waits for a place as any new run of its queue."""
        queued = ended.queued
        if queued is not None and not self._closed and not self.waits(run_id):
            at = ended.finished_at or ended.updated_at
            self.line_up(Place(run_id, queued.queue, queued.priority, at))
            self.drain()

    def line_up_again(self, state: RunState, now: int) -> None:
        """A run that could be executed has left memory: it waits for a place, if it is its turn."""
        queued = state.queued
        if queued is None or not (state.may_start or state.is_running):
            return
        if state.parked and (state.wake_at is None or state.wake_at > now):
            return
        begun = state.is_running
        at = now if begun else state.created_at
        self.line_up(Place(state.run_id, queued.queue, queued.priority, at, begun))

    def has_place(self, state: RunState) -> bool:
        """Whether a run that can be executed may be executed now."""
        if state.queued is None or not (state.may_start or state.is_running):
            return True
        return self.admit(state.run_id, state.queued.queue, begun=state.is_running)

    def leave(self, run_id: str) -> None:
        """The run has left memory: its place is free."""
        line = self._holders.pop(run_id, None)
        if line is not None:
            line.active.discard(run_id)
        self.drain()

    def forget(self, run_id: str) -> None:
        """The run has ended: it needs no place any more."""
        self._waiting.pop(run_id, None)

    def waits(self, run_id: str) -> bool:
        """Whether the run stands in line."""
        return run_id in self._waiting

    def place_of(self, run_id: str) -> tuple[int, int] | None:
        """Its place in the line in which it stands, counted from 1, and how many stand there."""
        entry = self._waiting.get(run_id)
        if entry is None:
            return None
        for line in self._lines.values():
            present = [one for one in line.waiting if self._waiting.get(one[3]) is one]
            if any(one is entry for one in present):
                return 1 + sum(one < entry for one in present), len(present)
        return None

    def depths(self) -> dict[str | None, int]:
        """How many runs stand in each line; None is that of the runs without a queue."""
        present = set(map(id, list(self._waiting.values())))
        return {
            name: sum(id(entry) in present for entry in list(line.waiting))
            for name, line in list(self._lines.items())
        }

    def drain(self) -> None:
        """Begin whatever may begin, the first of all lines first."""
        if self._draining or self._closed:
            return
        self._draining = True
        try:
            while self._waiting and self._has_room():
                line = self._next()
                if line is None:
                    return
                begun, _, _, run_id = heapq.heappop(line.waiting)
                del self._waiting[run_id]
                self._give(run_id, line, begun=not begun)
                self._begin(run_id)
        finally:
            self._draining = False

    def close(self) -> None:
        """Begin nothing any more."""
        self._closed = True
        for line in self._lines.values():
            if line.gate is not None:
                line.gate.close()

    def _next(self) -> _Line | None:
        best: tuple[_Entry, _Line] | None = None
        for line in self._lines.values():
            first = self._first(line)
            if first is None or (best is not None and best[0] <= first):
                continue
            if line.has_place(begun=not first[0]):
                best = first, line
        return None if best is None else best[1]

    def _first(self, line: _Line) -> _Entry | None:
        # An entry that is not the run's present one was forgotten, or has been replaced.
        while line.waiting and self._waiting.get(line.waiting[0][3]) is not line.waiting[0]:
            heapq.heappop(line.waiting)
        return line.waiting[0] if line.waiting else None

    def _give(self, run_id: str, line: _Line, *, begun: bool) -> None:
        if line.gate is not None and not begun:
            line.gate.take()
        if line.is_limited:
            self._holders[run_id] = line
            line.active.add(run_id)
