"""The actor of one entity: one call that writes at a time, in order; queries beside it.

A call that writes works on the state as it is on disk, its changes are appended as one fact, and it
is answered when that is durable; only then does the next one begin. So a caller never sees what a
crash could take back, and no update is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Protocol, cast

from pydantic import JsonValue

from agnt5.actors.actor import Actor
from agnt5.actors.clock import Clock
from agnt5.actors.ids import Ids
from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Envelope
from agnt5.events.codec import decode_any, encode_fact
from agnt5.events.entity.commands import CompleteCall, EntityCommand, FailCall
from agnt5.events.entity.decider import decide, first_to_read
from agnt5.events.entity.facts import EntityCallCompleted, EntityFact
from agnt5.events.entity.state import EntityState, evolve, fold
from agnt5.events.entity.streams import call_scope, version_of
from agnt5.events.log import Append, Chain, EventLog
from agnt5.events.projections import call_binding_of
from agnt5.exceptions import (
    AGNT5Error,
    BodyClosed,
    ExecutionError,
    InvalidInputError,
    OverloadedError,
    RuntimeClosedError,
    StoreError,
    VersionConflictError,
)
from agnt5.payloads import decode, digest, encode_error, faithful

logger = logging.getLogger("agnt5.entity")

_CONFLICTS = 20
"""How often a call may find that another process has written the stream before it gives up."""


@dataclass(slots=True)
class Change:
    """What came of a method: its answer, and what it made of the state."""

    value: object
    output: JsonValue
    changes: dict[str, JsonValue] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    record: bool = True
    """False: it decided to do nothing, which needs no record even of a call with an id."""


@dataclass(slots=True)
class Answer:
    """What a caller is given."""

    value: object
    version: int
    """Of the entity, as the call has left it or seen it."""


@dataclass(slots=True)
class EntityCall:
    """A call of a method, ready to be made on a state."""

    method: str
    act: Callable[[EntityState], Awaitable[Change]]
    """Runs the user's method. It must not change the state that it is given."""
    is_query: bool = False
    call_id: str | None = None
    """The same id is applied once for ever."""
    caller: str | None = None


@dataclass(slots=True, eq=False)
class Visit:
    """A call on its way through the actor."""

    call: EntityCall
    answer: asyncio.Future[Answer]
    task: asyncio.Task[None] | None = None
    is_recording: bool = False
    """Its facts have been handed to the log: nothing can stop it any more."""


class House(Protocol):
    """What an entity needs of the house."""

    log: EventLog
    journal: Journal
    clock: Clock
    ids: Ids

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        ...


