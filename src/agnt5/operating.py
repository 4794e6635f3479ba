"""The desk for those who operate runs: pause and resume them. Lives on the runtime's loop."""

from __future__ import annotations

from agnt5.events.index import FINISHED
from agnt5.events.run import commands as c
from agnt5.exceptions import InvalidInputError
from agnt5.names import check_word
from agnt5.responses import StatusResponse
from agnt5.runs import Runs

_PAGE = 200


class Operating:
    """Has runs stand still, and go on."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def pause(
        self, run_id: str, reason: str | None = None, *, children: bool = False
    ) -> StatusResponse:
        """Have a run stand still; that is durable when this returns."""
        check_word(reason, "the reason of a pause")
        await self._runs.command(run_id, c.PauseRun(reason))
        if children:
            for child in await self._children(run_id):
                await self._pause_child(child, reason)
        return await self._runs.get_status(run_id)

    async def _pause_child(self, run_id: str, reason: str | None) -> None:
        try:
            await self.pause(run_id, reason, children=True)
        except InvalidInputError:
            if (await self._runs.row(run_id)).status not in FINISHED:
                raise

    async def _children(self, run_id: str) -> list[str]:
        """The child runs that have not ended."""
        found: list[str] = []
        before: str | None = None
        while True:
            rows = await self._runs.look(
                self._runs.bus.log.list_runs, parent_run_id=run_id, limit=_PAGE, before=before
            )
            found += [row.run_id for row in rows if row.finished_at is None]
            if len(rows) < _PAGE:
                return found
            before = rows[-1].run_id
