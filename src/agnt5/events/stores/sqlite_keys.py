"""Rows of the table of data keys, as they are written and read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from agnt5.events.stores.sqlite_recorder import SqlValue
from agnt5.events.vault import DataKey

KEY_COLUMNS = "name, subject, master, wrapped, created_at, shredded_at"
# The appends of a subject repeat its key until one of them is known to be durable.
_KEEP = f"INSERT OR IGNORE INTO data_keys ({KEY_COLUMNS}) VALUES (?,?,?,?,?,?)"


def keep_keys(connection: sqlite3.Connection, keys: Iterable[DataKey]) -> None:
    """Write data keys inside the caller's transaction; one that is there stays as it is."""
    for key in keys:
        values = (key.name, key.subject, key.master, key.wrapped, key.created_at, key.shredded_at)
        connection.execute(_KEEP, values)


def key_of(row: Sequence[SqlValue]) -> DataKey:
    """The data key of a row with `KEY_COLUMNS`."""
    name, subject, master, wrapped, created_at, shredded_at = row
    return DataKey(
        str(name),
        None if subject is None else str(subject),
        str(master),
        wrapped if isinstance(wrapped, bytes) else b"",
        int(created_at or 0),
        None if shredded_at is None else int(shredded_at),
    )
