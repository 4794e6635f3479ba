"""``Client`` and ``AsyncClient``: start runs, look at them, wait for them, answer them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from agnt5.client_bulk import AsyncClientBulk, ClientBulk
from agnt5.client_care import AsyncCaring, Caring
from agnt5.client_entities import AsyncClientEntities, ClientEntities
from agnt5.client_histories import Archiving, AsyncArchiving
from agnt5.client_operating import AsyncClientOperating, ClientOperating
from agnt5.client_outside import AsyncOutside, Outside
from agnt5.client_privacy import AsyncGuarding, Guarding
from agnt5.client_queries import AsyncQuerying, Querying
from agnt5.client_streams import AsyncStreaming, Streaming
from agnt5.client_travel import AsyncTravel, Travel
from agnt5.client_triggers import AsyncTriggering, Triggering
from agnt5.new_run import NewRun
from agnt5.responses import EventsResponse, RunResponse, StatusResponse, SubmitResponse
from agnt5.run_lists import RunFilter

_WAIT_S = 300.0


class Client(
    Outside,
    ClientEntities,
    Triggering,
    Streaming,
    Archiving,
    Querying,
    Travel,
    Caring,
    Guarding,
    ClientOperating,
    ClientBulk,
):
    """For ordinary code: scripts, threads, synchronous web handlers.

    Args:
        gateway_url: Reserved; this version runs embedded.
        timeout: Seconds that :meth:`run` waits by default; without limit if None.
        api_key: For a gateway; an embedded client has no use for it.
        tenant_id: The same.
        deployment_id: The same.
        store: The store, as for :class:`agnt5.Runtime`.
        runtime: The runtime to use, instead of the one of this process.

    Raises:
        ConfigurationError: When a gateway is asked for.

    >>> from agnt5 import function
    >>> @function
    ... async def add(a: int, b: int) -> int:
    ...     return a + b
    >>> with Client(store="memory://") as client:
    ...     client.run("add", {"a": 2, "b": 3}).output
    5
    """

    def __enter__(self) -> Self:
        """For ``with``; the runtime of the process stays open for other clients."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Nothing to do: the runtime belongs to the process and closes at its exit."""

    def run(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        run_id: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        deduplication_id: str | None = None,
        version: str | None = None,
    ) -> RunResponse:
        """Start a run and wait until it ends, waits for a person, or is suspended.

        A failed run does not raise; see :class:`agnt5.responses.RunResponse`.

        Args:
            component: The name of a function or workflow.
            input_data: Its arguments by name.
            component_type: ``"function"`` or ``"workflow"``.
            session_id: The session it belongs to.
            user_id: The user it belongs to.
            metadata: Whatever the caller wants to attach.
            timeout: Seconds to wait; the run goes on when they are over.
            idempotency_key: The same key of the same component is the same run.
            run_id: An id of your own, unique in the store.
            queue: The queue in which it lines up; the workflow's own by default.
            priority: The greater one of a queue begins first.
            deduplication_id: While a run of the same queue with this id is unfinished, it is
                answered instead of starting another one.
            version: Which version of the workflow; its default one if not given.

        Raises:
            InvalidInputError: When the input does not fit; nothing was written.
            UnknownComponentError: When there is no such component.
            StoreError: When it cannot be recorded.
        """
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
            queue,
            priority,
            deduplication_id,
            version,
        )
        limit = self.timeout if timeout is None else timeout
        return self._ask(lambda rt: rt.runs.run(new, limit))

    def submit(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        run_id: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        deduplication_id: str | None = None,
        version: str | None = None,
    ) -> SubmitResponse:
        """Start a run and return as soon as it is accepted durably. See :meth:`run`."""
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
            queue,
            priority,
            deduplication_id,
            version,
        )
        return self._ask(lambda rt: rt.runs.submit(new))

    def get_status(self, run_id: str) -> StatusResponse:
        """Where a run is. Raises RunNotFoundError when there is none."""
        return self._ask(lambda rt: rt.runs.get_status(run_id))

    def get_result(self, run_id: str) -> RunResponse:
        """How ``run_id`` stands: code NOT_READY while it runs, NOT_FOUND if it is unknown."""
        return self._ask(lambda rt: rt.runs.get_result(run_id))

    def wait_for_result(
        self, run_id: str, timeout: float | None = _WAIT_S, poll_interval: float = 1.0
    ) -> RunResponse:
        """Wait until a run has ended; one that is suspended is answered at once.

        Args:
            run_id: The run.
            timeout: Seconds, 300 by default, None for no limit; the response's status is
                ``timeout`` when they are over.
            poll_interval: Accepted for compatibility; an embedded client is told, it does not poll.

        Raises:
            RunNotFoundError: When there is no such run.
            InvalidInputError: When the timeout is no number.
        """
        del poll_interval
        return self._ask(lambda rt: rt.runs.result(run_id, timeout))

    def get_events(self, run_id: str) -> EventsResponse:
        """Everything recorded of a run. Raises RunNotFoundError when there is none."""
        return self._ask(lambda rt: rt.runs.get_events(run_id))

    def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        kind: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[StatusResponse]:
        """Runs, the newest first.

        Args:
            status: Only those with this status.
            component: Only those of this function or workflow.
            parent_run_id: Only the child runs of this run.
            kind: Only those of this kind, ``"function"`` or ``"workflow"``.
            session_id: Only those of this session.
            user_id: Only those of this user.
            since: Only those accepted at this time or later; with a time zone.
            until: Only those accepted before this time; with a time zone.
            limit: How many at most.
            before: The id of the last one seen, to go on from.

        Raises:
            InvalidInputError: When an argument is of the wrong type.
        """
        wanted = RunFilter(
            status, component, parent_run_id, kind, session_id, user_id, since, until
        )
        return self._ask(lambda rt: rt.runs.list_runs(wanted, limit, before))

    def cancel(self, run_id: str, reason: str | None = None) -> StatusResponse:
        """Ask a run to stop; its cleanup may still run. Asking twice is the same as once.

        Args:
            run_id: The run. One that has ended stays as it is.
            reason: Why, for the log and the run's error.

        Raises:
            RunNotFoundError: When there is no such run.
            InvalidInputError: When the reason is no text.
        """
        return self._ask(lambda rt: rt.runs.cancel(run_id, reason))


