"""Writes groups of appends on the one write connection, each group in one transaction.

A group is first written as if nothing could be wrong, in as few statements as possible. If anything
is, it is written again with a savepoint for each append, so that only those at fault fail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from itertools import islice
from operator import attrgetter

from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.leases import Lease, Tenure
from agnt5.events.log import Append, Beginning, Chain, Collected, Removal
from agnt5.events.stores.sqlite_blobs import BLOB_THRESHOLD, FORGET_USES, Blobs, collect_some
from agnt5.events.stores.sqlite_chain import ChainWriter
from agnt5.events.stores.sqlite_errors import again, is_duplicate
from agnt5.events.stores.sqlite_keys import keep_keys
from agnt5.events.stores.sqlite_leases import StoreLease, claim
from agnt5.events.stores.sqlite_recorder import MultiInsert, Recorder, SqlValue
from agnt5.events.stores.sqlite_schema import RUN_COLUMNS, connect
from agnt5.exceptions import StoreError, VersionConflictError

_TAILS = 50_000
_RUNS = MultiInsert("INSERT OR REPLACE INTO runs", RUN_COLUMNS)
_KEYS = MultiInsert("INSERT INTO idempotency_keys", ("scope", "run_id", "input_digest"))
_REBIND = (
    "INSERT INTO idempotency_keys (scope, run_id, input_digest) VALUES (?,?,?) ON CONFLICT (scope) "
    "DO UPDATE SET run_id=excluded.run_id, input_digest=excluded.input_digest "
    "WHERE idempotency_keys.run_id=?"
)
_TAIL = "SELECT coalesce(max(originator_version), 0) FROM stored_events WHERE originator_id=?"
_EVENT_ID = "SELECT event_id FROM stored_events WHERE originator_id=? AND originator_version=?"

_FORGET = (
    "DELETE FROM stored_events WHERE originator_id=?",
    "DELETE FROM runs WHERE run_id=?",
    FORGET_USES,
)
_GIVE_UP = "DELETE FROM idempotency_keys WHERE scope=? AND run_id=?"

_run_values = attrgetter(*RUN_COLUMNS)


class _DoubtError(Exception):
    """An append does not extend the last version that we remember: look closer."""


# What may be the fault of one append. Everything else is trouble of the whole store.
_FAULTS = (
    _DoubtError,
    VersionConflictError,
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    ValueError,
    TypeError,
    OverflowError,
)


class Committer:
    """The write connection. Used by one thread at a time."""

    def __init__(
        self, path: str, durability: str, recorder: Recorder, *, threshold: int = BLOB_THRESHOLD
    ) -> None:
        self.path = path
        self._threshold = threshold
        self._durability = durability
        self._recorder = recorder
        self._lease = StoreLease(path)
        # The last durable version of live streams. A hint: UNIQUE and a closer look decide.
        self._tails: dict[str, int] = {}
        self._connection: sqlite3.Connection | None = None
        # Of the group that is being tried: who lost, and who was new to the log and so proves it.
        self._losers: dict[Append, StoreError] = {}
        self._new: list[Append] = []
        self.chain: ChainWriter | None = None
        self.commits = 0
        self.events_written = 0

    @property
    def connection(self) -> sqlite3.Connection:
        """The write connection, opened again if it had to be dropped."""
        if self._connection is None:
            self._connection = connect(self.path, durability=self._durability)
        return self._connection

    def close(self) -> None:
        """Close the connection. The last one to close lets SQLite fold its WAL into the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def commit(self, batch: Sequence[Append]) -> dict[Append, StoreError]:
        """Write a group; answer the appends that lost. If it raises, nothing was written.

        Raises:
            StaleEpochError: This owner has lost the store.
            sqlite3.Error: The disk or the file is in trouble.
        """
        self._losers, self._new = {}, []
        try:
            tails = self._commit_all(batch)
        except _FAULTS:
            tails = self._commit_each(batch)
        self._count(batch)
        self._remember(tails, self._losers)
        if self.chain is not None:
            self.chain.committed()
        return self._settled()

    def landed(self, batch: Sequence[Append]) -> dict[Append, StoreError] | None:
        """Of the group whose commit has just failed: None if it is not in the log, else who lost.

        A commit may be durable although its answer is an error. It was one transaction: if any fact
        of it is there, all are.
        """
        try:
            proof = next((append for append in self._new if append.facts), None)
            if proof is None or not self._is_ours(proof):
                return None
        except sqlite3.Error:
            return None
        self._count(batch)
        self._tails.clear()
        if self.chain is not None:
            self.chain.doubt()
        return self._settled()

    def _settled(self) -> dict[Append, StoreError]:
        # Appends hold on to the runs that have made them, and those may leave memory now.
        losers, self._losers, self._new = self._losers, {}, []
        return losers

    def _count(self, batch: Sequence[Append]) -> None:
        self.commits += 1
        self.events_written += sum(map(_size, (e for e in batch if e not in self._losers)))

    @property
    def tenure(self) -> Tenure:
        """The lease that we write under, and what became of it."""
        return self._lease.tenure

    def claim(self, scope: str, owner: str, *, adopt: bool) -> Lease:
        """Give the scope to the owner under a new epoch; ``adopt`` it as the one we write under."""
        with self.transaction(fenced=not adopt) as connection:
            lease, before = claim(connection, scope, owner)
        if adopt:
            self._lease.adopt(lease, before)
        return lease

    def release(self, lease: Lease | None = None) -> None:
        """Give up a lease, or the one we write under."""
        with self.transaction(fenced=False) as connection:
            given_up = self._lease.release(connection, lease)
        self._lease.released(given_up)

    def collect(self) -> Collected:
        """Drop some blobs that no fact uses any more, in one short transaction."""
        with self.transaction() as connection:
            return collect_some(connection)

    def rebuild(self, changes: Sequence[IndexChange]) -> None:
        """Replace every index row, in one transaction."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM runs")
            connection.execute("DELETE FROM idempotency_keys")
            _write_changes(connection, changes)

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, with their rows and keys, in one transaction."""
        with self.transaction() as connection:
            gone = [each for each in removals if each.version and self._ends(each)]
            if self.chain is not None:
                self.chain.begin()
                self.chain.forgotten(connection, gone)
            for each in gone:
                for statement in _FORGET:
                    connection.execute(statement, (each.stream,))
                connection.executemany(_GIVE_UP, [(scope, each.stream) for scope in each.keys])
        if self.chain is not None:
            self.chain.committed()
        for each in gone:
            self._tails.pop(each.stream, None)
        return [each.stream for each in gone]

    def _ends(self, removal: Removal) -> bool:
        return self._tail(removal.stream) == removal.version

    @contextmanager
    def transaction(self, *, fenced: bool = True) -> Generator[sqlite3.Connection, None, None]:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if fenced:
                self._lease.check(connection)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise

    @contextmanager
    def _chained_transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """A transaction of appends; at its end a head of the chain is signed, if one is due."""
        with self.transaction() as connection:
            if self.chain is not None:
                self.chain.begin()
            yield connection
            if self.chain is not None:
                self.chain.sign_if_due(connection)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        # A failed COMMIT may leave its transaction open, and then every later BEGIN would fail.
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection = None
            with suppress(sqlite3.Error):
                connection.close()

    def _commit_all(self, batch: Sequence[Append]) -> dict[str, int]:
        tails: dict[str, int] = {}
        facts: list[SqlValue] = []
        changes: list[IndexChange] = []
        blobs = Blobs(self._threshold)
        with self._chained_transaction() as connection:
            for append in batch:
                stream, version = append.stream, append.after
                if stream not in tails:
                    tails[stream] = self._known_tail(append)
                if tails[stream] != version:
                    raise _DoubtError
                tails[stream] = _add_facts(facts, append, blobs)
                changes += append.changes
                if append.begins is not None:
                    # If it is there, UNIQUE will tell.
                    tails[append.begins.stream] = _add_facts(facts, append.begins, blobs)
                    changes += append.begins.changes
                if append.data_keys:
                    keep_keys(connection, append.data_keys)
            self._insert(connection, facts)
            blobs.write(connection)
            _write_changes(connection, changes)
            self._new = list(batch)
        return tails

    def _insert(self, connection: sqlite3.Connection, facts: Sequence[SqlValue]) -> None:
        if self.chain is None:
            self._recorder.insert_facts(connection, facts)
        else:
            self.chain.insert(connection, facts)

    def _known_tail(self, append: Append) -> int:
        known = self._tails.get(append.stream)
        if known is not None:
            return known
        # At the very beginning there can be no gap, and if it is taken UNIQUE will tell of a fact.
        return 0 if append.after == 0 and append.facts else self._tail(append.stream)

    def _tail(self, stream: str) -> int:
        return int(self.connection.execute(_TAIL, (stream,)).fetchone()[0])

    def _commit_each(self, batch: Sequence[Append]) -> dict[str, int]:
        tails: dict[str, int] = {}
        broken: dict[Chain, StoreError] = {}
        with self._chained_transaction() as connection:
            for append in batch:
                error = broken.get(append.chain)
                if error is not None:
                    error = again(error, append.stream, append.after)
                else:
                    error = self._try(connection, append)
                if error is not None:
                    self._losers[append] = broken[append.chain] = error
                else:
                    tails[append.stream] = append.after + len(append.facts)
                    if append.begins is not None:
                        tails[append.begins.stream] = len(append.begins.facts)
        return tails

    def _try(self, connection: sqlite3.Connection, append: Append) -> StoreError | None:
        connection.execute("SAVEPOINT one")
        try:
            self._write_one(connection, append)
        except _FAULTS as error:
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
            if self.chain is not None:
                self.chain.take_back(append)
            return _blame(error, append)
        connection.execute("RELEASE one")
        return None

    def _write_one(self, connection: sqlite3.Connection, append: Append) -> None:
        if self._tail(append.stream) != append.after:
            # A commit that seemed to fail may have been durable; then the rows are our own.
            if self._is_ours(append):
                return
            raise VersionConflictError(append.stream, append.after)
        facts: list[SqlValue] = []
        blobs = Blobs(self._threshold)
        _add_facts(facts, append, blobs)
        changes = append.changes
        if append.begins is not None:
            _add_facts(facts, append.begins, blobs)
            changes = (*changes, *append.begins.changes)
        keep_keys(connection, append.data_keys)
        self._insert(connection, facts)
        blobs.write(connection)
        _write_changes(connection, changes, one_by_one=True)
        self._new.append(append)

    def _is_ours(self, append: Append) -> bool:
        if not append.facts:
            return False
        values = (append.stream, append.after + 1)
        row = self.connection.execute(_EVENT_ID, values).fetchone()
        return row is not None and row[0] == append.facts[0].event_id

    def _remember(self, tails: dict[str, int], losers: Iterable[Append]) -> None:
        self._tails.update(tails)
        for append in losers:
            self._tails.pop(append.stream, None)
        if len(self._tails) > _TAILS:  # the oldest half; a live one costs a look to come back
            self._tails = dict(islice(self._tails.items(), _TAILS // 2, None))


def _size(append: Append) -> int:
    return len(append.facts) + (len(append.begins.facts) if append.begins else 0)


def _add_facts(values: list[SqlValue], append: Append | Beginning, blobs: Blobs) -> int:
    """Append the columns of the facts; answer the version of the last one."""
    stream, version = append.stream, append.after if isinstance(append, Append) else 0
    most = blobs.threshold
    for fact in append.facts:
        version += 1
        state: SqlValue = fact.state
        if len(fact.state) > most:
            state = blobs.take(stream, version, fact.state)
        values += (stream, version, fact.topic, state, fact.event_id, fact.at, fact.step)
    return version


def _write_changes(
    connection: sqlite3.Connection, changes: Sequence[IndexChange], *, one_by_one: bool = False
) -> None:
    rows: dict[str, RunRow] = {}
    bindings: list[KeyBinding] = []
    for change in changes:
        if isinstance(change, RunRow):
            rows[change.run_id] = change  # the last one of a run is the one that counts
        else:
            bindings.append(change)
    if rows:
        _RUNS.run(connection, [value for row in rows.values() for value in _run_values(row)])
    if not one_by_one and all(binding.replaces is None for binding in bindings):
        keys = [(binding.scope, binding.run_id, binding.input_digest) for binding in bindings]
        _KEYS.run(connection, [value for key in keys for value in key])
        return
    for binding in bindings:
        if connection.execute(_REBIND, astuple(binding)).rowcount != 1:
            raise VersionConflictError(binding.scope, 0)


def _blame(error: Exception, append: Append) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.IntegrityError) and is_duplicate(error):
        return VersionConflictError(append.stream, append.after)
    return StoreError(
        f"The facts for stream {append.stream!r} cannot be stored: {type(error).__name__}: {error}"
    )
