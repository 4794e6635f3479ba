"""Where the log is kept: adapters behind the EventLog and Leases ports.

``memory`` forgets with the process; ``sqlite`` keeps all in one file. Both are imported when a
store is opened, because the ``eventsourcing`` library under them patches ``dataclasses`` on import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from agnt5.exceptions import ConfigurationError
from agnt5.privacy_errors import EncryptionKeyError

if TYPE_CHECKING:
    from agnt5.events.log import EventLog
    from agnt5.events.query import Cell, SqlAnswer
    from agnt5.events.stores.memory import MemoryLog
    from agnt5.events.stores.passing import StoreLog
    from agnt5.events.stores.sqlite import SqliteLog
    from agnt5.keyring import Keyring
    from agnt5.signing import HashChain

_FORMS = (
    "memory:// (forgets with the process), sqlite:///relative/path.db (three slashes), "
    "sqlite:////absolute/path.db (four slashes)"
)


def open_store(
    url: str,
    *,
    durability: str = "full",
    readonly: bool = False,
    create: bool = True,
    chain: HashChain | None = None,
) -> MemoryLog | SqliteLog:
    """Open the store that the address names, and become its only owner, or only look at it.

    Without ``create``, one that is not there is an error.
    """
    if url == "memory://":
        if chain is not None and chain.begins:
            raise ConfigurationError("memory:// forgets with the process: a chain proves nothing")
        from agnt5.events.stores.memory import MemoryLog  # noqa: PLC0415 - see the module docstring

        return MemoryLog()
    return _sqlite(url, durability=durability, readonly=readonly, create=create, chain=chain)


def _sqlite(
    url: str,
    *,
    durability: str = "full",
    readonly: bool = False,
    create: bool = True,
    chain: HashChain | None = None,
) -> SqliteLog:
    path = url.removeprefix("sqlite:///")
    if path != url and path.strip("/"):
        from agnt5.events.stores.sqlite import SqliteLog  # noqa: PLC0415 - see the module docstring

        return SqliteLog(path, durability=durability, readonly=readonly, create=create, chain=chain)
    if url.startswith(("postgres://", "postgresql://")):
        raise ConfigurationError(f"Postgres stores come in a later version. Use one of: {_FORMS}.")
    path = "" if "://" in url or not url else f" For the file {url}: sqlite:///{url}."
    raise ConfigurationError(f"{url!r} is not a store address. Use one of: {_FORMS}.{path}")


def encrypted(log: EventLog, keyring: Keyring | None, now: int) -> EventLog:
    """The same log, encrypted with these keys. Without keys a log that needs them is refused.

    Args:
        log: A log. One that encrypts already stays as it is; one that is only looked at may be
            without keys, since some things in it are in clear.
        keyring: The keys; None: none.
        now: Microseconds since the epoch.

    Raises:
        EncryptionKeyError: When a key that the store needs is missing, or is another one.
        ConfigurationError: When this kind of log cannot be encrypted.
    """
    if hasattr(log, "key_name_of"):
        return log
    vault = getattr(log, "vault", None)
    readonly = bool(getattr(log, "is_readonly", False))
    if keyring is None:
        if vault is None or readonly:
            return log
        for key in vault.masters():
            msg = (
                f"this store is encrypted (with master key {key.master!r}), and was opened without"
                " keys. Give Runtime(encryption=Keyring(...)), or set AGNT5_ENCRYPTION_KEYS."
            )
            raise EncryptionKeyError(msg, key.master)
        return log
    if vault is None:
        raise ConfigurationError(
            f"a {type(log).__name__} keeps no data keys: encrypt another store"
        )
    from agnt5.events.stores.sealed import SealedLog  # noqa: PLC0415 - seldom used

    return SealedLog(cast("StoreLog", log), keyring, now=now, readonly=readonly)


def ask_store(
    url: str, sql: str, parameters: Sequence[Cell] = (), *, limit: int, timeout: float
) -> SqlAnswer:
    """Answer a question in SQL to a store that is there, whoever has it open.

    Raises:
        ConfigurationError: When it is no store that keeps tables.
        InvalidInputError: When the question is wrong, does more than read, or takes too long.
        StoreError: When the store is not there, or cannot be read.
    """
    if url == "memory://":
        raise ConfigurationError("a store in memory:// keeps no tables that SQL could ask")
    log = _sqlite(url, readonly=True)
    try:
        return log.ask(sql, parameters, limit=limit, timeout=timeout)
    finally:
        log.close()


def beside_memory(log: EventLog) -> EventLog:
    """The same log, with room in memory for the streams that are not to be durable."""
    from agnt5.events.stores.volatile import VolatileLog  # noqa: PLC0415 - see the module docstring

    return VolatileLog(log)
