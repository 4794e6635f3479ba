"""The desk for those who look after a store while it is in use. Lives on the runtime's loop."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from agnt5.diagnosis import Diagnosis, examine
from agnt5.events.index import FINISHED
from agnt5.events.log import EventLog
from agnt5.exceptions import InvalidInputError
from agnt5.limits import Limits
from agnt5.names import check_word
from agnt5.pruning import Pruned
from agnt5.retention import Payloads, Place
from agnt5.runs import Runs
from agnt5.store_checks import all_checks
from agnt5.sweeps import prune
from agnt5.verification import Verification, verify_view


class CareDesk:
    """Looks at the whole store of a runtime, on threads."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def verify(
        self, run_ids: Sequence[str] | None, *, needs_keys: bool = True
    ) -> Verification:
        """Whether it holds together."""
        return await self._runs.look(
            partial(verify_log, self._runs.bus.log, run_ids, needs_keys=needs_keys)
        )

    async def doctor(self, stuck_after: timedelta, limits: Limits) -> Diagnosis:
        """How it is."""
        if not isinstance(stuck_after, timedelta) or stuck_after < timedelta():
            msg = f"stuck_after is a time such as timedelta(minutes=10), not {stuck_after!r}"
            raise InvalidInputError(msg)
        bus = self._runs.bus
        after_us = stuck_after // timedelta(microseconds=1)
        return await self._runs.look(examine, bus.log, limits, bus.clock.now(), after_us)

    async def prune(
        self,
        older_than: timedelta,
        archive: Place | None,
        component: str | None,
        status: str | None,
        *,
        payloads: Payloads | None,
        dry_run: bool,
    ) -> Pruned:
        """Delete runs that ended long enough ago."""
        if not isinstance(older_than, timedelta) or older_than < timedelta():
            msg = f"older_than is a time such as timedelta(days=30), not {older_than!r}"
            raise InvalidInputError(msg)
        if archive is not None and not isinstance(archive, str | os.PathLike):
            raise InvalidInputError(f"archive is a folder, or None, not {archive!r}")
        if status not in {None, *FINISHED}:
            raise InvalidInputError(f"status is one of {', '.join(FINISHED)}, not {status!r}")
        if payloads not in {None, "plain"}:
            raise InvalidInputError(f"payloads is 'plain' or None, not {payloads!r}")
        check_word(component, "component")
        return await prune(
            self._runs,
            older_than,
            archive,
            component=component,
            status=status,
            payloads=payloads,
            dry_run=dry_run,
        )


def verify_log(
    log: EventLog, run_ids: Sequence[str] | None, *, needs_keys: bool = True
) -> Verification:
    """Look at a log as of one moment."""
    with log.view() as view:
        return verify_view(view, all_checks(), run_ids, needs_keys=needs_keys)
