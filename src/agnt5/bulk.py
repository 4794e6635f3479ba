"""What is done to many runs in one go, run by run, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agnt5.wording import counted

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
        result: ``"would"`` in a dry run; ``"done"``; or ``"failed"``, when it was refused or, in a
            dry run, would be. That stops none of the others.
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
        """Those that refused, each with its error; in a dry run, those that would."""
        return tuple(each for each in self.items if each.result == "failed")

    def __str__(self) -> str:
        """A headline, and a line for each failure."""
        failed = len(self.failed)
        if self.dry_run:
            refused = f", and refused by {failed}" if failed else ""
            would = counted(len(self.items) - failed, "run")
            told = f"{self.action} would be done to {would}{refused}"
        else:
            told = f"{self.action}: done to {counted(len(self.done), 'run')}, failed for {failed}"
        lines = [told]
        lines += [f"  {each.run_id}: {each.error}" for each in self.failed]
        if self.next is not None:
            lines.append(f"  there are more: go on with before={self.next!r}")
        return "\n".join(lines)
