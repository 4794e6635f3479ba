"""The desk for those who look back: a run at any event, differences, why it is where it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agnt5.answers import when
from agnt5.diffs import RunDiff
from agnt5.events.codec import decode_history
from agnt5.events.leases import Ownership, owned
from agnt5.events.log import EventLog, StoredFact
from agnt5.events.run.annals import Annals, annals_of
from agnt5.exceptions import InvalidInputError
from agnt5.explanations import Explanation, explain
from agnt5.reasons import Circumstances
from agnt5.runs import Runs
from agnt5.snapshots import RunSnapshot, snapshot_of

Moment = int | datetime
"""An event by its number, counted from 1; or the last one that was recorded at or before a time."""


class TimeTravel:
    """Reads the history of a run and folds it. Lives on the runtime's loop, works on threads."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def state_at(
        self, run_id: str, version: int | None = None, at: datetime | None = None
    ) -> RunSnapshot:
        """The run as it stood."""
        if version is not None and at is not None:
            raise InvalidInputError("give a version or a time, not both")
        moment = version if at is None else at
        _check_moment(moment)
        stored = await self._read(run_id)
        return await self._runs.look(_snapshot, run_id, stored, moment)

    async def diff(self, run_id: str, a: Moment, b: Moment | None = None) -> RunDiff:
        """What has changed."""
        if a is None:
            raise InvalidInputError("say from which event on: a version, or a time")
        _check_moment(a)
        _check_moment(b)
        stored = await self._read(run_id)

        def compare() -> RunDiff:
            first = _snapshot(run_id, stored, a)
            return RunDiff.between(first, _snapshot(run_id, stored, b))

        return await self._runs.look(compare)

    async def explain(self, run_id: str) -> Explanation:
        """Why it is where it is."""
        stored = await self._read(run_id)
        annals = await self._runs.look(_annals, run_id, stored)
        state = annals.state
        awaited = [child.child_run_id for key, child in state.children.items() if key in state.open]
        known = await self._runs.look(self._statuses, awaited)
        bus = self._runs.bus
        owner = None if bus.executes else await self._runs.look(_other_owner, bus.log)
        place, turns = bus.place_of(run_id), bus.turns_of(run_id)
        around = Circumstances(bus.clock.now(), place, known, turns, bus.executes, owner)
        return explain(annals, around)

    async def _read(self, run_id: str) -> list[StoredFact]:
        await self._runs.row(run_id)
        return await self._runs.look(self._runs.bus.log.read, run_id)

    def _statuses(self, run_ids: Sequence[str]) -> dict[str, str]:
        rows = map(self._runs.bus.log.run_row, run_ids)
        return {row.run_id: row.status for row in rows if row is not None}


def _other_owner(log: EventLog) -> Ownership | None:
    """Who else has the store open, for who executes nothing."""
    store = owned(log)
    if store is None:
        return None
    if store.tenure.lease is None:
        return store.ownership()
    # It is ours, so that nobody else has it.
    return Ownership(owner=None, epoch=store.tenure.lease.epoch, is_open=False)


def _check_moment(moment: Moment | None) -> None:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            msg = (
                f"the time {moment!r} has no time zone, so it may mean several moments: use"
                " datetime(..., tzinfo=UTC), or .astimezone() for local time"
            )
            raise InvalidInputError(msg)
    elif moment is not None and (isinstance(moment, bool) or not isinstance(moment, int)):
        msg = f"a moment of a run is the number of an event, or a datetime, not {moment!r}"
        raise InvalidInputError(msg)


def _annals(run_id: str, stored: Sequence[StoredFact]) -> Annals:
    return annals_of(run_id, decode_history(stored))


def _snapshot(run_id: str, stored: Sequence[StoredFact], moment: Moment | None) -> RunSnapshot:
    version = _version_of(run_id, stored, moment)
    return snapshot_of(_annals(run_id, stored[:version]), len(stored))


def _version_of(run_id: str, stored: Sequence[StoredFact], moment: Moment | None) -> int:
    if moment is None:
        return len(stored)
    if isinstance(moment, datetime):
        at = moment.timestamp() * 1e6
        found = [fact.version for fact in stored if fact.at <= at]
        if not found:
            msg = (
                f"at {moment.isoformat()} there was no run {run_id!r} yet: it was accepted at"
                f" {when(stored[0].at).isoformat()}"
            )
            raise InvalidInputError(msg)
        return found[-1]
    if not 1 <= moment <= len(stored):
        msg = f"run {run_id!r} has {len(stored)} events, counted from 1: there is none at {moment}"
        raise InvalidInputError(msg)
    return moment
