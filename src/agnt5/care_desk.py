"""The desk for those who look after a store while it is in use. Lives on the runtime's loop."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.log import EventLog
from agnt5.runs import Runs
from agnt5.store_checks import all_checks
from agnt5.verification import Verification, verify_view


class CareDesk:
    """Looks at the whole store of a runtime, on threads."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def verify(self, run_ids: Sequence[str] | None) -> Verification:
        """Whether it holds together."""
        return await self._runs.look(verify_log, self._runs.bus.log, run_ids)


def verify_log(log: EventLog, run_ids: Sequence[str] | None) -> Verification:
    """Look at a log as of one moment."""
    with log.view() as view:
        return verify_view(view, all_checks(), run_ids)
