"""The actor that owns a run: hosts its script, lets its effects go, leaves memory when it waits."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context

from pydantic import JsonValue

from agnt5.actors.attempts import Attempts
from agnt5.actors.branch import is_ending
from agnt5.actors.clock import Clock
from agnt5.actors.eventsourced import EventSourced
from agnt5.actors.gauge import SUSPENDED_AT_LIMIT, Gauge
from agnt5.actors.ids import Ids
from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Envelope, Reply
from agnt5.actors.parking import Parking
from agnt5.actors.ports import AttemptInfo, Definition, FunctionWork
from agnt5.actors.retiring import Retiring
from agnt5.actors.script import Script
from agnt5.actors.served import definition_of, not_served
from agnt5.actors.settings import RunSettings
from agnt5.actors.surroundings import Surroundings
from agnt5.actors.timers import Deadline, Timers
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import react, resume
from agnt5.events.run.recovery import is_unsettled
from agnt5.events.run.state import RunState
from agnt5.exceptions import InvalidInputError, PayloadError, RuntimeClosedError, StoreError
from agnt5.payloads import decode

_REPORTS = (c.ReportSuccess, c.ReportFailure, c.ReportAbsent)
"""What executors say."""


class RunActor(EventSourced):
    """One incarnation of one run."""

    def __init__(
        self,
        run_id: str,
        house: Surroundings[RunActor],
        context: Context,
        settings: RunSettings,
        *,
        journal: Journal,
        clock: Clock,
        ids: Ids,
    ) -> None:
        gauge = Gauge(settings.limits)
        super().__init__(run_id, context, journal=journal, clock=clock, ids=ids, gauge=gauge)
        self.script: Script | None = None
        self.durable = 0
        """The version up to which its stream is known to be on disk."""
        self._house = house
        self._settings = settings
        self._timers = Timers(clock, lambda key: self.tell(c.WakeOperation(key)))
        self._deadline = Deadline(clock, self._look_at_timeout)
        self._attempts = Attempts(self, house.send_attempt, house.streams)
        self._parking = Parking(self, clock, context, house.grace_us)
        self.retiring = Retiring(self, context)
        self._leaving = False
        self._frozen = False
        self._rejected = False
        self.is_again = False
        """The incarnation before has failed, perhaps before it could tell what it had written."""
        self.visitors = 0
        """How many look at the body just now: it does not leave memory."""

    # Life.

    def load(
        self, state: RunState, history: Sequence[tuple[f.RunFact, int]], *, begin: bool = True
    ) -> None:
        """Begin again from the log; or only take letters, as there is no place for it yet."""
        self.state = state
        self.gauge.begin(state, history)
        self.became_durable(state.version)
        self.release()
        # Whoever waits for an answer that got onto the disk, but whose append looked failed.
        for answer in state.updates.values():
            if answer is not None:
                self._house.answered(self, answer)
        if self.is_again and state.is_finished:
            self._tell_end_again(history)
        if state.pause is not None:
            self.retiring.begin()
        elif state.is_running and begin:
            self._begin(history)
            for effect in resume(state):
                self.perform(effect)
            if is_unsettled(state):
                self.tell(c.Recover())
            self.at_rest()

    def _tell_end_again(self, history: Sequence[tuple[f.RunFact, int]]) -> None:
        terminal = next(fact for fact, _ in reversed(history) if isinstance(fact, f.Terminal))
        for effect in react(self.state, terminal):
            if isinstance(effect, e.HandOver | e.Announce | e.BeginSuccessor):
                self.perform(effect)

    def resume_suspended(
        self,
        state: RunState,
        history: Sequence[tuple[f.RunFact, int]],
        digest: str,
        reply: Reply | None = None,
        *,
        begin: bool = True,
    ) -> None:
        """Try a suspended run again, with the code of this digest."""
        self.state = state
        self.gauge.begin(state, history)
        self.became_durable(state.version)
        self.release()
        self.receive([Envelope(c.ResumeRun(digest), reply)])
        if not begin:
            return
        resumed = f.RunResumed(definition=digest)
        self._begin([*history, (resumed, self.state.updated_at)])
        for effect in resume(self.state):
            self.perform(effect)

    def freeze(self) -> None:
        """The house closes: what runs may end and be recorded, nothing new begins."""
        self._stop_clocks()
        self._frozen = True
        if self.script is not None:
            self.script.frozen = True

    def shut(self, reason: BaseException) -> None:
        """Leave memory without a trace: the log has everything."""
        if self.stopped is None:
            self.stopped = reason
        self._stop_clocks()
        if self.script is not None:
            self.script.close()
        self._attempts.cancel_all()
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

    def has_grown(self) -> None:
        """Suspend it when it is as large as it may be."""
        if (report := self.gauge.report(self.state)) is not None:
            definition = definition_of(self._house, self.state)
            digest = definition.digest if definition else ""
            self.tell(c.SuspendRun(SUSPENDED_AT_LIMIT, report, digest))

    def became_durable(self, version: int) -> None:
        """Tell those who listen to the run."""
        self.durable = version
        streams = self._house.streams
        if streams.channels:
            streams.durable(self.state.run_id, version)

    # Effects.

    def perform(self, effect: e.RunEffect) -> None:  # noqa: C901 - a flat match over a closed union
        """Let an effect go."""
        script = self.script
        match effect:
            case e.Resolve():
                self._timers.disarm(effect.outcome.key)
                self._attempts.forget(effect.outcome.key)
                # One that has ended with this outcome has a body that need not hear of it.
                if script is not None and not self.state.is_finished:
                    script.resolve(effect.outcome, effect.at)
            case e.Execute() | e.Wake() if self._stands_still:
                pass  # it is owed when the run goes on
            case e.Execute():
                if effect.verify:
                    self._attempts.to_verify.add(effect.key)
                if script is not None:
                    script.execute(effect.key, effect.attempt)
            case e.CancelAttempt():
                self._timers.disarm(effect.key)
                self._attempts.cancel(effect.key)
                if script is not None:
                    script.cancel_attempt(effect.key)
            case e.Wake():
                self._timers.arm(effect.key, effect.due_at)
            case e.StartBody():
                self._begin(())
            case e.InterruptBody():
                if script is not None:
                    script.resolve(f.RunCancelRequested(), self.state.updated_at)
            case e.CloseBody():
                self.leave()
            case _:
                self._perform_outside(effect)

    def _perform_outside(self, effect: e.OutsideEffect) -> None:
        match effect:
            case e.RetireBody():
                self._stop_clocks()
                self.retiring.begin()
            case e.ComeBack():
                self.retiring.come_back()
            case e.DeliverUpdate():
                if self.script is not None:
                    self.script.resolve(effect.update, effect.at)
            case e.AnnounceUpdate():
                self._house.answered(self, effect.answer)
            case e.BeginSuccessor():
                self._house.begin_successor(self.state, effect.run_id)
            case e.Announce():
                self._house.ended(self, effect.terminal)
            case e.AnnouncePause():
                self._house.paused(self)
            case _:
                self._house.family.perform(self.state, effect)

    def _begin(self, history: Sequence[tuple[f.RunFact, int]]) -> None:
        queued = self.state.queued
        if queued is None or self._frozen:
            return
        definition = definition_of(self._house, self.state)
        if definition is None:
            self.tell(not_served(self._house, self.state.run_id, queued))
            return
        info = AttemptInfo(
            self.state.run_id,
            "",
            queued.component,
            0,
            queued.session_id,
            queued.metadata,
            user_id=queued.user_id,
            streams=self._house.streams,
            queued=queued,
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
        history: Sequence[tuple[f.RunFact, int]],
    ) -> Script:
        script = Script(
            info,
            definition,
            run_input if isinstance(run_input, dict) else {},
            self,
            state=self.state,
            history=[fact for fact, _ in history],
            times=[at for _, at in history],
            context=self._context,
            stall_limit_s=self._settings.stall_limit_s,
        )
        script.defaults = self._settings.defaults
        return script

    def command(self, command: c.RunCommand) -> None:
        """A command from the body, or of what it has under way."""
        if not self.retiring.is_on or isinstance(command, _REPORTS):
            self.tell(command)

    def execute(self, key: str, attempt: int, work: FunctionWork) -> None:
        """Have an executor run an attempt."""
        self._attempts.execute(key, attempt, work)

    def diverged(self, report: str) -> None:
        """The body no longer asks for what the log holds."""
        definition = definition_of(self._house, self.state)
        digest = definition.digest if definition else ""
        self.tell(c.SuspendRun("nondeterminism", report, digest))

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it may lie on the log."""
        return self._house.encode(value, f"{where} of run {self.state.run_id}")

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        self._house.check_size(value, f"{where} of run {self.state.run_id}")

    # Parking.

    def at_rest(self) -> None:
        """Everything is durable: if the run only waits, it may leave memory after a grace."""
        if self.retiring.is_on:
            self.retiring.consider()
            return
        self._parking.consider()
        if self.state.timeout_us is not None:
            self._look_at_timeout()

    def _look_at_timeout(self) -> None:
        due_at = self.state.times_out_at
        if due_at is not None and due_at <= self._clock.now():
            self.tell(c.WakeRun())
        else:
            self._deadline.expect(due_at)

    def _stop_clocks(self) -> None:
        self._timers.close()
        self._parking.stop()
        self._deadline.close()
        self.retiring.close()

    @property
    def may_park(self) -> bool:
        """Whether nothing is in motion: no letter, no append."""
        is_wanted = self.visitors
        at_rest = self.is_quiet and not is_wanted
        return at_rest and not self._house.family.has_errands(self.state.run_id)

    def park(self) -> None:
        """Record that it is parked, and leave."""
        if self.state.parked:
            # It came back for nothing: the log says already that it waits.
            self.leave()
            return
        try:
            self.receive([Envelope(c.ParkRun())])
        except Exception as error:  # noqa: BLE001 - an actor's crash is its supervisor's business
            self.crashed(error)
            return
        if self.state.parked:
            self.hold()

    @property
    def _stands_still(self) -> bool:
        return self.retiring.is_on or self.state.pause is not None

    @property
    def has_attempts(self) -> bool:
        """Whether executors have attempts of it."""
        return self._attempts.under_way

    @property
    def is_quiet(self) -> bool:
        """Whether no letter lies in the box, and no append is on its way."""
        return self.stopped is None and self.is_idle and not self._in_flight

    @property
    def has_left(self) -> bool:
        """Whether it is out of memory, or on its way."""
        return self._leaving or self.stopped is not None

    def leave(self) -> None:
        """Leave memory: the log has everything."""
        if self._leaving:
            return
        self._leaving = True
        self._stop_clocks()
        self._attempts.cancel_all()
        if self.script is not None:
            self.script.close()
        self._house.left(self)

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


CLOSED = RuntimeClosedError("the runtime is shutting down; the run goes on when it starts again")
