"""What is done to many runs in one go, run by run, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["cancel", "pause", "resume", "retry", "rerun", "fork"]
ACTIONS: tuple[Action, ...] = ("cancel", "pause", "resume", "retry", "rerun", "fork")
LIMIT = 1000
MOST = 100_000


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One run that was meant.

    Attributes:
        run_id: The run.
        status: Its status when it was looked at.
        result: ``"would"`` in a dry run; ``"done"``; or ``"failed"``, which stopped none of the
            others.
        new_run_id: The run that was begun, by a retry, a rerun or a fork.
        error: Why it failed.
    """

    run_id: str
    status: str
    result: Literal["would", "done", "failed"]
    new_run_id: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What was done to the runs that were meant, the newest first.

    Attributes:
        action: What was asked for.
        dry_run: Nothing was done.
        items: Each run that was meant, up to the limit.
        next: Where to go on when the limit was reached: the ``before`` of the next call; None when
            there was no more.
    """

    action: Action
    dry_run: bool
    items: tuple[BulkItem, ...]
    next: str | None = None

    @property
    def done(self) -> tuple[BulkItem, ...]:
        """Those to which it was done."""
        return tuple(each for each in self.items if each.result == "done")

    @property
    def failed(self) -> tuple[BulkItem, ...]:
        """Those of which it was refused, each with its error."""
        return tuple(each for each in self.items if each.result == "failed")

    def __str__(self) -> str:
        """A headline, and a line for each failure."""
        if self.dry_run:
            lines = [f"{self.action} would be done to {len(self.items)} runs"]
        else:
            lines = [f"{self.action}: done to {len(self.done)} runs, failed for {len(self.failed)}"]
        lines += [f"  {each.run_id}: {each.error}" for each in self.failed]
        if self.next is not None:
            lines.append(f"  there are more: go on with before={self.next!r}")
        return "\n".join(lines)
