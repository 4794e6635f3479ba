"""A log that dies: before or after append number n nothing more is recorded or acknowledged.

``Disk`` is what survives; each incarnation of a runtime opens it through a ``CrashingLog`` of its
own. Groups are split, so that every append is a durable moment of its own. With a latency an append
becomes durable only some turns of the loop after it was handed over, as on a real disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from agnt5.events.codec import decode_history, encode_fact
from agnt5.events.log import Append, Chain, Sink, StoredFact
from agnt5.events.projections import changes_of
from agnt5.events.run import facts as f
from agnt5.events.run.facts import RunFact
from agnt5.events.run.state import RunState, evolve
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StaleEpochError

OUTCOMES = {kind.topic for kind in get_args(f.Outcome)}
TERMINAL = {kind.topic for kind in get_args(f.Terminal)}


@dataclass(frozen=True)
class Crash:
    """Where the process dies, counted in appends of its own incarnation, from 0."""

    append: int
    recorded: bool
    """The append itself is on disk, but nobody was told."""

    def hits(self, append: Append, before: Sequence[set[str]]) -> bool:
        """Whether the process dies at this append, after those that said so."""
        return self.append == len(before)


@dataclass(frozen=True)
class CrashAt(Crash):
    """Where the process dies, counted in appends that say something of a topic."""

    topic: str

    def hits(self, append: Append, before: Sequence[set[str]]) -> bool:
        """Whether it dies here."""
        says = any(raw.topic == self.topic for raw in append.facts)
        return says and self.append == sum(self.topic in said for said in before)


@dataclass
class Disk:
    """What survives a crash."""

    log: MemoryLog = field(default_factory=MemoryLog)
    settled: dict[tuple[str, str], str] = field(default_factory=dict)
    """(run, key) to the topic of the fact that settled it, as soon as that is durable."""
    ended: dict[str, str] = field(default_factory=dict)
    appends: int = 0

    def note(self, append: Append) -> None:
        """These facts are durable now."""
        self.appends += 1
        for raw in append.facts:
            if raw.topic in OUTCOMES or raw.topic == "OperationCancelled":
                self.settled[append.stream, raw.step or ""] = raw.topic
            elif raw.topic in TERMINAL:
                self.ended[append.stream] = raw.topic

    def facts(self, run_id: str) -> list[RunFact]:
        """The history of a run."""
        return [fact for fact, _ in self.history(run_id)]

    def history(self, run_id: str) -> list[tuple[RunFact, int]]:
        """The history of a run, with times."""
        return decode_history(self.log.read(run_id))

    def without_last(self, run_id: str, count: int = 1) -> Disk:
        """Another disk, on which the last facts of this run were never written."""
        stored = self.log.read(run_id)
        return disk_of(run_id, stored[: len(stored) - count])


def disk_of(run_id: str, stored: Sequence[StoredFact | tuple[RunFact, int]]) -> Disk:
    """A disk with one run that has this history."""
    disk, state = Disk(), RunState(run_id)
    disk.log.start(lambda settled: None)
    for number, row in enumerate(stored):
        fact, at = decode_history([row])[0] if isinstance(row, StoredFact) else row
        was_parked = state.parked
        evolve(state, fact, at)
        raw = encode_fact(fact, at, f"event-{number}")
        changes = changes_of(state, [fact])
        append = Append(run_id, number, [raw], changes, Chain(), lambda _: None)
        disk.log.append([append])
        assert append.error is None, (append.error, was_parked)
        disk.note(append)
    disk.log.close()
    disk.appends = 0
    return disk


class CrashingLog:
    """One incarnation's view of the disk."""

    def __init__(self, disk: Disk, *, crash: Crash | None = None, latency: int = 0) -> None:
        self.disk = disk
        self.crashed = False
        self.handed = 0
        self.count = 0
        self.reads = 0
        self.topics: list[set[str]] = []
        """What each append of this incarnation said, as far as it was recorded."""
        self.held = False
        """Take appends, but let none become durable."""
        self._crash = crash
        self._latency = latency
        self._queue: deque[Append] = deque()
        self._lost: list[Append] = []
        self._pumping = False
        self._dead = False
        self._sink: Sink | None = None

    @property
    def pending(self) -> bool:
        """Whether an append is on its way to the disk."""
        return bool(self._queue) and not self.held

    def start(self, sink: Sink) -> None:
        """Begin to write."""
        self._sink = sink
        self.disk.log.start(lambda settled: None)

    def append(self, requests: Sequence[Append]) -> None:
        """Take appends; each one is durable by itself."""
        self.handed += len(requests)
        if self._dead:
            self._refuse(requests)
            return
        self._queue.extend(requests)
        self.pump()

    def pump(self) -> None:
        """Write what was handed over, now or after the latency."""
        if self._pumping or self.held:
            return
        if not self._latency:
            while self._queue and not self.held:
                self._write(self._queue.popleft())
        elif self._queue:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._turn, self._latency)

    def _turn(self, left: int) -> None:
        if left > 1:
            asyncio.get_running_loop().call_soon(self._turn, left - 1)
            return
        self._pumping = False
        if self._queue and not self.held:
            self._write(self._queue.popleft())
        self.pump()

    def _write(self, append: Append) -> None:
        crash = self._crash
        dies = crash is not None and not self.crashed and crash.hits(append, self.topics)
        if self.crashed or (dies and crash is not None and not crash.recorded):
            self.crashed = True
            self._lost.append(append)
            return
        self.count += 1
        self.topics.append({raw.topic for raw in append.facts})
        self.disk.log.append([append])
        if append.error is None:
            self.disk.note(append)
        if dies:
            self.crashed = True
            self._lost.append(append)
        elif self._sink is not None:
            self._sink([append])

    def die(self) -> None:
        """The process is gone: whoever still waits in this test's memory is told so."""
        self.crashed = self._dead = True
        lost, self._lost = [*self._lost, *self._queue], []
        self._queue.clear()
        self._refuse(lost)

    def _refuse(self, requests: Sequence[Append]) -> None:
        for append in requests:
            append.error = StaleEpochError("the process has crashed")
            append.chain.broken = append.error
        if self._sink is not None and requests:
            self._sink(list(requests))

    def close(self) -> None:
        """Let go of the disk."""
        self.disk.log.close()

    def __getattr__(self, name: str) -> Any:
        """Reads go to the disk, and are counted."""
        if name.startswith("_") or name == "disk":
            raise AttributeError(name)
        self.reads += 1
        return getattr(self.disk.log, name)
