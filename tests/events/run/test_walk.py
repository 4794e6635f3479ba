"""A replay as data: what is handed to the body, when, and what must wait."""

from __future__ import annotations

from typing import get_args

import pytest
from tests.events.run.spec import (
    CANCEL,
    ERROR,
    PARKED,
    RESUMED,
    SUSPENDED,
    awaited,
    backoff,
    inline,
    question,
    received,
    running,
    started,
    step,
    timer,
)

from agnt5.events.run import facts as f
from agnt5.events.run.walk import Walk


def walk(*facts: f.RunFact) -> Walk:
    subject = running(*facts)
    return Walk(subject.state, subject.facts)


def done(key: str, output=None) -> f.StepCompleted:
    return f.StepCompleted(key=key, output=output)


def test_an_empty_history_is_over():
    subject = Walk(running().state, [])
    assert subject.is_over
    assert subject.advance() is None
    assert subject.expected is None


def test_the_life_of_the_run_concerns_no_body():
    subject = walk(PARKED, SUSPENDED, RESUMED, received("1"))
    assert subject.advance() is None
    assert subject.is_over


@pytest.mark.parametrize(
    "request_fact", [step("a"), inline("a"), timer("a"), awaited("a"), question("a")]
)
def test_a_request_waits_until_the_body_asks(request_fact):
    subject = walk(request_fact)
    assert subject.advance() is None
    assert not subject.is_over
    assert subject.expected == request_fact
    assert subject.expected == request_fact
    subject.ask("b")
    assert subject.advance() is None
    assert subject.expected == request_fact
    subject.ask("a")
    assert subject.advance() is None
    assert subject.is_over
    assert subject.expected is None
    assert subject.claimed == {"a"}


@pytest.mark.parametrize(
    ("request_fact", "outcome"),
    [
        (step("a"), done("a", 1)),
        (step("a"), f.StepFailed(key="a", error=ERROR)),
        (timer("a"), f.TimerFired(key="a")),
        (question("a"), f.UserReplied(key="a", answer="x")),
    ],
)
def test_an_outcome_is_handed_out_once_it_was_asked_for(request_fact, outcome):
    subject = walk(request_fact, outcome)
    assert subject.advance() is None
    subject.ask("a")
    assert subject.advance() == outcome
    assert subject.is_over
    assert subject.advance() is None


def test_a_signal_is_handed_out_where_it_was_consumed():
    consumed = f.SignalConsumed(key="s", signal_id="1")
    subject = walk(received("1"), awaited("s"), consumed)
    assert subject.advance() is None
    subject.ask("s")
    assert subject.advance() == consumed


def test_outcomes_come_in_the_order_of_the_log():
    subject = walk(step("a"), step("b"), timer("t"), done("b"), f.TimerFired(key="t"), done("a"))
    for key in ("t", "b", "a"):
        assert subject.advance() is None
        subject.ask(key)
    assert [subject.advance() for _ in range(4)] == [
        done("b"),
        f.TimerFired(key="t"),
        done("a"),
        None,
    ]


def test_an_outcome_waits_for_the_requests_before_it():
    """The body asked for b before a was done; it must have done so again."""
    subject = walk(step("a"), step("b"), done("a"), done("b"))
    subject.ask("a")
    assert subject.advance() is None
    assert subject.expected == step("b")
    subject.ask("b")
    assert subject.advance() == done("a")


def test_attempts_are_not_handed_out():
    subject = walk(step("a"), started("a"), backoff("a"), started("a", 1), done("a", 2))
    subject.ask("a")
    assert subject.advance() == done("a", 2)


def test_a_cancellation_comes_in_its_place():
    subject = walk(step("a"), CANCEL, done("a"))
    subject.ask("a")
    assert subject.advance() == CANCEL
    assert subject.advance() == done("a")


def test_giving_up_is_a_request():
    """The walk waits until the body has given up again."""
    subject = walk(
        step("a"), timer("t"), f.TimerFired(key="t"), f.OperationCancelled(key="a"), CANCEL
    )
    subject.ask("a")
    subject.ask("t")
    assert subject.advance() == f.TimerFired(key="t")
    assert subject.advance() is None
    assert subject.expected == f.OperationCancelled(key="a")
    subject.give_up("a")
    assert subject.advance() == CANCEL
    assert subject.is_over


def test_giving_a_signal_back_is_a_request():
    """The body had given up before it was handed the signal, and must have done so again."""
    consumed = f.SignalConsumed(key="s", signal_id="1")
    returned = f.SignalReturned(key="s", signal_id="1")
    subject = walk(awaited("s"), received("1"), consumed, returned, CANCEL)
    subject.ask("s")
    assert subject.advance() == consumed
    assert subject.advance() is None
    assert subject.expected == returned
    subject.give_up("s")
    assert subject.advance() == CANCEL


