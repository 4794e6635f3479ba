"""The rows that make the log quick to search. Never the truth: derived, droppable, rebuilt.

A store writes them in the transaction of the facts that they follow from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agnt5.events.traces import trace_id_of

NO_RUN = "$"
"""A stream whose name begins with it is not a run's: an entity's, a schedule's."""

UNFINISHED = ("queued", "running", "awaiting_user_input", "suspended")
PAUSED = "paused"
"""Unfinished too, but apart: nothing brings such a run into memory by itself."""
FINISHED = ("completed", "failed", "cancelled", "continued")


@dataclass(slots=True)
class RunRow:
    """One run, as lists and lookups see it. Times are microseconds since the epoch.

    Nobody changes it. Each run needs two at least, and frozen ones would cost three times as much.
    """

    run_id: str
    component: str
    kind: str
    status: str
    parked: bool
    """Out of memory, waiting for ``wake_at`` or for a fact from outside."""
    wake_at: int | None
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    version_label: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    parent_run_id: str | None = None
    key_scope: str | None = None
    """The idempotency key with its scope, when the run has one."""
    owes: bool = False
    """It has ended, and its parent may not know it yet, or children of it may not."""
    queue: str | None = None
    priority: int = 0
    continued_to: str | None = None
    """The run that went on in its place, when it has ended so."""
    chain: str | None = None
    """The first run of its chain, when it continues another one."""
    caller_trace_id: str | None = None
    """The trace in which it was started, if it was in one."""

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to, 32 hex digits."""
        return self.caller_trace_id or trace_id_of(self.run_id, None)


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """An idempotency key, or a deduplication id, now names this run.

    Refused if the key names any run but ``replaces``.

    The key of an entity's call names the place of its answer instead, see
    :mod:`agnt5.events.entity.streams`.
    """

    scope: str
    run_id: str
    input_digest: str
    replaces: str | None = None


IndexChange = RunRow | KeyBinding


def last_of_chain(index: RunIndex, run_id: str) -> str:
    """The run that goes on, or went on last, in place of a run: itself, if it never went on."""
    row = index.run_row(run_id)
    if row is None or row.continued_to is None:
        return run_id
    last = index.last_of_chain(row.chain or run_id)
    # What was imported or pruned in part has no last one: then the next one is as far as it goes.
    return row.continued_to if last is None else last.run_id


class RunIndex(Protocol):
    """Lookups. Each may block for a read of the disk and may be called from any thread."""

    def run_row(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""
        ...

    def last_of_chain(self, chain: str) -> RunRow | None:
        """The last run of the chain that began with this run; None if nothing continued it."""
        ...

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None."""
        ...

    def runnable(self) -> list[RunRow]:
        """Runs that belong in memory: unfinished, not parked, not suspended; in id order."""
        ...

    def suspended(self) -> list[str]:
        """Ids of suspended runs, in id order."""
        ...

    def owing(self) -> list[str]:
        """Ids of runs that have ended and may owe other runs a report, in id order."""
        ...

    def due(self, now: int) -> list[str]:
        """Ids of parked, unfinished runs with ``wake_at`` at or before now.

        The earliest first, in id order where they are equal.
        """
        ...

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest ``wake_at`` later than ``after`` of any parked, unfinished run."""
        ...

    def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRow]:
        """Rows, the newest (greatest id) first; ``before`` is an id to go on from."""
        ...

    def ended(
        self,
        before: int,
        *,
        component: str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunRow]:
        """Rows of runs with a ``finished_at`` before a time, in id order; ``after`` is an id."""
        ...

    def run_ids(self) -> list[str]:
        """Every run id that the log has a stream of (read from the log itself), in id order.

        Streams that are no runs (see ``NO_RUN``) are left out.
        """
        ...

    def other_streams(self) -> list[str]:
        """Every stream that is no run's (see ``NO_RUN``), read from the log itself, in order."""
        ...

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Drop every index row and write these, in one transaction."""
        ...
