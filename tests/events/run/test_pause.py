"""A paused run: what is decided about it, phase by phase."""

from __future__ import annotations

import pytest
from tests.events.run.spec import (
    COMPLETED,
    ERROR,
    NOW,
    QUEUED,
    SUSPENDED,
    awaited,
    given,
    question,
    received,
    running,
    started,
    step,
    timer,
)

from agnt5.events.projections import row_of, status_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import resume
from agnt5.events.run.recovery import is_unsettled
from agnt5.events.run.state import Phase
from agnt5.exceptions import InvalidInputError

PAUSED = f.RunPaused(reason="the bank is closed")
GO = f.RunResumed(definition="")


def test_it_is_paused_once_and_its_body_retires():
    """The second time says nothing."""
    running().when(c.PauseRun("the bank is closed")).then(PAUSED).owes(
        e.RetireBody(), e.AnnouncePause()
    )
    running(PAUSED).when(c.PauseRun("again")).then()


def test_what_has_ended_cannot_be_paused():
    """It is refused, in words."""
    with pytest.raises(InvalidInputError, match="nothing to pause"):
        running(COMPLETED).when(c.PauseRun()).then()


@pytest.mark.parametrize(
    "command",
    [
        c.RequestStep("n", "n", "n", None, None, "retry"),
        c.RequestTimer("n", 5),
        c.AbandonOperation("a"),
        c.AddNote(f.MarkerRecorded(key="m")),
        c.CompleteRun(1),
        c.FailRun(ERROR),
        c.CancelRun(),
        c.ParkRun(),
        c.WakeOperation("t"),
        c.WakeRun(),
        c.AnswerUpdate("u"),
        c.StartRun("d1"),
        c.Recover(),
    ],
    ids=lambda command: type(command).__name__,
)
def test_the_body_and_the_clock_are_not_heard(command):
    """What they say is said again when the run goes on."""
    asked = f.UpdateReceived(update_id="u", name="add")
    running(step("a"), timer("t", NOW - 1), asked, PAUSED).when(command).then()


def test_reports_and_the_outside_are_recorded():
    """Each as if the run were under way."""
    paused = running(step("a"), awaited("s", name="news"), question("q"), PAUSED)
    paused.when(c.ReportSuccess("a", 0, 7, 1)).decides(f.StepCompleted)
    paused.when(c.ReportFailure("a", 0, ERROR, retryable=False)).decides(f.StepFailed)
    paused.when(c.SendSignal("1", "news", None)).decides(f.SignalReceived, f.SignalConsumed)
    paused.when(c.SubmitAnswer("yes", "q", "ada")).decides(f.UserReplied)


def test_it_goes_on_from_where_it_was():
    """Its phase is what it was; one that was suspended is tried again."""
    running(PAUSED).when(c.ResumeRun("")).then(GO).owes(e.ComeBack())
    assert running(PAUSED, GO).state.is_running
    assert given(QUEUED, PAUSED, GO).state.phase is Phase.QUEUED
    again = running(SUSPENDED, PAUSED, GO).state
    assert (again.phase, again.suspension) == (Phase.RUNNING, None)


def test_a_cancelled_one_goes_on_to_clean_up_if_it_has_a_body():
    """One that has not begun, or is suspended, ends at once."""
    running(PAUSED).when(c.RequestCancel("x")).decides(f.RunCancelRequested, f.RunResumed)
    given(QUEUED, PAUSED).when(c.RequestCancel("x")).decides(f.RunCancelRequested, f.RunCancelled)
    running(SUSPENDED, PAUSED).when(c.RequestCancel("x")).decides(
        f.RunCancelRequested, f.RunCancelled
    )


def test_its_status_is_paused_and_nothing_is_owed():
    """Whatever else it waits for."""
    state = running(question("q"), step("a"), received("1"), PAUSED).state
    assert status_of(state) == row_of(state).status == "paused"
    assert not list(resume(state))
    assert not state.may_start
    assert status_of(running(question("q"), PAUSED, GO).state) == "awaiting_user_input"


def test_another_attempt_that_a_person_allows_meanwhile_begins_later():
    """The answer is recorded at once, the attempt when the run is back in memory."""
    careful = running(step("a", recovery="ask"), started("a"))
    (asked,) = careful.when(c.Recover()).decides(f.UserInputRequested)
    paused = running(step("a", recovery="ask"), started("a"), asked, PAUSED)
    (reply,) = paused.when(c.SubmitAnswer("retry", asked.key)).decides(f.UserReplied)
    back = running(step("a", recovery="ask"), started("a"), asked, PAUSED, reply, GO)
    assert is_unsettled(back.state)
    back.when(c.Recover()).then(f.StepStarted(key="a", attempt=1))


def test_its_time_stands_still():
    """Only the time in which it was under way counts."""
    begun = f.RunStarted(definition="d1", timeout_us=100)
    paused = given(QUEUED, begun, step("a"), PAUSED)
    assert paused.state.times_out_at is None
    assert given(QUEUED, begun, step("a"), PAUSED, GO).state.times_out_at is not None
