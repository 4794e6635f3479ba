"""Hosts the user's body: a peer of the run actor that sends commands and waits for outcomes.

Outcomes are handed over one at a time, live and on replay alike, and a body with several branches
gets the next one only when it has come to rest after the one before: continuations of different
depth would overtake one another otherwise, and differently on every replay. Rest is a few turns of
the loop in which no task of the body has moved; a single task that waits for one call needs none.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any
from weakref import WeakSet

from pydantic import JsonValue

from agnt5.actors.branch import CURRENT, Branch, Guard, StepFuture, look_at, spawn
from agnt5.actors.handlers import Handlers
from agnt5.actors.outcomes import last_command, settle
from agnt5.actors.parkable import waits_only_for
from agnt5.actors.ports import After, AttemptInfo, Channel, Definition, FunctionWork, Work
from agnt5.actors.replay import Replay
from agnt5.actors.rest import Rest
from agnt5.actors.tracing import body_context
from agnt5.actors.values import RunValues
from agnt5.actors.works import Works
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.forking import first_identity
from agnt5.events.run.retry import StepDefaults
from agnt5.events.run.state import RunState
from agnt5.events.run.walk import Delivery, Walk
from agnt5.exceptions import PayloadError

logger = logging.getLogger("agnt5.run")


class Script:
    """One body, from its first line or from a replay of its history, to its end or its closing."""

    defaults: StepDefaults | None = None
    """What holds for functions that say nothing of retries."""

    def __init__(
        self,
        info: AttemptInfo,
        definition: Definition,
        run_input: dict[str, object],
        channel: Channel,
        *,
        state: RunState,
        history: Sequence[f.RunFact],
        context: Context,
        stall_limit_s: float,
        times: Sequence[int] = (),
    ) -> None:
        self.run_id = info.run_id
        self.streams = info.streams  # where what the body says on the way goes
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.guards: set[Guard] = set()
        self._failed: WeakSet[asyncio.Task[Any]] | None = None
        self.moves = 0
        self.calm = True
        """No task of the body has ended since it was last seen at rest."""
        self.closed = False
        self.frozen = False
        """Hand over nothing more and start nothing; what runs may end."""
        self.main: asyncio.Future[Any] | None = None
        self.time = state.started_at or 0
        """When what the body was handed last was decided, microseconds since the epoch."""
        self.values, self.state = RunValues(state.queued.state if state.queued else None), state
        self.chance = first_identity(history, state)  # what random numbers follow from
        self._info, self._definition, self._input = info, definition, run_input
        self._channel, self._context = channel, context
        walk = Walk(state, history, times) if history else None
        self._replay = None if walk is None else self._replay_of(walk, stall_limit_s)
        self._patches: dict[str, bool] = {}
        self.futures: dict[str, StepFuture] = {}
        self._chosen: dict[str, StepFuture] = {}
        self._works = Works(self, channel, context, self.values)
        self._outcomes: deque[tuple[Delivery, int]] = deque()
        self._next: tuple[Delivery, int] | None = None
        self._rest = Rest(self, self._pump, context)
        self.handlers = Handlers(self, channel)
        self._pump_scheduled = False

    def _replay_of(self, walk: Walk, stall_limit_s: float) -> Replay:
        known = {*self.state.open, *self.state.settled, *self.state.noted}
        return Replay(
            walk, known, self, self._diverge, context=self._context, stall_limit_s=stall_limit_s
        )

    @property
    def replaying(self) -> bool:
        """Whether recorded facts are still being handed out."""
        return self._replay is not None

    def start(self) -> None:
        """Begin the body."""
        body = self._definition.body(self, self._input, self._info)
        branch = Branch(self, "")
        context = body_context(self._context, self._info, lambda: self.replaying)
        self.main = spawn(branch, body, context=context, name=f"run {self.run_id}")
        self.main.add_done_callback(self._ended, context=self._context)
        if self._replay is not None:
            self._pump_soon()

    # What the body's context asks.

    def place(self) -> Branch:
        """The branch that is calling.

        Raises:
            RuntimeError: When the caller is not part of the body.
        """
        branch = CURRENT.get()
        # Another thread may have the context of the body (asyncio.to_thread copies it).
        is_here = threading.get_ident() == self._thread
        if self.closed and is_here:
            return Branch(self, "")
        if branch is None or branch.script is not self or not is_here:
            msg = (
                f"a durable call of run {self.run_id!r} was made outside of its body: in another"
                " thread, in a step's function, in a query handler or validator, or in a task that"
                " the body did not make"
            )
            raise RuntimeError(msg)
        return branch

    def request(
        self,
        key: str,
        make_command: Callable[[], c.RunCommand],
        work: Work | None = None,
        *,
        line: str | None = None,
        chosen: bool = False,
    ) -> StepFuture:
        """Ask for a durable call. Its identity is fixed now; the result may come later or be known.

        Raises:
            PayloadError: When its arguments are too large to be recorded.
        """
        known = self._chosen.get(key) if chosen else None
        if self.closed or known is not None:
            # Closed is no error: a loop that catches everything would never wait again.
            if work is not None:
                work.discard()
            return StepFuture(self, key) if self.closed or known is None else known
        replay = self._replay
        command = None if replay is not None and replay.knows(key) else make_command()
        future = StepFuture(self, key)
        self.futures[key] = future
        if isinstance(work, FunctionWork) and (values := self.values.seen_from(key)):
            work.values = values
        if chosen:
            self._chosen[key] = future
        self._works.keep(key, work)
        if replay is None:
            if command is not None:
                self._channel.command(command)
            return future
        replay.ask(key, make_command if command is None else lambda: command, line)
        self._pump_soon()
        return future

    def note(self, note: f.Note) -> None:
        """Record what the body says without waiting. Its key fixes that it is recorded once."""
        replay = self._replay
        if self.closed:
            return
        if replay is not None and replay.knows(note.key):
            replay.said(note.key)
            return
        if replay is None:
            self._channel.command(c.AddNote(note))
        else:
            replay.add_note(note)

    def patched(self, key: str) -> bool:
        """Whether this run takes a patched path: settled once, and for all of the run."""
        known = self._patches.get(key)
        if known is None:
            replay, recorded = self._replay, key in self.state.markers
            known = recorded or replay is None or not replay.went_on()
            self._patches[key] = known
            if known:
                self.note(f.MarkerRecorded(key=key, value=True))
        return known

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        self._channel.check_size(value, where)

    def give_up(self, key: str) -> None:
        """The body has stopped waiting for a call."""
        self.futures.pop(key, None)
        if self.closed:
            return
        if self._replay is None:
            self._channel.command(c.AbandonOperation(key))
            return
        self._replay.give_up(key)
        self._works.drop(key)
        self._pump_soon()

    # What the run actor says.

    def resolve(self, delivery: Delivery, at: int = 0) -> None:
        """An outcome is durable; it was decided at a time (microseconds)."""
        self._outcomes.append((delivery, at))
        self._pump()

    def hold_value(self, key: str, value: object) -> None:
        """The live result, so that the first run sees the object itself and not a copy."""
        self._works.hold_value(key, value)

    def execute(self, key: str, attempt: int) -> None:
        """Start an attempt of a step, now or when the body has asked for it again."""
        if self.frozen:
            return
        if self._replay is not None:
            self._replay.owed[key] = attempt
        else:
            self._works.start(key, attempt)

    def cancel_attempt(self, key: str) -> None:
        """Nobody wants the result of a step."""
        if self._replay is not None:
            self._replay.owed.pop(key, None)
        self._works.cancel(key)

    def close(self) -> None:
        """End every task of the body, without effects. Idempotent."""
        if self.closed:
            return
        self.closed = True
        if self._replay is not None:
            self._replay.close()
        self._works.close()
        if self.main is not None and not self.main.done():
            for task in self._failed or ():
                task.add_done_callback(look_at)
        for guard in list(self.guards):
            if guard.task is not None:
                guard.task.cancel()

    def task_failed(self, task: asyncio.Task[Any]) -> None:
        """A task of the body ended with an exception, which nobody may come to look at."""
        if self._failed is None:
            self._failed = WeakSet()
        self._failed.add(task)

    def stuck(self, guard: Guard) -> None:
        """A task of the closed body would not end."""
        logger.warning(
            "run %s: a task of the body catches BodyClosed for ever and was dropped: %r",
            self.run_id,
            guard.task,
        )

    @property
    def is_busy(self) -> bool:
        """Whether an inline step is under way, and does not just wait for steps of its own."""
        under_way = any(not task.done() for task in self._works.inline.values())
        return under_way and not waits_only_for(self.guards, StepFuture)

    @property
    def only_waits(self) -> bool:
        """Whether every task of the body waits for us and for nothing else."""
        return self.is_heard and waits_only_for(self.guards, StepFuture)

    @property
    def is_heard(self) -> bool:
        """Whether its replay is over and it was handed all that there is."""
        return self._replay is None and not self._outcomes and self._next is None

    # Handing over.

    def _alone(self) -> bool:
        """Whether the body is a single task that waits for a single call: nothing is in motion."""
        if len(self.guards) != 1 or len(self.futures) > 1 or not self.calm:
            return False
        (guard,) = self.guards
        waiting = guard.waiting_on
        return isinstance(waiting, StepFuture) and not waiting.done()

    def _pump_soon(self) -> None:
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self.loop.call_soon(self._pump_later, context=self._context)

    def _pump_later(self) -> None:
        self._pump_scheduled = False
        self._pump()

    def _pump(self) -> None:
        try:
            self._hand_over()
        except Exception as error:  # noqa: BLE001 - the engine's own; the body must not see it
            self._channel.crashed(error)

    def _hand_over(self) -> None:
        while not self.closed and not self.frozen:
            if self._next is None:
                self._next = self._fetch()
            delivery = self._next
            if delivery is None:
                return
            if not self._rest.reached and not self._alone():
                self._rest.wait()
                return
            self._next, self._rest.reached = None, False
            try:
                self._hand(*delivery)
            except PayloadError as error:
                self._channel.diverged(f"a recorded value cannot be rebuilt: {error}")
                return

    def _fetch(self) -> tuple[Delivery, int] | None:
        replay = self._replay
        if replay is not None:
            delivery = replay.advance()
            if delivery is not None:
                return delivery, replay.time
            if replay.owed and not self._rest.reached:
                # The body may be about to end, or to give up what is owed.
                self._rest.wait()
                return None
            if not replay.is_over:
                for key in replay.unentered():
                    self._works.start(key, replay.owed.pop(key))
                return None
            self._go_live(replay)
        return self._outcomes.popleft() if self._outcomes else None

    def _hand(self, delivery: Delivery, at: int) -> None:
        self.moves += 1  # it has yet to get through to a task that waits for several
        self.time = max(self.time, at)
        match delivery:
            case f.StepCompleted():
                if delivery.state or delivery.deleted:
                    self.values.take(delivery)
                self._resolve(delivery, delivery.after)
            case f.RunCancelRequested():
                if self.main is not None:
                    self.main.cancel()
            case f.RunForked():
                self.chance = delivery.identity
            case f.UpdateReceived():
                self.handlers.deliver(delivery)
            case f.StepFailed():
                self._resolve(delivery, delivery.after)
            case _:
                self._resolve(delivery, None)

    def _resolve(self, outcome: f.Outcome, after: After | None) -> None:
        future = self.futures.pop(outcome.key, None)
        original = self._works.settle(outcome.key, after)
        if future is not None and not future.done():
            settle(future, outcome, original)

    def _go_live(self, replay: Replay) -> None:
        self._replay = None
        replay.end()
        for command in replay.unrecorded():
            self._channel.command(command)
        for key, attempt in replay.owed.items():
            self.execute(key, attempt)
        self.handlers.go_live()

    def _diverge(self, how: str) -> None:
        if self._replay is not None:
            name, where = self._definition.name, self._definition.where
            self._channel.diverged(self._replay.report(name, where, how))

    # The end.

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.main = None  # with it go the body's context, and its result
        if self.closed:
            look_at(task)
            return
        if self._replay is not None and not self._replay.finish():
            error = None if task.cancelled() else task.exception()
            how = f" with {type(error).__name__}: {error}" if error else ""
            self._diverge(f"ended{how}")
            return
        self.frozen = True
        if self._replay is not None:
            # What it said and asked for since its last outcome comes before its end, as live.
            self._go_live(self._replay)
        where = f"result of {self._definition.kind} {self._definition.name!r}"
        self._channel.command(last_command(task, self._channel.encode, where))
