"""The eventsourcing library's SQLite recorder on our wider table, with our inserts.

The library's selects, notification log and contract tests work on it as they are. Inserts go as
multi-row statements: sqlite3 gives the interpreter lock away at every step, and with a busy event
loop beside it a row-by-row insert is more than ten times slower (measured: 640 against 8,300/s).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal, Protocol
from uuid import UUID

from eventsourcing.persistence import InterfaceError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
)

from agnt5.events.stores.sqlite_schema import EVENT_COLUMNS, EVENTS_TABLE, connect

SqlValue = str | bytes | int | None
_CHUNKS = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)


class Executor(Protocol):
    """What can run a statement: a connection or a cursor, the library's or sqlite3's."""

    def execute(self, sql: str, parameters: Sequence[SqlValue], /) -> object:
        """Run one statement."""
        ...


class MultiInsert:
    """``INSERT`` of any number of rows in few statements, of fixed sizes and so kept prepared."""

    def __init__(self, head: str, columns: Sequence[str]) -> None:
        names, marks = ",".join(columns), ",".join("?" * len(columns))
        self._width = len(columns)
        self._statements = [
            (size * self._width, f"{head} ({names}) VALUES " + ",".join([f"({marks})"] * size))
            for size in _CHUNKS
        ]

    def run(self, executor: Executor, values: Sequence[SqlValue]) -> None:
        """Insert the rows whose values lie one after another in ``values``."""
        start, end = 0, len(values)
        for size, statement in self._statements:
            while end - start >= size:
                executor.execute(statement, values[start : start + size])
                start += size


class Pool(SQLiteConnectionPool):
    """The library's pool, with our settings; its own connections keep one prepared statement."""

    def __init__(self, db_name: str, mode: str) -> None:
        self._mode = mode
        super().__init__(db_name=db_name)

    def _create_connection(self) -> SQLiteConnection:
        try:
            connection = connect(self.db_name, mode=self._mode, cache_kib=8192)
        except sqlite3.Error as error:
            raise InterfaceError(error) from error
        connection.row_factory = sqlite3.Row
        return SQLiteConnection(sqlite_conn=connection, max_age=self.max_age)

    def close(self) -> None:
        # The library closes connections that other threads are reading from: a segmentation fault.
        with self._put_condition:
            self._in_use.clear()
            super().close()


class Datastore(SQLiteDatastore):
    """The library's datastore over our pool. Connects when first used."""

    def __init__(
        self,
        path: str,
        *,
        mode: str = "rw",
        originator_id_type: Literal["uuid", "text"] = "text",
    ) -> None:
        super().__init__(path, originator_id_type=originator_id_type)
        self.pool.close()
        self.pool = Pool(path, mode)


class Recorder(SQLiteApplicationRecorder):
    """The library's recorder of one table of facts."""

    def __init__(
        self, datastore: SQLiteDatastore, events_table_name: str = "stored_events"
    ) -> None:
        super().__init__(datastore, events_table_name)
        self._facts = MultiInsert(f"INSERT INTO {events_table_name}", EVENT_COLUMNS)

    def construct_create_table_statements(self) -> list[str]:
        """Our table; a store makes it by its migrations instead."""
        create = EVENTS_TABLE.format(table=self.events_table_name)
        return [create.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")]

    def insert_facts(self, executor: Executor, values: Sequence[SqlValue]) -> None:
        """Insert the facts whose columns lie one after another, inside the caller's transaction."""
        self._facts.run(executor, values)

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: object
    ) -> Sequence[int]:
        # The library's way in. Its events carry neither an id nor a time.
        values: list[SqlValue] = []
        for event in stored_events:
            given = event.originator_id
            stream = given.hex if isinstance(given, UUID) else given
            values += (stream, event.originator_version, event.topic, event.state, "", 0, None)
        self.insert_facts(c, values)
        # One writer at a time and AUTOINCREMENT: the ids of a transaction follow one another.
        c.execute("SELECT last_insert_rowid()")
        last = int(c.fetchone()[0])
        return list(range(last - len(stored_events) + 1, last + 1))
