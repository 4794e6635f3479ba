"""The sink of a store under trial: it looks at once whether what is settled is there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from agnt5.events.log import Append
from agnt5.testing.stores.port import Store, StoreConformanceError


class Watch:
    """Takes what is settled, on whatever thread the store calls it.

    Attributes:
        dead: The process is thought dead: what comes now was never seen by anybody.
        is_closing: The store is being closed, and need not answer reads any more.
        found: The first broken law that the sink itself has seen.
    """

    def __init__(self, store: Store) -> None:
        self.dead = False
        self.is_closing = False
        self.found: StoreConformanceError | None = None
        self._store = store
        self._settled: SimpleQueue[Append] = SimpleQueue()

    def __call__(self, batch: Sequence[Append]) -> None:
        for append in batch:
            if self.dead:
                return
            try:
                self._look(append)
            except Exception as error:  # noqa: BLE001 - a store may swallow what its sink raises
                self._keep(error)
            self._settled.put(append)

    def take(self, patience_s: float) -> Append | None:
        """The next settled append, or None if none comes in time."""
        try:
            return self._settled.get(timeout=patience_s) if patience_s else self._settled.get(False)
        except Empty:
            return None

    def take_all(self, number: int, patience_s: float) -> list[Append]:
        """So many settled appends; fewer if they do not come in time."""
        found: list[Append] = []
        until = time.monotonic() + patience_s
        while len(found) < number:
            append = self.take(max(0, until - time.monotonic()))
            if append is None:
                break
            found.append(append)
        return found

    def _look(self, append: Append) -> None:
        if append.error is not None or not append.facts or self.is_closing:
            return
        number = len(append.facts)
        there = self._store.read(append.stream, after=append.after, limit=number)
        if [fact.event_id for fact in there] != [fact.event_id for fact in append.facts]:
            ids = [fact.event_id for fact in there]
            raise StoreConformanceError(
                "durable",
                f"At the moment when the append to {append.stream!r} after {append.after} was "
                f"settled, {number} facts of it should have been there; read were {ids}.",
            )

    def _keep(self, error: Exception) -> None:
        if self.found is not None:
            return
        if not isinstance(error, StoreConformanceError):
            error = StoreConformanceError(
                "no surprise", f"A read from within the sink raised {type(error).__name__}: {error}"
            )
        self.found = error
