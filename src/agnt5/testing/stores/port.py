"""What the kit asks of a store, and of its author: a way to open it, and trouble on request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from agnt5.events.leases import Leases
from agnt5.events.log import EventLog


class Store(EventLog, Leases, Protocol):
    """A log with its leases. To open one is to own it."""

    owner: str
    """The name under which it has claimed the scope ``store``."""


OpenStore = Callable[[str], Store]
"""Opens the store of a place, and makes it if it is not there.

A place is a name of letters, digits and underscores that the kit makes up: the name of a file, of a
schema, of a prefix of tables. The same place opened again is the same store, with all that it held.
"""

Moment = Literal["before", "middle", "after"]
"""Where a write fails: before anything of it was carried out, in the middle, or when all of it is
durable and only the answer is lost."""


@dataclass(frozen=True)
class Faults:
    """The trouble that the author of a store can make; what is None is not tried.

    Those that answer a context manager are on inside of it. The store may be closed inside.

    Example:
        >>> from agnt5.testing.stores import Faults
        >>> Faults().given()
        []
    """

    crash: Callable[[str, Store], None] | None = None
    """Let the store of this place die as with its process: nothing more is written, nothing is
    given up in order, and what the disk does not hold for sure is lost. Then the place can be
    opened again."""
    full: Callable[[Store], AbstractContextManager[None]] | None = None
    """Nothing new can be written: a full disk, a server that is away."""
    strike: Callable[[Store, Moment], AbstractContextManager[None]] | None = None
    """The next write of a group fails once, as a disk or a connection fails, at this moment."""
    slow: Callable[[Store], AbstractContextManager[None]] | None = None
    """Every write takes a few milliseconds longer."""
    lapse: Callable[[Store, str], None] | None = None
    """Let the lease of this scope run out. For stores that refuse a claim while it stands."""

    def given(self) -> list[str]:
        """The names of those that the author can make, in the order above."""
        names = ("crash", "full", "strike", "slow", "lapse")
        return [name for name in names if getattr(self, name) is not None]


class StoreConformanceError(AssertionError):
    """A store has broken the contract.

    Attributes:
        law: Which law, a key of `LAWS`.
        found: What was found, and what was expected.
        history: What was done with the store until then, one line for each step.
    """

    def __init__(self, law: str, found: str, history: tuple[str, ...] = ()) -> None:
        super().__init__(law, found, history)
        self.law = law
        self.found = found
        self.history = history

    def __str__(self) -> str:
        text = f"The store breaks a law of event logs: {self.law}.\n{LAWS[self.law]}\n{self.found}"
        if not self.history:
            return text
        steps = "\n".join(f"  {n}. {line}" for n, line in enumerate(self.history, 1))
        return f"{text}\nThe shortest history that was found:\n{steps}"


LAWS = {
    "settled": "Every append is settled once, and in the order in which it was handed over.",
    "durable": "What is settled without an error is there, and is there after every crash.",
    "atomic": "An append is written with all its facts and index changes, and with the stream that "
    "begins with it, or not at all.",
    "versions": "Only the last version of a stream can be extended; what is there already is fine.",
    "chain": "Once an append of a chain has failed, the later ones of the chain fail too.",
    "neighbours": "An append that fails does not fail others beside it.",
    "keys": "A key names one run, and is given on only from the run that it names.",
    "reads": "Reads answer what was written, as it was written.",
    "positions": "Positions grow in the order of the writes and are never used twice.",
    "index": "The index answers what the changes that were written with the facts say.",
    "rebuild": "The index can be dropped and written again, whole or not at all.",
    "forget": "A run is forgotten with its row and the keys that name it, whole or not at all.",
    "view": "A view shows all facts, rows and keys as of one moment.",
    "owner": "Only the owner with the last epoch writes, and epochs only grow.",
    "trouble": "In trouble what is from the edge fails at once and the rest waits.",
    "close": "To close is to settle all that was handed over, and twice is as good as once.",
    "no surprise": "Nothing but a StoreError is raised, and only where the port says so.",
}
"""What the kit holds a store to, by the name that a failure gives."""
