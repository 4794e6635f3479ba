"""Which store is meant, where one is named, or not named."""

from __future__ import annotations

import os

from agnt5.events.log import EventLog

DEFAULT_STORE = "sqlite:///.agnt5/agnt5.db"
STORE_VARIABLE = "AGNT5_STORE"


def store_url(store: str | None) -> str:
    """The store that is meant: the argument, else ``AGNT5_STORE``, else a file under ``.agnt5``."""
    return store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


def named_or_given(store: str | EventLog | None) -> tuple[str, EventLog | None]:
    """The address of a store that is to be opened, or a log that is open already."""
    return (store_url(store), None) if isinstance(store, str | None) else ("", store)
