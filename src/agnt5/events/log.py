"""The EventLog port: all streams, each append-only, with one global order (the position).

A stream is the facts of one run; versions count from 1 without gaps. Nothing here waits: an append
is handed over with :meth:`EventLog.append` and answered later through ``Append.on_settled``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agnt5.events.index import IndexChange, RunIndex
from agnt5.events.query import EventQuery
from agnt5.exceptions import StoreError


@dataclass(frozen=True, slots=True)
class RawFact:
    """A fact as bytes, about to be appended."""

    topic: str
    """``NAME`` or ``NAME;v=N``, see :mod:`agnt5.events.codec`."""
    state: bytes
    """UTF-8 JSON."""
    at: int
    """When it was decided, microseconds since the epoch."""
    event_id: str
    step: str | None = None
    """The operation's key, for searching."""


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
    imported: bool = False
    """It happened elsewhere, and was told of there."""


Sink = Callable[[Sequence[Append]], None]
"""Takes a group of settled appends, from the log's own thread."""


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
        """The position of the last fact; 0 for an empty log."""
        ...

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for, at most ``limit``, in order of the log or backward.

        Runs that are kept in memory only, beside a durable log, are not part of it.
        """
        ...

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``; without one, all under None."""
        ...

    def close(self) -> None:
        """Write what was handed over, give up ownership, close. Idempotent."""
        ...
