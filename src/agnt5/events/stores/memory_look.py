"""The whole of a log in memory as of one moment: copies of its lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agnt5.events.index import KeyBinding, RunRow
from agnt5.events.log import StoredFact, StreamSize


def ended_of(
    rows: Iterable[RunRow], before: int, component: str | None, status: str | None, after: str
) -> Iterator[RunRow]:
    """Those of runs that ended before a time, in their order."""
    for row in rows:
        is_over = row.finished_at is not None and row.finished_at < before
        is_meant = component in (None, row.component) and status in (None, row.status)
        if is_over and is_meant and row.run_id > after:
            yield row


class MemoryView:
    """The LogView port on copies."""

    def __init__(
        self,
        facts: Sequence[StoredFact],
        rows: Mapping[str, RunRow],
        keys: Mapping[str, KeyBinding],
    ) -> None:
        self._facts = sorted(facts, key=lambda fact: (fact.stream, fact.version))
        self._rows = dict(sorted(rows.items()))
        self._keys = dict(sorted(keys.items()))

    def facts(self, streams: Sequence[str] | None = None) -> Iterator[StoredFact]:
        """The facts of these streams, or of all, ordered by stream and then by version."""
        return (fact for fact in self._facts if streams is None or fact.stream in streams)

    def read(self, stream: str, *, after: int = 0, upto: int | None = None) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        rows = (row for row in self.facts([stream]) if row.version > after)
        return [row for row in rows if upto is None or row.version <= upto]

    def run_rows(self) -> Iterator[RunRow]:
        """Every row of the index, in id order."""
        return iter(self._rows.values())

    def run_row(self, run_id: str) -> RunRow | None:
        """One of them."""
        return self._rows.get(run_id)

    def key_bindings(self) -> Iterator[KeyBinding]:
        """Every key, in the order of the scopes."""
        return iter(self._keys.values())

    def key_binding(self, scope: str) -> KeyBinding | None:
        """One of them."""
        return self._keys.get(scope)

    def repeated(self) -> Iterator[str]:
        """Event ids that more than one fact has."""
        counts = Counter(fact.event_id for fact in self._facts)
        return (event_id for event_id, number in sorted(counts.items()) if number > 1)

    def sizes(self, limit: int) -> list[StreamSize]:
        """The streams of which most is recorded."""
        facts, sizes = Counter[str](), Counter[str]()
        for fact in self._facts:
            facts[fact.stream] += 1
            sizes[fact.stream] += len(fact.state)
        found = [StreamSize(stream, facts[stream], size) for stream, size in sizes.items()]
        return sorted(found, key=lambda each: (-each.size, each.stream))[:limit]

    def damages(self) -> list[str]:
        """Nothing: there is no file."""
        return []
