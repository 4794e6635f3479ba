"""What the annals add to the fold, and of which values of state they are not sure."""

from __future__ import annotations

from hypothesis import given
from tests.events.run import strategies as s
from tests.events.run.spec import (
    QUEUED,
    STARTED,
    T0,
    awaited,
    backoff,
    inline,
    question,
    received,
    started,
    step,
    timed,
    timer,
)

from agnt5.events.run import facts as f
from agnt5.events.run.annals import annals_of
from agnt5.events.run.state import fold


def annals(*facts: f.RunFact):
    """Of a run that has begun at T0 + 1; the first of these facts lies at T0 + 2."""
    return annals_of("r1", timed([QUEUED, STARTED, *facts]))


def wrote(key: str, **values) -> f.StepCompleted:
    return f.StepCompleted(key=key, state=values)


def changed(key: str, name: str, value=0) -> f.StateChanged:
    return f.StateChanged(key=key, name=name, value=value)


@given(s.histories(s.whole))
def test_they_hold_the_fold_and_say_when_each_open_call_was_asked_for(history):
    found = annals_of("r1", history)
    assert found.state == fold("r1", history)
    for key in found.state.open:
        [at] = [at for fact, at in history if isinstance(fact, f.Request) and fact.key == key]
        assert found.calls[key].asked_at == at
    outcomes = [fact for fact, _ in history if isinstance(fact, f.Outcome)]
    assert found.outcomes == len(outcomes)
    waiting = [one.signal_id for line in found.state.signals.values() for one in line]
    assert set(waiting) <= found.signals_at.keys()
    answers = {key: one.answer for key, one in found.questions.items()}
    assert answers == found.state.answers
    assert {key: one.answer for key, one in found.updates.items()} == found.state.updates
    assert found.state.children.keys() <= found.children.keys()


def test_an_attempt_has_a_time_and_the_error_of_the_one_before():
    found = annals(step(":a#0"), backoff(":a#0"), started(":a#0", 1))
    call = found.calls[":a#0"]
    assert (call.asked_at, call.attempt_at) == (T0 + 2, T0 + 4)
    assert call.error == {"type": "builtins:OSError", "message": "down", "args": ["down"]}


def test_since_when_it_is_in_its_phase():
    suspended = f.RunSuspended(reason="version", report="r", definition="")
    assert annals(awaited(":w#0"), received("1")).phase_at == T0 + 1
    assert annals(awaited(":w#0"), suspended, received("1")).phase_at == T0 + 3


class TestUncertainValues:
    """A step wrote a name, and a branch beside it wrote it behind the step on the log."""

    def test_a_body_with_one_branch_is_sure(self):
        once = [step(":a#0"), wrote(":a#0", n=1), changed(":state:n#0", "n")]
        again = [step(":a#1"), wrote(":a#1", n=2), changed(":state:n#1", "n")]
        assert annals(*once, *again).uncertain == []

    def test_a_question_of_the_engine_is_no_branch(self):
        asked = question("?recovery#0:a#0", about=":a#0")
        facts = [step(":a#0", recovery="ask"), asked, wrote(":a#0", n=1)]
        assert annals(*facts, changed(":state:n#0", "n")).uncertain == []

    def test_a_write_of_another_task_is_not(self):
        both = [step(":a#0"), wrote(":a#0", n=1), changed("/0:state:n#0", "n")]
        assert annals(*both).uncertain == ["n"]

    def test_nor_one_beside_another_call(self):
        beside = [step(":a#0"), timer(":sleep#0"), wrote(":a#0", n=1)]
        assert annals(*beside, changed(":state:n#0", "n")).uncertain == ["n"]
        assert annals(*beside, changed(":state:m#0", "m")).uncertain == []

    def test_what_a_step_deletes_is_written_too(self):
        deleted = f.StepCompleted(key=":a#0", deleted=["n"])
        assert annals(step(":a#0"), deleted, changed("/0:state:n#0", "n")).uncertain == ["n"]

    def test_writes_before_the_step_are_before_it(self):
        before = [step(":a#0"), changed("/0:state:n#0", "n"), wrote(":a#0", n=1)]
        assert annals(*before).uncertain == []

    def test_a_later_step_makes_it_sure_again(self):
        both = [step(":a#0"), wrote(":a#0", n=1), changed("/0:state:n#0", "n")]
        assert annals(*both, step(":a#1"), wrote(":a#1", n=2)).uncertain == []

    def test_a_run_that_was_parked_knows_of_every_step(self):
        done = [step(":a#0"), timer(":sleep#0"), wrote(":a#0", n=1), f.RunParked(wake_at=9)]
        assert annals(*done, changed(":state:n#0", "n")).uncertain == []

    def test_what_is_set_within_a_step_counts_with_the_step(self):
        inner = [inline(":plan#0"), step(":plan#0>:a#0"), wrote(":plan#0>:a#0", n=1)]
        inner += [changed(":plan#0>:state:n#0", "n"), wrote(":plan#0", n=2)]
        assert annals(*inner).uncertain == []
        assert annals(*inner).state.values == {"n": 2}


def test_a_question_that_was_given_up_has_no_answer():
    asked = annals(question(":ask#0"), f.OperationCancelled(key=":ask#0"))
    assert asked.questions[":ask#0"].answer is None
    assert asked.state.open == {}
