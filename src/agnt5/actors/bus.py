"""From an address to a mailbox: starts the actor if nobody is home."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextvars import Context
from weakref import WeakSet

from agnt5.actors.admission import Admission, Place
from agnt5.actors.clock import Clock
from agnt5.actors.entities import Entities
from agnt5.actors.family import Family
from agnt5.actors.mailbox import Reply
from agnt5.actors.reader import History, Reader
from agnt5.actors.run import CLOSED, RunActor
from agnt5.actors.script import Script
from agnt5.actors.settings import BusSettings, Watcher
from agnt5.actors.supervisor import Supervisor
from agnt5.actors.timers import ParkedWakes
from agnt5.actors.workshop import Components, Workshop
from agnt5.events.log import EventLog
from agnt5.events.run import commands as c
from agnt5.events.run.facts import Terminal, UpdateAnswered
from agnt5.events.run.state import RunState, fold
from agnt5.exceptions import AGNT5Error, RunNotFoundError, StoreError

logger = logging.getLogger("agnt5.runtime")

_DRAIN_S = 5.0
"""How long a closing house waits for a disk in trouble; what is not written then is owed again."""


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
        super().__init__(
            components,
            context,
            clock,
            threads=settings.threads,
            payload_limit=payload_limit,
            attempts=settings.attempts,
        )
        self.runs: dict[str, RunActor] = {}
        self.journal = self.journal_class(log, context, settings.listeners)
        self.entities = Entities(self, context, settings.run)
        self.log, self.closing = log, False
        self.admission = line = Admission(
            clock, settings.queues, lambda: self.has_room and not self.closing, self._admitted
        )
        self.place_of, self.is_in_line = line.place_of, line.waits
        self.begin_successor = line.begin_successor
        self._watcher = watcher
        self._settings = settings
        self._reader = Reader(log, context)
        self.family = Family(self, self._reader)
        self._supervisor = Supervisor(clock, self._restart, self._give_up)
        self._parked = ParkedWakes(clock, self._wake_due)
        self._doomed: dict[str, str] = {}
        self._ending: WeakSet[Script] = WeakSet()

    # Opening and closing.

    def open(self) -> None:
        """Take up every run that a former process has left unfinished."""
        self._parked.expect(self.log.next_wake())
        self.admission.open(self.log.runnable())
        for run_id in self.log.suspended():
            self._reader.read(run_id, self._read_suspended)
        for run_id in self.log.owing():
            self.family.take_up(run_id)

    async def close(self, grace_s: float) -> None:
        """Let running attempts end within the grace, record everything, stop."""
        self.closing = True
        self.tell_closing()
        self.admission.close()
        self._supervisor.close()
        self._parked.close()
        loop = asyncio.get_running_loop()
        for actor in self.runs.values():
            actor.freeze()
        deadline = loop.time() + grace_s
        # Rare and short: cheaper than an event that every attempt would have to set.
        while self._is_busy() and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.journal.drain(_DRAIN_S)
        for actor in list(self.runs.values()):
            actor.shut(CLOSED)
            self._watch_end(actor)
        await self.close_executors()
        await self.entities.close(CLOSED)
        for _ in range(100):
            if not any(script.guards for script in self._ending):
                break
            await asyncio.sleep(0)
        await self.journal.drain(_DRAIN_S)
        self.runs.clear()
        self.streams.wake()
        self.journal.wake()
        self._reader.close()

    def _is_busy(self) -> bool:
        # A report that lies in a box is not on record yet.
        actors, scripts = self.runs.values(), (actor.script for actor in self.runs.values())
        busy = self.has_attempts or self.entities.is_busy or any(s and s.is_busy for s in scripts)
        return busy or not all(actor.is_idle for actor in actors)

    # Letters.

    def create(self, run_id: str) -> RunActor:
        """The actor of a new run."""
        actor = self.runs[run_id] = RunActor(
            run_id,
            self,
            self._context,
            self._settings.run,
            journal=self.journal,
            clock=self.clock,
            ids=self.ids,
        )
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

    def summon(self, run_id: str) -> RunActor:
        """The actor of a run that is there, which comes into memory if it must."""
        return self.runs.get(run_id) or self._load(run_id)

    def start(self, run_id: str, command: c.QueueRun, reply: Reply) -> None:
        """Accept a new run, and begin it now if there is room or else when there is."""
        is_free = self.has_room and not self.admission.waits(run_id)  # else it keeps its place
        may_begin = is_free and self.admission.admit(run_id, command.queue, begun=False)
        actor = self.create(run_id)
        if may_begin:
            actor.tell(command, reply)
            actor.tell(self.start_command(command))
            return

        def queued(error: BaseException | None) -> None:
            if error is None:
                self.admission.line_up_again(actor.state, self.clock.now())
                actor.leave_quietly()
                self._forget(actor)
            reply(error)

        actor.tell(command, queued)

    @property
    def has_room(self) -> bool:
        """Whether another run may become active."""
        return len(self.runs) < self._settings.max_active_runs

    def grace_us(self) -> int:
        """How long a run that only waits may stay: not long where many are."""
        return self._settings.run.grace_us(len(self.runs))

    def may_rest(self, run_id: str) -> None:
        """What kept a run in memory is over."""
        actor = self.runs.get(run_id)
        if actor is not None:
            actor.at_rest()

    def is_under_way(self, run_id: str) -> bool:
        """Whether a run is in memory and being executed, so that its end will be told."""
        actor = self.runs.get(run_id)
        return actor is not None and actor.state.is_running

    def wake(self, run_id: str) -> None:
        """Bring a run into memory, now or when there is room."""
        if run_id in self.runs or self.admission.waits(run_id):
            return
        if not self.has_room:
            self.admission.line_up(Place(run_id, None, 0, self.clock.now(), begun=True))
            return
        self._load(run_id)

    def resume(self, run_id: str, reply: Reply) -> None:
        """Try a suspended run again."""

        def on_read(run_id: str, history: History | AGNT5Error) -> None:
            if isinstance(history, AGNT5Error):
                reply(history)
            elif not history:
                reply(RunNotFoundError(f"there is no run {run_id!r} in this store"))
            elif self.closing:
                reply(CLOSED)
            elif run_id in self.runs and not self.is_under_way(run_id):
                # It only takes a letter, and leaves again without having been tried.
                loop = asyncio.get_running_loop()
                loop.call_later(0.001, self.resume, run_id, reply, context=self._context)
            else:
                self._resume(run_id, history, reply)

        self._reader.read(run_id, on_read)

    def durable_version(self, run_id: str) -> int:
        """How far the stream of a run in memory is on disk; 0 for others."""
        actor = self.runs.get(run_id)
        return 0 if actor is None else actor.durable

    # Runs that come and go.

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

        self._reader.read_left(run_id, on_read)
        return actor

    def _loaded(self, actor: RunActor, history: History) -> None:
        run_id = actor.state.run_id
        report, state = self._doomed.pop(run_id, None), fold(run_id, history)
        if report is not None:
            actor.state = state
            actor.release()
            actor.tell(c.SuspendRun("engine_error", report, ""))
            return
        if self.may_be_mended(state):
            self._go_on(actor, state, history)
            return
        may_begin = self.admission.has_place(state)
        actor.load(state, history, begin=may_begin)
        if may_begin and state.queued is not None and state.may_start:
            actor.tell(self.start_command(state.queued))
        elif not may_begin or not state.is_running:
            asyncio.get_running_loop().call_soon(self._passivate, actor, context=self._context)

    def _go_on(
        self, actor: RunActor, state: RunState, history: History, reply: Reply | None = None
    ) -> None:
        queue = state.queued.queue if state.queued else None
        definition = state.queued and self.definition_of(state.queued)
        digest = definition.digest if definition else ""
        may_begin = self.admission.admit(state.run_id, queue, begun=True)
        actor.resume_suspended(state, history, digest, reply, begin=may_begin)
        if not may_begin:
            asyncio.get_running_loop().call_soon(self._passivate, actor, context=self._context)

    def _admitted(self, run_id: str) -> None:
        """A run that stood in line may begin."""
        if run_id not in self.runs:
            self._load(run_id)

    def _passivate(self, actor: RunActor) -> None:
        """A run that is not executed answers its letters and leaves, maybe into a line."""
        if self.runs.get(actor.state.run_id) is not actor:
            return
        if actor.is_quiet:
            actor.freeze()
            actor.leave_quietly()
            self.admission.line_up_again(actor.state, self.clock.now())
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
            self.admission.leave(actor.state.run_id)

    def _watch_end(self, actor: RunActor) -> None:
        # The tasks of a closed body take a few turns to end; closing the house waits for them.
        if actor.script is not None and actor.script.guards:
            self._ending.add(actor.script)

    def _restart(self, run_id: str) -> None:
        if not self.closing and run_id not in self.runs:
            self._load(run_id).is_again = True

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
        if self.may_be_mended(fold(run_id, history)):
            self._resume(run_id, history)

    def _resume(self, run_id: str, history: History, reply: Reply | None = None) -> None:
        state = fold(run_id, history)
        if run_id in self.runs or state.suspension is None:  # somebody was faster
            if reply is not None:
                reply(None)
            return
        actor = self.create(run_id)
        try:
            self._go_on(actor, state, history, reply)
        except Exception as error:  # noqa: BLE001 - one run's trouble is its supervisor's business
            self.failed(actor, error)

    # What run actors need.

    def ended(self, actor: RunActor, terminal: Terminal) -> None:
        """A run has ended."""
        self._supervisor.ended(actor.state.run_id)
        self.admission.forget(actor.state.run_id)
        self._watcher.ended(actor.state, terminal)

    def paused(self, actor: RunActor) -> None:
        """A run waits for a person, or is suspended."""
        self._watcher.paused(actor.state)

    def answered(self, actor: RunActor, answer: UpdateAnswered) -> None:
        """A run has answered an update."""
        self._watcher.answered(actor.state, answer)

    def left(self, actor: RunActor) -> None:
        """A run has left memory; whoever still wrote to it brings it back."""
        letters = actor.take_letters()
        actor.leave_quietly()
        self._forget(actor)
        if actor.state.parked:
            self._parked.expect(actor.state.wake_at)
        for letter in letters:
            if letter.reply is not None:
                self.send(actor.state.run_id, letter.command, letter.reply)
        moved = actor.state.parked and any(letter.reply is None for letter in letters)
        if moved or actor.retiring.comes_back:
            # Its body moved while it was being parked. It will ask again, in a new incarnation;
            # what the old one asked for, nobody could execute.
            self.wake(actor.state.run_id)

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
