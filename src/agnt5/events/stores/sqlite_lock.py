"""One process per store: an operating-system lock that dies with the process, kill -9 included.

The lock is on a file beside the database, never on the database itself: SQLite keeps locks of its
own there, and closing any descriptor of a file drops this process's POSIX locks on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time

from agnt5.events.stores.sqlite_errors import translate_os
from agnt5.exceptions import StoreInUseError

# By real path. Needed beside flock, which some network file systems grant twice to one process.
_held: dict[str, StoreLock] = {}
_guard = threading.Lock()

_TRIES, _PAUSE_S = 5, 0.01
"""Somebody may only be looking whether it is held: that takes far less."""


class StoreLock:
    """The exclusive right of this process to one store."""

    def __init__(self, path: str) -> None:
        """Take the right. Raises StoreInUseError while somebody else has it."""
        self._path = os.path.realpath(path)
        with _guard:
            if self._path in _held:
                raise _in_use(path, f"this process (pid {os.getpid()})")
            self._fd = _lock_file(path, self._path + ".lock")
            _held[self._path] = self

    def release(self) -> None:
        """Give the right back. The file stays: removed, it would let two processes lock two."""
        with _guard:
            if _held.get(self._path) is self:
                del _held[self._path]
                with contextlib.suppress(OSError):  # the pid is for readers only
                    os.ftruncate(self._fd, 0)
                os.close(self._fd)

    def forget(self) -> None:
        """In a forked child: close the copy, so that it cannot outlive the parent's lock."""
        os.close(self._fd)


def _lock_file(path: str, lock_path: str) -> int:
    try:
        fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise translate_os(error, lock_path) from error
    try:
        _lock(fd)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise _in_use(path, f"another process (pid {pid})") from None
    except OSError as error:
        os.close(fd)
        raise translate_os(error, lock_path) from error
    return fd


def _lock(fd: int) -> None:
    for tries_left in reversed(range(_TRIES)):
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not tries_left:
                raise
            time.sleep(_PAUSE_S)
    return None


def is_ours(path: str) -> bool:
    """Whether this process has the store of a real path."""
    with _guard:
        return path in _held


def _in_use(path: str, holder: str) -> StoreInUseError:
    return StoreInUseError(
        f"{path} is in use by {holder}. A store has one owner: close that one or end that process, "
        f"or give this one another path."
    )


def _after_fork() -> None:
    global _guard  # noqa: PLW0603 - it may have been held by another thread at the fork
    _guard = threading.Lock()
    for lock in _held.values():
        lock.forget()
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)
