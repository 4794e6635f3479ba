"""The durable calls of a run that have no outcome yet, as the fold keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from agnt5.events.run.facts import ChildStarted, RetryPlan, UserInputRequested


class OpKind(IntEnum):
    """What kind of thing the body waits for."""

    STEP = 0
    INLINE = 1
    TIMER = 2
    SIGNAL = 3
    INPUT = 4
    CHILD = 5


class OpPhase(IntEnum):
    """Where an operation is in its life."""

    RUNNING = 0
    """An attempt is under way, or owed."""
    BACKOFF = 1
    """The next attempt waits for its time."""
    WAITING = 2
    """For a time, a signal or a person."""


@dataclass(slots=True)
class Operation:
    """One durable call that has no outcome yet."""

    key: str
    kind: OpKind
    phase: OpPhase
    name: str = ""
    attempt: int = 0
    started: bool = False
    """The intent of the attempt is on record."""
    due_at: int | None = None
    deadline: int | None = None
    retry: RetryPlan | None = None
    recovery: str = "retry"
    question: UserInputRequested | None = None
    child: ChildStarted | None = None

    @property
    def wake_at(self) -> int | None:
        """The next time at which something must be decided about it."""
        if self.due_at is None or self.deadline is None:
            return self.due_at if self.deadline is None else self.deadline
        return min(self.due_at, self.deadline)
