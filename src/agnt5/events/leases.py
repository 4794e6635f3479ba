"""The Leases port: who may append to the streams of a scope, and with which fencing epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

STORE_SCOPE = "store"
"""The scope of the whole store: who owns it may append, and rebuild the index."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write in a scope. A greater epoch of the same scope makes a smaller one void."""

    scope: str
    owner: str
    epoch: int


class Leases(Protocol):
    """Ownership. Every transaction of an owner checks that its epoch still stands."""

    def claim(self, scope: str, owner: str) -> Lease:
        """Become the owner, with a new epoch. Raises StoreInUseError while another owner lives."""
        ...

    def current(self, scope: str) -> Lease | None:
        """The last lease that was given, or None."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it up. Does nothing if it is no longer ours."""
        ...
