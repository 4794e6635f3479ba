"""Who has a SQLite store open, or had it last: told by the lock beside it, and by its lease.

Whether the process lives is asked of its lock and not of the operating system's list: another
process may have got its number since, and one in another container is on another list.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass

from agnt5.events.leases import STORE_SCOPE, Ownership
from agnt5.events.stores.sqlite_lock import is_ours
from agnt5.events.stores.sqlite_reader import Reader

_HELD = "SELECT owner, epoch FROM leases WHERE scope=?"
"""Also when it was released: then it names nobody, and keeps its epoch."""


@dataclass(frozen=True, slots=True)
class _Lock:
    """What the lock file says."""

    is_held: bool | None
    pid: int | None = None
    since: int | None = None


def ownership_of(path: str, reader: Reader) -> Ownership:
    """Who has the store of a path, and since when."""
    lock = _look_at_lock(os.path.realpath(path))
    found = reader.rows(_HELD, (STORE_SCOPE,))
    owner, epoch = found[0] if found else (None, 0)
    return Ownership(
        owner=str(owner) if owner else None,
        epoch=int(epoch or 0),
        is_open=lock.is_held,
        pid=lock.pid,
        since=lock.since,
    )


def _look_at_lock(path: str) -> _Lock:
    if is_ours(path):
        # Not opened: closing a second descriptor drops the lock on some network file systems.
        since = os.stat(path + ".lock").st_mtime_ns // 1000
        return _Lock(is_held=True, pid=os.getpid(), since=since)
    try:
        fd = os.open(path + ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _Lock(is_held=False)  # nobody ever opened it here: it may be a copy
    except OSError:
        return _Lock(is_held=None)
    try:
        is_held = _is_held(fd)
        with suppress(OSError, ValueError):
            pid = int(os.pread(fd, 32, 0) or b"0")
            # The owner has written it down on opening, and wipes it off when it releases the store.
            return _Lock(is_held, pid or None, os.fstat(fd).st_mtime_ns // 1000 if pid else None)
        return _Lock(is_held)
    finally:
        os.close(fd)


def _is_held(fd: int) -> bool | None:
    """Whether anybody has it. Who opens the store just now waits for the moment that this takes."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
