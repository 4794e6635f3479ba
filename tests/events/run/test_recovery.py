"""What is decided about a step whose attempt a crash cut short, and about a run that takes long."""

from __future__ import annotations

import pytest
from hypothesis import given as property_of
from tests.events.run.spec import (
    ERROR,
    NOW,
    PARKED,
    QUEUED,
    RUN,
    SECOND,
    STARTED,
    T0,
    awaited,
    backoff,
    given,
    inline,
    question,
    started,
    step,
    timer,
)
from tests.events.run.strategies import histories

from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide, react
from agnt5.events.run.state import OpKind, OpPhase, RunState, evolve, fold, is_waiting
from agnt5.events.run.walk import Walk
from agnt5.exceptions import InvalidInputError

ASKED = "?recovery#0pay"


def guarded(policy: str, *more: f.RunFact, **fields):
    """A run whose only step has been cut short."""
    scheduled = step("pay", recovery=policy, **fields)
    return given(QUEUED, STARTED, scheduled, started("pay"), *more)


def asked() -> f.UserInputRequested:
    """The engine's question."""
    (fact,) = guarded("ask").when(c.Recover()).decides(f.UserInputRequested)
    return fact


class TestAsk:
    """A person decides."""

    def test_the_question(self):
        fact = asked()
        assert (fact.key, fact.about, fact.input_type) == (ASKED, "pay", "select")
        assert [option["id"] for option in fact.options] == ["retry", "fail", "done"]
        assert "'pay'" in fact.question
        assert fact.shown

    def test_it_is_asked_once(self):
        guarded("ask", asked()).when(c.Recover()).then()

    def test_nothing_is_owed_meanwhile_and_the_run_may_park(self):
        subject = guarded("ask", asked())
        assert is_waiting(subject.state)
        subject.owes()

    def test_retry(self):
        subject = guarded("ask", asked())
        replied, again = subject.when(c.SubmitAnswer("retry")).decides(f.UserReplied, f.StepStarted)
        assert (replied.about, again.attempt) == ("pay", 1)
        state = fold(RUN, [*timed(QUEUED, STARTED, step("pay", recovery="ask"), started("pay"))])
        for fact in (asked(), replied, again):
            evolve(state, fact, NOW)
        assert react(state, replied) == ()
        assert react(state, again) == (e.Execute("pay", 1, eager=False),)
        assert ASKED not in state.open

    def test_the_next_crash_is_another_question(self):
        subject = guarded("ask", asked(), f.UserReplied(key=ASKED, answer="retry", about="pay"))
        evolve(subject.state, started("pay", 1), NOW)
        (again,) = subject.when(c.Recover()).decides(f.UserInputRequested)
        assert again.key == "?recovery#1pay"

    def test_fail_says_why(self):
        answer = c.SubmitAnswer("fail", reason="the bank says no")
        _, failed = guarded("ask", asked()).when(answer).decides(f.UserReplied, f.StepFailed)
        assert failed.error["type"].endswith("UnknownOutcomeError")
        assert "the bank says no" in failed.error["message"]

    @pytest.mark.parametrize(("text", "output"), [("done", None), ('done:{"id": 7}', {"id": 7})])
    def test_done(self, text, output):
        subject = guarded("ask", asked())
        _, done = subject.when(c.SubmitAnswer(text)).decides(f.UserReplied, f.StepCompleted)
        assert done.output == output

    @pytest.mark.parametrize(
        "text", ["", "yes", "retry:1", "done:", "done:{", "done:" + "[" * 9999 + "]" * 9999, None]
    )
    def test_no_answer(self, text):
        guarded("ask", asked()).when(c.SubmitAnswer(text)).refuses(InvalidInputError)

    def test_giving_the_step_up_closes_the_question(self):
        subject = guarded("ask", asked())
        subject.when(c.AbandonOperation("pay")).then(f.OperationCancelled(key="pay"))
        evolve(subject.state, f.OperationCancelled(key="pay"), NOW)
        assert not subject.state.open
        late = subject.when(c.SubmitAnswer("retry", ASKED))
        late.refuses(InvalidInputError, "waits no more for an answer")

    def test_the_deadline_of_the_step_closes_the_question(self):
        subject = guarded("ask", asked(), deadline=NOW)
        subject.when(c.WakeOperation("pay")).decides(f.UserInputExpired, f.StepFailed)

    def test_an_inline_step_that_ends_takes_it_along(self):
        inner = ":plan#0>:pay#0"
        history = (inline(":plan#0"), step(inner, recovery="ask"), started(inner))
        subject = given(QUEUED, STARTED, *history)
        (fact,) = subject.when(c.Recover()).decides(f.UserInputRequested)
        evolve(subject.state, fact, NOW)
        ended = subject.when(c.ReportSuccess(":plan#0", 0, 1, 5))
        ended.decides(f.StepCompleted, f.OperationCancelled)

    def test_a_late_report_says_nothing(self):
        guarded("ask", asked()).when(c.ReportSuccess("pay", 0, 1, 5)).then()

    def test_a_replay_passes_over_the_question(self):
        facts = [QUEUED, STARTED, step("pay", recovery="ask"), started("pay"), asked()]
        facts += [f.UserReplied(key=ASKED, answer="retry", about="pay"), started("pay", 1)]
        walk = Walk(fold(RUN, timed(*facts)), facts)
        assert walk.advance() is None
        assert not walk.is_over
        walk.ask("pay")
        assert walk.advance() is None
        assert walk.is_over


