"""Where a call of an entity goes: the runtime of the caller, or values in memory for tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import Any, Protocol

from agnt5.actors.bus import Bus
from agnt5.actors.entity import Answer, EntityCall
from agnt5.crossing import ask_from_afar
from agnt5.events.entity.commands import CompleteCall
from agnt5.events.entity.decider import decide
from agnt5.events.entity.state import EntityState, evolve
from agnt5.events.entity.streams import entity_stream
from agnt5.exceptions import ExecutionError, RuntimeClosedError


class Desk(Protocol):
    """Takes calls of entities."""

    async def call(self, entity_type: str, key: str, call: EntityCall) -> Answer:
        """Make a call of the entity of this key."""
        ...


DESK: ContextVar[Desk | None] = ContextVar("agnt5_entities", default=None)

_open: list[RuntimeDesk] = []


def desk() -> Desk:
    """Where calls made here go.

    Raises:
        RuntimeError: When there is neither a runtime nor an entity context.
    """
    here = DESK.get()
    if here is not None:
        return here
    pid = os.getpid()
    for each in reversed(_open):
        if each.pid == pid:
            return each
    msg = (
        "entities need a context: open a runtime ('async with Runtime()'), or use"
        " create_entity_context() or @with_entity_context, which set up a state adapter in memory"
    )
    raise RuntimeError(msg)


class RuntimeDesk:
    """Passes calls on to the entities of a runtime, from whichever event loop they come."""

    def __init__(self) -> None:
        self.pid = 0
        self._bus: Bus | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, bus: Bus) -> None:
        """Begin to serve, on the loop that is running."""
        self._bus, self._loop, self.pid = bus, asyncio.get_running_loop(), os.getpid()
        _open.append(self)

    def close(self) -> None:
        """Serve nobody any more. Idempotent."""
        self._bus = None
        if self in _open:
            _open.remove(self)

    async def call(self, entity_type: str, key: str, call: EntityCall) -> Answer:
        """Make a call of the entity of this key."""
        bus, loop = self._bus, self._loop
        if bus is None or loop is None:
            msg = "the runtime is not open: enter it with 'async with', or it was closed already"
            raise RuntimeClosedError(msg)
        if asyncio.get_running_loop() is loop:
            return await bus.entities.call(entity_type, key, call)
        asked = ask_from_afar(loop, lambda: bus.entities.call(entity_type, key, call))
        return await asyncio.wrap_future(asked)


class EntityStateAdapter:
    """Entities in memory, without a runtime: for tests and trials. Nothing is kept."""

    def __init__(self) -> None:
        self._states: dict[str, EntityState] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def call(self, entity_type: str, key: str, call: EntityCall) -> Answer:
        """Make a call: those that write one after the other, as in a runtime."""
        stream = entity_stream(entity_type, key)
        if call.is_query:
            return await self._make(stream, call)
        async with self._locks.setdefault(stream, asyncio.Lock()):
            return await self._make(stream, call)

    async def _make(self, stream: str, call: EntityCall) -> Answer:
        state = self._states.get(stream, EntityState())
        try:
            change = await call.act(state)
        except Exception as error:
            raise _failure(call, error) from error
        command = CompleteCall(
            call.method, output=change.output, changes=change.changes, deleted=change.deleted
        )
        for fact in decide(state, command):
            state = evolve(state, fact)
        self._states[stream] = state
        return Answer(change.value, state.version)


def _failure(call: EntityCall, error: Exception) -> ExecutionError:
    named = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ExecutionError(f"Entity method {call.method} failed: {named}")


class EntityContext:
    """``async with create_entity_context() as adapter``; or unpacked, ``adapter, token = ...``."""

    def __init__(self) -> None:
        self.adapter = EntityStateAdapter()
        self._token: Token[Desk | None] | None = None

    async def __aenter__(self) -> EntityStateAdapter:
        """Entities called from here on live in memory."""
        self._token = DESK.set(self.adapter)
        return self.adapter

    async def __aexit__(self, *_: object) -> None:
        """As before."""
        if self._token is not None:
            DESK.reset(self._token)
            self._token = None

    def __iter__(self) -> Iterator[Any]:
        """The adapter, now in force, and the token with which to reset the context variable."""
        return iter((self.adapter, DESK.set(self.adapter)))
