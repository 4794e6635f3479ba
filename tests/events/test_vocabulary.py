"""Facts as clients, contracts and audits name them."""

from __future__ import annotations

import pytest
from tests.events.golden_facts import GOLDEN
from tests.events.run.spec import (
    CANCEL,
    CANCELLED,
    COMPLETED,
    ERROR,
    FAILED,
    PARKED,
    QUEUED,
    RESUMED,
    STARTED,
    SUSPENDED,
    awaited,
    backoff,
    inline,
    question,
    received,
    started,
    step,
    timer,
)

from agnt5.events.base import Fact
from agnt5.events.run import facts as f
from agnt5.events.vocabulary import PublicEvent, public_events


def types(kind: str, *facts: f.RunFact) -> list[str]:
    """The types of all events, in order."""
    return [event.event_type for events in public_events(kind, facts) for event in events]


def only(fact: f.RunFact, kind: str = "workflow") -> PublicEvent:
    ((event,),) = public_events(kind, [fact])
    return event


def test_a_workflow_from_beginning_to_end():
    facts = (QUEUED, STARTED, step("a"), f.StepCompleted(key="a"), inline("i"))
    assert types("workflow", *facts, f.StepCompleted(key="i"), COMPLETED) == [
        "run.queued",
        "run.assigned",
        "run.started",
        "workflow.started",
        "workflow.step.started",
        "function.started",
        "function.completed",
        "workflow.step.completed",
        "workflow.step.started",
        "workflow.step.completed",
        "workflow.completed",
        "run.completed",
    ]


def test_a_function_from_beginning_to_end():
    assert types("function", QUEUED, STARTED, step("a"), f.StepCompleted(key="a"), COMPLETED) == [
        "run.queued",
        "run.assigned",
        "run.started",
        "function.started",
        "function.completed",
        "run.completed",
    ]


def test_attempts_are_of_functions():
    facts = (step("a"), backoff("a"), started("a", 1), f.StepFailed(key="a", error=ERROR))
    assert types("workflow", *facts) == [
        "workflow.step.started",
        "function.started",
        "function.failed",
        "function.started",
        "function.failed",
        "workflow.step.failed",
    ]
    assert types("function", *facts) == [
        "function.started",
        "function.failed",
        "function.started",
        "function.failed",
    ]


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (FAILED, ["workflow.failed", "run.failed"]),
        (CANCELLED, ["run.cancelled"]),
        (CANCEL, ["run.cancel_requested"]),
        (PARKED, ["run.parked"]),
        (SUSPENDED, ["run.paused"]),
        (RESUMED, ["run.resumed"]),
        (timer("t"), ["timer.scheduled"]),
        (f.TimerFired(key="t"), ["timer.fired"]),
        (awaited("s"), ["signal.awaited"]),
        (received("1"), ["signal.received"]),
        (f.SignalConsumed(key="s", signal_id="1"), ["signal.consumed"]),
        (f.SignalTimedOut(key="s"), ["signal.timed_out"]),
        (f.SignalReturned(key="s", signal_id="1"), ["signal.returned"]),
        (question("q"), ["approval.requested", "workflow.paused"]),
        (f.UserReplied(key="q", answer="x"), ["approval.resolved", "workflow.resumed"]),
        (f.UserInputExpired(key="q", answer="no"), ["approval.expired", "workflow.resumed"]),
        (f.ChildStarted(key="c", child_run_id="r2", component="pay"), ["child.started"]),
        (f.ChildFinished(key="c", status="completed", output=1), ["child.finished"]),
        (f.UpdateReceived(update_id="1", name="add"), ["update.received"]),
        (f.UpdateAnswered(update_id="1", output=1), ["update.answered"]),
        (f.StateChanged(key="s", name="n", value=1), ["workflow.state.changed"]),
        (f.MarkerRecorded(key="m", value=True), ["marker.recorded"]),
        (f.EventEmitted(key="e", event_type="order.paid"), ["order.paid"]),
        (f.OperationCancelled(key="a"), ["operation.cancelled"]),
    ],
    ids=lambda value: value.topic if isinstance(value, Fact) else None,
)
def test_types(fact, expected):
    assert types("workflow", fact) == expected


def test_what_events_carry():
    assert only(QUEUED).input_data == {"n": 1}
    assert only(CANCELLED).metadata == {"reason": "enough"}
    assert only(SUSPENDED).metadata == {"reason": "nondeterminism", "report": "no such step"}
    assert only(received("1", payload=[1])) == PublicEvent(
        "signal.received", input_data=[1], metadata={"name": "go", "signal_id": "1"}
    )
    done = f.StepCompleted(key="a", output=7, attempt=1, duration_us=1500)
    assert only(done, "function") == PublicEvent(
        "function.completed", "a", output_data=7, metadata={"attempt": 1, "duration_ms": 1.5}
    )
    failed = f.StepFailed(key="a", error=ERROR, attempt=2)
    assert only(failed, "function").metadata == {"attempt": 2, "error": ERROR}
    assert only(step("a", input=[1], line="app.py:7"), "function") == PublicEvent(
        "function.started", "a", input_data=[1], metadata={"name": "a", "line": "app.py:7"}
    )
    assert only(timer("t", 9)).metadata == {"due_at": 9}
    assert only(f.SignalConsumed(key="s", signal_id="1", payload=2)).output_data == 2


def test_what_a_question_carries():
    asked, paused = public_events("workflow", [question("q", options=[{"id": 1}])])[0]
    assert asked.step_key == paused.step_key == "q"
    assert asked.metadata == {"question": "q?", "input_type": "text", "options": [{"id": 1}]}
    resolved, _ = public_events("workflow", [f.UserReplied(key="q", answer="x")])[0]
    assert resolved.output_data == "x"


@pytest.mark.parametrize("kind", ["function", "workflow"])
@pytest.mark.parametrize(
    "name", [n for n, (full, _) in GOLDEN.items() if type(full) in f.RUN_FACTS]
)
def test_every_fact_has_a_public_name(kind, name):
    """Nothing on the log is hidden from those who audit it; the key is never lost."""
    for fact in GOLDEN[name]:
        (events,) = public_events(kind, [fact])
        assert events
        assert {event.step_key for event in events} == {getattr(fact, "key", None)}
