"""What a client may ask about the history of a run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from agnt5.client_base import AwaitingClient, BlockingClient

if TYPE_CHECKING:
    from agnt5.diffs import RunDiff
    from agnt5.explanations import Explanation
    from agnt5.snapshots import RunSnapshot
    from agnt5.time_travel import Moment


class Travel(BlockingClient):
    """Look at a run at any event of its history."""

    def state_at(
        self, run_id: str, version: int | None = None, *, at: datetime | None = None
    ) -> RunSnapshot:
        """A run as it stood after one of its events; as it stands now if none is said.

        Args:
            run_id: The run. It may be under way, suspended, or have ended.
            version: The number of the event, counted from 1, as in the ``version`` of the metadata
                that :meth:`Client.get_events` gives.
            at: A time with its time zone: the last event that was recorded at or before it.

        Raises:
            InvalidInputError: When the run has no such event, both are given, or the time has no
                time zone.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.travel.state_at(run_id, version, at))

    def diff(self, run_id: str, a: Moment, b: Moment | None = None) -> RunDiff:
        """What has changed in a run between two of its events.

        Args:
            run_id: The run.
            a: The number of an event, or a time, as for :meth:`state_at`.
            b: The same; the last event by default. It may lie before ``a``.

        Raises:
            InvalidInputError: As for :meth:`state_at`.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.travel.diff(run_id, a, b))

    def explain(self, run_id: str) -> Explanation:
        """Why a run is where it is: what it waits for, since when, and what would wake it.

        Args:
            run_id: The run.

        Raises:
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.travel.explain(run_id))


class AsyncTravel(AwaitingClient):
    """Look at a run at any event of its history, awaited."""

    async def state_at(
        self, run_id: str, version: int | None = None, *, at: datetime | None = None
    ) -> RunSnapshot:
        """A run as it stood after one of its events. See :meth:`Client.state_at`."""
        return await self._ask(lambda rt: rt.travel.state_at(run_id, version, at))

    async def diff(self, run_id: str, a: Moment, b: Moment | None = None) -> RunDiff:
        """What has changed between two events. See :meth:`Client.diff`."""
        return await self._ask(lambda rt: rt.travel.diff(run_id, a, b))

    async def explain(self, run_id: str) -> Explanation:
        """Why a run is where it is. See :meth:`Client.explain`."""
        return await self._ask(lambda rt: rt.travel.explain(run_id))
