"""From an address to a mailbox: starts the actor if nobody is home."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from contextvars import Context
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakSet

from agnt5.actors.clock import Clock
from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Reply
from agnt5.actors.reader import History, Reader
from agnt5.actors.run import CLOSED, RunActor, RunSettings
from agnt5.actors.script import Script
from agnt5.actors.supervisor import Supervisor
from agnt5.actors.timers import ParkedWakes
from agnt5.actors.workshop import Components, Workshop
from agnt5.events.log import EventLog
from agnt5.events.run import commands as c
from agnt5.events.run.facts import ChildStarted, Terminal, UpdateAnswered
from agnt5.events.run.state import Phase, RunState, fold
from agnt5.exceptions import AGNT5Error, RunNotFoundError, StoreError

logger = logging.getLogger("agnt5.runtime")

_DRAIN_S = 5.0
"""How long a closing house waits for a disk in trouble; what is not written then is owed again."""


class Watcher(Protocol):
    """Who is told of the fate of runs."""

    def ended(self, state: RunState, terminal: Terminal) -> None:
        """A run has ended."""
        ...

    def paused(self, state: RunState) -> None:
        """A run waits for a person, or is suspended."""
        ...

    def answered(self, state: RunState, answer: UpdateAnswered) -> None:
        """A run has answered an update."""
        ...


@dataclass(frozen=True, slots=True)
class BusSettings:
    """What the house may be told."""

    run: RunSettings = field(default_factory=RunSettings)
    max_active_runs: int = 10_000
    threads: int = 64


class Bus(Workshop):
    """Every actor of this process, by address."""

    def __init__(
        self,
        log: EventLog,
        components: Components,
        watcher: Watcher,
        *,
        clock: Clock,
        context: Context,
        settings: BusSettings,
        payload_limit: int,
    ) -> None:
        super().__init__(components, context, threads=settings.threads, payload_limit=payload_limit)
        self.runs: dict[str, RunActor] = {}
        self.clock = clock
        self.log = log
        self.journal = Journal(log, context)
        self.closing = False
        self._backlog: deque[str] = deque()
        self._watcher = watcher
        self._settings = settings
        self._reader = Reader(log, context)
        self._supervisor = Supervisor(clock, self._restart, self._give_up)
        self._parked = ParkedWakes(clock, self._wake_due)
        self._doomed: dict[str, str] = {}
        self._ending: WeakSet[Script] = WeakSet()

    # Opening and closing.

    def open(self) -> None:
        """Take up every run that a former process has left unfinished."""
        self._parked.expect(self.log.next_wake())
        for run_id in self.log.runnable():
            self.wake(run_id)
        for run_id in self.log.suspended():
            self._reader.read(run_id, self._read_suspended)

    async def close(self, grace_s: float) -> None:
        """Let running attempts end within the grace, record everything, stop."""
        self.closing = True
        self._supervisor.close()
        self._parked.close()
        for actor in self.runs.values():
            actor.freeze()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        # Rare and short: cheaper than an event that every attempt would have to set.
        while self._is_busy() and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.journal.drain(_DRAIN_S)
        for actor in list(self.runs.values()):
            actor.shut(CLOSED)
            self._watch_end(actor)
        await self.close_executors()
        for _ in range(100):
            if not any(script.guards for script in self._ending):
                break
            await asyncio.sleep(0)
        await self.journal.drain(_DRAIN_S)
        self.runs.clear()
        self.streams.wake()
        self._reader.close()

    def _is_busy(self) -> bool:
        # A report that lies in a box is not on record yet.
        actors, scripts = self.runs.values(), (actor.script for actor in self.runs.values())
        busy = self.has_attempts or any(s.is_busy for s in scripts if s is not None)
        return busy or not all(actor.is_idle for actor in actors)

    # Letters.

    def create(self, run_id: str) -> RunActor:
        """The actor of a new run."""
        actor = self.runs[run_id] = self._actor(run_id)
        return actor

    def send(
        self, run_id: str, command: c.RunCommand, reply: Reply | None = None, *, edge: bool = False
    ) -> None:
        """To the actor of a run, which comes into memory if it must."""
        actor = self.runs.get(run_id)
        if actor is None:
            if self.closing:
                if reply is not None:
                    reply(CLOSED)
                return
            actor = self._load(run_id)
        actor.tell(command, reply, edge=edge)

    def start(self, run_id: str, command: c.QueueRun, digest: str, reply: Reply) -> None:
        """Accept a new run, and begin it now if there is room or else when there is."""
        has_room = self.has_room
        actor = self.create(run_id)
        if has_room:
            actor.tell(command, reply)
            actor.tell(c.StartRun(digest))
            return

        def queued(error: BaseException | None) -> None:
            if error is None:
                actor.leave_quietly()
                self._backlog.append(run_id)
                self._forget(actor)
            reply(error)

        actor.tell(command, queued)

    @property
    def has_room(self) -> bool:
        """Whether another run may become active."""
        return len(self.runs) < self._settings.max_active_runs

    def is_under_way(self, run_id: str) -> bool:
        """Whether a run is in memory and being executed, so that its end will be told."""
        actor = self.runs.get(run_id)
        return actor is not None and actor.state.phase is Phase.RUNNING

    def wake(self, run_id: str) -> None:
        """Bring a run into memory, now or when there is room."""
        if run_id in self.runs:
            return
        if self.has_room:
            self._load(run_id)
        else:
            self._backlog.append(run_id)

    def resume(self, run_id: str, reply: Reply) -> None:
        """Try a suspended run again."""

        def on_read(run_id: str, history: History | AGNT5Error) -> None:
            if isinstance(history, AGNT5Error):
                reply(history)
            elif not history:
                reply(RunNotFoundError(f"there is no run {run_id!r} in this store"))
            else:
                self._resume(run_id, history, reply)

        self._reader.read(run_id, on_read)

    def durable_version(self, run_id: str) -> int:
        """How far the stream of a run in memory is on disk; 0 for others."""
        actor = self.runs.get(run_id)
        return 0 if actor is None else actor.durable

    # Runs that come and go.

    def _actor(self, run_id: str) -> RunActor:
        return RunActor(
            run_id,
            self,
            self._context,
            self._settings.run,
            journal=self.journal,
            clock=self.clock,
            ids=self.ids,
        )

    def _load(self, run_id: str) -> RunActor:
        actor = self.create(run_id)
        actor.hold()

        def on_read(_: str, history: History | AGNT5Error) -> None:
            if self.runs.get(run_id) is not actor or actor.stopped is not None:
                return
            if isinstance(history, AGNT5Error):
                self._unreadable(actor, history)
                return
            try:
                self._loaded(actor, history)
            except Exception as error:  # noqa: BLE001 - one run's trouble is its supervisor's business
                self.failed(actor, error)

        self._reader.read(run_id, on_read)
        return actor

    def _loaded(self, actor: RunActor, history: History) -> None:
        run_id = actor.state.run_id
        report = self._doomed.pop(run_id, None)
        if report is not None:
            actor.state = fold(run_id, history)
            actor.release()
            actor.tell(c.SuspendRun("engine_error", report, ""))
            return
        suspension = fold(run_id, history).suspension
        digest = self._digest_of(history)
        if suspension is not None and digest and digest != suspension.definition:
            # The code has changed since: it may have been mended.
            actor.resume_suspended(history, digest)
            return
        actor.load(history)
        state = actor.state
        if state.phase is Phase.QUEUED:
            queued = state.queued
            definition = queued and self.definition(queued.kind, queued.component)
            actor.tell(c.StartRun(definition.digest if definition else ""))
        elif state.phase is not Phase.RUNNING:
            asyncio.get_running_loop().call_soon(self._passivate, actor, context=self._context)

    def _passivate(self, actor: RunActor) -> None:
        """A run that is not executed answers its letters and leaves."""
        if self.runs.get(actor.state.run_id) is not actor:
            return
        if actor.is_idle and not actor.has_appends:
            actor.leave_quietly()
            self._forget(actor)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, self._passivate, actor, context=self._context)

    def _unreadable(self, actor: RunActor, error: AGNT5Error) -> None:
        logger.error("run %s cannot be read and was left alone: %s", actor.state.run_id, error)
        actor.stop(error)
        self._forget(actor)

    def _forget(self, actor: RunActor) -> None:
        if self.runs.get(actor.state.run_id) is actor:
            del self.runs[actor.state.run_id]
            self.streams.left(actor.state.run_id)
            self._watch_end(actor)
        while self._backlog and self.has_room and not self.closing:
            run_id = self._backlog.popleft()
            if run_id not in self.runs:
                self._load(run_id)

    def _watch_end(self, actor: RunActor) -> None:
        # The tasks of a closed body take a few turns to end; closing the house waits for them.
        if actor.script is not None and actor.script.guards:
            self._ending.add(actor.script)

    def _restart(self, run_id: str) -> None:
        if not self.closing and run_id not in self.runs:
            self._load(run_id)

    def _give_up(self, run_id: str, error: BaseException) -> None:
        lines = "".join(traceback.format_exception(error, limit=-5))
        self._doomed[run_id] = (
            f"run {run_id} made the engine fail again and again; this is a defect of agnt5 or"
            f" of its surroundings, and the run is safe. Last error: {error}\n{lines}"
        )
        self._restart(run_id)

    def _wake_due(self) -> None:
        if self.closing:
            return
        for run_id in self.log.due(self.clock.now()):
            self.wake(run_id)
        self._parked.expect(self.log.next_wake(after=self.clock.now()))

    def _read_suspended(self, run_id: str, history: History | AGNT5Error) -> None:
        """At the start: code that has changed since may have mended a suspended run."""
        if isinstance(history, AGNT5Error) or self.closing or run_id in self.runs:
            return
        suspension = fold(run_id, history).suspension
        digest = self._digest_of(history)
        if suspension is not None and digest and digest != suspension.definition:
            self._resume(run_id, history)

    def _digest_of(self, history: History) -> str:
        queued = fold("", history).queued
        definition = queued and self.definition(queued.kind, queued.component)
        return definition.digest if definition else ""

    def _resume(self, run_id: str, history: History, reply: Reply | None = None) -> None:
        if run_id in self.runs:
            if reply is not None:
                reply(None)
            return
        actor = self.create(run_id)
        try:
            actor.resume_suspended(history, self._digest_of(history), reply)
        except Exception as error:  # noqa: BLE001 - one run's trouble is its supervisor's business
            self.failed(actor, error)

    # What run actors need.

    def ended(self, actor: RunActor, terminal: Terminal) -> None:
        """A run has ended."""
        self._supervisor.ended(actor.state.run_id)
        self._watcher.ended(actor.state, terminal)

    def paused(self, actor: RunActor) -> None:
        """A run waits for a person, or is suspended."""
        self._watcher.paused(actor.state)

    def answered(self, actor: RunActor, answer: UpdateAnswered) -> None:
        """A run has answered an update."""
        self._watcher.answered(actor.state, answer)

    def start_child(self, actor: RunActor, child: ChildStarted) -> None:
        """A run wants a child."""
        raise NotImplementedError

    def cancel_child(self, actor: RunActor, child_run_id: str) -> None:
        """A run does not want its child any more."""
        raise NotImplementedError

    def left(self, actor: RunActor) -> None:
        """A run has left memory; whoever still wrote to it brings it back."""
        letters = actor.take_letters()
        actor.leave_quietly()
        self._forget(actor)
        if actor.state.parked:
            self._parked.expect(actor.state.wake_at)
        for letter in letters:
            if letter.reply is not None or not actor.state.is_finished:
                self.send(actor.state.run_id, letter.command, letter.reply)

    def failed(self, actor: RunActor, error: BaseException) -> None:
        """An incarnation of a run has failed."""
        if actor.state.version and actor.is_rejected_start(error):
            actor.shut(error)
            self._forget(actor)
            return
        letters = actor.take_letters()
        try:
            actor.shut(error)
        except Exception:
            # What is broken may not be able to tidy up; its run must begin again all the same.
            logger.exception("run %s could not be shut in order", actor.state.run_id)
        self._forget(actor)
        for letter in letters:
            if letter.reply is not None:
                letter.reply(error)
        if isinstance(error, StoreError) and error.code in {"STALE_AUTHORITY", "STORE_CORRUPT"}:
            logger.error("run %s was left alone: %s", actor.state.run_id, error)
            return
        if not self.closing:
            self._supervisor.failed(actor.state.run_id, error)
