"""Which runs are meant, and their index rows, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from typing import TypedDict

from agnt5.events.index import PAUSED, RunRow
from agnt5.events.log import EventLog
from agnt5.events.projections import STATUSES
from agnt5.exceptions import InvalidInputError
from agnt5.names import check_word

_PAGE = 500
KINDS = ("function", "workflow")


def check_status(status: str | None) -> None:
    """Refuse a status that no run can have. It would find nothing, and not say why.

    Raises:
        InvalidInputError: With those that there are.
    """
    if status is not None and status not in STATUSES:
        known = ", ".join(STATUSES)
        raise InvalidInputError(f"no run has the status {status!r}: it is one of {known}")


def check_kind(kind: str | None) -> None:
    """Refuse a kind that no run has.

    Raises:
        InvalidInputError: With those that there are.
    """
    if kind is not None and kind not in KINDS:
        raise InvalidInputError(f"no run is of the kind {kind!r}: it is one of {', '.join(KINDS)}")


def check_stands_still(row: RunRow, run_id: str) -> None:
    """Refuse to resume what is neither paused nor suspended.

    Args:
        row: Of the run that would go on.
        run_id: As the caller named it; the row may be of the last run of its chain.

    Raises:
        InvalidInputError: With how the run stands.
    """
    if row.status not in {PAUSED, "suspended"}:
        msg = f"run {run_id!r} is {row.status}, neither paused nor suspended: there is nothing to"
        raise InvalidInputError(f"{msg} resume")


class RunFilters(TypedDict, total=False):
    """Which runs, as keywords of a method; all conditions that are given must hold."""

    status: str | None
    """Runs with this status now, such as ``"failed"``."""
    component: str | None
    """Of this function or workflow."""
    parent_run_id: str | None
    """The child runs of this run."""
    kind: str | None
    """Of this kind: ``"function"`` or ``"workflow"``."""
    session_id: str | None
    user_id: str | None
    since: datetime | None
    """Accepted at this time or later; with a time zone."""
    until: datetime | None
    """Accepted before this time; with a time zone."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """All conditions that are given must hold."""

    status: str | None = None
    component: str | None = None
    parent_run_id: str | None = None
    kind: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    """Accepted at this time or later."""
    until: datetime | None = None
    """Accepted before this time."""

    @property
    def is_empty(self) -> bool:
        """Whether every run is meant."""
        return all(getattr(self, each.name) is None for each in fields(self))

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InvalidInputError: With what was given.
        """
        for name in ("status", "component", "parent_run_id", "kind", "session_id", "user_id"):
            check_word(getattr(self, name), name)
        check_status(self.status)
        check_kind(self.kind)
        for name in ("since", "until"):
            time = getattr(self, name)
            if time is not None and (not isinstance(time, datetime) or time.tzinfo is None):
                msg = f"{name} is a datetime with a time zone, such as datetime.now(UTC), not"
                raise InvalidInputError(f"{msg} {time!r}")

    def takes(self, row: RunRow) -> bool:
        """Whether a run is meant, of those whose status, component and parent are."""
        since, until = (
            None if t is None else t.timestamp() * 1e6 for t in (self.since, self.until)
        )
        return (
            self.kind in {None, row.kind}
            and self.session_id in {None, row.session_id}
            and self.user_id in {None, row.user_id}
            and (since is None or row.created_at >= since)
            and (until is None or row.created_at < until)
        )


EVERY_RUN = RunFilter()


def rows_of(log: EventLog, wanted: RunFilter, before: str | None = None) -> Iterator[RunRow]:
    """The rows of the runs that are meant, the greatest id first, read as they are taken.

    The store finds status, component and parent; the rest is held against row after row.

    Args:
        log: The log.
        wanted: Which runs.
        before: Only those whose ids are less than this one.
    """
    while True:
        page = log.list_runs(
            status=wanted.status,
            component=wanted.component,
            parent_run_id=wanted.parent_run_id,
            limit=_PAGE,
            before=before,
        )
        yield from filter(wanted.takes, page)
        if len(page) < _PAGE:
            return
        before = page[-1].run_id


def first_rows(log: EventLog, wanted: RunFilter, limit: int, before: str | None) -> list[RunRow]:
    """The first rows of :func:`rows_of`."""
    is_plain = wanted == RunFilter(wanted.status, wanted.component, wanted.parent_run_id)
    if is_plain:
        return log.list_runs(
            status=wanted.status,
            component=wanted.component,
            parent_run_id=wanted.parent_run_id,
            limit=limit,
            before=before,
        )
    return list(islice(rows_of(log, wanted, before), limit))
