"""What a fork begins with, and from where a failed run is tried again: for any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.run.spec import (
    COMPLETED,
    ERROR,
    NOW,
    QUEUED,
    STARTED,
    SUSPENDED,
    awaited,
    question,
    received,
    started,
    step,
    through_codec,
    timed,
    timer,
)
from tests.events.run.strategies import histories

from agnt5.events.keys import child_run_id, successor_run_id
from agnt5.events.projections import row_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.failures import retry_point
from agnt5.events.run.forking import ForkWish, boundary, first_identity, fork
from agnt5.events.run.state import Phase, fold
from agnt5.events.run.succession import continue_run
from agnt5.exceptions import InvalidInputError

CHILD = f.ChildStarted(key="c", child_run_id="r2", component="pay")
DONE = f.ChildFinished(key="c", status="completed")
FAILED = f.RunFailed(error=ERROR)


def wish(at: int, **fields) -> ForkWish:
    values = {"identity": "origin", "version_label": None, **fields}
    return ForkWish("r9", at, **values)


@given(histories(), st.data())
def test_any_history_can_be_forked_anywhere(history, data):
    """The fork folds, can be written and read, is under way, and has nobody's keys or parent."""
    at = data.draw(st.integers(1, len(history)))
    made = fork("r1", history, wish(at), NOW)
    assert fold("r9", made.facts).version == len(made.facts)
    assert all(through_codec(fact, 1) == fact for fact, _ in made.facts)
    times = [time for _, time in made.facts]
    assert times[-1] >= times[-2]
    state = made.state
    assert state.phase in {Phase.QUEUED, Phase.RUNNING}
    assert state.pause is None
    row = row_of(state)
    assert (row.key_scope, row.parent_run_id, row.parked, row.finished_at) == (None,) * 2 + (
        False,
        None,
    )
    assert row.status in {"queued", "running", "awaiting_user_input"}
    assert (state.queued.continues, row.chain, state.queued.link) == (None, None, 0)
    # No run of another may answer it.
    ours = {child_run_id("r9", key) for key in state.children}
    assert {child.child_run_id for child in state.children.values()} == ours
    # A second cut at the same place is the same.
    assert boundary(history, made.kept) == made.kept


@given(histories(), st.data())
def test_a_fork_of_a_fork_is_a_fork_of_the_origin(history, data):
    """Its copied part is the same, and so is whose chance it has."""
    at = data.draw(st.integers(1, len(history)))
    first = fork("r1", history, wish(at), NOW)
    second = fork("r9", first.facts, ForkWish("r8", len(first.facts), "origin", None), NOW)
    assert second.facts[: first.kept][1:] == first.facts[: first.kept][1:] or first.state.children
    assert second.state.identity == first.state.identity == "r1"
    facts = [fact for fact, _ in second.facts]
    assert first_identity(facts, second.state) == "r1"


@pytest.mark.parametrize("at", [0, 4, -1, True, "2", 2.0])
def test_there_must_be_such_an_event(at):
    """Counted from 1."""
    with pytest.raises(InvalidInputError, match="none at"):
        boundary(timed([QUEUED, STARTED, step("a")]), at)


@pytest.mark.parametrize(
    ("facts", "at", "kept"),
    [
        ([QUEUED, STARTED, step("a"), COMPLETED], 4, 3),
        ([QUEUED, f.RunCancelled()], 2, 1),
        (
            [
                QUEUED,
                STARTED,
                awaited("s"),
                received("1"),
                f.SignalConsumed(key="s", signal_id="1"),
            ],
            4,
            5,
        ),
        ([QUEUED, STARTED, step("a", recovery="fail"), started("a")], 3, 2),
        ([QUEUED, STARTED, step("a", recovery="fail"), started("a")], 4, 4),
        (
            [
                QUEUED,
                STARTED,
                step("p", function=None),
                step("p>:a#0"),
                f.StepCompleted(key="p"),
                f.OperationCancelled(key="p>:a#0"),
            ],
            5,
            6,
        ),
        (
            [
                QUEUED,
                STARTED,
                step("a", recovery="ask"),
                started("a"),
                question("?a", about="a"),
                f.UserReplied(key="?a", answer="retry", about="a"),
                started("a", 1),
            ],
            6,
            7,
        ),
    ],
    ids=["an end", "never begun", "a signal", "an intent", "begun", "left inside", "an answer"],
)
def test_what_was_decided_together_stays_together(facts, at, kept):
    """And a step that must not run twice is asked for again if it has not begun."""
    assert boundary(timed(facts), at) == kept