def test_giving_up_early_is_remembered():
    """The body may be ahead of the walk."""
    subject = walk(step("a"), step("b"), f.OperationCancelled(key="a"), done("b"))
    subject.ask("a")
    subject.give_up("a")
    subject.ask("b")
    assert subject.advance() == done("b")
    assert list(subject.given_up) == ["a"]


def test_calls_inside_a_settled_inline_step_are_passed():
    """A replay does not run the inline step, so nobody will ask for them."""
    subject = walk(
        inline("p"),
        step("p>:a#0"),
        timer("p>:t#0"),
        awaited("p>:s#0"),
        question("p>:q#0"),
        done("p>:a#0"),
        f.TimerFired(key="p>:t#0"),
        f.OperationCancelled(key="p>:s#0"),
        f.UserReplied(key="p>:q#0", answer="x"),
        done("p", 7),
    )
    assert subject.advance() is None
    subject.ask("p")
    assert subject.advance() == done("p", 7)
    assert subject.is_over
    assert subject.claimed == {"p"}


def test_calls_deep_inside_a_settled_inline_step_are_passed():
    """Any step around them suffices."""
    subject = walk(inline("p"), inline("p>:i#0"), step("p>:i#0>:a#0"), done("p"))
    subject.ask("p")
    assert subject.advance() == done("p")


def test_calls_inside_an_inline_step_that_is_under_way_are_asked_for_again():
    subject = walk(inline("p"), step("p>:a#0"), done("p>:a#0", 3))
    subject.ask("p")
    assert subject.advance() is None
    assert subject.expected == step("p>:a#0")
    subject.ask("p>:a#0")
    assert subject.advance() == done("p>:a#0", 3)


def test_new_calls_are_held_in_the_order_of_the_body():
    subject = walk(step("a"), step("b"), done("a"))
    for key in ("new", "a", "newer"):
        subject.ask(key)
    assert subject.advance() is None
    assert subject.held() == ["new", "newer"]
    subject.ask("b")
    assert subject.held() == ["new", "newer", "b"]
    assert subject.advance() == done("a")
    assert subject.held() == ["new", "newer"]


def test_asking_twice_is_asking_once():
    subject = walk(step("a"), done("a"))
    subject.ask("a")
    subject.ask("a")
    assert subject.advance() == done("a")
    assert subject.held() == []


def test_whether_an_earlier_pass_went_on_from_here():
    """Only what the body itself did counts, and only what it has yet to do again."""
    marker = f.MarkerRecorded(key="patch:x", value=True)
    history = [step("a"), done("a"), received("s"), marker, step("b"), done("b")]
    subject = walk(*history)
    assert subject.went_on(())
    subject.ask("a")
    while subject.advance() is not None:
        pass
    assert subject.went_on(())
    subject.ask("b")
    assert not subject.went_on({"patch:x"})
    outside = walk(step("a"), step("b"), done("b"), received("s"))
    outside.ask("a")
    outside.ask("b")
    assert not outside.went_on(())


def test_every_request_waits_and_every_outcome_is_handed_out():
    """A new kind of fact must be made known to the walk."""
    for kind in get_args(f.Request):
        subject = Walk(running().state, [kind.model_construct(key="a", about=None)])
        assert subject.advance() is None
        assert not subject.is_over, kind
    for kind in get_args(f.Outcome):
        outcome = kind.model_construct(key="a", about=None)
        assert Walk(running().state, [outcome]).advance() is outcome, kind


class TestTheEndOfTheBody:
    """What a task that it has left behind would still ask for is nothing that it must wait for."""

    LEFT = (step("/0:a#0"), done("/0:a#0"), step("/0/1:b#0"))

    def test_a_body_alone_must_have_asked_for_everything(self):
        assert not walk(*self.LEFT).finish()
        assert not walk(*self.LEFT).finish({"/1", "/01"})
        assert walk().finish()

    def test_what_a_living_task_or_its_own_would_ask_for_is_passed(self):
        subject = walk(*self.LEFT)
        assert subject.finish({"/0"})
        assert subject.is_over

    def test_what_only_an_ended_task_would_ask_for_is_missed(self):
        subject = walk(*self.LEFT)
        assert not subject.finish({"/0/1"})
        assert subject.expected == self.LEFT[0]

    def test_the_calls_of_the_body_itself_are_missed(self):
        subject = walk(*self.LEFT, step(":m#0"))
        assert not subject.finish({"/0"})
        assert subject.expected == step(":m#0")

    def test_any_task_may_give_up_a_call_that_was_made(self):
        facts = (step(":m#0"), f.OperationCancelled(key=":m#0"))
        for alive, passed in (({"/0"}, True), (set(), False)):
            subject = walk(*facts)
            subject.ask(":m#0")
            assert subject.finish(alive) is passed

    def test_a_key_that_was_chosen_may_be_of_any_task_of_its_scope(self):
        assert walk(step("@pay:7")).finish({"/0"})
        assert not walk(step("@pay:7")).finish({":plan#0>"})
        assert walk(step(":plan#0>@pay:7")).finish({":plan#0>/0"})
