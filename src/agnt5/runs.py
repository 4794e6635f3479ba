"""The desk: what clients may ask of the runs of a runtime. Lives on the runtime's loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from pydantic import JsonValue

from agnt5.actors.bus import Bus
from agnt5.actors.run import CLOSED
from agnt5.actors.settings import Watcher
from agnt5.answers import answer_of, events_response, response_of, status_response, unready, when
from agnt5.events.index import PAUSED, KeyBinding, RunRow, last_of_chain
from agnt5.events.projections import duplicate_scope, key_scope
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState
from agnt5.events.run.succession import RunContinuedError
from agnt5.events.traces import trace_id_of
from agnt5.events.vault import SHREDDED_DIGEST
from agnt5.exceptions import (
    AGNT5Error,
    InvalidInputError,
    RunNotFoundError,
    RuntimeClosedError,
    StoreError,
    VersionConflictError,
)
from agnt5.flow import Queue
from agnt5.names import check_name, check_patience, check_word
from agnt5.new_run import NewRun, check_new_run, origin_of, queue_of, taken
from agnt5.payloads import digest
from agnt5.registry import Component, RegisteredComponents
from agnt5.responses import (
    EventsResponse,
    RunErrorDetail,
    RunResponse,
    RunStatus,
    StatusResponse,
    SubmitResponse,
)
from agnt5.run_lists import RunFilter, check_stands_still, first_rows
from agnt5.telemetry.current import calling
from agnt5.waiters import Waiters

logger = logging.getLogger("agnt5.client")

P = ParamSpec("P")
T = TypeVar("T")


class Runs:
    """Accepts, looks up, waits, cancels. Also the one whom the bus tells of the fate of runs."""

    def __init__(self, queues: Sequence[Queue] = (), *, strict_idempotency: bool) -> None:
        self.components = RegisteredComponents()
        self.watchers: list[Watcher] = []
        """Other desks that are told of the fate of runs."""
        self._bus: Bus | None = None
        self._strict = strict_idempotency
        self._queues = [queue.name for queue in queues]
        self._waiters = Waiters()
        self._keys: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def open(self, bus: Bus) -> None:
        """Begin to serve."""
        self._bus = bus

    def close(self, reason: AGNT5Error) -> None:
        """Serve nobody any more; whoever waits is told."""
        self._bus = None
        self._waiters.close(reason)

    @property
    def bus(self) -> Bus:
        """The bus.

        Raises:
            RuntimeClosedError: When the runtime is not open.
        """
        if self._bus is None or self._bus.closing:
            msg = "the runtime is not open: enter it with 'async with', or it was closed already"
            raise RuntimeClosedError(msg)
        return self._bus

    # Told by the bus.

    def ended(self, state: RunState, terminal: f.Terminal) -> None:
        """A run has ended."""
        self._waiters.ended(state)
        for watcher in self.watchers:
            watcher.ended(state, terminal)

    def paused(self, state: RunState) -> None:
        """A run waits for a person, or is suspended."""
        self._waiters.paused(state)
        for watcher in self.watchers:
            watcher.paused(state)

    def answered(self, state: RunState, answer: f.UpdateAnswered) -> None:
        """A run has answered an update."""
        for watcher in self.watchers:
            watcher.answered(state, answer)

    # Asked by clients.

    async def submit(self, new: NewRun) -> SubmitResponse:
        """Accept a run; its record is durable when this returns."""
        clock = self.bus.clock
        run_id, row = await self._accept(new, None)
        status = RunStatus(row.status) if row else RunStatus.QUEUED
        created = when(row.created_at if row else clock.now())
        trace_id = row.trace_id if row else trace_id_of(run_id, calling().traceparent)
        return SubmitResponse(run_id, 202, status, trace_id, new.component, created)

    async def run(self, new: NewRun, timeout: float | None = None) -> RunResponse:
        """Accept a run and wait until it has ended, or waits for a person, or is suspended."""
        check_patience(timeout)
        waiter: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        run_id, row = await self._accept(new, waiter)
        if row is not None:
            waiter.cancel()
            return await self.result(run_id, timeout, pauses=True)
        return await self._wait(run_id, waiter, timeout)

    async def result(
        self, run_id: str, timeout: float | None, *, pauses: bool = False
    ) -> RunResponse:
        """Wait until a run has ended (with ``pauses``: or cannot go on by itself)."""
        check_patience(timeout)
        waiter: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        self._waiters.expect(run_id, waiter, pauses=pauses)
        try:
            if pauses or not self.bus.is_under_way(run_id):
                row = await self.row(run_id)
                if row.continued_to is not None:
                    live = await self.look(last_of_chain, self.bus.log, run_id)
                    return await self.result(live, timeout, pauses=pauses)
                over = row.status in {"completed", "failed", "cancelled", "suspended"}
                if over or (pauses and row.status == "awaiting_user_input"):
                    found = await self.get_result(run_id)
                    # A question may have been answered since; then there is more to wait for.
                    if found.status not in {RunStatus.QUEUED, RunStatus.RUNNING}:
                        return found
            return await self._wait(run_id, waiter, timeout)
        finally:
            self._waiters.drop(run_id, waiter)

    async def get_status(self, run_id: str) -> StatusResponse:
        """Where a run is."""
        row = await self.row(run_id)
        return status_response(row)

    async def get_result(self, run_id: str) -> RunResponse:
        """A run's outcome as it stands; unfinished and unknown runs are answered, not raised."""
        log = self.bus.log
        try:
            row = await self.row(run_id)
        except RunNotFoundError as error:
            detail = RunErrorDetail("NOT_FOUND", str(error))
            return RunResponse(run_id, 404, RunStatus.UNKNOWN, error=detail)
        if row.finished_at is None and row.status in {"queued", "running"}:
            return unready(row)
        return await self.look(answer_of, log, row)

    async def get_events(self, run_id: str) -> EventsResponse:
        """Every recorded event of a run, in the public vocabulary."""
        row = await self.row(run_id)
        stored = await self.look(self.bus.log.read, run_id)
        return events_response(row, stored)

    async def list_runs(
        self, wanted: RunFilter, limit: int, before: str | None
    ) -> list[StatusResponse]:
        """Runs, the newest first."""
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise InvalidInputError(f"limit is a number that is not negative, not {limit!r}")
        wanted.check()
        check_word(before, "before")
        rows = await self.look(first_rows, self.bus.log, wanted, limit, before)
        return [status_response(row) for row in rows]

    async def cancel(self, run_id: str, reason: str | None = None) -> StatusResponse:
        """Ask a run to stop; the request is durable when this returns."""
        check_word(reason, "the reason of a cancellation")
        await self.command(run_id, c.RequestCancel(reason, calling().traceparent))
        return status_response(await self.live_row(run_id))

    async def signal(
        self, run_id: str, name: str, payload: object = None, signal_id: str | None = None
    ) -> None:
        """Send a signal to a run; it is durable when this returns."""
        check_name(name, "the name of a signal")
        if signal_id is not None:
            check_name(signal_id, "signal_id")
        encoded = self.bus.encode(payload, f"payload of signal {name!r}")
        unique = signal_id or self.bus.ids.event_id()
        command = c.SendSignal(unique, name, encoded, calling().traceparent)
        await self.command(run_id, command)

    async def unsuspend(self, run_id: str) -> None:
        """Let a paused run go on, or try a suspended one again with the code that is here now."""
        row = await self.live_row(run_id)
        check_stands_still(row, run_id)
        if row.status == PAUSED:
            await self.command(row.run_id, c.ResumeRun(""))
            return
        await self._asked(lambda reply: self.bus.resume(row.run_id, reply))

    # How.

    async def _accept(
        self, new: NewRun, waiter: asyncio.Future[RunState] | None
    ) -> tuple[str, RunRow | None]:
        component = check_new_run(new, self.components)
        queue = queue_of(new, component, self._queues)
        if queue != new.queue:
            new = replace(new, queue=queue)
        encoded = self.bus.encode(dict(new.input_data or {}), f"input of {new.component!r}")
        key = new.key
        if key is None:
            return await self._start_once(new, component, encoded, None, waiter)
        scope = key_scope(new.kind, new.component, key)
        lock = self._keys.setdefault(scope, asyncio.Lock())
        async with lock:
            bound = await self.look(self.bus.log.key_binding, scope)
            row = None if bound is None else await self.live_row(bound.run_id)
            lost = row is not None and row.status in {"failed", "cancelled"}
            if bound is None or row is None or (lost and new.delivery is None):
                replaces = bound.run_id if bound else None
                return await self._start_once(new, component, encoded, replaces, waiter)
        if new.delivery is None:
            self._check_same_input(bound, encoded, new)
        return row.run_id, row

    async def _start_once(
        self,
        new: NewRun,
        component: Component,
        encoded: JsonValue,
        replaces: str | None,
        waiter: asyncio.Future[RunState] | None,
    ) -> tuple[str, RunRow | None]:
        """Start it, unless an unfinished run of its queue has the same deduplication id."""
        if new.deduplication_id is None:
            return await self._start(new, component, encoded, (replaces, None), waiter), None
        scope = duplicate_scope(new.queue, new.deduplication_id)
        async with self._keys.setdefault(scope, asyncio.Lock()):
            bound = await self.look(self.bus.log.key_binding, scope)
            row = None if bound is None else await self.live_row(bound.run_id)
            if row is not None and row.finished_at is None:
                return row.run_id, row
            both = (replaces, bound.run_id if bound else None)
            return await self._start(new, component, encoded, both, waiter), None

    async def _start(
        self,
        new: NewRun,
        component: Component,
        encoded: JsonValue,
        replaces: tuple[str | None, str | None],
        waiter: asyncio.Future[RunState] | None,
    ) -> str:
        bus = self.bus
        run_id = new.run_id or bus.ids.run_id()
        # Of other ids that are taken the log says so, when it is asked to begin their streams.
        if run_id in bus.runs or bus.is_in_line(run_id):
            raise taken(run_id)
        metadata = None
        if new.metadata:
            metadata = bus.encode(dict(new.metadata), "metadata of the run")
        definition, caller = component.definition(), calling()
        command = c.QueueRun(
            component=new.component,
            kind=new.kind,
            input=encoded,
            idempotency_key=new.key,
            replaces=replaces[0],
            replaces_duplicate=replaces[1],
            queue=new.queue,
            priority=new.priority,
            deduplication_id=new.deduplication_id,
            version_label=definition.version_label,
            session_id=new.session_id,
            user_id=new.user_id,
            metadata=metadata if isinstance(metadata, dict) and metadata else None,
            origin=origin_of(new, component),
            durable=definition.durable,
            traceparent=caller.traceparent,
            tracestate=caller.tracestate,
        )
        if waiter is not None:
            self._waiters.expect(run_id, waiter, pauses=True)
        try:
            await self._asked(lambda reply: bus.start(run_id, command, reply))
        except VersionConflictError as error:
            self._waiters.drop(run_id, waiter)
            raise taken(run_id) from error
        except BaseException:
            self._waiters.drop(run_id, waiter)
            raise
        return run_id

    def _check_same_input(self, bound: KeyBinding, encoded: JsonValue, new: NewRun) -> None:
        if bound.input_digest in {digest(encoded), SHREDDED_DIGEST}:
            return
        msg = (
            f"idempotency key {new.idempotency_key!r} of {new.component!r} was used before with"
            f" another input (run {bound.run_id})"
        )
        if self._strict:
            raise InvalidInputError(msg)
        logger.warning("%s; the earlier run is answered", msg)

    async def command(self, run_id: str, command: c.RunCommand) -> None:
        """Send a command; what it decides is durable when this returns.

        If the run went on as another one, it is sent to the last of the chain.
        """
        while True:
            send = partial(self.bus.send, run_id, command, edge=True)
            try:
                await self._asked(send)
            except RunContinuedError:
                run_id = await self.look(last_of_chain, self.bus.log, run_id)
            else:
                return

    async def _asked(self, ask: Callable[[Callable[[BaseException | None], None]], None]) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def reply(error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

        ask(reply)
        await answer

    async def look(self, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read from the log, which may be closed at any moment."""
        bus = self.bus
        try:
            return await asyncio.to_thread(ask, *args, **kwargs)
        except StoreError:
            if bus.closing:
                raise CLOSED from None
            raise

    async def row(self, run_id: str) -> RunRow:
        """The index row of a run.

        Raises:
            RunNotFoundError: When there is none.
        """
        row = await self.look(self.bus.log.run_row, run_id)
        if row is None:
            msg = f"there is no run {run_id!r} in this store"
            raise RunNotFoundError(msg)
        return row

    async def live_row(self, run_id: str) -> RunRow:
        """The row of the run that goes on in place of this one: its own, if it never went on.

        Raises:
            RunNotFoundError: When there is no such run.
        """
        row = await self.row(run_id)
        while row.continued_to is not None:
            row = await self.row(await self.look(last_of_chain, self.bus.log, row.run_id))
        return row

    async def _wait(
        self, run_id: str, waiter: asyncio.Future[RunState], timeout: float | None
    ) -> RunResponse:
        try:
            async with asyncio.timeout(timeout):
                return response_of(await waiter)
        except TimeoutError:
            detail = RunErrorDetail(
                "TIMEOUT", f"run {run_id} did not end within {timeout:g} s; it goes on"
            )
            trace_id = (await self.row(run_id)).trace_id
            return RunResponse(run_id, 504, RunStatus.TIMEOUT, error=detail, trace_id=trace_id)
        finally:
            self._waiters.drop(run_id, waiter)
