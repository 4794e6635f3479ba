"""The bare decider under random commands in any order: what must hold whatever anybody sends."""

from __future__ import annotations

from copy import deepcopy
from typing import get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.events.run import strategies as s
from tests.events.run.spec import NOW, RUN, through_codec

from agnt5.events.keys import RECOVERY
from agnt5.events.projections import affects_row, row_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide, is_waiting, next_wake, react, resume
from agnt5.events.run.state import OpKind, OpPhase, Phase, RunState, evolve, fold
from agnt5.events.vocabulary import public_events
from agnt5.exceptions import AGNT5Error

REQUESTS = get_args(f.Request)
OUTCOMES = get_args(f.Outcome)
TERMINAL = get_args(f.Terminal)


class Run(RuleBasedStateMachine):
    """Knows of a run what any log reader knows: which effects were given, what was settled."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RunState(RUN)
        self.now = NOW
        self.history: list[tuple[f.RunFact, int]] = []
        self.requested: set[str] = set()
        self.about: dict[str, str] = {}
        self.settled: dict[str, f.RunFact] = {}
        self.executes: dict[str, int] = {}
        self.wakes: set[tuple[str, int]] = set()
        self.returned: set[str] = set()
        self.updates: dict[str, int] = {}
        self.patience = 0
        """How many facts a life must have before it may end: short lives are dull."""

    # What is sent.

    @initialize(
        begin=st.sampled_from([*[(s.QUEUE, s.START)] * 8, (s.QUEUE,), ()]),
        patience=st.sampled_from([30, 20, 10, 5, 0]),
    )
    def begin(self, begin, patience):
        self.patience = patience
        for command in begin:
            self.send(command, 0)

    @rule(command=s.requests, delay=s.delays)
    def ask(self, command, delay):
        self.send(command, delay)

    @rule(command=s.steps, delay=s.delays)
    def ask_for_a_step(self, command, delay):
        self.send(command, delay)

    @rule(command=s.reports, delay=s.delays)
    def report(self, command, delay):
        self.send(command, delay)

    @rule(command=s.outside | s.updates, delay=s.delays)
    def come_from_outside(self, command, delay):
        self.send(command, delay)

    @rule(command=s.life)
    def live(self, command):
        self.send(command, 0)

    @precondition(lambda self: self.state.version >= self.patience)
    @rule(command=s.suspends)
    def suspend(self, command):
        self.send(command, 0)

    @precondition(lambda self: self.state.version >= self.patience)
    @rule(command=s.cancels)
    def cancel(self, command):
        self.send(command, 0)

    @precondition(lambda self: self.state.version >= self.patience)
    @rule(command=s.ends)
    def end(self, command):
        self.send(command, 0)

    @precondition(lambda self: self.state.phase is Phase.SUSPENDED or self.state.pause)
    @rule(definition=s.digests)
    def mend(self, definition):
        self.send(c.ResumeRun(definition), 0)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_up_something(self, data):
        self.send(c.AbandonOperation(data.draw(st.sampled_from(self.held))), 0)

    @property
    def held(self):
        """What the body waits for, and may give up: not the questions of the engine."""
        return sorted(key for key in self.state.open if not key.startswith(RECOVERY))

    @precondition(lambda self: self.state.open)
    @rule(data=st.data())
    def settle_something(self, data):
        op = self.state.open[data.draw(st.sampled_from(sorted(self.state.open)))]
        if op.kind is OpKind.INPUT:
            command = c.SubmitAnswer(data.draw(st.sampled_from(["yes", None])), op.key, "ada")
        elif op.phase is OpPhase.RUNNING and data.draw(st.booleans()):
            command = c.ReportFailure(op.key, op.attempt, {"type": "x", "message": "x"})
        elif op.phase is OpPhase.RUNNING:
            command = c.ReportSuccess(op.key, op.attempt, 1, 1)
        elif op.kind is OpKind.SIGNAL:
            command = c.SendSignal(data.draw(st.sampled_from("123")), op.name, None)
        else:
            command = c.WakeOperation(op.key)
        self.send(command, data.draw(s.delays))

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def give_up_too_late(self, data):
        key = data.draw(st.sampled_from(sorted(self.settled)))
        self.send(c.AbandonOperation(key), 0)

    @precondition(lambda self: next_wake(self.state) is not None)
    @rule()
    def next_alarm(self):
        due_at = next_wake(self.state)
        ops = [op for op in self.state.open.values() if op.wake_at == due_at]
        version = self.state.version
        self.send(c.WakeOperation(ops[0].key), max(0, due_at - self.now))
        runs = self.state.is_running
        assert not runs or self.state.version > version, "what is due must be decided"

    # What must hold of each command.

    def send(self, command: c.RunCommand, delay: int) -> None:
        self.now += delay
        state, before = self.state, deepcopy(self.state)
        try:
            decided = decide(state, command, self.now)
        except AGNT5Error:
            assert state == before, "a refusal changes nothing"
            return
        assert state == before, "to decide is not to change"
        rows: list[f.RunFact] = []
        for fact in decided:
            assert not state.is_finished, f"{fact} follows a terminal fact"
            version = state.version
            assert through_codec(fact, version + 1) == fact
            evolve(state, fact, self.now)
            assert state.version == version + 1
            self.history.append((fact, self.now))
            self.note(fact)
            rows.append(fact)
        if rows and before.version and row_of(before) != row_of(state):
            assert before.parked or any(map(affects_row, rows)), "the index would not be told"
        self.once_more(command, bool(decided))

    def once_more(self, command: c.RunCommand, decided: bool) -> None:
        """A duplicate is decided into nothing, or refused."""
        if isinstance(command, c.ParkRun) and decided:
            return  # Each leaving has a fact of its own: it is what closes the body.
        try:
            assert not decide(self.state, command, self.now), "twice is not once"
        except AGNT5Error:
            return

    def note(self, fact: f.RunFact) -> None:
        """What the fact adds to what anybody knows."""
        key = getattr(fact, "key", None)
        if isinstance(fact, REQUESTS):
            assert key not in self.requested, "a key is used once"
            self.requested.add(key)
        if isinstance(fact, (*OUTCOMES, f.OperationCancelled)):
            assert key in self.requested, "an outcome of something"
            assert key not in self.settled, f"{self.settled.get(key)}, then {fact}"
            self.settled[key] = fact
            for question, about in self.about.items():
                if about == key and question not in self.settled:
                    self.settled[question] = fact
        if isinstance(fact, f.UserInputRequested) and fact.about is not None:
            self.about[key] = fact.about
        if isinstance(fact, f.SignalReturned):
            consumed = self.settled[key]
            assert isinstance(consumed, f.SignalConsumed)
            assert consumed.signal_id == fact.signal_id
            assert key not in self.returned, "a signal is given back once"
            self.returned.add(key)
        if isinstance(fact, f.UpdateReceived):
            assert fact.update_id not in self.updates, "an update is accepted once"
            self.updates[fact.update_id] = 0
        if isinstance(fact, f.UpdateAnswered):
            assert self.updates[fact.update_id] == 0, "an update is answered once"
            self.updates[fact.update_id] += 1
        if isinstance(fact, (f.StepAttemptFailed, f.StepStarted)):
            assert key in self.requested
            assert key not in self.settled
        for effect in react(self.state, fact):
            self.owe(effect)
        if isinstance(fact, f.StepAttemptFailed):
            del self.executes[key]
        elif isinstance(fact, f.StepStarted):
            deadline = self.state.open[key].deadline
            self.wakes = {wake for wake in self.wakes if wake[0] != key or wake[1] == deadline}

    def owe(self, effect: e.RunEffect) -> None:
        match effect:
            case e.Execute():
                self.executes[effect.key] = effect.attempt
            case e.Wake():
                self.wakes.add((effect.key, effect.due_at))
            case e.Resolve():
                assert self.settled[effect.outcome.key] is effect.outcome
            case _:
                pass

    # What must hold at any time.

    @invariant()
    def what_is_owed_after_a_restart_is_what_was_given_and_is_not_settled(self):
        owed = list(resume(self.state))
        if not self.state.is_running:
            assert owed == []
            return
        ops = self.state.open
        settled = {k for k, op in ops.items() if op.recovery in {"fail", "ask"} and op.started}
        asked = {op.question.about for op in ops.values() if op.question is not None}
        unknown = settled | asked
        running = {(k, n) for k, n in self.executes.items() if k in ops and k not in unknown}
        wakes = {wake for wake in self.wakes if wake[0] in ops}
        assert {(x.key, x.attempt) for x in owed if isinstance(x, e.Execute)} == running
        assert {(x.key, x.due_at) for x in owed if isinstance(x, e.Wake)} == wakes

    @invariant()
    def it_says_what_holds_it_back_and_only_as_long_as_that_does(self):
        assert (self.state.suspension is not None) is (self.state.phase is Phase.SUSPENDED)
        assert self.state.pause is None or not self.state.is_finished

    @invariant()
    def what_is_busy_is_what_runs(self):
        running = {k: op for k, op in self.state.open.items() if op.phase is OpPhase.RUNNING}
        assert self.state.busy == running

    @invariant()
    def what_is_open_was_asked_for_and_is_not_settled(self):
        if self.state.is_finished:
            assert not self.state.open
        else:
            assert set(self.state.open) == self.requested - set(self.settled)
        assert set(self.state.settled) == set(self.settled)

    @invariant()
    def a_signal_never_lies_beside_a_call_that_waits_for_it(self):
        waiting = {op.name for op in self.state.open.values() if op.kind is OpKind.SIGNAL}
        assert not waiting & self.state.signals.keys()

    @invariant()
    def every_signal_is_in_line_or_with_one_wait(self):
        lines = [x.signal_id for line in self.state.signals.values() for x in line]
        given = [x.signal_id for x in self.state.consumed.values()]
        assert sorted(lines + given) == sorted(self.state.signal_ids)

    @invariant()
    def a_run_that_waits_says_until_when(self):
        if is_waiting(self.state):
            # An inline step may seem to run: whether it only waits, its own calls say.
            steps = [op for op in self.state.open.values() if op.kind is not OpKind.INLINE]
            assert not any(op.phase is OpPhase.RUNNING for op in steps)

    def teardown(self):
        facts = [fact for fact, _ in self.history]
        assert fold(RUN, self.history) == self.state
        assert all(not isinstance(fact, TERMINAL) for fact in facts[:-1])
        assert len(public_events("workflow", facts)) == len(facts)


TestRun = Run.TestCase
TestRun.settings = settings(max_examples=150, stateful_step_count=50)