class EntityActor(Actor[Visit]):
    """Owns the state of one entity."""

    def __init__(
        self,
        stream: str,
        context: Context,
        house: House,
        rested: Callable[[EntityActor], None],
        *,
        most_waiting: int | None = None,
    ) -> None:
        super().__init__(f"entity {stream}", context)
        self.stream = stream
        self.state = EntityState()
        self._house = house
        self._rested = rested
        self._chain = Chain()
        self._waiting: deque[Visit] = deque()
        self._most_waiting = most_waiting
        self._writing: Visit | None = None
        self._asking: set[Visit] = set()

    # Life.

    def load(self) -> EntityState:
        """The state as it is on disk. Blocks; for a thread."""
        log, stream = self._house.log, self.stream
        last = log.last(stream)
        if last is None:
            return EntityState()
        after = first_to_read(last.version)
        rows = log.read(stream, after=after)
        return fold((cast("EntityFact", decode_any(row)) for row in rows), after)

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way or waits."""
        return bool(self._writing or self._waiting or self._asking) or not self.is_idle

    def receive(self, batch: Sequence[Envelope[Visit]]) -> None:
        """Begin queries at once, and writes one after the other."""
        for envelope in batch:
            visit = envelope.command
            if visit.answer.done():
                continue
            if visit.call.is_query:
                self._asking.add(visit)
                self._begin(visit)
            elif self._most_waiting is not None and len(self._waiting) >= self._most_waiting:
                visit.answer.set_exception(self._full())
            else:
                self._waiting.append(visit)
                self._begin_next()
        if not self.is_busy:
            self._rested(self)

    def _full(self) -> OverloadedError:
        return OverloadedError(
            f"{self._most_waiting:,} calls of {self.address} wait already, which is the limit"
            " (Limits(waiting_calls=...)). Nothing was written: try again later, or divide the"
            " entity, as calls of different keys do not wait for each other"
        )

    def crashed(self, error: Exception) -> None:
        """Nothing is lost: whoever called is told."""
        logger.error("%s failed: %s", self.address, error, exc_info=error)

    def abandon(self, visit: Visit) -> None:
        """The caller waits no more: a method that has not been recorded is stopped."""
        if visit.task is not None and not visit.is_recording:
            visit.task.cancel()

    def shut(self, reason: AGNT5Error) -> list[asyncio.Task[None]]:
        """Stop everything; returns the tasks that are still ending."""
        self.stop(reason)
        waiting, self._waiting = list(self._waiting), deque()
        visits = [*([self._writing] if self._writing else []), *self._asking]
        for visit in (*waiting, *visits):
            if not visit.answer.done():
                visit.answer.set_exception(reason)
        for visit in visits:
            self.abandon(visit)
        return [visit.task for visit in visits if visit.task is not None]

    # Calls.

    def _begin_next(self) -> None:
        while self._writing is None and self._waiting and self.stopped is None:
            visit = self._waiting.popleft()
            if not visit.answer.done():
                self._writing = visit
                self._begin(visit)

    def _begin(self, visit: Visit) -> None:
        visit.task = self._loop.create_task(self._serve(visit), context=self._context.copy())
        # A task that is cancelled before its first turn never comes to its own end.
        visit.task.add_done_callback(lambda _: self._leave(visit), context=self._context)

    def _leave(self, visit: Visit) -> None:
        if not visit.answer.done():
            visit.answer.cancel()
        if visit is self._writing:
            self._writing = None
            self._begin_next()
        self._asking.discard(visit)
        if not self.is_busy:
            self._rested(self)

    async def _serve(self, visit: Visit) -> None:
        try:
            answer = await (self._ask(visit) if visit.call.is_query else self._write(visit))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to whoever called
            if not visit.answer.done():
                visit.answer.set_exception(error)
        else:
            if not visit.answer.done():
                visit.answer.set_result(answer)

    async def _ask(self, visit: Visit) -> Answer:
        state = self.state
        change = await self._act(visit, state)
        return Answer(change.value, state.version)

    async def _write(self, visit: Visit) -> Answer:
        call = visit.call
        for _ in range(_CONFLICTS):
            known = None if call.call_id is None else await asyncio.to_thread(self._known, call)
            if known is not None:
                return known
            try:
                change = await self._act(visit, self.state)
            except ExecutionError as failure:
                command: EntityCommand = self._failed(call, failure)
                if await self._record(visit, command) is not None:
                    raise
                continue
            if not change.record:
                return Answer(change.value, self.state.version)
            version = await self._record(visit, _completed(call, change))
            if version is not None:
                return Answer(change.value, version)
        raise VersionConflictError(self.stream, self.state.version)

    async def _act(self, visit: Visit, state: EntityState) -> Change:
        call = visit.call
        what = f"Entity method {call.method} failed"
        try:
            change = await call.act(state)
            where = f"of entity method {call.method!r} ({self.stream})"
            self._house.check_size(change.output, f"result {where}")
            if change.changes:
                self._house.check_size(change.changes, f"state changes {where}")
        except asyncio.CancelledError as error:
            if visit.answer.done() or self.stopped is not None:
                raise
            raise ExecutionError(f"{what}: it was cancelled by its own code") from error
        except RuntimeClosedError:
            # Not its own failure: it may be called again when the runtime is back.
            raise
        except (Exception, SystemExit, BodyClosed) as error:
            text = str(error)
            named = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raise ExecutionError(f"{what}: {named}") from error
        return change

    @staticmethod
    def _failed(call: EntityCall, failure: ExecutionError) -> FailCall:
        cause = failure.__cause__ or failure
        recorded = encode_error(faithful(cause))
        return FailCall(call.method, call.call_id, call.caller, recorded)

    # The log.

    def _known(self, call: EntityCall) -> Answer | None:
        """The recorded answer of a call that was applied before. Blocks; for a thread."""
        log = self._house.log
        bound = log.key_binding(call_scope(self.stream, call.call_id or ""))
        if bound is None:
            return None
        version = version_of(bound.run_id)
        (row,) = log.read(self.stream, after=version - 1, upto=version)
        fact = decode_any(row)
        if not isinstance(fact, EntityCallCompleted):
            raise StoreError(f"fact {version} of {self.stream!r} is no call: rebuild the index")
        if bound.input_digest != digest(call.method):
            msg = (
                f"call id {call.call_id!r} was used before on {self.stream!r}, for method"
                f" {fact.method!r}; use another one for {call.method!r}"
            )
            raise InvalidInputError(msg)
        return Answer(decode(fact.output, where=f"recorded answer of {call.method!r}"), version)

    async def _record(self, visit: Visit, command: EntityCommand) -> int | None:
        """The version that the call has led to, once durable; None after a conflict."""
        house, state = self._house, self.state
        facts = decide(state, command)
        if not facts:
            return state.version
        after = state
        for fact in facts:
            after = evolve(after, fact)
        now = house.clock.now()
        binding = call_binding_of(self.stream, after.version, facts[-1])
        settled: asyncio.Future[StoreError | None] = self._loop.create_future()

        def settle(append: Append) -> None:
            if not settled.done():
                settled.set_result(append.error)

        visit.is_recording = True
        house.journal.append(
            Append(
                stream=self.stream,
                after=state.version,
                facts=[encode_fact(fact, now, house.ids.event_id()) for fact in facts],
                changes=(binding,) if binding is not None else (),
                chain=self._chain,
                on_settled=settle,
            )
        )
        error = await settled
        visit.is_recording = False
        if error is None:
            self.state = after
            return after.version
        self._chain = Chain()
        self.state = await asyncio.to_thread(self.load)
        if not isinstance(error, VersionConflictError):
            raise error
        logger.warning("%s: %s; the call is made again", self.address, error)
        return None


def _completed(call: EntityCall, change: Change) -> CompleteCall:
    return CompleteCall(
        call.method, call.call_id, call.caller, change.output, change.changes, change.deleted
    )
