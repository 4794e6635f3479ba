"""The whole of an encrypted store as of one moment, decrypted as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agnt5.events.index import KeyBinding, RunRow
from agnt5.events.log import LogView, StoredFact, StreamSize


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
        return map(self._unsealed, self._view.facts(streams))

    def read(self, stream: str, *, upto: int | None = None) -> list[StoredFact]:
        """The facts of one stream, up to a version."""
        return [self._unsealed(fact) for fact in self._view.read(stream, upto=upto)]

    def run_rows(self) -> Iterator[RunRow]:
        """Every row of the index, in id order."""
        return self._view.run_rows()

    def run_row(self, run_id: str) -> RunRow | None:
        """One of them."""
        return self._view.run_row(run_id)

    def key_bindings(self) -> Iterator[KeyBinding]:
        """Every key, in the order of the scopes."""
        return map(self._unsealed_binding, self._view.key_bindings())

    def key_binding(self, scope: str) -> KeyBinding | None:
        """One of them."""
        found = self._view.key_binding(scope)
        return None if found is None else self._unsealed_binding(found)

    def repeated(self) -> Iterator[str]:
        """Event ids that more than one fact has, in order."""
        return self._view.repeated()

    def sizes(self, limit: int) -> list[StreamSize]:
        """The streams of which most is recorded, in bytes as they lie."""
        return self._view.sizes(limit)

    def damages(self) -> list[str]:
        """What the storage itself finds wrong with what it holds."""
        return self._view.damages()
