"""Reads of a SQLite store, on connections of their own: they never wait for the writer."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from typing import cast

import orjson

from agnt5.events.index import NO_RUN, KeyBinding, RunRow
from agnt5.events.leases import Lease
from agnt5.events.log import StoredFact
from agnt5.events.query import EventQuery
from agnt5.events.stores.sqlite_blobs import (
    FETCH,
    as_parameter,
    digests_in,
    fetched,
    missing_text,
    restored,
)
from agnt5.events.stores.sqlite_errors import translate
from agnt5.events.stores.sqlite_query import add_functions, counted, selected
from agnt5.events.stores.sqlite_recorder import SqlValue
from agnt5.events.stores.sqlite_schema import (
    IS_LAST,
    IS_OWING,
    IS_RUNNABLE,
    IS_SUSPENDED,
    IS_WAITING,
    RUN_COLUMNS,
    connect,
)

_MAX_INT = 2**63 - 1
_IDLE_CONNECTIONS = 8

_FACT = (  # in the order of StoredFact's fields
    "SELECT originator_id, originator_version, rowid, topic, state, recorded_at, event_id, step "
    "FROM stored_events "
)
_READ = _FACT + (
    "WHERE originator_id=? AND originator_version>? AND originator_version<=? "
    "ORDER BY originator_version LIMIT ?"
)
_READ_MANY = _FACT + (
    "WHERE originator_id IN (SELECT value FROM json_each(?)) "
    "ORDER BY originator_id, originator_version"
)
_LAST = _FACT + "WHERE originator_id=? ORDER BY originator_version DESC LIMIT 1"

# One index lookup per stream; a DISTINCT would walk over every fact.
_STREAMS = (
    "WITH RECURSIVE streams(id) AS (SELECT min(originator_id) FROM stored_events UNION ALL "
    "SELECT (SELECT min(originator_id) FROM stored_events WHERE originator_id > streams.id) "
    "FROM streams WHERE streams.id IS NOT NULL) SELECT id FROM streams WHERE id IS NOT NULL"
)

_RUN = f"SELECT {','.join(RUN_COLUMNS)} FROM runs "
_RUNNABLE = f"{_RUN}WHERE {IS_RUNNABLE} ORDER BY run_id"
_SUSPENDED = f"SELECT run_id FROM runs WHERE {IS_SUSPENDED} ORDER BY run_id"
_OWING = f"SELECT run_id FROM runs WHERE {IS_OWING} ORDER BY run_id"
_DUE = f"SELECT run_id FROM runs WHERE {IS_WAITING} AND wake_at<=? ORDER BY wake_at, run_id"
_NEXT_WAKE = f"SELECT min(wake_at) FROM runs WHERE {IS_WAITING} AND wake_at>?"
_KEY = "SELECT scope, run_id, input_digest FROM idempotency_keys WHERE scope=?"
_LEASE = "SELECT scope, owner, epoch FROM leases WHERE scope=? AND owner<>''"

Row = tuple[SqlValue, ...]


class Reader:
    """Lookups over a few connections that whoever reads takes and gives back. Thread-safe."""

    def __init__(self, path: str, *, mode: str = "rw") -> None:
        self._path = path
        self._mode = mode
        # Taking and giving back are atomic, so no lock, and nobody ever waits for a connection.
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    def rows(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[Row]:
        """The rows of one select, as tuples. Raises StoreError."""
        try:
            connection = self._take()
            try:
                rows: list[Row] = connection.execute(sql, parameters).fetchall()
            except BaseException:
                connection.close()  # after an error its page cache is not to be trusted
                raise
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        self._give_back(connection)
        return rows

    def close(self) -> None:
        """Close the connections. What is still reading finishes first."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def abandon(self) -> list[sqlite3.Connection]:
        """Hand out the connections without closing them: in a fork they belong to the parent."""
        return list(self._idle)

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self._path, mode=self._mode, cache_kib=8192)
            add_functions(connection)
            return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if self._closed or len(self._idle) >= _IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append(connection)

    def read(
        self, stream: str, after: int, upto: int | None, limit: int | None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        upto = _MAX_INT if upto is None else upto
        return self._facts(_READ, (stream, after, upto, -1 if limit is None else limit))

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams, as of one moment."""
        found: dict[str, list[StoredFact]] = {stream: [] for stream in streams}
        for fact in self._facts(_READ_MANY, (orjson.dumps(list(found)).decode(),)):
            found[fact.stream].append(fact)
        return found

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        return next(iter(self._facts(_LAST, (stream,))), None)

    def position(self) -> int:
        """The highest position that any fact was given; 0 if there never was one."""
        # Not max(rowid): what was forgotten counts.
        found = self.rows("SELECT seq FROM sqlite_sequence WHERE name='stored_events'")
        return int(found[0][0] or 0) if found else 0

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for."""
        sql, parameters = selected(query, limit)
        return self._facts(_FACT + sql, parameters)

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``."""
        found = self.rows(*counted(query, by))
        named = {None if by is None else row[0]: int(row[1] or 0) for row in found if row[1]}
        return {None if name is None else str(name): number for name, number in named.items()}

    def _facts(self, sql: str, parameters: Sequence[SqlValue]) -> list[StoredFact]:
        facts = list(starmap(_Unfrozen, self.rows(sql, parameters)))
        shrunk = [fact for fact in facts if fact.state.__class__ is str]
        if shrunk and not self._fill(shrunk):
            # Whoever removes runs may have done so since: then they are not found again.
            facts = list(starmap(_Unfrozen, self.rows(sql, parameters)))
            self._fill([fact for fact in facts if fact.state.__class__ is str])
        for fact in facts:  # the same slots, so the same layout
            fact.__class__ = StoredFact  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        return cast("list[StoredFact]", facts)

    def _fill(self, shrunk: Sequence[_Unfrozen]) -> bool:
        """Put the long payloads back; whether all of them were there."""
        texts = [str(fact.state) for fact in shrunk]
        contents = fetched(self.rows(FETCH, (as_parameter(digests_in(texts)),)))
        is_whole = True
        for fact, text in zip(shrunk, texts, strict=True):
            try:
                fact.state = restored(text, contents)
            except KeyError as missing:
                fact.state = missing_text(str(missing.args[0]))
                is_whole = False
        return is_whole

    def run_row(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""
        return next(iter(_run_rows(self.rows(_RUN + "WHERE run_id=?", (run_id,)))), None)

    def last_of_chain(self, chain: str) -> RunRow | None:
        """The last run of a chain, or None."""
        found = self.rows(f"{_RUN}WHERE chain=? AND {IS_LAST}", (chain,))
        return next(iter(_run_rows(found)), None)

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None."""
        for row in self.rows(_KEY, (scope,)):
            return KeyBinding(*map(str, row))
        return None

    def lease(self, scope: str) -> Lease | None:
        """The lease that stands, or None."""
        for held, owner, epoch in self.rows(_LEASE, (scope,)):
            return Lease(str(held), str(owner), int(epoch or 0))
        return None

    def runnable(self) -> list[RunRow]:
        """Runs that must be in memory, in id order."""
        return _run_rows(self.rows(_RUNNABLE))

    def suspended(self) -> list[str]:
        """Ids of suspended runs, in id order."""
        return [str(row[0]) for row in self.rows(_SUSPENDED)]

    def owing(self) -> list[str]:
        """Ids of runs that have ended and may owe other runs a report, in id order."""
        return [str(row[0]) for row in self.rows(_OWING)]

    def due(self, now: int) -> list[str]:
        """Ids of parked, unfinished runs whose ``wake_at`` has come, the earliest first."""
        return [str(row[0]) for row in self.rows(_DUE, (now,))]

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest ``wake_at`` later than ``after`` of any parked, unfinished run."""
        earliest = self.rows(_NEXT_WAKE, (after,))[0][0]
        return None if earliest is None else int(earliest)

    def list_runs(
        self,
        status: str | None,
        component: str | None,
        parent_run_id: str | None,
        limit: int,
        before: str | None,
    ) -> list[RunRow]:
        """Rows, the newest first."""
        wanted = (
            ("status=?", status),
            ("component=?", component),
            ("parent_run_id=?", parent_run_id),
            ("run_id<?", before),
        )
        given = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(condition for condition, _ in given)
        sql = f"{_RUN}{'WHERE ' + where if where else ''} ORDER BY run_id DESC LIMIT ?"
        return _run_rows(self.rows(sql, (*(value for _, value in given), limit)))

    def ended(
        self, before: int, component: str | None, status: str | None, after: str, limit: int
    ) -> list[RunRow]:
        """Rows of runs that ended before a time, in id order."""
        # By the key: no sort, and no other index that each end of a run would have to pay for.
        sql, values = f"{_RUN}WHERE finished_at<? AND run_id>?", list[SqlValue]([before, after])
        for column, value in (("component", component), ("status", status)):
            if value is not None:
                sql += f" AND {column}=?"
                values.append(value)
        return _run_rows(self.rows(f"{sql} ORDER BY run_id LIMIT ?", (*values, limit)))

    def run_rows(self, after: str, limit: int) -> list[RunRow]:
        """A page of every row, in id order."""
        return _run_rows(self.rows(_RUN + "WHERE run_id>? ORDER BY run_id LIMIT ?", (after, limit)))

    def run_ids(self) -> list[str]:
        """Every run that the log has a stream of, in id order."""
        return [stream for stream in self._streams() if not stream.startswith(NO_RUN)]

    def other_streams(self) -> list[str]:
        """Every stream that is no run's, in order."""
        return [stream for stream in self._streams() if stream.startswith(NO_RUN)]

    def _streams(self) -> list[str]:
        return [str(row[0]) for row in self.rows(_STREAMS)]


@dataclass(slots=True)
class _Unfrozen:
    """A StoredFact while it is filled: a frozen one sets its fields five times slower."""

    stream: str
    version: int
    position: int
    topic: str
    state: bytes | str
    at: int
    event_id: str
    step: str | None


def _run_rows(rows: Iterable[Row]) -> list[RunRow]:
    found = starmap(RunRow, rows)
    # SQLite has no booleans
    return [replace(row, parked=bool(row.parked), owes=bool(row.owes)) for row in found]
