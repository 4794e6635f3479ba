"""Asking of the whole log: its events, and how many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Unpack

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.event_queries import Asked, EventFilters
from agnt5.responses import Event

if TYPE_CHECKING:
    from agnt5.event_frames import Frames


class Querying(BlockingClient):
    """Ask of the log."""

    def events(
        self,
        *,
        after: int | Event | None = None,
        backward: bool = False,
        follow: bool = False,
        **filters: Unpack[EventFilters],
    ) -> Iterator[Event]:
        """The events of all runs, or of those asked for, in the order of the log, read lazily.

        They are those of :meth:`Client.get_events`; ``metadata["position"]`` is their place in
        the log. Runs that are kept in memory only, beside a durable store, are not among them.

        Args:
            after: Go on behind this event, or behind all events of this position; backward, before
                it. From the beginning if None; backward, from the end.
            backward: The last event first.
            follow: Wait for those that come, as soon as they are durable, without end.
            filters: Which events, see :class:`agnt5.EventFilters`; all if none is given.

        Returns:
            An iterator. Without ``follow`` it ends with the last event that there was when it was
            asked for. Leave it early with its ``close()``.

        Raises:
            InvalidInputError: When a filter is unknown or wrong.
            StoreError: When the log cannot be read.
            RuntimeClosedError: While it is read: when the runtime closes.
        """
        asked = Asked(filters, after, backward, follow)
        return self._listen(lambda rt: rt.queries.open(asked))

    def count_events(self, **filters: Unpack[EventFilters]) -> int:
        """How many facts there are of those asked for; the store counts, nothing is read.

        A fact is counted once, also where it is several events; so ``event_types`` is refused, and
        ``topics`` takes its place.

        Args:
            filters: As for :meth:`events`.

        Raises:
            InvalidInputError: When a filter is unknown or wrong.
            StoreError: When the log cannot be read.
        """
        return self._ask(lambda rt: rt.queries.count(filters, None)).get(None, 0)

    def count_events_by(self, group: str, **filters: Unpack[EventFilters]) -> dict[str | None, int]:
        """How many facts there are, by what they have in common. See :meth:`count_events`.

        Args:
            group: ``"topic"``, ``"run_id"``, ``"component"``, ``"kind"``, ``"status"``,
                ``"user_id"``, ``"session_id"``, ``"version_label"`` or ``"day"``, in UTC.
            filters: As for :meth:`events`.

        Returns:
            The groups that have any; None is the group of runs without a user, and so on.

        Raises:
            InvalidInputError: When the group or a filter is unknown or wrong.
            StoreError: When the log cannot be read.
        """
        return self._ask(lambda rt: rt.queries.count(filters, group))

    def event_batches(self, **filters: Unpack[EventFilters]) -> Iterator[Any]:
        """The events of :meth:`events` as columns, in batches, read lazily.

        Needs the extra ``parquet``.

        Args:
            filters: As for :meth:`events`.

        Returns:
            An iterator of ``pyarrow.RecordBatch``; all have the same schema.

        Raises:
            ConfigurationError: When pyarrow is not installed.
            InvalidInputError: When a filter is unknown or wrong.
            StoreError: When the log cannot be read.
        """
        return _frames().batches(self.events(**filters))

    def events_frame(self, **filters: Unpack[EventFilters]) -> Any:
        """The events of :meth:`events` as a ``pandas.DataFrame``, all of them in memory.

        Needs the extra ``dataframe``. Columns: ``position``, ``run_id``, ``version``,
        ``event_type``, ``step_key``, ``input``, ``output`` and ``metadata`` as JSON text,
        ``event_id``, ``recorded_at`` in UTC.

        Args:
            filters: As for :meth:`events`.

        Raises:
            ConfigurationError: When pandas or pyarrow is not installed.
            InvalidInputError: When a filter is unknown or wrong.
            StoreError: When the log cannot be read.
        """
        frames = _frames(pandas=True)
        return frames.frame(list(frames.batches(self.events(**filters))))


def _frames(*, pandas: bool = False) -> Frames:
    from agnt5.event_frames import Frames  # noqa: PLC0415 - seldom asked for

    return Frames(pandas=pandas)


class AsyncQuerying(AwaitingClient):
    """Ask of the log, awaited."""

    def events(
        self,
        *,
        after: int | Event | None = None,
        backward: bool = False,
        follow: bool = False,
        **filters: Unpack[EventFilters],
    ) -> AsyncIterator[Event]:
        """Events in the order of the log, read from the first ``async for`` on.

        See :meth:`Client.events`.
        """
        asked = Asked(filters, after, backward, follow)
        return self._listen(lambda rt: rt.queries.open(asked))

    async def count_events(self, **filters: Unpack[EventFilters]) -> int:
        """How many facts. See :meth:`Client.count_events`."""
        return (await self._ask(lambda rt: rt.queries.count(filters, None))).get(None, 0)

    async def count_events_by(
        self, group: str, **filters: Unpack[EventFilters]
    ) -> dict[str | None, int]:
        """How many facts, by what they have in common. See :meth:`Client.count_events_by`."""
        return await self._ask(lambda rt: rt.queries.count(filters, group))

    def event_batches(self, **filters: Unpack[EventFilters]) -> AsyncIterator[Any]:
        """Batches of events as columns. See :meth:`Client.event_batches`."""
        return _frames().batches_of(self.events(**filters))

    async def events_frame(self, **filters: Unpack[EventFilters]) -> Any:
        """Events as a ``pandas.DataFrame``. See :meth:`Client.events_frame`."""
        frames = _frames(pandas=True)
        return frames.frame([each async for each in frames.batches_of(self.events(**filters))])
