"""The desk of time: starts workflows at the times of their cron expressions.

One alarm for each workflow that has one, and nothing at all where none has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import Context, copy_context
from datetime import UTC, datetime
from typing import cast

from agnt5.actors.clock import Alarm
from agnt5.cron import CronSpec
from agnt5.events.codec import decode_any, encode_fact
from agnt5.events.log import Append, Chain
from agnt5.events.schedule import decider
from agnt5.events.schedule.facts import ScheduleFact, ScheduleFired
from agnt5.exceptions import AGNT5Error, RuntimeClosedError
from agnt5.new_run import NewRun
from agnt5.registry import WorkflowComponent, WorkflowRegistry
from agnt5.runs import Runs
from agnt5.telemetry.current import leave
from agnt5.triggers import Delivery

logger = logging.getLogger("agnt5.schedules")

_FIRST_DELAY_US = 1_000_000
_DOUBLINGS = 6


class Schedules:
    """Every schedule of a runtime."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: dict[str, Schedule] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = copy_context()

    def open(self) -> None:
        """Take up every workflow that has a cron expression, and those that will be registered."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._context.run(leave)
        WorkflowRegistry.watchers.append(self._registered)
        self._look()

    def close(self) -> None:
        """Start nothing any more. What is owed then is owed to the next runtime."""
        if self._registered in WorkflowRegistry.watchers:
            WorkflowRegistry.watchers.remove(self._registered)
        self._loop = None
        for schedule in self._known.values():
            schedule.close()
        self._known.clear()

    def _registered(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            # Not in the context of whoever registers: that may be the body of a run.
            loop.call_soon_threadsafe(self._look, context=self._context)

    def _look(self) -> None:
        if self._loop is None:
            return
        for name, workflow in WorkflowRegistry.all().items():
            if workflow.triggers.cron is None:
                continue
            schedule = self._known.get(name)
            if schedule is None:
                schedule = self._known[name] = Schedule(name, self._runs, self._context)
            schedule.look()


class Schedule:
    """The times of one workflow. Owns their stream."""

    def __init__(self, name: str, runs: Runs, context: Context) -> None:
        self._name = name
        self._stream = decider.stream_of(name)
        self._runs = runs
        self._context = context
        self._last: ScheduleFact | None = None
        self._version = 0
        self._is_read = False
        self._chain = Chain()
        self._alarm: Alarm | None = None
        self._turn: asyncio.Task[None] | None = None
        self._again = False
        self._failures = 0
        self._open_since = runs.bus.clock.now()

    def look(self) -> None:
        """See what the time says, now or after the turn that is under way."""
        if self._turn is not None and not self._turn.done():
            self._again = True
            return
        self._again = False
        self._disarm()
        self._turn = asyncio.get_running_loop().create_task(
            self._take_turn(), context=self._context.copy()
        )

    def close(self) -> None:
        """Stop where it is."""
        self._disarm()
        if self._turn is not None:
            self._turn.cancel()

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _take_turn(self) -> None:
        try:
            due_at = await self._catch_up()
            self._failures = 0
        except RuntimeClosedError:
            return
        except Exception as error:  # noqa: BLE001 - one schedule must not stop; it tries again
            # Whether the last fact was written, and whether its run was started, the log knows.
            self._is_read, self._chain = False, Chain()
            due_at = self._held_up(error)
        self._turn = None
        if due_at is not None:
            self._alarm = self._runs.bus.clock.call_at(due_at, self.look)
        if self._again:
            self.look()

    def _held_up(self, error: Exception) -> int:
        """When to try again, later each time: neither disk nor code mend at once."""
        delay = _FIRST_DELAY_US << self._failures
        self._failures = min(self._failures + 1, _DOUBLINGS)
        logger.error(
            "the schedule of workflow %r is held up: %s; it tries again in %g s",
            self._name,
            error,
            delay / 1e6,
            exc_info=None if isinstance(error, AGNT5Error) else error,
        )
        return self._runs.bus.clock.now() + delay

    async def _catch_up(self) -> int | None:
        """Decide about every time that has come; when to look again, if ever."""
        if not self._is_read:
            await self._read()
        while (workflow := WorkflowRegistry.get(self._name)) and workflow.triggers.cron:
            cron, now = workflow.triggers.cron, self._runs.bus.clock.now()
            await self._append(decider.arm(self._last, cron.expression, cron.timezone, now))
            last = self._last
            assert last is not None  # noqa: S101 - it was armed just now, if not before
            upto = decider.decided_upto(last)
            latest = await self._latest(cron, upto, now)
            if not latest:
                return cron.next_after(upto)
            chosen = decider.wanted(cron.missed, latest, now, self._open_since)
            for due_at in chosen:
                run_id = self._runs.bus.ids.run_id()
                await self._append(
                    decider.fire(self._last or last, cron.missed, due_at, run_id, cron.next_after)
                )
                await self._start(workflow)
            if not chosen:
                await self._append(decider.skip(last, cron.missed, now, cron.next_after))
        return None

    async def _latest(self, cron: CronSpec, upto: int, now: int) -> Sequence[int]:
        first = cron.next_after(upto)
        if first is None or first > now:
            return ()
        limit = decider.limit_of(cron.missed)
        # After a long downtime that is thousands of times to look at.
        return await asyncio.to_thread(cron.latest, upto, now, limit)

    async def _read(self) -> None:
        stored = await self._runs.look(self._runs.bus.log.last, self._stream)
        self._last = None if stored is None else cast("ScheduleFact", decode_any(stored))
        self._version = 0 if stored is None else stored.version
        self._is_read = True
        workflow = WorkflowRegistry.get(self._name)
        if workflow is not None and isinstance(self._last, ScheduleFired):
            # The process may have died before it was started.
            await self._start(workflow)

    async def _start(self, workflow: WorkflowComponent) -> None:
        """Start the run of the last fact, unless it was started."""
        fired = self._last
        assert isinstance(fired, ScheduleFired)  # noqa: S101 - both callers have just seen it
        run_id = fired.run_id
        if await self._runs.look(self._runs.bus.log.run_row, run_id) is not None:
            return
        due = datetime.fromtimestamp(fired.due_at // 10**6, UTC).isoformat()
        payload = {"scheduled_at": due}
        envelope: dict[str, object] = {
            "event_type": "cron",
            "timestamp": due,
            "expression": fired.expression,
            "timezone": fired.timezone,
            "payload": payload,
        }
        new = NewRun(
            self._name,
            workflow.bind(Delivery(payload, envelope)),
            "workflow",
            run_id,
            origin={"type": "cron", "name": fired.expression, "due_at": fired.due_at},
        )
        await self._runs.submit(new)

    async def _append(self, facts: Sequence[ScheduleFact]) -> None:
        """Record; durable when this returns."""
        if not facts:
            return
        bus = self._runs.bus
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(append: Append) -> None:
            if settled.done():
                return
            if append.error is None:
                settled.set_result(None)
            else:
                settled.set_exception(append.error)

        now = bus.clock.now()
        raw = [encode_fact(fact, now, bus.ids.event_id()) for fact in facts]
        request = Append(self._stream, self._version, raw, (), self._chain, settle)
        bus.journal.append(request)
        await settled
        self._version += len(facts)
        self._last = facts[-1]