def test_a_child_that_is_over_is_kept_and_an_open_one_is_the_forks_own():
    """So that the child of the origin cannot answer it."""
    over = fork("r1", timed([QUEUED, STARTED, CHILD, DONE]), wish(4), NOW)
    assert [fact for fact, _ in over.facts][2:4] == [CHILD, DONE]
    assert over.facts[-1][0].children == {"c": "r2"}
    under_way = fork("r1", timed([QUEUED, STARTED, CHILD]), wish(3), NOW)
    assert under_way.facts[2][0].child_run_id == child_run_id("r9", "c")


def test_what_only_one_run_can_have_is_not_copied():
    """Keys, the parent; another input takes the error of a trigger with it."""
    queued = f.RunQueued(
        component="order",
        kind="workflow",
        input={"n": 1},
        idempotency_key="k",
        deduplication_id="d",
        parent_run_id="p",
        parent_key="c",
        queue="slow",
        origin={"type": "event", "error": ERROR},
    )
    made = fork("r1", timed([queued]), wish(1, input={"n": 2}, input_changed=True), NOW)
    first = made.facts[0][0]
    assert first == f.RunQueued(
        component="order", kind="workflow", input={"n": 2}, queue="slow", origin={"type": "event"}
    )
    assert made.state.forked.input_changed


def test_a_fork_of_a_run_that_goes_on_goes_on_as_a_run_of_its_own():
    """Its place in the chain is not copied: its successor would have the id of the origin's."""
    link = f.RunQueued(
        component="order",
        kind="workflow",
        input={},
        continues="r0",
        chain="r0",
        link=1,
        state={"n": 1},
    )
    made = fork("r1", timed([link, STARTED]), wish(2), NOW)
    assert made.state.values == {"n": 1}
    (went_on,) = continue_run(made.state, c.ContinueRun({}, {}))
    assert went_on.successor == successor_run_id("r9", 1)


def test_what_was_open_has_its_time_anew_and_a_timer_keeps_its_own():
    """However late the fork is made, and if it is forked again."""
    asked = [
        step("a", deadline=NOW + 9),
        f.SignalAwaited(key="s", name="go", due_at=NOW + 8),
        timer("t", NOW + 7),
        f.UserInputRequested(key="q", question="?", due_at=NOW + 6),
        step("b", deadline=NOW + 5),
        f.StepCompleted(key="b"),
    ]
    history = [(fact, NOW) for fact in [QUEUED, STARTED, *asked]]
    once = fork("r1", history, wish(8), NOW + 100)
    twice = fork("r9", once.facts, wish(len(once.facts)), NOW + 150)
    for made, later in ((once, 100), (twice, 150)):
        until = {key: op.wake_at - NOW for key, op in made.state.open.items()}
        assert until == {"a": 9 + later, "s": 8 + later, "t": 7, "q": 6 + later}
        assert made.facts[6] == history[6]


def test_a_suspended_or_paused_origin_gives_a_fork_that_is_under_way():
    """Whatever held the origin back."""
    held = [QUEUED, STARTED, step("a"), SUSPENDED, f.RunPaused()]
    made = fork("r1", timed(held), wish(5), NOW)
    assert made.state.is_running
    assert made.state.suspension is None


@pytest.mark.parametrize(
    ("facts", "at", "left_out", "cleanup"),
    [
        ([step("a"), f.StepFailed(key="a", error=ERROR), FAILED], 3, ("a",), ()),
        (
            [step("b"), step("a"), f.StepFailed(key="a", error=ERROR), step("c"), FAILED],
            4,
            ("a",),
            ("c",),
        ),
        ([CHILD, f.ChildFinished(key="c", status="failed", error=ERROR), FAILED], 3, ("c",), ()),
        (
            [step("a"), f.StepFailed(key="a", error={"type": "x", "message": "y"}), FAILED],
            3,
            ("a",),
            (),
        ),
        ([step("a"), f.StepCompleted(key="a"), FAILED], 4, (), ()),
        ([step("a"), f.RunCancelRequested(), step("c"), f.RunCancelled()], 3, (), ("c",)),
        (
            [
                step("a"),
                f.RunFailed(error={"type": "agnt5.exceptions:RunTimeoutError", "message": ""}),
            ],
            3,
            (),
            (),
        ),
    ],
    ids=["a step", "cleanup", "a child", "other words", "own code", "cancelled", "too long"],
)
def test_where_a_run_is_tried_again(facts, at, left_out, cleanup):
    """Just before what ended it."""
    point = retry_point("r1", timed([QUEUED, STARTED, *facts]))
    assert (point.at, point.left_out, point.cleanup) == (at, left_out, cleanup)


@given(st.sampled_from([(QUEUED,), (QUEUED, STARTED), (QUEUED, STARTED, COMPLETED)]))
def test_only_what_ended_badly_is_tried_again(history):
    """Others are forked, or run anew."""
    with pytest.raises(InvalidInputError, match="only a run that failed or was cancelled"):
        retry_point("r1", timed(history))
