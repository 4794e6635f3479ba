"""The desk of retention: now and then it deletes runs that have been kept long enough.

One alarm where a runtime has retentions, and nothing at all where it has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import copy_context
from datetime import timedelta

from agnt5.actors.clock import Alarm
from agnt5.archive import is_encrypted
from agnt5.exceptions import AGNT5Error, InvalidInputError, RuntimeClosedError
from agnt5.pruning import Pruned, Pruner
from agnt5.retention import EVERY_OTHER, IN_CLEAR, Payloads, Place, Planner, Retention, Wanted
from agnt5.runs import Runs

logger = logging.getLogger("agnt5.retention")

_FIRST_US = 60_000_000
_LEAST_US, _MOST_US = 60_000_000, 3_600_000_000
_SHARE = 20
"""A run goes at the latest this share of its time too late, within the limits above."""


class Sweeps:
    """Sweeps a runtime's store, for as long as it is open."""

    def __init__(self, runs: Runs, retention: Mapping[str, Retention]) -> None:
        self._runs = runs
        self._retention = retention
        self._alarm: Alarm | None = None
        self._task: asyncio.Task[None] | None = None
        self._context = copy_context()

    @property
    def every_us(self) -> int:
        """How long it waits between two sweeps, microseconds."""
        shortest = min(each.keep for each in self._retention.values())
        return min(_MOST_US, max(_LEAST_US, shortest // timedelta(microseconds=1) // _SHARE))

    def open(self) -> None:
        """Begin; the first sweep comes after a minute."""
        if self._retention:
            self._context = copy_context()
            self._expect(_FIRST_US)

    def close(self) -> None:
        """Sweep no more. A batch that is under way is written or not, as a whole."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._task is not None:
            self._task.cancel()

    def _expect(self, in_us: int) -> None:
        clock = self._runs.bus.clock
        self._alarm = clock.call_at(clock.now() + in_us, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(
            self._sweep(), context=self._context.copy()
        )

    async def _sweep(self) -> None:
        try:
            for name, each in self._retention.items():
                await self._sweep_one(name, each)
            self._expect(self.every_us)
        except RuntimeClosedError:
            return

    async def _sweep_one(self, name: str, retention: Retention) -> None:
        others = frozenset(self._retention) - {EVERY_OTHER}
        is_rest = name == EVERY_OTHER
        try:
            done = await prune(
                self._runs,
                retention.keep,
                retention.archive,
                component=None if is_rest else name,
                others_than=others if is_rest else None,
                payloads=retention.payloads,
            )
        except RuntimeClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - the next sweep tries again
            _complain(name, error)
        else:
            if done.runs:
                logger.info("retention of %r: %s", name, done)


def _complain(name: str, error: Exception) -> None:
    logger.error(
        "runs of %r were not deleted after their retention, which is tried again: %s",
        name,
        error,
        exc_info=None if isinstance(error, AGNT5Error | OSError) else error,
    )


async def prune(
    runs: Runs,
    older_than: timedelta,
    archive: Place | None,
    *,
    component: str | None = None,
    status: str | None = None,
    others_than: frozenset[str] | None = None,
    payloads: Payloads | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Delete runs that ended long enough ago, batch by batch, on threads."""
    bus = runs.bus
    if archive is not None and payloads is None and is_encrypted(bus.log):
        raise InvalidInputError(f"{IN_CLEAR}. Nothing was deleted.")
    before = bus.clock.now() - older_than // timedelta(microseconds=1)
    planner = Planner(
        bus.log,
        Wanted(before, component, status, others_than or frozenset()),
        is_in_memory=bus.runs.__contains__,
        archives=archive is not None,
        remembers=dry_run,
    )
    pruner = Pruner(bus.log, planner, archive, component or "runs", dry_run=dry_run)
    while await runs.look(pruner.step):
        pass
    return pruner.result
