"""The data keys of an encrypted store, as rows; which of them is whose. The keys lie here wrapped.

Each data key belongs to one subject (a person), or to nobody in particular. To destroy it is to
make everything unreadable that was encrypted with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

SHREDDED_DIGEST = "shredded"
"""What an index answers for the digest of an input whose key was destroyed."""


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


class Encrypting(Protocol):
    """What an encrypted log can do besides. Each call may block, and may come from any thread."""

    def rotate(self, now: int) -> int:
        """Wrap every data key with the newest master key; answers how many were wrapped."""
        ...

    def retire(self, subject: str, now: int) -> list[str]:
        """Let the subject's new runs have a new key; answers the names of the keys until now."""
        ...

    def wait_for(self, names: Sequence[str]) -> None:
        """Wait until no append is under way that was encrypted with one of these keys."""
        ...

    def key_name_of(self, run_id: str) -> str | None:
        """The name of the key that a run began with; None if it began in clear."""
        ...

    def destroy(self, names: Sequence[str], at: int) -> bool:
        """Shred keys, see :meth:`Vault.shred`, and forget them."""
        ...

    def records(self, run_ids: Sequence[str]) -> tuple[int, int]:
        """Of these runs: how many facts are encrypted, and how many lie there in clear."""
        ...
