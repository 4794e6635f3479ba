"""The whole of an encrypted store as of one moment, decrypted as it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from heapq import nsmallest

from agnt5.events.index import KeyBinding, RunRow
from agnt5.events.log import LogView, StoredFact, StreamSize
from agnt5.events.sealing import opened
from agnt5.events.stores.data_keys import LostKeyError
from agnt5.exceptions import StoreCorruptError
from agnt5.keyring import NONCE_BYTES, TAG_BYTES
from agnt5.privacy_errors import EncryptionKeyError


class SealedView:
    """The LogView port over one whose facts are encrypted."""

    def __init__(
        self,
        view: LogView,
        unsealed: Callable[[StoredFact], StoredFact],
        unsealed_binding: Callable[[KeyBinding], KeyBinding],
    ) -> None:
        self._view = view
        self._unsealed = unsealed
        self._unsealed_binding = unsealed_binding

    def facts(self, streams: Sequence[str] | None = None) -> Iterator[StoredFact]:
        """The facts of these streams, or of all, ordered by stream and then by version."""
        return map(self._read, self._view.facts(streams))

    def read(self, stream: str, *, after: int = 0, upto: int | None = None) -> list[StoredFact]:
        """Some facts of one stream."""
        return [self._read(fact) for fact in self._view.read(stream, after=after, upto=upto)]

    def _read(self, fact: StoredFact) -> StoredFact:
        try:
            return self._unsealed(fact)
        except LostKeyError:
            return replace(fact, state=b"its data key is not in the store")
        except EncryptionKeyError:
            return fact  # whoever decodes it is told
        except StoreCorruptError:
            # No fact, so that it is told; whoever looks at the whole sees the others as well.
            return replace(fact, state=b"what does not decrypt")

    def run_rows(self) -> Iterator[RunRow]:
        """Every row of the index, in id order."""
        return self._view.run_rows()

    def run_row(self, run_id: str) -> RunRow | None:
        """One of them."""
        return self._view.run_row(run_id)

    def key_bindings(self) -> Iterator[KeyBinding]:
        """Every key, in the order of the scopes."""
        return map(self._read_binding, self._view.key_bindings())

    def key_binding(self, scope: str) -> KeyBinding | None:
        """One of them."""
        found = self._view.key_binding(scope)
        return None if found is None else self._read_binding(found)

    def _read_binding(self, binding: KeyBinding) -> KeyBinding:
        try:
            return self._unsealed_binding(binding)
        except (EncryptionKeyError, StoreCorruptError):
            return binding  # the digest of no input

    def repeated(self) -> Iterator[str]:
        """Event ids that more than one fact has, in order."""
        return self._view.repeated()

    def sizes(self, limit: int) -> list[StreamSize]:
        """The streams of which most is recorded; in bytes of what their facts say, as everywhere.

        Nothing is decrypted: the lengths tell.
        """
        facts, sizes = Counter[str](), Counter[str]()
        for fact in self._view.facts():
            facts[fact.stream] += 1
            sizes[fact.stream] += _size_of(fact.state)
        found = [StreamSize(stream, facts[stream], size) for stream, size in sizes.items()]
        return nsmallest(limit, found, key=lambda each: (-each.size, each.stream))

    def damages(self) -> list[str]:
        """What the storage itself finds wrong with what it holds."""
        return self._view.damages()


def _size_of(state: bytes) -> int:
    envelope = opened(state)
    if envelope is None:
        return len(state)
    sealed = envelope.sealed
    return len(sealed) * 3 // 4 - sealed.count(b"=", -2) - NONCE_BYTES - TAG_BYTES
