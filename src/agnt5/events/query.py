"""What may be asked of the whole log, as a value; a store answers it with its own means.

Only the facts of runs are asked for: entities and schedules have streams that are no runs.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = (
    "topic",
    "run_id",
    "component",
    "kind",
    "status",
    "user_id",
    "session_id",
    "version_label",
    "day",
)
"""What facts can be counted by. A day is one in UTC, ``YYYY-MM-DD``."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which facts of runs: all conditions that are given must hold. Times in microseconds."""

    run_ids: tuple[str, ...] | None = None
    component: str | None = None
    kind: str | None = None
    status: str | None = None
    """Of the run as it is now."""
    session_id: str | None = None
    user_id: str | None = None
    idempotency_key: str | None = None
    topics: tuple[str, ...] | None = None
    """As they lie on the log, ``;v=N`` included."""
    step: str | None = None
    """The name of an operation, as in its key."""
    actor: str | None = None
    """Who answered a question."""
    since: int | None = None
    until: int | None = None
    """Before this time."""
    after: int = 0
    """A position; the facts behind it."""
    upto: int | None = None
    """A position; it is the last one."""
    backward: bool = False

    @property
    def asks_of_run(self) -> bool:
        """Whether the run's row in the index decides."""
        return any(value is not None for _, value in self.of_run())

    def of_run(self) -> tuple[tuple[str, str | None], ...]:
        """The conditions on columns of the index of runs."""
        return (
            ("component", self.component),
            ("kind", self.kind),
            ("status", self.status),
            ("session_id", self.session_id),
            ("user_id", self.user_id),
            ("idempotency_key", self.idempotency_key),
        )


Cell = str | int | float | bytes | None
"""A value of a table."""


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """What a statement has answered.

    Attributes:
        columns: Their names; not always different ones.
        rows: As many values each.
        is_cut: Whether there were more rows than the limit.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    is_cut: bool
