"""What SQLite says, in the words of agnt5: which error, what to do, and whether to try again."""

from __future__ import annotations

import errno
import sqlite3

from agnt5.exceptions import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    VersionConflictError,
)

_RETRIED = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def code_of(error: sqlite3.Error) -> int:
    """The primary result code; 0 when the sqlite3 module itself complains."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return 0 if code is None else code & 0xFF


def passes(error: sqlite3.Error) -> bool:
    """Whether the trouble may pass without a change of the program, so that a retry makes sense."""
    return code_of(error) in _RETRIED


def is_duplicate(error: sqlite3.Error) -> bool:
    """Whether a row with that key was there already."""
    return getattr(error, "sqlite_errorcode", None) in {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    }


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """The agnt5 error that stands for what SQLite said about the file."""
    code = code_of(error)
    said = f"SQLite said: {error}"
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(f"The disk or quota of {path} is full. Free some space. {said}")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return StoreReadOnlyError(
            f"{path} or its folder may not be written. Check its permissions, its owner and "
            f"whether the disk is mounted read-only. {said}"
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}:
        return StoreBusyError(
            f"Another program (a backup, a database browser) holds {path} locked. End it. {said}"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreCorruptError(
            f"{path} is not a SQLite database. Give another path or restore a backup. {said}"
        )
    if code == sqlite3.SQLITE_CORRUPT or str(error).startswith("Could not decode"):
        return StoreCorruptError(
            f"{path} is damaged. Stop writing, copy the file, then restore a backup or try "
            f"`sqlite3 {path} .recover`. {said}"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(
            f"{path} cannot be opened. Check that the folder exists and may be entered and "
            f"written, and the limit of open files. {said}"
        )
    if code == sqlite3.SQLITE_IOERR:
        name = getattr(error, "sqlite_errorname", "")
        return StoreError(
            f"The disk failed under {path} ({name}). Look at the kernel log and the free space. "
            f"{said}"
        )
    return StoreError(f"{path} could not be used. {said}")


def translate_os(error: OSError, path: str) -> StoreError:
    """The agnt5 error that stands for a file or folder that could not be made or opened."""
    said = f"The system said: {error.strerror or error}"
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return StoreReadOnlyError(
            f"{path} or its folder may not be written. Check its permissions, its owner and "
            f"whether the disk is mounted read-only. {said}"
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFullError(f"The disk or quota of {path} is full. Free some space. {said}")
    return StoreError(f"{path} cannot be opened. Check that the path is right. {said}")


def again(error: StoreError, stream: str, after: int) -> StoreError:
    """The same error for another append: an instance of its own, since each may be raised."""
    if isinstance(error, VersionConflictError):
        return VersionConflictError(stream, after)
    return type(error)(*error.args)
