"""What is known of a run: each fact's part in it, and that the order of reading does not matter."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from tests.events.run.spec import (
    CANCEL,
    CANCELLED,
    COMPLETED,
    ERROR,
    FAILED,
    PARKED,
    PLAN,
    QUEUED,
    RESUMED,
    RUN,
    STARTED,
    SUSPENDED,
    T0,
    awaited,
    backoff,
    given,
    inline,
    question,
    received,
    running,
    started,
    step,
    through_codec,
    timer,
)
from tests.events.run.strategies import histories

from agnt5.events.run import facts as f
from agnt5.events.run.state import (
    Operation,
    OpKind,
    OpPhase,
    Phase,
    RunState,
    evolve,
    fold,
    is_covered,
)


def test_a_run_begins_with_nothing():
    assert fold(RUN, []) == RunState(RUN)
    assert RunState(RUN).phase is Phase.NEW


def test_versions_count_facts():
    assert given().state.version == 0
    assert running(step("a"), f.StepCompleted(key="a")).state.version == 4


@pytest.mark.parametrize(
    ("facts", "phase"),
    [
        ((QUEUED,), Phase.QUEUED),
        ((QUEUED, STARTED), Phase.RUNNING),
        ((QUEUED, STARTED, PARKED), Phase.RUNNING),
        ((QUEUED, STARTED, CANCEL), Phase.RUNNING),
        ((QUEUED, STARTED, SUSPENDED), Phase.SUSPENDED),
        ((QUEUED, STARTED, SUSPENDED, RESUMED), Phase.RUNNING),
        ((QUEUED, STARTED, COMPLETED), Phase.COMPLETED),
        ((QUEUED, STARTED, FAILED), Phase.FAILED),
        ((QUEUED, STARTED, CANCELLED), Phase.CANCELLED),
        ((QUEUED, CANCEL, CANCELLED), Phase.CANCELLED),
    ],
    ids=lambda value: value.name if isinstance(value, Phase) else " ".join(x.topic for x in value),
)
def test_phase(facts, phase):
    state = given(*facts).state
    assert state.phase is phase
    assert state.is_finished is (phase in {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED})


def test_times_of_its_life():
    state = running(step("a"), f.StepCompleted(key="a"), COMPLETED).state
    assert (state.created_at, state.started_at, state.finished_at) == (T0, T0 + 1, T0 + 4)
    assert running(step("a")).state.finished_at is None


def test_what_came_of_it():
    assert running(f.RunCompleted(output={"x": 1})).state.output == {"x": 1}
    assert running(CANCELLED).state.cancel_reason == "enough"
    state = running(CANCEL).state
    assert (state.cancel_requested, state.cancel_reason) == (True, "enough")
    assert running(SUSPENDED).state.suspension == SUSPENDED
    assert running(SUSPENDED, RESUMED).state.suspension is None


def test_an_end_leaves_nothing_open():
    for end in (COMPLETED, FAILED, CANCELLED):
        assert running(step("a"), timer("t"), end).state.open == {}


def test_a_run_is_parked_until_its_next_fact():
    state = running(timer("t", 9), f.RunParked(wake_at=9)).state
    assert (state.parked, state.wake_at) == (True, 9)
    assert not running(timer("t", 9), f.RunParked(wake_at=9), f.TimerFired(key="t")).state.parked


def test_operations_while_they_are_open():
    state = running(
        step("a", deadline=7, recovery="fail"),
        inline("i"),
        timer("t", 9),
        awaited("s", "go"),
        question("q"),
    ).state
    assert state.open == {
        "a": Operation(
            "a", OpKind.STEP, OpPhase.RUNNING, "a", deadline=7, retry=PLAN, recovery="fail"
        ),
        "i": Operation("i", OpKind.INLINE, OpPhase.RUNNING, "i"),
        "t": Operation("t", OpKind.TIMER, OpPhase.WAITING, due_at=9),
        "s": Operation("s", OpKind.SIGNAL, OpPhase.WAITING, "go"),
        "q": Operation("q", OpKind.INPUT, OpPhase.WAITING, question=question("q")),
    }


def test_attempts_of_a_step():
    def op(*facts):
        found = running(step("a"), *facts).state.open["a"]
        return found.phase, found.attempt, found.started, found.due_at

    assert op() == (OpPhase.RUNNING, 0, False, None)
    assert op(started("a")) == (OpPhase.RUNNING, 0, True, None)
    assert op(started("a"), backoff("a", 0, 9)) == (OpPhase.BACKOFF, 0, False, 9)
    assert op(backoff("a", 0, 9), started("a", 1)) == (OpPhase.RUNNING, 1, True, None)


@pytest.mark.parametrize(
    ("due_at", "deadline", "expected"),
    [(None, None, None), (5, None, 5), (None, 5, 5), (5, 7, 5), (7, 5, 5)],
)
def test_when_an_operation_must_be_looked_at(due_at, deadline, expected):
    op = Operation("a", OpKind.STEP, OpPhase.BACKOFF, due_at=due_at, deadline=deadline)
    assert op.wake_at == expected


@pytest.mark.parametrize(
    ("request_fact", "outcome", "is_inline"),
    [
        (step("a"), f.StepCompleted(key="a"), False),
        (step("a"), f.StepFailed(key="a", error=ERROR), False),
        (inline("a"), f.StepCompleted(key="a"), True),
        (inline("a"), f.StepFailed(key="a", error=ERROR), True),
        (inline("a"), f.OperationCancelled(key="a"), True),
        (timer("a"), f.TimerFired(key="a"), False),
        (question("a"), f.UserReplied(key="a", answer=None), False),
        (timer("a"), f.OperationCancelled(key="a"), False),
    ],
)
def test_an_outcome_settles(request_fact, outcome, is_inline):
    state = running(request_fact, outcome).state
    assert state.open == {}
    assert state.settled == {"a": is_inline}


def test_signals_wait_in_line():
    state = running(received("1"), received("2"), received("3", "stop")).state
    assert state.signals == {
        "go": deque([received("1"), received("2")]),
        "stop": deque([received("3", "stop")]),
    }
    assert list(state.signal_ids) == ["1", "2", "3"]


def test_a_consumed_signal_leaves_the_line_and_is_known_for_ever():
    consumed = f.SignalConsumed(key="s", signal_id="1")
    state = running(received("1"), received("2"), awaited("s"), consumed).state
    assert state.signals == {"go": deque([received("2")])}
    assert state.settled == {"s": False}
    state = running(received("1"), awaited("s"), consumed).state
    assert state.signals == {}
    assert list(state.signal_ids) == ["1"]


def test_a_signal_that_is_given_back_is_the_first_in_line():
    consumed = f.SignalConsumed(key="s", signal_id="1")
    returned = f.SignalReturned(key="s", signal_id="1")
    facts = (received("1"), received("2"), awaited("s"), consumed)
    assert running(*facts).state.consumed == {"s": received("1")}
    state = running(*facts, returned).state
    assert state.signals == {"go": deque([received("1"), received("2")])}
    assert state.settled == {"s": False}
    assert state.consumed == {}


@pytest.mark.parametrize(
    ("facts", "covered"),
    [
        ((inline("p"),), False),
        ((inline("p"), f.StepCompleted(key="p")), True),
        ((inline("p"), f.StepFailed(key="p", error=ERROR)), True),
        ((step("p"), f.StepCompleted(key="p")), False),
        ((), False),
    ],
    ids=["open", "completed", "failed", "not inline", "unknown"],
)
def test_calls_inside_a_settled_inline_step_are_covered(facts, covered):
    assert is_covered(running(*facts).state, "p>:a#0", ["p"]) is covered


def test_a_step_does_not_cover_itself():
    state = running(inline("p"), f.StepCompleted(key="p")).state
    assert not is_covered(state, "p", ["p"])
    assert not is_covered(state, "p", [])


@given_any(histories(), st.data())
def test_fold_in_two_parts(history, data):
    """``fold(a + b) == fold(b, fold(a))``, wherever the cut is."""
    cut = data.draw(st.integers(0, len(history)))
    state = fold(RUN, history[:cut])
    for fact, at in history[cut:]:
        state = evolve(state, fact, at)
    assert state == fold(RUN, history)


@given_any(histories())
def test_fold_of_what_was_written_and_read(history):
    """State is a function of what lies on the log."""
    read = [(through_codec(fact, n), at) for n, (fact, at) in enumerate(history, 1)]
    assert fold(RUN, read) == fold(RUN, history)


@given_any(histories())
def test_a_key_is_open_or_settled_and_never_both(history):
    state = RunState(RUN)
    for fact, at in history:
        evolve(state, fact, at)
        assert not state.open.keys() & state.settled.keys()
        assert all(key == op.key for key, op in state.open.items())
        assert all(state.signals.values()), "an empty line is no line"
