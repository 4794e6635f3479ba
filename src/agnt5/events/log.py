"""The EventLog port: all streams, each append-only, with one global order (the position).

A stream is the facts of one run; versions count from 1 without gaps. Nothing here waits: an append
is handed over with :meth:`EventLog.append` and answered later through ``Append.on_settled``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from agnt5.events.base import Fact
from agnt5.events.index import IndexChange, KeyBinding, RunIndex, RunRow
from agnt5.events.query import EventQuery
from agnt5.events.vault import DataKey
from agnt5.exceptions import StoreError


@dataclass(slots=True)
class RawFact:
    """A fact as bytes, about to be appended. Nobody changes it; to freeze it costs three times."""

    topic: str
    """``NAME`` or ``NAME;v=N``, see :mod:`agnt5.events.codec`."""
    state: bytes
    """UTF-8 JSON."""
    at: int
    """When it was decided, microseconds since the epoch."""
    event_id: str
    step: str | None = None
    """The operation's key, for searching."""
    fact: Fact | None = field(default=None, compare=False, repr=False)
    """The same, where it was made here: who hears of the append need not decode it."""


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A fact as bytes, read back."""

    stream: str
    version: int
    position: int
    topic: str
    state: bytes
    at: int
    event_id: str
    step: str | None = None


class Chain:
    """The appends of one incarnation of an owner. Once one fails, the later ones fail too."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken: StoreError | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """Another stream that begins with an append, in the same transaction, or not at all."""

    stream: str
    facts: Sequence[RawFact]
    changes: Sequence[IndexChange]


@dataclass(slots=True, eq=False)
class Append:
    """A request to extend one stream. Atomic: all its facts and index changes, or nothing."""

    stream: str
    after: int
    """The version it extends; the first fact gets ``after + 1``."""
    facts: Sequence[RawFact]
    changes: Sequence[IndexChange]
    chain: Chain
    on_settled: Callable[[Append], None]
    """Called once, by the log's sink, when the append is durable or has failed (see ``error``)."""
    urgent: bool = True
    """Somebody waits for it. What nobody waits for may linger a few milliseconds for company."""
    edge: bool = False
    """From outside (a new run): on a full disk and the like it fails at once.
    What is not from the edge is tried again until it can be written."""
    error: StoreError | None = field(default=None)
    volatile: bool = False
    """The first of a stream that nobody wants on a disk: it, and what follows, may stay in memory.
    """
    data_keys: Sequence[DataKey] = ()
    """What its facts are encrypted with, if that may not be on the disk yet: written with them."""
    begins: Beginning | None = None
    """A new stream that stands or falls with it; refused, both, if it is there already. It lies
    where this stream lies, on the disk or in memory."""
    imported: bool = False
    """It happened elsewhere, or to the run that was forked, and was told of there."""


Sink = Callable[[Sequence[Append]], None]
"""Takes a group of settled appends, from the log's own thread."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A run that is to be forgotten, with all that is recorded of it."""

    stream: str
    version: int
    """Where the stream must end; one that has gone on is left as it is."""
    keys: Sequence[str] = ()
    """Scopes of its keys. Each is given up if it names this run, and left if it names another."""


@dataclass(frozen=True, slots=True)
class StreamSize:
    """How much is recorded of one stream."""

    stream: str
    facts: int
    size: int
    """Bytes of what its facts say, without their columns."""


class LogView(Protocol):
    """A log and its index as of one moment, whatever is written meanwhile. For one thread.

    What iterates reads as it goes: nothing here holds the whole log in memory.
    """

    def facts(self, streams: Sequence[str] | None = None) -> Iterator[StoredFact]:
        """The facts of these streams, or of all, ordered by stream and then by version."""
        ...

    def read(self, stream: str, *, after: int = 0, upto: int | None = None) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        ...

    def run_rows(self) -> Iterator[RunRow]:
        """Every row of the index, in id order."""
        ...

    def run_row(self, run_id: str) -> RunRow | None:
        """One of them."""
        ...

    def key_bindings(self) -> Iterator[KeyBinding]:
        """Every key, in the order of the scopes."""
        ...

    def key_binding(self, scope: str) -> KeyBinding | None:
        """One of them."""
        ...

    def repeated(self) -> Iterator[str]:
        """Event ids that more than one fact has, in order."""
        ...

    def sizes(self, limit: int) -> list[StreamSize]:
        """The streams of which most is recorded, in bytes; the largest first, then in order."""
        ...

    def damages(self) -> list[str]:
        """What the storage itself finds wrong with what it holds, a sentence each."""
        ...


@dataclass(frozen=True, slots=True)
class Collected:
    """What nothing refers to any more, and was dropped."""

    blobs: int = 0
    """How many payloads that were kept apart."""
    size: int = 0
    """How many bytes they had."""


class EventLog(RunIndex, Protocol):
    """Where facts are kept. Reads may block and may be called from any thread."""

    def start(self, sink: Sink) -> None:
        """Begin to write. Settled appends go to the sink, in the order in which they were given."""
        ...

    def append(self, requests: Sequence[Append]) -> None:
        """Hand over appends, in order. Never blocks, never raises for what the disk does."""
        ...

    def read(
        self, stream: str, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        ...

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams, in one go."""
        ...

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        ...

    def position(self) -> int:
        """The highest position that any fact was given; 0 if there never was one.

        What is forgotten takes its positions along: none is ever used again.
        """
        ...

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for, at most ``limit``, in order of the log or backward.

        Runs that are kept in memory only, beside a durable log, are not part of it.
        """
        ...

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``; without one, all under None."""
        ...

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, with their rows and keys, in one transaction. Blocks until it is durable.

        Returns the streams that are gone, in the order of the removals: those that ended where they
        had to. A caller sees to it that nothing extends them meanwhile.

        Raises:
            StaleEpochError: When this owner has lost the store.
            StoreError: When it cannot be written. Nothing was deleted.
        """
        ...

    def view(self) -> AbstractContextManager[LogView]:
        """Look at everything as of one moment. Blocks nobody; held long, it lets a store grow."""
        ...

    def collect(self) -> Collected:
        """Drop what is kept apart from the facts and belongs to none of them any more.

        For whoever has removed streams. It may run beside appends; what is read stays as it is.
        """
        ...

    def close(self) -> None:
        """Write what was handed over, give up ownership, close. Idempotent."""
        ...
