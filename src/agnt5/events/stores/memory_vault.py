"""The data keys of a log in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from agnt5.events.log import StoredFact
from agnt5.events.sealing import BEGIN
from agnt5.events.vault import DataKey


class MemoryVault:
    """The Vault port in memory. Thread-safe."""

    def __init__(self, facts: Callable[[], Sequence[StoredFact]]) -> None:
        self._facts = facts
        self._keys: dict[str, DataKey] = {}
        self._lock = threading.Lock()

    def data_key(self, name: str) -> DataKey | None:
        """The key of this name, or None."""
        return self._keys.get(name)

    def keys_of(self, subject: str | None) -> list[DataKey]:
        """The keys of a subject, the newest first, shredded ones included."""
        with self._lock:
            return [key for key in reversed(self._keys.values()) if key.subject == subject]

    def masters(self) -> list[DataKey]:
        """For each master key in use, one data key that it wraps."""
        return list({key.master: key for key in self._usable()}.values())

    def put(self, key: DataKey) -> None:
        """Keep a new key."""
        with self._lock:
            self._keys.setdefault(key.name, key)

    def wrapped_otherwise(self, master: str, limit: int) -> list[DataKey]:
        """Some keys, not shredded, that another master key wraps."""
        return [key for key in self._usable() if key.master != master][:limit]

    def rewrap(self, keys: Sequence[tuple[DataKey, DataKey]]) -> None:
        """Put keys in place of what they were, as far as they still are that."""
        with self._lock:
            for was, now in keys:
                if self._keys.get(was.name) == was:
                    self._keys[was.name] = now

    def shred(self, names: Sequence[str], at: int) -> bool:
        """Destroy keys; no trace of them is left."""
        with self._lock:
            for name in names:
                key = self._keys.get(name)
                if key is not None and key.shredded_at is None:
                    self._keys[name] = replace(key, wrapped=b"", shredded_at=at)
        return True

    def records(self, run_ids: Sequence[str]) -> tuple[int, int]:
        """Of these runs: how many facts are encrypted, and how many lie there in clear."""
        wanted = frozenset(run_ids)
        facts = [fact for fact in self._facts() if fact.stream in wanted]
        sealed = sum(fact.state.startswith(BEGIN) for fact in facts)
        return sealed, len(facts) - sealed

    def _usable(self) -> list[DataKey]:
        with self._lock:
            return [key for key in self._keys.values() if key.shredded_at is None]
