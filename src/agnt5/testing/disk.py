"""What survives a crash, and a log on it that is slow, full, dies, or loses its ownership.

Who may write is decided by the store itself, by the epoch of the lease, as in production.

``Disk`` is what survives; each incarnation of a runtime opens it through a ``SimulatedLog`` of its
own. Groups are split, so that every append is a durable moment of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, get_args

from agnt5.events.codec import decode_history
from agnt5.events.index import IndexChange, last_of_chain
from agnt5.events.leases import STORE_SCOPE, Lease
from agnt5.events.log import Append, Removal, Sink, StoredFact
from agnt5.events.run import facts as f
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StaleEpochError, StoreError, StoreFullError
from agnt5.testing.faults import Dice
from agnt5.testing.schedule import Trouble

TERMINAL = frozenset(kind.topic for kind in get_args(f.Terminal))


class Disk:
    """What survives a crash.

    Args:
        troubles: When it is slow or full, or whoever writes stands still, the earliest first.
    """

    def __init__(self, troubles: Sequence[Trouble] = ()) -> None:
        self.log = MemoryLog(owner="simulation")
        self.ended: set[str] = set()
        """Runs that have ended, or are suspended."""
        self.appends = 0
        self.usurped: list[str] = []
        """What was recorded by somebody who had lost the disk: the topics of each append."""
        self.is_full = False
        """Whether new runs are refused."""
        self._troubles = sorted(troubles, key=lambda each: each.number)
        self._epoch = 0
        self.log.start(lambda _: None)

    def claim(self) -> Lease:
        """A lease of its own for who opens it now: whoever wrote before has lost the disk."""
        lease = self.log.claim(STORE_SCOPE, self.log.owner)
        self._epoch = lease.epoch
        return lease

    def owns(self, lease: Lease) -> bool:
        """Whether nobody has claimed the disk since."""
        return lease.epoch == self._epoch

    def write(self, append: Append, lease: Lease) -> None:
        """Make it durable under this lease, or set its error."""
        self.log.write_as(lease)
        self.log.append([append])
        if append.error is not None or not append.facts:
            return
        self.appends += 1
        if not self.owns(lease):
            self.usurped.append(", ".join(raw.topic for raw in append.facts))
        for raw in append.facts:
            if raw.topic in TERMINAL or raw.topic == "RunSuspended":
                self.ended.add(append.stream)
            elif raw.topic == "RunResumed":
                self.ended.discard(append.stream)

    def next_trouble(self) -> Trouble | None:
        """The trouble that begins with the next append. Each one comes once."""
        if self._troubles and self._troubles[0].number <= self.appends:
            return self._troubles.pop(0)
        return None

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
        self.lease = disk.claim()
        self.died = False
        self.count = 0
        """Appends that got as far as the disk."""
        self.refused: set[str] = set()
        """Streams whose writer was told that it has lost the disk."""
        self.trespasses: list[str] = []
        """What was begun for a run after that."""
        self.on_death: Callable[[], None] = lambda: None
        self.on_pause: Callable[[float], None] = lambda _: None
        """Called when the process is to stand still for some seconds."""
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
        self._held = False
        self.is_slow = False
        """Whether an append takes time, and not only turns of the loop."""

    @property
    def is_owner(self) -> bool:
        """Whether no other incarnation has taken the disk over."""
        return self.disk.owns(self.lease)

    def start(self, sink: Sink) -> None:
        """Begin to write."""
        self._sink = sink
        self.disk.log.write_as(self.lease)

    def append(self, requests: Sequence[Append]) -> None:
        """Take appends; each one becomes durable by itself."""
        if self._refusing:
            self._refuse(requests, StaleEpochError("the process has crashed"))
            return
        self._queue.extend(requests)
        if self.disk.is_full:
            self._refuse_new()
        if not self._dice.is_calm:
            self._pump()
        elif not self._writing:
            self._write_all()

    def hold(self) -> None:
        """The process stands still: nothing gets to the disk until :meth:`go_on`."""
        self._held = True

    def go_on(self) -> None:
        """It does no longer."""
        self._held = False
        if not self._writing:
            self._pump()

    def _write_all(self) -> None:
        while self._queue and not self._is_held_up():
            self._write(self._queue.popleft())

    def _pump(self) -> None:
        if self._writing or not self._queue or self._is_held_up():
            return
        self._handed += 1
        throw = self._dice.at("append", str(self._life), str(self._handed))
        turns = 0 if self._dice.is_calm else self._dice.turns(throw)
        # The very first one only: whoever starts a child is patient, and time would pass.
        if not self.disk.appends and not self._dice.is_calm and self._dice.is_refused(throw):
            self._refuse([self._queue.popleft()], StoreFullError("the simulated disk is full"))
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
        if self._queue and not self._held:
            self._write(self._queue.popleft())
        self._pump()

    def _is_held_up(self) -> bool:
        """Whether the next append has to wait, perhaps for a trouble that begins now."""
        if self._held or self.died or not self.is_owner:
            return self._held
        trouble = self.disk.next_trouble()
        if trouble is None:
            return False
        if trouble.kind == "pause":
            self.on_pause(trouble.seconds)
            return self._held
        self.take_time(trouble.seconds, full=trouble.kind == "full")
        return True

    def take_time(self, seconds: float, *, full: bool = False) -> None:
        """Let the next append take so long; on a full disk, new runs are refused meanwhile."""
        self._writing = self.is_slow = True
        self.disk.is_full = full
        asyncio.get_running_loop().call_later(seconds, self._has_room)
        if full:
            self._refuse_new()

    def _refuse_new(self) -> None:
        """What comes from the edge is refused, what is under way waits."""
        new = [each for each in self._queue if each.edge]
        self._queue = deque(each for each in self._queue if not each.edge)
        self._refuse(new, StoreFullError("the simulated disk is full"))

    def _has_room(self) -> None:
        self.is_slow = self.disk.is_full = False
        self._turn(0)

    def _write(self, append: Append) -> None:
        number, said = self.count, tuple(raw.topic for raw in append.facts)
        fatal = not self.died and self.dies(number, False, said)
        if self._held:
            self._queue.appendleft(append)
            return
        if self.died or fatal:
            self._die_with(append)
            return
        self.disk.write(append, self.lease)
        if isinstance(append.error, StaleEpochError):
            self._tell_lost(append)
            return
        self.count += 1
        if self.dies(number, True, said):
            self._die_with(append)
        elif self._sink is not None:
            self._sink([append])

    def _tell_lost(self, append: Append) -> None:
        if self._sink is not None:
            self._sink([append])
        # From when on it knows: the sink takes a turn.
        asyncio.get_running_loop().call_soon(self.refused.add, append.stream)

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

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, unless the disk is lost."""
        self.disk.log.write_as(self.lease)
        return self.disk.log.forget(removals)

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Write the index anew, unless the disk is lost."""
        self.disk.log.write_as(self.lease)
        self.disk.log.rebuild(rows)

    def __getattr__(self, name: str) -> Any:
        """Reads go to the disk."""
        if name.startswith("_") or name == "disk":
            raise AttributeError(name)
        return getattr(self.disk.log, name)
