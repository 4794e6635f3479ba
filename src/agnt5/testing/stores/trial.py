"""One store under trial: what was done with it, what must be there, and what it answered.

Everything here is told what to do; who draws what to do is the machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count

from agnt5.events.index import KeyBinding
from agnt5.events.leases import STORE_SCOPE
from agnt5.events.log import Append, Chain, Removal
from agnt5.exceptions import StoreError
from agnt5.testing.stores.comparing import same, same_index, same_streams, seen_in_flight
from agnt5.testing.stores.judging import Judge
from agnt5.testing.stores.model import Model
from agnt5.testing.stores.ownership import Ownership
from agnt5.testing.stores.plans import Put, describe, facts_after
from agnt5.testing.stores.port import (
    Faults,
    Moment,
    OpenStore,
    Store,
    StoreConformanceError,
)
from agnt5.testing.stores.positions import Positions
from agnt5.testing.stores.watch import Watch


@dataclass
class Ground:
    """What all trials of one check have in common."""

    open_store: OpenStore
    faults: Faults
    drop: Callable[[str], None] | None = None
    """Removes a place, once a trial is over."""
    patience_s: float = 20.0
    """How long a store may take to settle what was handed over."""
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    """Makes the places of this check different from those of any other."""
    numbers: count[int] = field(default_factory=count)

    def new_place(self) -> str:
        """A name that was never used before."""
        return f"t{self.run}_{next(self.numbers)}"


class Trial:
    """A store, opened at a new place, and the model of it."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.place = ground.new_place()
        self.model = Model()
        self.history: list[str] = []
        self.pending: dict[Append, Append] = {}
        """What is not settled yet, and what it was when it was handed over."""
        self.sent: list[Append] = []
        """Appends with facts that were written: to be sent once more."""
        self.is_full = False
        self.uses_memory = False
        self._trouble = ExitStack()
        self._serials = count(1)
        self._chains: dict[int, Chain] = {}
        self._names: dict[int, int] = {}
        self._positions = Positions()
        self.owners = Ownership()
        self.store: Store
        self.watch: Watch
        self._judge: Judge
        self._open()

    def say(self, line: str) -> None:
        """Note what is done next, for the report."""
        self.history.append(line)

    def _open(self) -> None:
        self.store = self.ground.open_store(self.place)
        self._adopt_store()

    def _adopt_store(self) -> None:
        self.model.new_life()
        self._chains, self._names = {}, {}
        self.watch = Watch(self.store)
        self._judge = Judge(self.model, self.pending, self._written, self._names)
        self.store.start(self.watch)
        self.owners.begin(self.store)

    # Handing over

    def build(self, puts: Sequence[Put], *, with_facts: bool = False) -> list[Append]:
        """The appends that were drawn, each after the version that will stand by then.

        Args:
            puts: What was drawn.
            with_facts: None may be without: it could not be told whether it was written.
        """
        tails = {stream: len(facts) for stream, facts in self.model.streams.items()}
        for append in self.pending.values():
            if append.after == tails.get(append.stream, 0):
                tails[append.stream] = append.after + len(append.facts)
                if append.begins is not None:
                    tails.setdefault(append.begins.stream, len(append.begins.facts))
        busy = _Busy(self.pending.values())
        built: list[Append] = []
        for put in puts:
            tail = tails.get(put.stream, 0)
            after = max(0, tail + put.off)
            number = max(put.facts, 1) if with_facts else put.facts
            facts = facts_after(put.stream, after, number, next(self._serials))
            chain = self._chain(put.chain)
            append = Append(
                put.stream, after, facts, put.changes(), chain, _nobody, put.urgent, put.edge
            )
            append.begins = put.beginning(next(self._serials))
            append.volatile = put.volatile and self.uses_memory
            # From the edge come new runs: nothing that waits already may stand before them.
            append.edge = put.edge and not busy.meets(append)
            if not append.edge:
                busy.add(append)
            if after == tail:
                tails[put.stream] = after + number
                if append.begins is not None:
                    tails.setdefault(append.begins.stream, len(append.begins.facts))
            built.append(append)
        return built

    def _chain(self, number: int | None) -> Chain:
        chain = Chain() if number is None else self._chains.setdefault(number, Chain())
        if number is not None:
            self._names[id(chain)] = number
        return chain

    def hand_over(self, appends: Sequence[Append]) -> None:
        """Give appends to the store, and look at what a reader sees meanwhile."""
        for append in appends:
            self.say(f"append {describe(append, self._names)}")
        self.pending.update({append: copy(append) for append in appends})
        self.store.append(list(appends))
        if not any(append.volatile for append in self.pending.values()):
            seen_in_flight(self.store, self.model, list(self.pending.values()))

    def settle(self) -> None:
        """Wait until all is settled that was handed over, and judge it."""
        self._collect(len(self.pending), "everything")

    def settle_edges(self) -> None:
        """In trouble: wait until what is from the edge is settled, and judge what else is."""
        while any(append.edge for append in self.pending.values()):
            self._collect(1, "what is from the edge")
        self._judge_ready()

    def _collect(self, number: int, what: str) -> None:
        found = self.watch.take_all(number, self.ground.patience_s)
        self._judge.all(found)
        self._check_watch()
        if len(found) < number:
            left = "; ".join(map(describe, self.pending.values()))
            self._impatient()
            raise StoreConformanceError(
                "settled",
                f"Within {self.ground.patience_s} s the store should have settled {what}. "
                f"Not settled: {left}.",
            )

    def _impatient(self) -> None:
        # It has been seen to hang. A shorter history that hangs as well need not hang as long.
        self.ground.patience_s = min(self.ground.patience_s, 0.5)

    def _judge_ready(self) -> None:
        while (append := self.watch.take(0)) is not None:
            self._judge.all([append])
        self._check_watch()

    def _check_watch(self) -> None:
        if self.watch.found is not None:
            raise self.watch.found

    def _written(self, append: Append) -> None:
        self._positions.written(append)
        if append.facts:
            self.sent.append(append)

    def again(self, which: int) -> Append:
        """One that was written before, to be sent once more: its answer was lost."""
        old = self.sent[which % len(self.sent)]
        return replace(old, chain=Chain(), on_settled=_nobody, urgent=True, edge=False, error=None)

    # Trouble

    def fill(self) -> None:
        """From now on nothing new can be written."""
        assert self.ground.faults.full is not None  # noqa: S101 - the machine asks before
        self.settle()
        self._trouble.enter_context(self.ground.faults.full(self.store))
        self.is_full = self._judge.in_trouble = True

    def mend(self) -> None:
        """From now on it can; what waited is written."""
        self._end_trouble()
        self._positions.in_order = False
        self.settle()
        self._calm_down()

    def strike(self, moment: Moment, appends: Sequence[Append]) -> None:
        """Let the next write fail, hand these over, and wait until the trouble has passed."""
        assert self.ground.faults.strike is not None  # noqa: S101 - the machine asks before
        self._judge.in_trouble = True
        self._positions.in_order = False
        with self.ground.faults.strike(self.store, moment):
            self.hand_over(appends)
            self.settle()
        self._calm_down()

    def _calm_down(self) -> None:
        # A store may think itself in trouble until it has written something.
        self.hand_over(self.build([Put("calm")]))
        self.settle()
        self._judge.in_trouble = False

    def _end_trouble(self) -> None:
        self._trouble.close()
        self.is_full = False

    # Ends and beginnings

    def close(self) -> None:
        """Close the store: all that was handed over is settled by then."""
        self._judge.is_closing = self.watch.is_closing = True
        self.store.close()
        self._judge_ready()
        if self.pending:
            left = "; ".join(map(describe, self.pending.values()))
            raise StoreConformanceError("close", f"After close() these are not settled: {left}.")
        self.store.close()
        self._end_trouble()

    def reopen(self) -> None:
        """Close, and open the same place again."""
        self.close()
        self._open()
        self._forget_volatile()

    def crash(self) -> None:
        """Let the process die, and open the place again."""
        assert self.ground.faults.crash is not None  # noqa: S101 - the machine asks before
        self.watch.dead = True
        self._judge_ready()
        self.ground.faults.crash(self.place, self.store)
        self._end_trouble()
        self._positions.in_order = False
        in_flight = list(self.pending.values())
        self.pending.clear()
        self._open()
        self._judge.survivors(self.store, in_flight)
        self._forget_volatile()

    def _forget_volatile(self) -> None:
        for stream in sorted(self.model.volatile):
            if not self.store.read(stream):
                self.model.forget(stream)
                self._positions.lose(stream)
                self.sent = [append for append in self.sent if append.stream != stream]
        self.model.volatile.clear()  # what is still there is as durable as any other

    def open_twice(self) -> bool:
        """Open the place while it is open: it is refused, or the first one has lost it."""
        self.settle()
        first, watch = self.store, self.watch
        try:
            second = self.ground.open_store(self.place)
        except StoreError as refused:
            self.owners.check_refusal(refused)
            return False
        self.store = second
        self._adopt_store()
        self.owners.check_loser(first, watch, self.ground.patience_s)
        self._forget_volatile()
        return True

    def lose(self) -> None:
        """Somebody else claims the whole store."""
        self.settle()
        self.owners.claim(self.store, STORE_SCOPE, "somebody else", self.ground.faults.lapse)
        self.model.fenced = True

    def forget(self, removals: Sequence[Removal]) -> None:
        """Delete runs, as the model says."""
        expected = self.model.remove(removals)
        same("forget", f"forget({removals})", self.store.forget(removals), expected)
        for stream in expected:
            self._positions.forget(stream)
        self.model.volatile.difference_update(expected)
        self.sent = [append for append in self.sent if append.stream not in expected]

    # Looking

    def check(self) -> None:
        """Everything is as the model says; only when nothing is pending."""
        if self.pending:
            return
        self._check_watch()
        if (stray := self.watch.take(0)) is not None:
            raise StoreConformanceError("settled", f"Settled twice: {describe(stray)}.")
        facts = same_streams(self.store, self.model)
        self._positions.check(facts, self.model.volatile)
        if not self.uses_memory:  # which of two logs side by side they are in is not known
            same("positions", "position()", self.store.position(), self._positions.highest)
        same_index(self.store, self.model, (0, 4, 5, 9))
        self.owners.check(self.store)

    def end(self) -> None:
        """Close the store and remove the place, whatever has happened."""
        try:
            self._trouble.close()
            self.store.close()
        finally:
            if self.ground.drop is not None:
                self.ground.drop(self.place)


class _Busy:
    """What appends that may have to wait hold: their streams, their chains, their keys."""

    def __init__(self, waiting: Iterable[Append]) -> None:
        self._held: set[object] = set()
        for append in waiting:
            self.add(append)

    def add(self, append: Append) -> None:
        self._held.update(_holds(append))

    def meets(self, append: Append) -> bool:
        return not self._held.isdisjoint(_holds(append))


def _holds(append: Append) -> set[object]:
    keys = {each.scope for each in append.changes if isinstance(each, KeyBinding)}
    begun = set() if append.begins is None else {append.begins.stream}
    return {append.stream, append.chain, *keys, *begun}


def _nobody(_: Append) -> None:
    """The watch takes what is settled from the sink."""
