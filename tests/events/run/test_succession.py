"""A run that goes on as another one: what is decided, and how the other one begins."""

from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from tests.events.run.spec import (
    CANCEL,
    CANCELLED,
    CONTINUED,
    NOW,
    QUEUED,
    STARTED,
    awaited,
    given,
    received,
    running,
)
from tests.events.run.strategies import histories

from agnt5.events.keys import successor_run_id
from agnt5.events.projections import bindings_of, changes_of, row_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide, react
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.events.run.succession import KNOWN_SIGNALS, RunContinuedError, successor_of

GO_ON = c.ContinueRun({"n": 2}, {"sum": 3}, version_label="2")


def successor(*facts: f.RunFact) -> tuple[RunState, list[f.RunFact]]:
    """What goes on in place of a run with these facts."""
    state = fold("r1", [(fact, NOW) for fact in facts])
    (continued,) = decide(state, GO_ON, NOW)
    evolve(state, continued, NOW)
    found, first = successor_of(state, continued, NOW)
    return found, list(first)


def test_it_ends_with_the_place_where_it_goes_on():
    chain = successor_run_id("r1", 1)
    running().when(GO_ON).then(
        f.RunContinued(successor=chain, input={"n": 2}, version_label="2", state={"sum": 3})
    )


def test_one_that_was_asked_to_stop_does_not_go_on():
    given(QUEUED, STARTED, CANCEL).when(GO_ON).then(CANCELLED)


def test_the_next_one_is_accepted_as_this_one_was():
    queued = QUEUED.model_copy(
        update={
            "idempotency_key": "k",
            "replaces": "r0",
            "session_id": "s",
            "user_id": "u",
            "metadata": {"a": 1},
            "parent_run_id": "p",
            "parent_key": ":child#0",
            "queue": "mail",
            "priority": 3,
            "deduplication_id": "d",
            "replaces_duplicate": "r00",
            "origin": {"type": "event"},
            "durable": False,
        }
    )
    state, first = successor(queued, STARTED)
    changed = {
        "input": {"n": 2},
        "version_label": "2",
        "replaces": None,
        "replaces_duplicate": None,
        "origin": None,
        "continues": "r1",
        "chain": "r1",
        "link": 1,
        "state": {"sum": 3},
    }
    assert first == [queued.model_copy(update=changed)]
    assert state.values == {"sum": 3}
    assert bindings_of(state.run_id, first[0]) == []
    row = row_of(state)
    assert (row.chain, row.continued_to, row.status) == ("r1", None, "queued")
    assert row.key_scope == "workflow:order:k"


def test_the_third_one_knows_the_first():
    _, (second, *_) = successor(QUEUED, STARTED)
    _, (third, *_) = successor(second, STARTED)
    assert (third.chain, third.link, third.continues) == ("r1", 2, "r1")
    assert successor_run_id("r1", 2) > successor_run_id("r1", 1)


def test_signals_that_were_not_consumed_go_along_and_no_id_is_taken_twice():
    consumed = f.SignalConsumed(key="s", signal_id="1")
    facts = (received("1"), received("2"), received("3", "stop"), awaited("s"), consumed)
    state, first = successor(QUEUED, STARTED, *facts)
    assert first[1:] == [received("2"), received("3", "stop")]
    assert first[0].known_signals == ["1"]
    for again in ("1", "2", "3"):
        assert decide(state, c.SendSignal(again, "go", None), NOW) == ()


def test_what_is_remembered_of_signals_does_not_grow():
    many = [received(str(n), "x") for n in range(KNOWN_SIGNALS + 50)]
    asked = [f.SignalAwaited(key=f"s{n}", name="x") for n in range(len(many))]
    taken = [f.SignalConsumed(key=f"s{n}", signal_id=str(n)) for n in range(len(many))]
    pairs = [fact for both in zip(asked, taken, strict=True) for fact in both]
    _, (first, *rest) = successor(QUEUED, STARTED, *many, *pairs)
    assert rest == []
    assert first.known_signals == [str(n) for n in range(50, KNOWN_SIGNALS + 50)]


@pytest.mark.parametrize(
    "command",
    [
        c.RequestCancel(),
        c.SendSignal("9", "go", None),
        c.SubmitAnswer("x"),
        c.SendUpdate("9", "u", 1),
    ],
)
def test_what_is_said_to_one_that_went_on_is_for_the_next(command):
    state = given(QUEUED, STARTED, received("1"), CONTINUED).state
    with pytest.raises(RunContinuedError) as caught:
        decide(state, command, NOW)
    assert caught.value.successor == "r1.next"
    assert decide(state, c.SendSignal("1", "go", None), NOW) == ()


def test_its_parent_hears_nothing_of_it_and_the_next_one_begins():
    queued = QUEUED.model_copy(update={"parent_run_id": "p", "parent_key": ":child#0"})
    state = given(queued, STARTED, CONTINUED).state
    assert react(state, CONTINUED) == (
        e.CloseBody(),
        e.Announce(CONTINUED),
        e.BeginSuccessor("r1.next"),
    )
    assert row_of(state).owes is False
    left = f.ChildStarted(key="c", child_run_id="r2", component="pay", on_parent_end="abandon")
    state = given(queued, STARTED, left, CONTINUED).state
    assert e.HandOver() in react(state, CONTINUED)


@drawn(histories(), st.dictionaries(st.sampled_from("ab"), st.integers()))
def test_whatever_came_before_nothing_that_came_is_lost(history, values):
    state = fold("r1", history)
    if not state.is_running:
        return
    open_signals = {n: list(signals) for n, signals in state.signals.items()}
    (fact,) = decide(state, c.ContinueRun(None, values), NOW)
    evolve(state, fact, NOW)
    assert state.is_finished
    if isinstance(fact, f.RunCancelled):
        return
    found, first = successor_of(state, fact, NOW)
    assert {n: list(signals) for n, signals in found.signals.items()} == open_signals
    assert set(found.signal_ids) == set(state.signal_ids)
    assert found.values == values
    assert found.version == len(first)
    assert [change.run_id for change in changes_of(found, first)] == [found.run_id]
