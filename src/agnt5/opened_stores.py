"""Stores that are opened: by a runtime, or without one, to move runs and to care for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agnt5.actors.clock import SystemClock
from agnt5.events.log import EventLog
from agnt5.events.stores import ask_store, encrypted, open_store
from agnt5.keyring import Keyring
from agnt5.maintenance import rebuild_log_index
from agnt5.runtime_privacy import Privacy, privacy_of
from agnt5.store_address import store_url

if TYPE_CHECKING:
    from agnt5.events.query import Cell, SqlAnswer


def open_private(
    url: str,
    secrets: Privacy,
    now: int,
    *,
    durability: str = "full",
    readonly: bool = False,
    create: bool = True,
) -> EventLog:
    """Open the store of an address with its keys and its chain; not at all, if they do not fit."""
    log = open_store(
        url, durability=durability, readonly=readonly, create=create, chain=secrets.chain
    )
    try:
        return encrypted(log, secrets.keyring, now)
    except BaseException:
        log.close()
        raise


def open_log(
    store: str | None = None,
    *,
    readonly: bool = False,
    create: bool = True,
    encryption: Keyring | None = None,
    as_it_lies: bool = False,
) -> EventLog:
    """Open a store without executing anything.

    Args:
        store: As for :class:`agnt5.Runtime`.
        readonly: Only look: another process may have it open. Without keys, what is encrypted
            cannot be read then.
        create: Create it unless it is there.
        encryption: As for :class:`agnt5.Runtime`.
        as_it_lies: Ask for no keys: what is encrypted is neither read nor added to.

    Raises:
        StoreError: When it is in use, is not there, or cannot be read or written.
    """
    if as_it_lies:
        return open_store(store_url(store), readonly=readonly, create=create)
    secrets = privacy_of(encryption, None)
    now = SystemClock().now()
    return open_private(store_url(store), secrets, now, readonly=readonly, create=create)


def ask_sql(
    store: str | None, sql: str, parameters: Sequence[Cell] = (), *, limit: int, timeout: float
) -> SqlAnswer:
    """Answer a question in SQL to a store that is there, whoever has it open; only that.

    Args:
        store: As for :class:`agnt5.Runtime`.
        sql: One select, on the views or the tables.
        parameters: What its question marks stand for.
        limit: Rows at most.
        timeout: Seconds at most.

    Raises:
        ConfigurationError: When it is no store that keeps tables.
        InvalidInputError: When the question is wrong, does more than read, or takes too long.
        StoreError: When the store is not there, or cannot be read.
    """
    return ask_store(store_url(store), sql, parameters, limit=limit, timeout=timeout)


def rebuild_index(store: str | None = None, *, encryption: Keyring | None = None) -> int:
    """Drop the index tables of a store and build them again from its log.

    The log is the truth and the index only makes it quick to search: this loses nothing. No
    runtime may have the store open.

    Args:
        store: As for :class:`agnt5.Runtime`.
        encryption: As for :class:`agnt5.Runtime`.

    Returns:
        How many runs the store holds.

    Raises:
        StoreError: When the store is not there, is in use, or cannot be read or written.
    """
    log = open_log(store, create=False, encryption=encryption)
    try:
        return rebuild_log_index(log)
    finally:
        log.close()
