"""The actor that owns a run: hosts its script, lets its effects go, leaves memory when it waits."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol, assert_never

from pydantic import JsonValue

from agnt5.actors.branch import is_ending
from agnt5.actors.clock import Alarm, Clock
from agnt5.actors.eventsourced import EventSourced
from agnt5.actors.executor import Attempt, Cancel, Failure, Success
from agnt5.actors.ids import Ids
from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Envelope, Reply
from agnt5.actors.ports import AttemptInfo, Definition, FunctionWork, Handler
from agnt5.actors.rest import Rest
from agnt5.actors.script import Script
from agnt5.actors.timers import Timers
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import is_waiting, next_wake, resume
from agnt5.events.run.state import OpPhase, Phase, fold
from agnt5.exceptions import (
    InvalidInputError,
    PayloadError,
    RuntimeClosedError,
    StoreError,
)
from agnt5.payloads import decode, encode_error


class Surroundings(Protocol):
    """What a run actor needs of the house."""

    def definition(self, kind: str, name: str) -> Definition | None:
        """The component, if this process has it."""
        ...

    def known_components(self, kind: str, name: str) -> str:
        """A sentence that names what this process has instead."""
        ...

    def send_attempt(self, handler: Handler, command: Attempt | Cancel) -> None:
        """To the executor of a function."""
        ...

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it may lie on the log."""
        ...

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        ...

    def ended(self, actor: RunActor, terminal: f.Terminal) -> None:
        """A run has ended."""
        ...

    def paused(self, actor: RunActor) -> None:
        """A run waits for a person, or is suspended."""
        ...

    def left(self, actor: RunActor) -> None:
        """A run has left memory; letters may be left in its box."""
        ...

    def failed(self, actor: RunActor, error: BaseException) -> None:
        """An incarnation of a run has failed."""
        ...


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run actor may be told."""

    park_after_us: int = 1_000_000
    stall_limit_s: float = 10.0


class RunActor(EventSourced):
    """One incarnation of one run."""

    def __init__(
        self,
        run_id: str,
        house: Surroundings,
        context: Context,
        settings: RunSettings,
        *,
        journal: Journal,
        clock: Clock,
        ids: Ids,
    ) -> None:
        super().__init__(run_id, context, journal=journal, clock=clock, ids=ids)
        self.script: Script | None = None
        self._house = house
        self._settings = settings
        self._timers = Timers(clock, lambda key: self.tell(c.WakeOperation(key)))
        self._handlers: dict[str, Handler] = {}
        self._park_alarm: Alarm | None = None
        self._moves_at_rest = -1
        self._leaving = False
        self._frozen = False
        self._rejected = False

    # Life.

    def load(self, history: Sequence[tuple[f.RunFact, int]]) -> None:
        """Begin again from the log."""
        self.state = state = fold(self.state.run_id, history)
        self.release()
        if state.phase is Phase.RUNNING:
            self._begin([fact for fact, _ in history])
            for effect in resume(state):
                self.perform(effect)
            if any(op.recovery == "fail" and op.started for op in state.open.values()):
                self.tell(c.Recover())
            self.at_rest()

    def resume_suspended(
        self,
        history: Sequence[tuple[f.RunFact, int]],
        digest: str,
        reply: Reply | None = None,
    ) -> None:
        """Try a suspended run again, with the code of this digest."""
        self.state = fold(self.state.run_id, history)
        self.release()
        self.receive([Envelope(c.ResumeRun(digest), reply)])
        self._begin([*(fact for fact, _ in history), f.RunResumed(definition=digest)])
        for effect in resume(self.state):
            self.perform(effect)

    def freeze(self) -> None:
        """The house closes: what runs may end and be recorded, nothing new begins."""
        self._timers.close()
        self._disarm_parking()
        self._frozen = True
        if self.script is not None:
            self.script.frozen = True

    def shut(self, reason: BaseException) -> None:
        """Leave memory without a trace: the log has everything."""
        if self.stopped is None:
            self.stopped = reason
        self._timers.close()
        self._disarm_parking()
        if self.script is not None:
            self.script.close()
        for key in list(self._handlers):
            self._cancel_attempt(key)
        self.stop(reason)

    def receive(self, batch: Sequence[Envelope[c.RunCommand]]) -> None:
        """Decide; unless the loop ends and cancels every task, which is a fact of no run."""
        if not is_ending(self._loop):
            super().receive(batch)
            return
        self.shut(CLOSED)
        for envelope in batch:
            if envelope.reply is not None:
                envelope.reply(CLOSED)

    def crashed(self, error: Exception) -> None:
        """Tell the supervisor."""
        self._house.failed(self, error)

    def append_failed(self, error: StoreError, first_version: int) -> None:
        """Somebody else wrote the stream, or the store is gone."""
        self._rejected = first_version == 1
        if self.stopped is None:
            self._house.failed(self, error)

    # Effects.

    def perform(self, effect: e.RunEffect) -> None:  # noqa: C901 - a flat match over a closed union
        """Let an effect go."""
        script = self.script
        match effect:
            case e.Execute():
                if script is not None:
                    script.execute(effect.key, effect.attempt)
            case e.Resolve():
                self._timers.disarm(effect.outcome.key)
                self._handlers.pop(effect.outcome.key, None)
                if script is not None:
                    script.resolve(effect.outcome)
            case e.CancelAttempt():
                self._timers.disarm(effect.key)
                self._cancel_attempt(effect.key)
                if script is not None:
                    script.cancel_attempt(effect.key)
            case e.Wake():
                self._timers.arm(effect.key, effect.due_at)
            case e.StartBody():
                self._begin(())
            case e.InterruptBody():
                if script is not None:
                    script.resolve(f.RunCancelRequested())
            case e.CloseBody():
                self._leave()
            case e.Announce():
                self._house.ended(self, effect.terminal)
            case e.AnnouncePause():
                self._house.paused(self)
            case _:
                assert_never(effect)

    def _begin(self, history: Sequence[f.RunFact]) -> None:
        queued = self.state.queued
        if queued is None or self._frozen:
            return
        definition = self._house.definition(queued.kind, queued.component)
        if definition is None:
            known = self._house.known_components(queued.kind, queued.component)
            report = (
                f"run {self.state.run_id}: this process has no {queued.kind} named"
                f" {queued.component!r}. {known}"
                " Import the module that defines it and start the program again."
            )
            self.tell(c.SuspendRun("unknown_component", report, ""))
            return
        info = AttemptInfo(
            self.state.run_id, "", queued.component, 0, queued.session_id, queued.metadata
        )
        try:
            run_input = decode(queued.input, where=f"input of run {self.state.run_id}")
            script = self._script(info, definition, run_input, history)
            script.start()
        except (PayloadError, InvalidInputError) as error:
            report = (
                f"run {self.state.run_id}: its recorded input cannot be given to"
                f" {definition.name!r} ({definition.where}) as that is now: {error}"
            )
            self.tell(c.SuspendRun("input", report, definition.digest))
            return
        self.script = script

    def _script(
        self,
        info: AttemptInfo,
        definition: Definition,
        run_input: object,
        history: Sequence[f.RunFact],
    ) -> Script:
        return Script(
            info,
            definition,
            run_input if isinstance(run_input, dict) else {},
            self,
            state=self.state,
            history=history,
            context=self._context,
            stall_limit_s=self._settings.stall_limit_s,
        )

    # The script's channel.

    def command(self, command: c.RunCommand) -> None:
        """A command from the body."""
        self.tell(command)

    def execute(self, key: str, attempt: int, work: FunctionWork) -> None:
        """Have an executor run an attempt."""
        self._handlers[key] = work.handler
        queued = self.state.queued
        info = AttemptInfo(
            self.state.run_id,
            key,
            work.handler.name,
            attempt,
            queued.session_id if queued else None,
            queued.metadata if queued else None,
        )
        self._house.send_attempt(work.handler, Attempt(info, work, self._reported))

    def diverged(self, report: str) -> None:
        """The body no longer asks for what the log holds."""
        queued = self.state.queued
        definition = queued and self._house.definition(queued.kind, queued.component)
        digest = definition.digest if definition else ""
        self.tell(c.SuspendRun("nondeterminism", report, digest))

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it may lie on the log."""
        return self._house.encode(value, f"{where} of run {self.state.run_id}")

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        self._house.check_size(value, f"{where} of run {self.state.run_id}")

    def _reported(self, info: AttemptInfo, result: Success | Failure) -> None:
        if self.stopped is not None:
            return
        key = info.key
        op = self.state.open.get(key)
        if op is None or op.attempt != info.attempt or op.phase is not OpPhase.RUNNING:
            return
        if isinstance(result, Success):
            self._hold(key, result.value)
            self.tell(c.ReportSuccess(key, info.attempt, result.output, result.duration_us))
        else:
            error = encode_error(result.error)
            self._hold(key, (error, result.error))
            self.tell(c.ReportFailure(key, info.attempt, error, result.retryable))

    def _hold(self, key: str, value: object) -> None:
        if self.script is not None:
            self.script.hold_value(key, value)

    def _cancel_attempt(self, key: str) -> None:
        handler = self._handlers.pop(key, None)
        if handler is not None:
            self._house.send_attempt(handler, Cancel(self.state.run_id, key))

    # Parking.

    def at_rest(self) -> None:
        """Everything is durable: if the run only waits, it may leave memory after a grace."""
        if self.script is None or self.script.closed or not is_waiting(self.state):
            return
        self._park_later(self.script, self._settings.park_after_us)

    def _park_later(self, script: Script, delay_us: int) -> None:
        self._disarm_parking()
        self._moves_at_rest = script.moves
        due_at = self._clock.now() + delay_us
        wake_at = next_wake(self.state)
        if wake_at is None or wake_at > due_at:
            at_rest = Rest(script, self._park, self._context)  # it may be about to move
            self._park_alarm = self._clock.call_at(due_at, at_rest.wait)

    def _park(self) -> None:
        self._park_alarm = None
        script = self.script
        if script is None or self.stopped is not None or self._in_flight or not self.is_idle:
            return
        if script.moves != self._moves_at_rest or not script.only_waits:
            if is_waiting(self.state) and not script.closed:
                self._park_later(script, max(self._settings.park_after_us, _LOOK_AGAIN_US))
            return
        if self.state.parked:
            # It came back for nothing: the log says already that it waits.
            self._leave()
            return
        try:
            self.receive([Envelope(c.ParkRun())])
        except Exception as error:  # noqa: BLE001 - an actor's crash is its supervisor's business
            self.crashed(error)
            return
        if self.state.parked:
            self.hold()

    def _disarm_parking(self) -> None:
        if self._park_alarm is not None:
            self._park_alarm.cancel()
            self._park_alarm = None

    def _leave(self) -> None:
        if self._leaving:
            return
        self._leaving = True
        self._timers.close()
        self._disarm_parking()
        for key in list(self._handlers):
            self._cancel_attempt(key)
        if self.script is not None:
            self.script.close()
        self._house.left(self)

    @property
    def has_appends(self) -> bool:
        """Whether something that was decided is not durable yet."""
        return self._in_flight > 0

    def leave_quietly(self) -> None:
        """Answer no more: whoever writes from now on reaches the next incarnation."""
        if self.stopped is None:
            self.stopped = CLOSED

    def is_rejected_start(self, error: BaseException) -> bool:
        """Whether this was a new run that the store did not take: there is nothing to restart."""
        return isinstance(error, StoreError) and self._rejected

    def take_letters(self) -> list[Envelope[c.RunCommand]]:
        """What lies in the box, for the next incarnation."""
        return self._mailbox.take_all()


_LOOK_AGAIN_US = 50_000
"""A body that waits for something of its own is not asked all the time whether it still does."""

CLOSED = RuntimeClosedError("the runtime is shutting down; the run goes on when it starts again")
