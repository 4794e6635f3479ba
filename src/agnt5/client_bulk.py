"""How a client operates many runs at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from agnt5.bulk import LIMIT, Action, BulkReport
from agnt5.client_base import AwaitingClient, BlockingClient

if TYPE_CHECKING:
    from agnt5.run_lists import RunFilters


class ClientBulk(BlockingClient):
    """Operate many runs."""

    def bulk(
        self,
        action: Action,
        *,
        at: int | None = None,
        reason: str | None = None,
        limit: int = LIMIT,
        before: str | None = None,
        dry_run: bool = True,
        **filters: Unpack[RunFilters],
    ) -> BulkReport:
        """Do one thing to every run that the filters leave, the newest first.

        Nothing happens unless ``dry_run`` is False: the report says to which runs it would be
        done, and which would refuse now. Each run is done by itself; one that is refused is in the
        report, and stops none of the others.

        Args:
            action: ``"cancel"``, ``"pause"``, ``"resume"``, ``"retry"``, ``"rerun"`` or ``"fork"``.
            at: Of a fork: the event up to which each run is kept; all of it if not given.
            reason: Why, for the log of each run; :meth:`resume` and :meth:`rerun` have none.
            limit: How many runs at most, from 1 to 100000.
            before: The ``next`` of the report before, to go on after a limit.
            dry_run: Only say what would be done.
            filters: Which runs, as for :meth:`list_runs`: ``status``, ``component``, ``kind``,
                ``parent_run_id``, ``session_id``, ``user_id``, ``since``, ``until``.

        Raises:
            InvalidInputError: When an argument cannot be meant; nothing was done.
            StoreError: When the store cannot be written. It may have been done to some: ask again,
                a run is not cancelled, paused or resumed twice.

        >>> from agnt5 import Client, function
        >>> @function
        ... async def greet(name: str) -> str:
        ...     return f"Hello, {name}"
        >>> with Client(store="memory://") as client:
        ...     first = client.run("greet", {"name": "Ada"}, user_id="u1")
        ...     print(client.bulk("rerun", user_id="u1"))
        rerun would be done to 1 run
        """
        from agnt5.run_lists import RunFilter  # noqa: PLC0415 - a start need not pay for it

        wanted = RunFilter(**filters)
        return self._ask(
            lambda rt: rt.bulk.bulk(
                action, wanted, at=at, reason=reason, limit=limit, before=before, dry_run=dry_run
            )
        )


class AsyncClientBulk(AwaitingClient):
    """Operate many runs, awaited."""

    async def bulk(
        self,
        action: Action,
        *,
        at: int | None = None,
        reason: str | None = None,
        limit: int = LIMIT,
        before: str | None = None,
        dry_run: bool = True,
        **filters: Unpack[RunFilters],
    ) -> BulkReport:
        """Do one thing to every run that the filters leave. See :meth:`Client.bulk`."""
        from agnt5.run_lists import RunFilter  # noqa: PLC0415 - a start need not pay for it

        wanted = RunFilter(**filters)
        return await self._ask(
            lambda rt: rt.bulk.bulk(
                action, wanted, at=at, reason=reason, limit=limit, before=before, dry_run=dry_run
            )
        )
