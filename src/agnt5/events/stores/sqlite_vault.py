"""The data keys of a SQLite store, and how one is destroyed such that no trace of it is left.

It is overwritten where it lies, and that is durable before anything else; then the WAL, which may
hold older copies of its page, is folded into the file and cut off. What a crash leaves undone of
that is done when the store is opened again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import orjson

from agnt5.events.sealing import BEGIN
from agnt5.events.stores.sqlite_commit import Committer
from agnt5.events.stores.sqlite_keys import KEY_COLUMNS, keep_keys, key_of
from agnt5.events.stores.sqlite_reader import Reader
from agnt5.events.stores.sqlite_recorder import SqlValue
from agnt5.events.stores.sqlite_schema import IS_UNSCRUBBED
from agnt5.events.vault import DataKey

T = TypeVar("T")

_SELECT = f"SELECT {KEY_COLUMNS} FROM data_keys "
_NAMED = _SELECT + "WHERE name=?"
_OF_SUBJECT = _SELECT + "WHERE subject IS ? ORDER BY n DESC"
_ONE_OF_EACH = _SELECT + (
    "WHERE n IN (SELECT min(n) FROM data_keys WHERE shredded_at IS NULL GROUP BY master)"
)
_OTHERWISE = _SELECT + "WHERE shredded_at IS NULL AND master<>? ORDER BY n LIMIT ?"
_REWRAP = (
    "UPDATE data_keys SET master=?, wrapped=? "
    "WHERE name=? AND shredded_at IS NULL AND master=? AND wrapped=?"
)
_IN = "IN (SELECT value FROM json_each(?))"
# Of the same length, so that SQLite overwrites it where it lies.
_OVERWRITE = f"UPDATE data_keys SET wrapped=zeroblob(length(wrapped)) WHERE name {_IN}"
_SHRED = f"UPDATE data_keys SET shredded_at=?, wrapped=x'' WHERE name {_IN} AND shredded_at IS NULL"
_UNSCRUBBED = f"SELECT n FROM data_keys WHERE {IS_UNSCRUBBED}"
_SCRUBBED = f"UPDATE data_keys SET is_scrubbed=1 WHERE {IS_UNSCRUBBED}"
_RECORDS = (
    f"SELECT coalesce(sum(CAST(substr(state,1,{len(BEGIN)}) AS BLOB)=?),0), count(*) "
    f"FROM stored_events WHERE originator_id {_IN}"
)


class _Call(Protocol):
    def __call__(self, work: Callable[[], T], /) -> T: ...


class SqliteVault:
    """The Vault port over one store."""

    def __init__(self, reader: Reader, committer: Committer, call: _Call) -> None:
        self._reader = reader
        self._committer = committer
        self._call = call

    def data_key(self, name: str) -> DataKey | None:
        """The key of this name, or None."""
        return next(iter(self._keys(_NAMED, name)), None)

    def keys_of(self, subject: str | None) -> list[DataKey]:
        """The keys of a subject, the newest first, shredded ones included."""
        return self._keys(_OF_SUBJECT, subject)

    def masters(self) -> list[DataKey]:
        """For each master key in use, one data key that it wraps."""
        return self._keys(_ONE_OF_EACH)

    def wrapped_otherwise(self, master: str, limit: int) -> list[DataKey]:
        """Some keys, not shredded, that another master key wraps."""
        return self._keys(_OTHERWISE, master, limit)

    def put(self, key: DataKey) -> None:
        """Keep a new key; durable on return."""
        self._write(lambda connection: keep_keys(connection, (key,)))

    def rewrap(self, keys: Sequence[tuple[DataKey, DataKey]]) -> None:
        """Put keys in place of what they were, as far as they still are that."""

        def write(connection: sqlite3.Connection) -> None:
            for was, now in keys:
                values = (now.master, now.wrapped, was.name, was.master, was.wrapped)
                connection.execute(_REWRAP, values)

        self._write(write)

    def shred(self, names: Sequence[str], at: int) -> bool:
        """Destroy keys, and answer whether no trace of them is left in the store's files."""
        listed = orjson.dumps(list(names)).decode()

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_OVERWRITE, (listed,))
            connection.execute(_SHRED, (at, listed))

        self._write(write)
        return self._call(lambda: scrub(self._committer))

    def records(self, run_ids: Sequence[str]) -> tuple[int, int]:
        """Of these runs: how many facts are encrypted, and how many lie there in clear."""
        listed = orjson.dumps(list(run_ids)).decode()
        sealed, every = self._reader.rows(_RECORDS, (BEGIN, listed))[0]
        return int(sealed or 0), int(every or 0) - int(sealed or 0)

    def _keys(self, sql: str, *values: SqlValue) -> list[DataKey]:
        return [key_of(row) for row in self._reader.rows(sql, values)]

    def _write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        def work() -> None:
            with self._committer.transaction() as connection:
                # What SQLite frees inside of a page, it overwrites with zeros.
                connection.execute("PRAGMA secure_delete=ON").fetchall()
                write(connection)

        self._call(work)


def scrub(committer: Committer) -> bool:
    """Cut off the WAL if a shredded key may have left a trace in it; whether none is left.

    Raises sqlite3.Error. To be called on the thread of the write connection.
    """
    connection = committer.connection
    if connection.execute(_UNSCRUBBED).fetchone() is None:
        return True
    # Waits for readers as long as a write waits for a lock.
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        return False
    with committer.transaction():
        connection.execute(_SCRUBBED)
    return True
