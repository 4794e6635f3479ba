"""The index of a log in memory: lookups of runs and keys."""

from __future__ import annotations

import threading
from itertools import islice

from agnt5.events.index import UNFINISHED, KeyBinding, RunRow
from agnt5.events.stores.memory_look import ended_of


class MemoryIndex:
    """What :class:`MemoryLog` inherits: the rows, and how they are looked up. Thread-safe."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRow] = {}
        self._keys: dict[str, KeyBinding] = {}
        self._lock = threading.RLock()

    def run_row(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""
        return self._runs.get(run_id)

    def last_of_chain(self, chain: str) -> RunRow | None:
        """The last run of a chain, or None."""
        with self._lock:
            rows = (row for row in self._runs.values() if row.chain == chain)
            return next((row for row in rows if row.continued_to is None), None)

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None."""
        return self._keys.get(scope)

    def runnable(self) -> list[RunRow]:
        """Runs that must be in memory, in id order."""
        return [
            row
            for row in self._sorted()
            if not row.parked and row.status in UNFINISHED and row.status != "suspended"
        ]

    def suspended(self) -> list[str]:
        """Ids of suspended runs, in id order."""
        return [row.run_id for row in self._sorted() if row.status == "suspended"]

    def owing(self) -> list[str]:
        """Ids of runs that have ended and may owe other runs a report, in id order."""
        return [row.run_id for row in self._sorted() if row.owes]

    def due(self, now: int) -> list[str]:
        """Ids of parked, unfinished runs whose ``wake_at`` has come, the earliest first."""
        return [run_id for wake_at, run_id in self._wakes() if wake_at <= now]

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest ``wake_at`` later than ``after`` of any parked, unfinished run."""
        return next((wake_at for wake_at, _ in self._wakes() if wake_at > after), None)

    def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRow]:
        """Rows, the newest (greatest id) first."""
        rows = [
            row
            for row in reversed(self._sorted())
            if status in (None, row.status)
            and component in (None, row.component)
            and parent_run_id in (None, row.parent_run_id)
            and (before is None or row.run_id < before)
        ]
        return rows[:limit]

    def ended(
        self,
        before: int,
        *,
        component: str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunRow]:
        """Rows of runs with a ``finished_at`` before a time, in id order."""
        found = ended_of(self._sorted(), before, component, status, after)
        return list(islice(found, limit))

    def _sorted(self) -> list[RunRow]:
        with self._lock:
            return sorted(self._runs.values(), key=lambda row: row.run_id)

    def _wakes(self) -> list[tuple[int, str]]:
        return sorted(
            (row.wake_at, row.run_id)
            for row in self._sorted()
            if row.parked and row.wake_at is not None and row.status in UNFINISHED
        )
