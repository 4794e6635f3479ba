"""What ``rebuild-index`` does and says, with the extra ``cli`` and without it."""

from __future__ import annotations

from agnt5.cli.addresses import address_of
from agnt5.opened_stores import rebuild_index
from agnt5.store_address import store_url


def rebuilt(store: str | None) -> dict[str, str | int]:
    """Build the index tables again; returns the store and how many runs it holds.

    Raises:
        StoreError: When the store is not there, is in use, or cannot be read or written.
        ConfigurationError: When it is no address of a store.
    """
    url = store_url(address_of(store))
    return {"store": url, "runs": rebuild_index(url)}


def sentence(done: dict[str, str | int]) -> str:
    """What happened, for people."""
    return f"{done['store']}: the index of {done['runs']} runs was built again"
