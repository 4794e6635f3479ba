"""How a SQLite store can be opened where nothing may be changed or made."""

from __future__ import annotations

import os
import sqlite3

from agnt5.events.stores.sqlite_errors import translate
from agnt5.events.stores.sqlite_schema import SCHEMA_VERSION, check_version, connect
from agnt5.exceptions import StoreError, StoreSchemaError


def look_mode(path: str, *, readonly: bool) -> str:
    """How to open a file that must not be changed. Raises StoreError if it is not one of ours."""
    if not os.path.isfile(path):
        what = "is not a file" if os.path.exists(path) else "does not exist"
        raise StoreError(f"there is no store: {path} {what}. Check the path.")
    try:
        try:
            return _try_mode(path, "ro", readonly=readonly)
        except sqlite3.OperationalError:
            wal = path + "-wal"
            if os.path.exists(wal) and os.path.getsize(wal):
                raise
            # On a read-only disk SQLite cannot make the -shm file that even readers need.
            return _try_mode(path, "ro&immutable=1", readonly=readonly)
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _try_mode(path: str, mode: str, *, readonly: bool) -> str:
    connection = connect(path, mode=mode)
    try:
        version = check_version(connection, path)
        if version == 0:
            raise StoreError(f"{path} holds no log yet.")
        if readonly and version < SCHEMA_VERSION:
            raise StoreSchemaError(
                f"{path} was written by an older agnt5: it has schema version {version}, this one "
                f"reads {SCHEMA_VERSION}, and who only looks changes nothing. A runtime of this "
                f"version brings it up to date when it opens it; so does `agnt5 rebuild-index`."
            )
    finally:
        connection.close()
    return mode
