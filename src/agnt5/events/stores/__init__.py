"""Where the log is kept: adapters behind the EventLog and Leases ports.

``memory`` forgets with the process; ``sqlite`` keeps all in one file. Both are imported when a
store is opened, because the ``eventsourcing`` library under them patches ``dataclasses`` on import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agnt5.exceptions import ConfigurationError

if TYPE_CHECKING:
    from agnt5.events.log import EventLog
    from agnt5.events.query import Cell, SqlAnswer
    from agnt5.events.stores.memory import MemoryLog
    from agnt5.events.stores.sqlite import SqliteLog

_FORMS = (
    "memory:// (forgets with the process), sqlite:///relative/path.db (three slashes), "
    "sqlite:////absolute/path.db (four slashes)"
)


def open_store(
    url: str, *, durability: str = "full", readonly: bool = False, create: bool = True
) -> MemoryLog | SqliteLog:
    """Open the store that the address names, and become its only owner, or only look at it.

    Without ``create``, one that is not there is an error.
    """
    if url == "memory://":
        from agnt5.events.stores.memory import MemoryLog  # noqa: PLC0415 - see the module docstring

        return MemoryLog()
    return _sqlite(url, durability=durability, readonly=readonly, create=create)


def _sqlite(
    url: str, *, durability: str = "full", readonly: bool = False, create: bool = True
) -> SqliteLog:
    path = url.removeprefix("sqlite:///")
    if path != url and path.strip("/"):
        from agnt5.events.stores.sqlite import SqliteLog  # noqa: PLC0415 - see the module docstring

        return SqliteLog(path, durability=durability, readonly=readonly, create=create)
    if url.startswith(("postgres://", "postgresql://")):
        raise ConfigurationError(f"Postgres stores come in a later version. Use one of: {_FORMS}.")
    raise ConfigurationError(f"{url!r} is not a store address. Use one of: {_FORMS}.")


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
