"""The whole of a SQLite store as of one moment: one read transaction, on a connection of its own.

While it is open SQLite cannot take back what it has written beside the file (the WAL), so whoever
looks for long lets that grow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, starmap

import orjson

from agnt5.events.index import KeyBinding, RunRow
from agnt5.events.log import StoredFact, StreamSize
from agnt5.events.stores.sqlite_blobs import damages_of
from agnt5.events.stores.sqlite_errors import translate
from agnt5.events.stores.sqlite_query import add_functions
from agnt5.events.stores.sqlite_reader import Reader
from agnt5.events.stores.sqlite_recorder import SqlValue
from agnt5.events.stores.sqlite_schema import connect

_CACHE_KIB = 8192
_PAGE = 2000
"""Facts, rows or keys that are in memory at a time."""
_DAMAGES = 20

_COUNTS = (
    "SELECT originator_id, count(*) FROM stored_events WHERE originator_id>? "
    "GROUP BY originator_id ORDER BY originator_id LIMIT ?"
)
_COUNTS_OF = (
    "SELECT originator_id, count(*) FROM stored_events "
    "WHERE originator_id IN (SELECT value FROM json_each(?)) GROUP BY 1 ORDER BY 1"
)
_KEYS = (
    "SELECT scope, run_id, input_digest FROM idempotency_keys WHERE scope>? ORDER BY scope LIMIT ?"
)
_REPEATED = "SELECT event_id FROM stored_events GROUP BY event_id HAVING count(*)>1 ORDER BY 1"
# With the long payloads that lie apart.
_SIZES = (
    "SELECT originator_id, count(*), sum(CASE typeof(state) WHEN 'blob' THEN length(state) ELSE "
    "length(CAST((SELECT text FROM blob_texts WHERE place=stored_events.rowid) AS BLOB)) END) "
    "AS size FROM stored_events GROUP BY originator_id ORDER BY size DESC, originator_id LIMIT ?"
)


@contextmanager
def look(path: str, mode: str) -> Generator[SqliteView, None, None]:
    """Look at everything as of now. Raises StoreError."""
    try:
        connection = connect(path, mode=mode, cache_kib=_CACHE_KIB)
        try:
            add_functions(connection)
            connection.execute("BEGIN")
            # A transaction begins with its first read.
            connection.execute("SELECT count(*) FROM schema_version").fetchone()
            yield SqliteView(_Pinned(path, mode, connection))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error


class _Pinned(Reader):
    """A reader whose lookups all see the same moment. For one thread."""

    def __init__(self, path: str, mode: str, connection: sqlite3.Connection) -> None:
        super().__init__(path, mode=mode)
        self._connection = connection

    def damages(self) -> list[str]:
        """What is wrong with long payloads; not more than can be told. Raises StoreError."""
        try:
            return list(islice(damages_of(self._connection), _DAMAGES))
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def _take(self) -> sqlite3.Connection:
        return self._connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """It stays."""


class SqliteView:
    """The LogView port over a reader that sees one moment."""

    def __init__(self, reader: _Pinned) -> None:
        self._reader = reader

    def facts(self, streams: Sequence[str] | None = None) -> Iterator[StoredFact]:
        """The facts of these streams, or of all, ordered by stream and then by version."""
        group, waiting = list[str](), 0
        for stream, number in self._counts(streams):
            if group and waiting + number > _PAGE:
                yield from self._whole(group)
                group, waiting = [], 0
            if number > _PAGE:
                yield from self._long(stream)
            else:
                group.append(stream)
                waiting += number
        yield from self._whole(group)

    def read(self, stream: str, *, after: int = 0, upto: int | None = None) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        return self._reader.read(stream, after, upto, None)

    def run_rows(self) -> Iterator[RunRow]:
        """Every row of the index, in id order."""
        after = ""
        while page := self._reader.run_rows(after, _PAGE):
            yield from page
            after = page[-1].run_id

    def run_row(self, run_id: str) -> RunRow | None:
        """One of them."""
        return self._reader.run_row(run_id)

    def key_bindings(self) -> Iterator[KeyBinding]:
        """Every key, in the order of the scopes."""
        after: SqlValue = ""
        while page := self._reader.rows(_KEYS, (after, _PAGE)):
            for row in page:
                yield KeyBinding(*map(str, row))
            after = page[-1][0]

    def key_binding(self, scope: str) -> KeyBinding | None:
        """One of them."""
        return self._reader.key_binding(scope)

    def repeated(self) -> Iterator[str]:
        """Event ids that more than one fact has."""
        return (str(row[0]) for row in self._reader.rows(_REPEATED))

    def sizes(self, limit: int) -> list[StreamSize]:
        """The streams of which most is recorded."""
        return [
            StreamSize(str(stream), int(facts or 0), int(size or 0))
            for stream, facts, size in self._reader.rows(_SIZES, (limit,))
        ]

    def damages(self) -> list[str]:
        """What SQLite finds wrong with the file, else with long payloads that lie apart."""
        rows = self._reader.rows(f"PRAGMA integrity_check({_DAMAGES})")
        found = [str(row[0]) for row in rows if row[0] != "ok"]
        return found or self._reader.damages()

    def _counts(self, streams: Sequence[str] | None) -> Iterator[tuple[str, int]]:
        if streams is not None:
            wanted = orjson.dumps(list(streams)).decode()
            yield from starmap(_counted, self._reader.rows(_COUNTS_OF, (wanted,)))
            return
        after = ""
        while page := list(starmap(_counted, self._reader.rows(_COUNTS, (after, _PAGE)))):
            yield from page
            after = page[-1][0]

    def _whole(self, group: Sequence[str]) -> Iterator[StoredFact]:
        for facts in self._reader.read_many(group).values() if group else ():
            yield from facts

    def _long(self, stream: str) -> Iterator[StoredFact]:
        after = -1  # also what no sound store holds: a fact before the first one
        while page := self._reader.read(stream, after, None, _PAGE):
            yield from page
            after = page[-1].version


def _counted(stream: SqlValue, number: SqlValue) -> tuple[str, int]:
    return str(stream), int(number or 0)
