"""A log that passes everything on to the one inside it. For those that change a little of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.leases import Leases
from agnt5.events.log import Append, Collected, EventLog, LogView, Removal, Sink, StoredFact
from agnt5.events.query import EventQuery
from agnt5.events.vault import Vault


class StoreLog(EventLog, Leases, Protocol):
    """A log of our own: with its leases, and with room for data keys."""

    @property
    def vault(self) -> Vault:
        """The data keys."""
        ...


L = TypeVar("L", bound=EventLog)


class PassingLog(Generic[L]):
    """The EventLog port over another log."""

    def __init__(self, log: L) -> None:
        self._log = log

    @property
    def inner(self) -> L:
        """The log inside, which sees things as they lie."""
        return self._log

    def start(self, sink: Sink) -> None:
        """Begin to write."""
        self._log.start(sink)

    def append(self, requests: Sequence[Append]) -> None:
        """Hand over appends, in order."""
        self._log.append(requests)

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Drop every index row and write these."""
        self._log.rebuild(rows)

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, with their rows and keys."""
        return self._log.forget(removals)

    def collect(self) -> Collected:
        """Drop what is kept apart from the facts and belongs to none of them any more."""
        return self._log.collect()

    def close(self) -> None:
        """Write what was handed over, and close."""
        self._log.close()

    def read(
        self, stream: str, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        return self._log.read(stream, after=after, upto=upto, limit=limit)

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams, in one go."""
        return self._log.read_many(streams)

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        return self._log.last(stream)

    def position(self) -> int:
        """The position of the last fact; 0 for an empty log."""
        return self._log.position()

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for."""
        return self._log.query(query, limit)

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``."""
        return self._log.count(query, by)

    def run_row(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""
        return self._log.run_row(run_id)

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None."""
        return self._log.key_binding(scope)

    def runnable(self) -> list[RunRow]:
        """Runs that belong in memory, in id order."""
        return self._log.runnable()

    def suspended(self) -> list[str]:
        """Ids of suspended runs, in id order."""
        return self._log.suspended()

    def owing(self) -> list[str]:
        """Ids of runs that have ended and may owe other runs a report, in id order."""
        return self._log.owing()

    def due(self, now: int) -> list[str]:
        """Ids of parked, unfinished runs whose ``wake_at`` has come."""
        return self._log.due(now)

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest ``wake_at`` later than ``after`` of any parked, unfinished run."""
        return self._log.next_wake(after)

    def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRow]:
        """Rows, the newest (greatest id) first."""
        return self._log.list_runs(
            status=status,
            component=component,
            parent_run_id=parent_run_id,
            limit=limit,
            before=before,
        )

    def ended(
        self,
        before: int,
        *,
        component: str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunRow]:
        """Rows of runs with a ``finished_at`` before a time, in id order."""
        return self._log.ended(before, component=component, status=status, after=after, limit=limit)

    def view(self) -> AbstractContextManager[LogView]:
        """Look at everything as of one moment."""
        return self._log.view()

    def last_of_chain(self, chain: str) -> RunRow | None:
        """The last run of the chain that began with this run."""
        return self._log.last_of_chain(chain)

    def run_ids(self) -> list[str]:
        """Every run that the log has a stream of, in id order."""
        return self._log.run_ids()

    def other_streams(self) -> list[str]:
        """Every stream that is no run's, in order."""
        return self._log.other_streams()
