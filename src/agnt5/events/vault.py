"""The data keys of an encrypted store, as rows; which of them is whose. The keys lie here wrapped.

Each data key belongs to one subject (a person), or to nobody in particular. To destroy it is to
make everything unreadable that was encrypted with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DataKey:
    """One data key, wrapped by a master key."""

    name: str
    subject: str | None
    """Whose payloads it encrypts; None: those of nobody in particular."""
    master: str
    """The id of the master key that wraps it."""
    wrapped: bytes
    """Empty once it is shredded."""
    created_at: int
    """Microseconds since the epoch."""
    shredded_at: int | None = None


class Vault(Protocol):
    """Where a store keeps data keys. Each call may block, and may come from any thread."""

    def data_key(self, name: str) -> DataKey | None:
        """The key of this name, or None."""
        ...

    def keys_of(self, subject: str | None) -> list[DataKey]:
        """The keys of a subject, the newest first, shredded ones included."""
        ...

    def masters(self) -> list[DataKey]:
        """For each master key in use, one data key that it wraps."""
        ...

    def put(self, key: DataKey) -> None:
        """Keep a new key; durable on return. One of that name stays as it is."""
        ...

    def wrapped_otherwise(self, master: str, limit: int) -> list[DataKey]:
        """Some keys, not shredded, that another master key wraps; empty when there are no more."""
        ...

    def rewrap(self, keys: Sequence[tuple[DataKey, DataKey]]) -> None:
        """Put keys in place of what they were, as far as they still are that; durable on return."""
        ...

    def shred(self, names: Sequence[str], at: int) -> bool:
        """Destroy keys, and answer whether no trace of them is left in the store's files.

        Their destruction is durable in any case. False: somebody reads the store just now, and the
        traces are removed at the next shredding, or when the store is opened again.
        """
        ...

    def records(self, run_ids: Sequence[str]) -> tuple[int, int]:
        """Of these runs: how many facts are encrypted, and how many lie there in clear."""
        ...