class AsyncClient(
    AsyncOutside,
    AsyncClientEntities,
    AsyncTriggering,
    AsyncStreaming,
    AsyncArchiving,
    AsyncQuerying,
    AsyncTravel,
    AsyncCaring,
    AsyncGuarding,
    AsyncClientOperating,
    AsyncClientBulk,
):
    """For async code. The same as :class:`Client`, with every method awaited.

    It works in the event loop of an ``async with Runtime()`` and in any other.
    """

    async def __aenter__(self) -> Self:
        """For ``async with``."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Nothing to do: the runtime belongs to the process."""

    async def run(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        run_id: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        deduplication_id: str | None = None,
        version: str | None = None,
    ) -> RunResponse:
        """Start a run and wait for it. See :meth:`Client.run`."""
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
            queue,
            priority,
            deduplication_id,
            version,
        )
        limit = self.timeout if timeout is None else timeout
        return await self._ask(lambda rt: rt.runs.run(new, limit))

    async def submit(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        run_id: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        deduplication_id: str | None = None,
        version: str | None = None,
    ) -> SubmitResponse:
        """Start a run; return when it is accepted. See :meth:`Client.submit`."""
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
            queue,
            priority,
            deduplication_id,
            version,
        )
        return await self._ask(lambda rt: rt.runs.submit(new))

    async def get_status(self, run_id: str) -> StatusResponse:
        """Where a run is. See :meth:`Client.get_status`."""
        return await self._ask(lambda rt: rt.runs.get_status(run_id))

    async def get_result(self, run_id: str) -> RunResponse:
        """A run's outcome as it stands. See :meth:`Client.get_result`."""
        return await self._ask(lambda rt: rt.runs.get_result(run_id))

    async def wait_for_result(
        self, run_id: str, timeout: float | None = _WAIT_S, poll_interval: float = 1.0
    ) -> RunResponse:
        """Wait until a run has ended. See :meth:`Client.wait_for_result`."""
        del poll_interval
        return await self._ask(lambda rt: rt.runs.result(run_id, timeout))

    async def get_events(self, run_id: str) -> EventsResponse:
        """Everything recorded of a run. See :meth:`Client.get_events`."""
        return await self._ask(lambda rt: rt.runs.get_events(run_id))

    async def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        kind: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[StatusResponse]:
        """Runs, the newest first. See :meth:`Client.list_runs`."""
        wanted = RunFilter(
            status, component, parent_run_id, kind, session_id, user_id, since, until
        )
        return await self._ask(lambda rt: rt.runs.list_runs(wanted, limit, before))

    async def cancel(self, run_id: str, reason: str | None = None) -> StatusResponse:
        """Ask a run to stop. See :meth:`Client.cancel`."""
        return await self._ask(lambda rt: rt.runs.cancel(run_id, reason))
