"""What survives a crash, and a log on it that is slow, full, dies, or loses its ownership.

``Disk`` is what survives; each incarnation of a runtime opens it through a ``SimulatedLog`` of its
own. Groups are split, so that every append is a durable moment of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, get_args

from agnt5.events.codec import decode_history
from agnt5.events.index import last_of_chain
from agnt5.events.log import Append, Sink, StoredFact
from agnt5.events.run import facts as f
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StaleEpochError, StoreError
from agnt5.testing.faults import Dice

TERMINAL = frozenset(kind.topic for kind in get_args(f.Terminal))


class Disk:
    """What survives a crash."""

    def __init__(self) -> None:
        self.log = MemoryLog(owner="simulation")
        self.owner: SimulatedLog | None = None
        """The incarnation that may write."""
        self.ended: set[str] = set()
        """Runs that have ended, or are suspended."""
        self.appends = 0
        self.log.start(lambda _: None)

    def write(self, append: Append) -> None:
        """Make it durable, or set its error."""
        self.log.append([append])
        if append.error is not None or not append.facts:
            return
        self.appends += 1
        for raw in append.facts:
            if raw.topic in TERMINAL or raw.topic == "RunSuspended":
                self.ended.add(append.stream)
            elif raw.topic == "RunResumed":
                self.ended.discard(append.stream)

    def is_over(self, run_id: str) -> bool:
        """Whether a run has ended, or the last one of those that went on in its place."""
        return last_of_chain(self.log, run_id) in self.ended

    def history(self, run_id: str) -> list[tuple[f.RunFact, int]]:
        """The facts of a run with their times, microseconds since the epoch."""
        return decode_history(self.log.read(run_id))

    def facts(self, run_id: str) -> list[f.RunFact]:
        """The facts of a run."""
        return [fact for fact, _ in self.history(run_id)]

    def stored(self, run_id: str) -> list[StoredFact]:
        """The facts of a run as bytes."""
        return self.log.read(run_id)


Dies = Callable[[int, bool, tuple[str, ...]], bool]
"""(which append, whether it is recorded already, its topics) to whether the process dies."""


def _lives(number: int, recorded: bool, said: tuple[str, ...]) -> bool:  # noqa: ARG001
    return False


class SimulatedLog:
    """One incarnation's view of the disk.

    Args:
        disk: The disk.
        dice: How late appends are, and which ones a full disk refuses at first.
        life: In which incarnation.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        dice: Dice | None = None,
        life: int = 0,
    ) -> None:
        self.disk = disk
        self.died = False
        self.count = 0
        """Appends that got as far as the disk."""
        self.on_death: Callable[[], None] = lambda: None
        self.dies: Dies = _lives
        """Asked before and after each append whether the process dies at it."""
        self._dice = dice or Dice()
        self._life = life
        self._handed = 0
        self._queue: deque[Append] = deque()
        self._lost: list[Append] = []
        self._writing = False
        self._sink: Sink | None = None
        self._refusing = False

    @property
    def is_owner(self) -> bool:
        """Whether no other incarnation has taken the disk over."""
        return self.disk.owner is self

    def start(self, sink: Sink) -> None:
        """Begin to write: whoever wrote before has lost the disk."""
        self._sink = sink
        self.disk.owner = self

    def append(self, requests: Sequence[Append]) -> None:
        """Take appends; each one becomes durable by itself."""
        if self._refusing:
            self._refuse(requests, StaleEpochError("the process has crashed"))
            return
        if self._dice.is_calm and not self._queue and not self._writing:
            for append in requests:
                self._write(append)
            return
        self._queue.extend(requests)
        self._pump()

    def _pump(self) -> None:
        if self._writing or not self._queue:
            return
        self._handed += 1
        throw = self._dice.at("append", str(self._life), str(self._handed))
        turns = self._dice.turns(throw)
        # The very first one only: whoever starts a child is patient, and time would pass.
        if not self.disk.appends and self._dice.is_refused(throw):
            self._refuse([self._queue.popleft()], StoreError("the simulated disk is full"))
            self._pump()
            return
        if not self._dice.is_calm and self._dice.is_refused(throw):
            turns += 20  # a full disk: the store tries again until it can write
        self._writing = True
        self._turn(turns)

    def _turn(self, left: int) -> None:
        if left > 0:
            asyncio.get_running_loop().call_soon(self._turn, left - 1)
            return
        self._writing = False
        if self._queue:
            self._write(self._queue.popleft())
        self._pump()

    def _write(self, append: Append) -> None:
        number, said = self.count, tuple(raw.topic for raw in append.facts)
        fatal = not self.died and self.dies(number, False, said)
        if not self.is_owner:
            self._refuse([append], StaleEpochError("another runtime has taken the store over"))
            return
        if self.died or fatal:
            self._die_with(append)
            return
        self.count += 1
        self.disk.write(append)
        if self.dies(number, True, said):
            self._die_with(append)
        elif self._sink is not None:
            self._sink([append])

    def _die_with(self, append: Append) -> None:
        self._lost.append(append)
        self.crash()

    def crash(self) -> None:
        """From here on nothing is recorded, and nobody is told."""
        if not self.died:
            self.died = True
            self.on_death()

    def bury(self) -> None:
        """The process is gone: whoever still waits in this memory is told so."""
        self.died = self._refusing = True
        lost, self._lost = [*self._lost, *self._queue], []
        self._queue.clear()
        self._refuse(lost, StaleEpochError("the process has crashed"))

    def _refuse(self, requests: Sequence[Append], error: StoreError) -> None:
        for append in requests:
            append.error = error
            append.chain.broken = append.chain.broken or error
        if self._sink is not None and requests:
            self._sink(list(requests))

    def close(self) -> None:
        """Let go of the disk, which stays."""
        if self.disk.owner is self:
            self.disk.owner = None

    def __getattr__(self, name: str) -> Any:
        """Reads go to the disk."""
        if name.startswith("_") or name == "disk":
            raise AttributeError(name)
        return getattr(self.disk.log, name)
