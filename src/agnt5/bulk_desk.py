"""The desk for those who operate many runs at once: page by page, and one failure stops nobody."""

from __future__ import annotations

from agnt5.bulk import ACTIONS, LIMIT, MOST, Action, BulkItem, BulkReport
from agnt5.events.index import FINISHED, RunRow
from agnt5.exceptions import (
    AGNT5Error,
    InvalidInputError,
    RuntimeClosedError,
    StoreCorruptError,
    StoreError,
)
from agnt5.names import check_word
from agnt5.operator_desk import Changes, Operating
from agnt5.privacy_errors import ShreddedError
from agnt5.run_lists import RunFilter, check_stands_still, first_rows
from agnt5.runs import Runs

_PAGE = 200
_OF_ALL = (StoreError, RuntimeClosedError)
"""These would be refused to all the others, too."""
_OF_ONE = (ShreddedError, StoreCorruptError)
"""Of the errors of a store, those that say that one run cannot be read."""


class Bulk:
    """Does one thing to every run that is meant."""

    def __init__(self, runs: Runs, one: Operating) -> None:
        self._runs = runs
        self._one = one

    async def bulk(
        self,
        action: Action,
        wanted: RunFilter,
        *,
        at: int | None = None,
        reason: str | None = None,
        limit: int = LIMIT,
        before: str | None = None,
        dry_run: bool = True,
    ) -> BulkReport:
        """Do it, or only say to whom it would be done, and who would refuse."""
        _check(action, at, limit)
        wanted.check()
        check_word(reason, "reason")
        check_word(before, "before")
        items: list[BulkItem] = []
        while len(items) < limit:
            size = min(_PAGE, limit - len(items))
            log = self._runs.bus.log
            rows = await self._runs.look(first_rows, log, wanted, size, before)
            items += [await self._do(action, row, at, reason, dry_run=dry_run) for row in rows]
            if len(rows) < size:
                return BulkReport(action, dry_run, tuple(items))
            before = rows[-1].run_id
        return BulkReport(action, dry_run, tuple(items), before)

    async def _do(
        self, action: Action, row: RunRow, at: int | None, reason: str | None, *, dry_run: bool
    ) -> BulkItem:
        run_id = row.run_id
        try:
            if dry_run:
                await self._foresee(action, run_id, at)
                return BulkItem(run_id, row.status, "would")
            new_run_id = await self._ask(action, run_id, at, reason)
        except AGNT5Error as error:
            if isinstance(error, _OF_ALL) and not isinstance(error, _OF_ONE):
                raise
            return BulkItem(run_id, row.status, "failed", error=str(error))
        return BulkItem(run_id, row.status, "done", new_run_id)

    async def _ask(
        self, action: Action, run_id: str, at: int | None, reason: str | None
    ) -> str | None:
        match action:
            case "cancel":
                await self._runs.cancel(run_id, reason)
            case "pause":
                await self._one.pause(run_id, reason)
            case "resume":
                await self._runs.unsuspend(run_id)
            case "retry":
                return (await self._one.retry(run_id, Changes(reason=reason))).run_id
            case "rerun":
                return (await self._one.rerun(run_id)).run_id
            case "fork":
                return (await self._one.fork(run_id, at, Changes(reason=reason))).run_id
        return None

    async def _foresee(self, action: Action, run_id: str, at: int | None) -> None:
        """Refuse what would be refused now; nothing is written."""
        match action:
            case "cancel":
                pass  # one that has ended stays as it is
            case "pause":
                row = await self._runs.live_row(run_id)
                if row.status in FINISHED:
                    msg = f"run {run_id!r} has ended ({row.status}): there is nothing to pause"
                    raise InvalidInputError(msg)
            case "resume":
                check_stands_still(await self._runs.live_row(run_id), run_id)
            case "retry":
                await self._one.new_retry(run_id)
            case "rerun":
                await self._one.new_rerun(run_id)
            case "fork":
                await self._one.new_fork(run_id, at)


def _check(action: str, at: int | None, limit: int) -> None:
    if action not in ACTIONS:
        known = ", ".join(map(repr, ACTIONS))
        raise InvalidInputError(f"there is no action {action!r}; the actions are {known}")
    if at is not None and action != "fork":
        raise InvalidInputError(f"at is where runs are forked: {action!r} has no use for it")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise InvalidInputError(f"limit is a number from 1 to {MOST}, not {limit!r}")
