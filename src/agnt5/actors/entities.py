"""The keeper of entities: finds the actor of a key, starts it, and forgets it when it is idle."""

from __future__ import annotations

import asyncio
from contextvars import Context

from agnt5.actors.clock import Alarm
from agnt5.actors.entity import Answer, EntityActor, EntityCall, House, Visit
from agnt5.actors.settings import RunSettings
from agnt5.events.entity.streams import entity_stream
from agnt5.exceptions import AGNT5Error, RuntimeClosedError, StoreError

_ENDING_S = 5.0
"""How long methods that were cancelled at the end may take to end."""


class Entities:
    """Every entity that is in memory, by its stream."""

    def __init__(self, house: House, context: Context, settings: RunSettings) -> None:
        self.actors: dict[str, EntityActor] = {}
        self._house = house
        self._context = context
        self._idle_us = settings.park_after_us
        self._most_waiting = settings.limits.waiting_calls
        self._loop = asyncio.get_running_loop()
        self._idle: dict[str, int] = {}
        """Since when each idle one has been idle, the earliest first."""
        self._alarm: Alarm | None = None
        self._loads: set[asyncio.Task[None]] = set()
        self._closed: AGNT5Error | None = None

    async def call(self, entity_type: str, key: str, call: EntityCall) -> Answer:
        """Make a call of the entity of this key. Must be awaited on the loop of the house.

        Raises:
            ExecutionError: When the method fails; the original is its cause.
            OverloadedError: When too many calls of it wait.
            RuntimeClosedError: When the house closes.
            StoreError: When it cannot be recorded.
        """
        if self._closed is not None:
            raise self._closed
        actor = self._actor(entity_stream(entity_type, key))
        answer: asyncio.Future[Answer] = self._loop.create_future()
        visit = Visit(call, answer)

        def refused(error: BaseException | None) -> None:
            if error is not None and not answer.done():
                answer.set_exception(error)

        actor.tell(visit, refused)
        try:
            return await answer
        finally:
            if answer.cancelled():
                actor.abandon(visit)

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way or waits."""
        return any(actor.is_busy for actor in self.actors.values())

    async def close(self, reason: RuntimeClosedError) -> None:
        """Serve nobody any more. What was handed to the log is still written."""
        self._closed = reason
        if self._alarm is not None:
            self._alarm.cancel()
        ending = [*self._loads]
        for actor in self.actors.values():
            ending += actor.shut(reason)
        self.actors.clear()
        if ending:
            await asyncio.wait(ending, timeout=_ENDING_S)

    def _actor(self, stream: str) -> EntityActor:
        actor = self.actors.get(stream)
        if actor is None:
            actor = EntityActor(
                stream, self._context, self._house, self._rested, most_waiting=self._most_waiting
            )
            actor.hold()
            self.actors[stream] = actor
            task = self._loop.create_task(self._load(actor), context=self._context.copy())
            self._loads.add(task)
            task.add_done_callback(self._loads.discard, context=self._context)
        self._idle.pop(stream, None)
        return actor

    async def _load(self, actor: EntityActor) -> None:
        try:
            actor.state = await asyncio.to_thread(actor.load)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever called
            known = isinstance(error, AGNT5Error)
            failure = error if known else StoreError(f"{actor.address} cannot be read: {error!r}")
            self._forget(actor)
            actor.stop(failure)
        else:
            actor.release()

    def _rested(self, actor: EntityActor) -> None:
        if self._closed is not None or self.actors.get(actor.stream) is not actor:
            return
        now = self._house.clock.now()
        self._idle.pop(actor.stream, None)
        self._idle[actor.stream] = now
        if self._alarm is None:
            self._alarm = self._house.clock.call_at(now + self._idle_us, self._sweep)

    def _sweep(self) -> None:
        self._alarm = None
        now = self._house.clock.now()
        for stream, since in list(self._idle.items()):
            if since + self._idle_us > now:
                self._alarm = self._house.clock.call_at(since + self._idle_us, self._sweep)
                return
            actor = self.actors[stream]
            del self._idle[stream]
            if not actor.is_busy:
                self._forget(actor)

    def _forget(self, actor: EntityActor) -> None:
        if self.actors.get(actor.stream) is actor:
            del self.actors[actor.stream]
