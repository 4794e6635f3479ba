"""What run actors need of the house besides one another: components, executors, encoding."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextvars import Context
from types import NoneType
from typing import Protocol

from pydantic import JsonValue

from agnt5.actors.clock import Clock
from agnt5.actors.executor import Attempt, AttemptDefaults, Cancel, Executor
from agnt5.actors.ids import Ids
from agnt5.actors.journal import Journal
from agnt5.actors.ports import Definition, Handler
from agnt5.actors.streams import Streams
from agnt5.actors.threads import Threads
from agnt5.events.run.commands import QueueRun, StartRun
from agnt5.events.run.facts import RunQueued
from agnt5.events.run.life import IMPORTED
from agnt5.events.run.state import RunState
from agnt5.payloads import check_size, encode

logger = logging.getLogger("agnt5.runtime")


class Components(Protocol):
    """What this process can run."""

    def definition(self, kind: str, name: str, version: str | None = None) -> Definition | None:
        """The component, for a run that was accepted with this version label, or None."""
        ...

    def hint(self, kind: str, name: str) -> str:
        """A sentence that names what there is instead."""
        ...


class Workshop(ABC):
    """The executors of this process, one for each function, and what they work with."""

    executes = True
    """Whether runs are executed in this house."""
    journal_class: type[Journal] = Journal

    def __init__(
        self,
        components: Components,
        context: Context,
        clock: Clock,
        *,
        threads: int,
        payload_limit: int,
        attempts: AttemptDefaults,
    ) -> None:
        self.executors: dict[str, Executor] = {}
        """By kind and name. A tool may bear the name of a function."""
        self._replaced: list[Executor] = []
        """Of functions whose names mean others now, as long as attempts are in them."""
        self.clock = clock
        self.ids = Ids()
        self.streams = Streams(self.ids.event_id() + ".", context, self.durable_version)
        self._components = components
        self._attempt_defaults = attempts
        self._context = context
        self._threads = Threads(threads)
        self._payload_limit = payload_limit

    @abstractmethod
    def durable_version(self, run_id: str) -> int:
        """How far the stream of a run in memory is on disk; 0 for others."""

    @property
    def context(self) -> Context:
        """The context of the house, which is no body's."""
        return self._context

    @property
    def has_attempts(self) -> bool:
        """Whether attempts run or wait."""
        return any(executor.is_busy for executor in (*self.executors.values(), *self._replaced))

    def turns_of(self, run_id: str) -> dict[str, tuple[int, int]]:
        """By key, the place in the line of its function of each attempt of a run that waits."""
        found: dict[str, tuple[int, int]] = {}
        for executor in (*self.executors.values(), *self._replaced):
            found |= executor.turns_of(run_id)
        return found

    def tell_closing(self) -> None:
        """The house closes: an attempt that cannot use it any more is owed."""
        for executor in (*self.executors.values(), *self._replaced):
            executor.closing = True

    async def close_executors(self) -> None:
        """Cancel every attempt and let the threads end."""
        for executor in (*self.executors.values(), *self._replaced):
            await executor.close()
        self._threads.close()

    def definition(self, kind: str, name: str, version: str | None = None) -> Definition | None:
        """The component, for a run that was accepted with this version label, or None."""
        return self._components.definition(kind, name, version)

    def definition_of(self, accepted: RunQueued | QueueRun) -> Definition | None:
        """The component that a run was accepted for, or None."""
        return self.definition(accepted.kind, accepted.component, accepted.version_label)

    def may_be_mended(self, state: RunState) -> bool:
        """Whether a run is suspended, and the code has changed since."""
        queued, known = state.queued, state.suspension
        if queued is None or known is None or state.pause or known.reason == IMPORTED:
            return False
        definition = self.definition_of(queued)
        return definition is not None and definition.digest != known.definition

    def start_command(self, accepted: RunQueued | QueueRun) -> StartRun:
        """What begins a run, with the code that is here now."""
        definition = self.definition_of(accepted)
        return StartRun(definition.digest, definition.timeout_us) if definition else StartRun("")

    def known_components(self, kind: str, name: str) -> str:
        """A sentence that names what this process has instead."""
        return self._components.hint(kind, name)

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it may lie on the log.

        Raises:
            PayloadError: When it cannot be recorded, or is too large.
        """
        encoded = encode(value, where=where)
        self.check_size(encoded, where)
        return encoded

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        if isinstance(value, (int, float, NoneType)):
            return
        size, limit = check_size(value, self._payload_limit, where), self._payload_limit
        if size * 2 > limit:
            logger.warning("%s takes %s bytes; at %s it is refused", where, size, limit)

    def send_attempt(self, handler: Handler, command: Attempt | Cancel) -> None:
        """To the executor of a function."""
        executor = self._executor_of(handler)
        if executor is None and isinstance(command, Attempt):
            executor = self._new_executor(handler)
        if executor is not None:
            executor.tell(command)

    def _executor_of(self, handler: Handler) -> Executor | None:
        executor = self.executors.get(_place_of(handler))
        if executor is not None and executor.handler is handler:
            return executor
        return next((each for each in self._replaced if each.handler is handler), None)

    def _new_executor(self, handler: Handler) -> Executor:
        place = _place_of(handler)
        before = self.executors.get(place)
        if before is not None:
            self._replaced = [each for each in (*self._replaced, before) if not each.is_empty]
        executor = self.executors[place] = Executor(
            handler,
            self._context,
            encode=self.encode,
            threads=self._threads,
            clock=self.clock,
            defaults=self._attempt_defaults,
        )
        return executor


def _place_of(handler: Handler) -> str:
    return f"{type(handler).__name__} {handler.name}"
