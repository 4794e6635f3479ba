"""Every command in every phase: nothing, these facts, or a refusal; never anything else."""

from __future__ import annotations

import typing

import pytest
from tests.events.run.spec import (
    CANCELLED,
    COMPLETED,
    CONTINUED,
    ERROR,
    FAILED,
    NOW,
    QUEUED,
    SUSPENDED,
    awaited,
    given,
    question,
    started,
    step,
    timer,
)

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide
from agnt5.events.run.state import Phase
from agnt5.exceptions import AGNT5Error

STARTED = f.RunStarted(definition="d1", timeout_us=0)
OPEN = (
    step("a"),
    step("f", recovery="fail"),
    started("f"),
    timer("t", NOW),
    awaited("s"),
    question("q"),
    f.ChildStarted(key="c", child_run_id="r2", component="pay"),
    f.UpdateReceived(update_id="1", name="add"),
)
HISTORIES = {
    Phase.NEW: (),
    Phase.QUEUED: (QUEUED,),
    Phase.RUNNING: (QUEUED, STARTED, *OPEN),
    Phase.SUSPENDED: (QUEUED, STARTED, *OPEN, SUSPENDED),
    Phase.COMPLETED: (QUEUED, STARTED, *OPEN, COMPLETED),
    Phase.FAILED: (QUEUED, STARTED, *OPEN, FAILED),
    Phase.CANCELLED: (QUEUED, STARTED, *OPEN, CANCELLED),
    Phase.CONTINUED: (QUEUED, STARTED, *OPEN, CONTINUED),
}
REFUSED = "refused"
NEW = (Phase.NEW,)
ENDS = (Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED)

# The command, and what it decides when the run is queued, running, suspended, at its end.
TABLE = [
    (c.QueueRun("order", "workflow", None), REFUSED, REFUSED, REFUSED, REFUSED),
    (c.StartRun("d1"), "RunStarted", "", "", ""),
    (c.Recover(), "", "StepFailed", "StepFailed", ""),
    (c.RequestStep("n", "n", "n", None, None, "retry"), "", "StepScheduled", "", ""),
    (c.RequestTimer("n", 5), "", "TimerScheduled", "", ""),
    (c.RequestSignal("n", "go"), "", "SignalAwaited", "", ""),
    (c.RequestInput("n", "n?", "text", None, True, True), "", "UserInputRequested", "", ""),
    (c.RequestChild("n", "r2", "pay", "workflow", None), "", "ChildStarted", "", ""),
    (c.AddNote(f.MarkerRecorded(key="n")), "", "MarkerRecorded", "", ""),
    (c.SendUpdate("2", "add", None), REFUSED, "UpdateReceived", REFUSED, REFUSED),
    (c.AnswerUpdate("1", 3), "", "UpdateAnswered", "", ""),
    (c.ReportChild("c", "completed", 1), "", "ChildFinished", "ChildFinished", ""),
    (c.AbandonOperation("t"), "", "OperationCancelled", "OperationCancelled", ""),
    (c.ReportSuccess("a", 0, 1, 5), "", "StepCompleted", "StepCompleted", ""),
    (c.ReportFailure("a", 0, ERROR), "", "StepAttemptFailed", "StepAttemptFailed", ""),
    (c.ReportAbsent("f", 0), "", "StepStarted", "", ""),
    (c.WakeOperation("t"), "", "TimerFired", "", ""),
    (c.WakeRun(), "", "RunFailed", "", ""),
    (
        c.SendSignal("1", "go", None),
        "SignalReceived",
        "SignalReceived SignalConsumed",
        "SignalReceived SignalConsumed",
        REFUSED,
    ),
    (c.SubmitAnswer("x"), REFUSED, "UserReplied", "UserReplied", REFUSED),
    (
        c.RequestCancel(),
        "RunCancelRequested RunCancelled",
        "RunCancelRequested",
        "RunCancelRequested RunCancelled",
        "",
    ),
    (c.ParkRun(), "", "", "", ""),
    (c.SuspendRun("why", "report", "d1"), "", "RunSuspended", "RunSuspended", ""),
    (c.PauseRun("why"), "RunPaused", "RunPaused", "RunPaused", REFUSED),
    (c.ResumeRun("d2"), "", "", "RunResumed StepFailed", ""),
    (c.CompleteRun(1), "", "RunCompleted", "", ""),
    (c.ContinueRun(1, {}), "", "RunContinued", "", ""),
    (c.FailRun(ERROR), "", "RunFailed", "", ""),
    (c.CancelRun(), "", "RunCancelled", "", ""),
]


# What is said from outside to a run that went on is refused, so that it is said to the next one.
FORWARDED = (c.RequestCancel, c.SendUpdate, c.SendSignal, c.SubmitAnswer)


def pairs():
    for command, queued, running, suspended, ended in TABLE:
        new = "RunQueued" if isinstance(command, c.QueueRun) else REFUSED
        expected = {
            Phase.NEW: new,
            Phase.QUEUED: queued,
            Phase.RUNNING: running,
            Phase.SUSPENDED: suspended,
            **dict.fromkeys(ENDS, ended),
            Phase.CONTINUED: REFUSED if isinstance(command, FORWARDED) else ended,
        }
        for phase, decided in expected.items():
            name = f"{phase.name.lower()}-{type(command).__name__}"
            yield pytest.param(phase, command, decided, id=name)


def test_the_table_is_complete():
    commands = [type(command) for command, *_ in TABLE]
    assert len(commands) == len(set(commands))
    assert set(commands) == set(typing.get_args(c.RunCommand))
    assert set(HISTORIES) == set(Phase)
    assert all(given(*facts).state.phase is phase for phase, facts in HISTORIES.items())


@pytest.mark.parametrize(("phase", "command", "expected"), list(pairs()))
def test_pair(phase, command, expected):
    subject = given(*HISTORIES[phase])
    if expected is REFUSED:
        subject.when(command).refuses(AGNT5Error)
        return
    decided = decide(subject.state, command, NOW)
    assert " ".join(type(fact).__name__ for fact in decided) == expected
    subject.when(command).then(*decided)
