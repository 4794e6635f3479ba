"""How a client operates runs: pauses them, and more to come from their history."""

from __future__ import annotations

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.responses import StatusResponse


class ClientOperating(BlockingClient):
    """Operate runs."""

    def pause(
        self, run_id: str, reason: str | None = None, *, children: bool = False
    ) -> StatusResponse:
        """Have a run stand still until :meth:`resume` lets it go on; durable when this returns.

        Its body asks for nothing new and is told nothing new. Attempts that are under way end and
        are recorded; signals and answers that arrive are recorded, and handed over when it goes
        on. Times go on: what has become due by then is due at once. The time that a run may take
        (``timeout`` of the workflow) stands still. A restart changes nothing. Pausing twice is the
        same as once, and :meth:`cancel` ends a paused run, which cleans up first.

        Args:
            run_id: The run; it may not have begun, or be suspended.
            reason: Why, for the log and for :meth:`explain`.
            children: Pause the runs that it has started, too, and theirs. They are not resumed
                with it.

        Raises:
            InvalidInputError: When the run has ended, or the reason is no text.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.operating.pause(run_id, reason, children=children))


class AsyncClientOperating(AwaitingClient):
    """Operate runs, awaited."""

    async def pause(
        self, run_id: str, reason: str | None = None, *, children: bool = False
    ) -> StatusResponse:
        """Have a run stand still. See :meth:`Client.pause`."""
        return await self._ask(lambda rt: rt.operating.pause(run_id, reason, children=children))
