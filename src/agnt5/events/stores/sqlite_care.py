"""How much room a SQLite store takes, and how it gives some back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress

from agnt5.events.care import StoreFigures, Vacuumed
from agnt5.events.stores.sqlite_owner import ownership_of
from agnt5.events.stores.sqlite_reader import Reader
from agnt5.events.stores.sqlite_schema import SCHEMA_VERSION
from agnt5.exceptions import StoreBusyError, StoreFullError

_SPARE = 16 * 1024 * 1024
"""Bytes that must be left on a disk."""


def figures_of(path: str, reader: Reader) -> StoreFigures:
    """The figures of a store that is open."""
    page = _number(reader, "PRAGMA page_size")
    return StoreFigures(
        path=path,
        size=_size(path),
        wal_size=_size(path + "-wal"),
        free_size=_number(reader, "PRAGMA freelist_count") * page,
        disk_free=shutil.disk_usage(_folder(path)).free,
        schema_version=_number(reader, "SELECT max(version) FROM schema_version"),
        newest_schema=SCHEMA_VERSION,
        ownership=ownership_of(path, reader),
    )


def vacuum(connection: sqlite3.Connection, path: str) -> Vacuumed:
    """Rewrite the file without what nobody uses. Raises StoreError and sqlite3.Error."""
    before = _size(path) + _size(path + "-wal")
    _check_room(connection, path)
    # The key of the events is an INTEGER PRIMARY KEY: a vacuum does not renumber those.
    connection.execute("VACUUM")
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise StoreBusyError(
            f"{path} was rewritten, but another program reads it, so that {path}-wal could not be"
            " folded into it. End that program and do it again."
        )
    return Vacuumed(before, _size(path) + _size(path + "-wal"))


def _check_room(connection: sqlite3.Connection, path: str) -> None:
    """SQLite writes a copy to its temporary folder, and then the same into the WAL."""
    pages, free, page = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    copy = (pages - free) * page
    beside = _folder(path)
    needed = {beside: copy + _SPARE}
    temporary = os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir()
    if os.stat(temporary).st_dev == os.stat(beside).st_dev:
        needed[beside] += copy
    else:
        needed[temporary] = copy + _SPARE
    for folder, size in needed.items():
        there = shutil.disk_usage(folder).free
        if there < size:
            raise StoreFullError(
                f"a vacuum of {path} needs {size:,} bytes in {folder}, and there are {there:,}."
                " Nothing was done. Free some space, or name another temporary folder with"
                " SQLITE_TMPDIR."
            )


def _number(reader: Reader, sql: str) -> int:
    return int(reader.rows(sql)[0][0] or 0)


def _size(path: str) -> int:
    with suppress(OSError):
        return os.path.getsize(path)
    return 0


def _folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))
