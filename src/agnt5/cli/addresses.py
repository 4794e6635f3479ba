"""Stores as people name them on a command line."""

from __future__ import annotations


def address_of(store: str | None) -> str | None:
    """The address of a store that may be given as the path of its file."""
    return f"sqlite:///{store}" if store and "://" not in store else store
