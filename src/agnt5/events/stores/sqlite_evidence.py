"""The hash chain of an open SQLite store, as others ask for it: sign a head, check everything."""

from __future__ import annotations

import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from agnt5.events.chain import Head
from agnt5.events.chain_check import ChainReport
from agnt5.events.stores.sqlite_chain import last_head
from agnt5.events.stores.sqlite_commit import Committer
from agnt5.events.stores.sqlite_reader import Reader
from agnt5.events.stores.sqlite_verify import verify
from agnt5.exceptions import StoreError

T = TypeVar("T")

logger = logging.getLogger("agnt5.store")


class Evidence(ABC):
    """What :class:`SqliteLog` inherits."""

    path: str
    _mode: str
    _committer: Committer

    def sign_head(self) -> Head | None:
        """Write a signed head over what has changed since the last one; the newest one.

        Raises:
            StoreError: When there is no chain, no key to sign with, or the disk is in trouble.
        """
        return self._call(lambda: sign_head(self._committer))

    def verify_chain(
        self, public_keys: Sequence[str] = (), expected: tuple[int, str] | None = None
    ) -> ChainReport:
        """Hold every fact to the hash chain, see :mod:`agnt5.events.stores.sqlite_verify`."""
        self._reading()
        chain = self._committer.chain
        known = public_keys or (() if chain is None else chain.public_keys)
        return verify(self.path, self._mode, known, expected)

    @abstractmethod
    def _reading(self) -> Reader:
        """The reader, if the log is open."""

    @abstractmethod
    def _call(self, work: Callable[[], T]) -> T:
        """Do something on the write connection, between two groups of appends."""


def sign_head(committer: Committer) -> Head | None:
    """Sign what has changed since the last head; the newest one. On the writing thread.

    Raises:
        StoreError: When there is no chain, or no key to sign with.
        sqlite3.Error: The disk or the file is in trouble.
    """
    chain = committer.chain
    if chain is None:
        raise StoreError(f"{committer.path} has no hash chain: open it with chain=HashChain(...)")
    with committer.transaction() as connection:
        chain.begin()
        head = chain.sign(connection) or last_head(connection)
    chain.committed()
    return head


def sign_last(committer: Committer) -> None:
    """Sign a head as the store is closed, if there is a key to sign with."""
    if committer.chain is None or not committer.chain.signs:
        return
    try:
        sign_head(committer)
    except (sqlite3.Error, StoreError) as error:
        # Nothing is lost: whoever opens the store next signs what is there.
        logger.warning("the last head of %s could not be signed: %s", committer.path, error)
