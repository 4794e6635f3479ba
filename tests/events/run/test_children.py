"""The rules of children: asked for once, reported once, cancelled when nobody waits."""

from __future__ import annotations

import pytest
from tests.events.run.spec import CANCELLED, COMPLETED, QUEUED, STARTED, T0, timed

from agnt5.events.keys import child_run_id
from agnt5.events.projections import index_of, row_of, settled_row_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.children import owes, report_of, unwanted
from agnt5.events.run.decider import decide, react, resume
from agnt5.events.run.state import RunState, fold
from agnt5.exceptions import ChildCancelledError
from agnt5.payloads import decode_error

CHILD = f.ChildStarted(key="c", child_run_id="r2", component="pay")
FREE = CHILD.model_copy(update={"on_parent_end": "abandon"})
GIVEN_UP = f.OperationCancelled(key="c")
FINISHED = f.ChildFinished(key="c", status="completed", output=1)
PARENT = QUEUED.model_copy(update={"parent_run_id": "r1", "parent_key": "c"})


def state_of(*facts: f.RunFact, run_id: str = "r1", first: f.RunQueued = QUEUED) -> RunState:
    """A run with this history."""
    return fold(run_id, timed([first, STARTED, *facts]))


def test_a_child_is_asked_for_once():
    command = c.RequestChild("c", "r2", "pay", "workflow", {"n": 1}, "abandon", "app.py:1")
    decided = decide(state_of(), command, T0)
    assert [fact.child_run_id for fact in decided] == ["r2"]
    assert not decide(state_of(*decided), command, T0)
    assert react(state_of(*decided), decided[0]) == (e.StartChild(decided[0]),)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ((CHILD,), True),
        ((CHILD, FINISHED), False),
        ((CHILD, GIVEN_UP), True),
        ((FREE, GIVEN_UP), False),
        ((CHILD, COMPLETED), False),
        ((), False),
    ],
)
def test_an_end_is_recorded_once_and_only_where_it_matters(facts, said):
    decided = decide(state_of(*facts), c.ReportChild("c", "completed", 1), T0)
    assert list(decided) == ([FINISHED] if said else [])


def test_giving_up_cancels_the_child_that_may_not_go_on_by_itself():
    assert react(state_of(CHILD, GIVEN_UP), GIVEN_UP) == (e.CancelChild(CHILD),)
    assert react(state_of(FREE, GIVEN_UP), GIVEN_UP) == (e.CancelAttempt("c"),)


@pytest.mark.parametrize(
    ("facts", "owed"),
    [
        ((CHILD,), [e.StartChild(CHILD)]),
        ((FREE,), [e.StartChild(FREE)]),
        ((CHILD, GIVEN_UP), [e.CancelChild(CHILD)]),
        ((FREE, GIVEN_UP), []),
        ((CHILD, FINISHED), []),
        ((CHILD, COMPLETED), []),
    ],
)
def test_what_is_owed_after_a_restart(facts, owed):
    assert resume(state_of(*facts)) == owed


def test_an_end_is_handed_over_when_somebody_must_know():
    assert e.HandOver() not in react(state_of(COMPLETED), COMPLETED)
    assert e.HandOver() in react(state_of(FREE, COMPLETED), COMPLETED), "it may not be there yet"
    assert e.HandOver() not in react(state_of(FREE, GIVEN_UP, COMPLETED), COMPLETED)
    assert e.HandOver() not in react(state_of(CHILD, FINISHED, COMPLETED), COMPLETED)
    assert e.HandOver() in react(state_of(CHILD, COMPLETED), COMPLETED)
    assert e.HandOver() in react(state_of(COMPLETED, first=PARENT), COMPLETED)
    assert unwanted(state_of(CHILD, COMPLETED)) == [CHILD]
    assert not owes(state_of(CHILD))


def test_what_the_parent_is_told():
    assert report_of(COMPLETED, "c", "r2") == c.ReportChild("c", "completed", 1)
    error = decode_error(report_of(CANCELLED, "c", "r2").error)
    assert isinstance(error, ChildCancelledError)
    assert (error.run_id, error.reason) == ("r2", "enough")


@pytest.mark.parametrize(
    ("parent", "child", "owing"),
    [
        ((CHILD,), (COMPLETED,), ["r2"]),
        ((CHILD, FINISHED), (COMPLETED,), []),
        ((CHILD, COMPLETED), (), ["r1"]),
        ((CHILD, COMPLETED), (f.RunCancelRequested(reason="x"),), []),
        ((CHILD, COMPLETED), (COMPLETED,), []),
        ((FREE, COMPLETED), (), []),
    ],
)
def test_a_rebuilt_index_knows_who_owes(parent, child, owing):
    """From all logs together: what is on record at the other's is owed no more."""
    states = [state_of(*parent), state_of(*child, run_id="r2", first=PARENT)]
    rows = index_of(states)
    assert [row.run_id for row in rows if row.owes] == owing
    for state in states:
        assert settled_row_of(state) in rows or row_of(state) in rows


def test_a_rebuilt_index_knows_of_a_child_that_never_began():
    """Its parent has ended and left it alone: somebody must see to it that it is there."""
    assert [row.owes for row in index_of([state_of(FREE, COMPLETED)])] == [True]
    assert [row.owes for row in index_of([state_of(CHILD, COMPLETED)])] == [False]


def test_the_id_of_a_child_follows_from_its_place():
    ids = {child_run_id(run, key) for run in ("a", "b") for key in (":x#0", ":x#1")}
    assert len(ids) == 4
    deep = "a"
    for _ in range(20):
        deep = child_run_id(deep, ":x#0")
    assert len(deep) <= 128