class TestVerify:
    """User code finds out."""

    def test_it_is_owed(self):
        guarded("verify").when(c.Recover()).then()
        guarded("verify").owes(e.Execute("pay", 0, eager=True, verify=True))

    def test_after_a_failed_attempt_there_is_nothing_to_verify(self):
        guarded("verify", backoff("pay")).owes(e.Wake("pay", NOW))

    def test_it_did_not_happen(self):
        guarded("verify").when(c.ReportAbsent("pay", 0)).then(started("pay", 1))
        guarded("verify").when(c.ReportAbsent("pay", 1)).then()
        guarded("verify").when(c.ReportAbsent("other", 0)).then()

    def test_it_happened(self):
        done = f.StepCompleted(key="pay", output=1, duration_us=5)
        guarded("verify").when(c.ReportSuccess("pay", 0, 1, 5)).then(done)


def timed(*facts):
    return [(fact, T0 + n) for n, fact in enumerate(facts)]


LIMITED = f.RunStarted(definition="d1", timeout_us=10 * SECOND)


def at(*moments: tuple[int, f.RunFact]) -> RunState:
    """A limited run, with facts at these seconds."""
    state = fold(RUN, [(QUEUED, 0), (LIMITED, 0)])
    for seconds, fact in moments:
        evolve(state, fact, seconds * SECOND)
    return state


class TestTimeout:
    """Time under way is counted, time of waiting is not."""

    def test_a_body_that_computes(self):
        state = at()
        assert state.times_out_at == 10 * SECOND
        assert decide(state, c.WakeRun(), 10 * SECOND - 1) == ()
        (failed,) = decide(state, c.WakeRun(), 10 * SECOND)
        assert failed.error["type"] == "agnt5.exceptions:RunTimeoutError"
        assert RUN in failed.error["message"]
        assert "10 s" in failed.error["message"]

    @pytest.mark.parametrize(
        "wait", [timer("w"), awaited("w"), question("w")], ids=["sleep", "signal", "person"]
    )
    def test_what_only_waits(self, wait):
        state = at((3, wait))
        assert state.times_out_at is None
        assert decide(state, c.WakeRun(), 999 * SECOND) == ()
        evolve(state, PARKED, 50 * SECOND)
        evolve(state, f.OperationCancelled(key="w"), 100 * SECOND)
        assert state.times_out_at == 107 * SECOND

    def test_a_step_beside_a_sleep(self):
        assert at((1, timer("w")), (3, step("a"))).times_out_at == (3 + 9) * SECOND

    def test_a_backoff_waits(self):
        state = at((1, step("a")), (4, backoff("a")))
        assert state.times_out_at is None
        evolve(state, started("a", 1), 20 * SECOND)
        assert state.times_out_at == 26 * SECOND

    def test_without_a_timeout_nothing_is_counted(self):
        state = fold(RUN, [(QUEUED, 0), (STARTED, 5), (step("a"), 9)])
        assert (state.active_us, state.active_since, state.times_out_at) == (0, None, None)

    def test_a_clock_that_was_set_back_takes_nothing_off(self):
        state = at((5, step("a")), (3, f.StepFailed(key="a", error=ERROR)))
        assert state.active_us == 5 * SECOND

    @property_of(histories())
    def test_the_sum_of_what_is_no_waiting(self, history):
        """Against a model that looks at the state after each prefix."""
        facts = [
            (fact.model_copy(update={"timeout_us": 1}), at)
            if isinstance(fact, f.RunStarted)
            else (fact, at)
            for fact, at in history
        ]
        total = 0
        for n in range(len(facts) - 1):
            before = fold(RUN, facts[: n + 1])
            waits = before.open and all(_waits(before, op) for op in before.open.values())
            if before.is_running and not waits:
                total += facts[n + 1][1] - facts[n][1]
        assert fold(RUN, facts).active_us == total


def _waits(state, op) -> bool:
    if op.kind in {OpKind.TIMER, OpKind.SIGNAL, OpKind.INPUT, OpKind.CHILD}:
        return True
    inside = op.kind is OpKind.INLINE and any(k.startswith(op.key + ">") for k in state.open)
    return inside or op.phase is not OpPhase.RUNNING
