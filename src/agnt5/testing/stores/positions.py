"""Positions of facts: they grow in the order of the writes, and none is ever used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agnt5.events.log import Append, StoredFact
from agnt5.testing.stores.comparing import same
from agnt5.testing.stores.plans import VOLATILE
from agnt5.testing.stores.port import StoreConformanceError


class Positions:
    """What is known of the positions of a store.

    Attributes:
        in_order: What was written since the last look was written in the order in which it was
            settled. After trouble it may not have been.
    """

    def __init__(self) -> None:
        self.in_order = True
        self._known: dict[tuple[str, int], int] = {}
        self._fresh: list[tuple[str, int]] = []
        self._highest = self._gone = 0

    def written(self, append: Append) -> None:
        """An append was settled without an error."""
        first = append.after + 1
        self._fresh += [(append.stream, first + n) for n in range(len(append.facts))]
        if append.begins is not None:
            begun = append.begins
            self._fresh += [(begun.stream, 1 + n) for n in range(len(begun.facts))]

    def forget(self, stream: str) -> None:
        """A stream is gone. Its positions stay used, unless it lay in memory only."""
        self._gone = max([self._gone, *self._of(stream)])
        self.lose(stream)

    def _of(self, stream: str) -> list[int]:
        return [position for place, position in self._known.items() if place[0] == stream]

    def lose(self, stream: str) -> None:
        """A stream that lay in memory only is gone, as if it had never been."""
        self._known = {place: at for place, at in self._known.items() if place[0] != stream}
        self._fresh = [place for place in self._fresh if place[0] != stream]

    def check(self, facts: Mapping[str, Sequence[StoredFact]], volatile: set[str]) -> None:
        """Raises StoreConformanceError unless all positions are as they must be."""
        now = {(name, fact.version): fact.position for name, each in facts.items() for fact in each}
        for place, position in self._known.items():
            same("positions", f"The position of {place}", now[place], position)
        # A log with room in memory counts there on its own.
        fresh = [place for place in self._fresh if place[0] != VOLATILE or not volatile]
        found = [now[place] for place in fresh]
        if not self.in_order:
            found.sort()
        for before, after in zip([self._highest, *found], found, strict=False):
            if after <= before:
                raise StoreConformanceError(
                    "positions",
                    f"The facts {fresh}, written in this order, have the positions {found}; the "
                    f"highest one before them was {self._highest}.",
                )
        self._highest = max([self._highest, *found])
        self._known |= {place: now[place] for place in self._fresh}
        self._fresh, self.in_order = [], True

    @property
    def highest(self) -> int:
        """The highest one that was ever given."""
        return max([self._gone, *self._known.values()])
