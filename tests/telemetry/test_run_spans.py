"""Each kind of fact, and what it says of which span. Histories are written down, not run."""

from __future__ import annotations

import pytest

from agnt5.events.keys import recovery_key, update_branch
from agnt5.events.run import facts as f
from agnt5.events.traces import TraceParent, span_id_of, trace_id_of
from agnt5.exceptions import UnknownOutcomeError
from agnt5.payloads import encode_error
from agnt5.telemetry.run_spans import RunSpans
from agnt5.telemetry.spans import SpanError, SpanRecord, error_of

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUEUED = f.RunQueued(component="order", kind="workflow", input={"secret": 1}, user_id="ada")
STARTED = f.RunStarted(definition="d")
ENDED = f.RunCompleted(output="secret")
ERROR = {"type": "builtins:KeyError", "message": "'sku'", "traceback": "line 1"}
KEY = ":charge#0"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FORKED = f.RunForked(origin="origin", at=1, kept_identity="r", identity="r")


def spans_of(*facts: f.RunFact, begin_again_after: int | None = None) -> list[SpanRecord]:
    """One fact each microsecond, from 1."""
    follower, found = RunSpans("r1"), []
    for at, fact in enumerate((QUEUED, STARTED, *facts), 1):
        found += follower.see(fact, at)
        if begin_again_after == at:
            follower.begin_again()
    return found


def told(spans: list[SpanRecord]) -> list[tuple[str, str, int, int]]:
    return [(span.name, span.outcome, span.began_at, span.ended_at) for span in spans]


def scheduled(recovery: str = "retry", key: str = KEY, function: str | None = "charge_card"):
    return f.StepScheduled(key=key, name="charge", function=function, recovery=recovery)


def test_nothing_that_its_caller_has_brought_is_said_of_a_run():
    (run,) = spans_of(ENDED)
    assert "secret" not in str(run)
    assert "ada" not in str(run)
    assert told([run]) == [("workflow order", "completed", 1, 3)]
    assert run.parent_id is None


def test_a_function_begins_when_its_code_does():
    spans = spans_of(scheduled(), f.RunParked(), f.StepCompleted(key=KEY, duration_us=1), ENDED)
    assert told(spans)[:2] == [
        ("attempt charge", "completed", 4, 5),
        ("step charge", "completed", 3, 5),
    ]
    inline = spans_of(scheduled(function=None), f.StepCompleted(key=KEY, duration_us=1))
    assert told(inline)[0] == ("attempt charge", "completed", 3, 4)
    slow = spans_of(scheduled(), f.StepCompleted(key=KEY, duration_us=10**9))
    assert slow[0].began_at == 3, "a clock that was set makes nothing begin before its step"


@pytest.mark.parametrize("recovery", ["verify", "ask"])
def test_an_attempt_that_a_crash_has_hidden_is_lost(recovery):
    asked = f.UserInputRequested(key=recovery_key(KEY, 0), question="?", about=KEY)
    replied = f.UserReplied(key=asked.key, answer="retry", about=KEY)
    between = [asked, replied] if recovery == "ask" else []
    spans = spans_of(
        scheduled(recovery),
        f.StepStarted(key=KEY, attempt=0),
        *between,
        f.StepStarted(key=KEY, attempt=1),
        f.StepCompleted(key=KEY, attempt=1),
    )
    lost, *others, second, step = spans
    assert (lost.name, lost.outcome, lost.began_at, lost.ended_at) == (
        "attempt charge",
        "lost",
        4,
        5,
    )
    assert lost.error is not None and "process ended" in lost.error.message
    assert [other.kind for other in others] == (["question"] if between else [])
    assert (second.outcome, step.outcome) == ("completed", "completed")
    assert [link.to.span_id for link in second.links] == [lost.span_id]


def test_an_attempt_that_must_not_be_repeated_is_lost():
    failed = f.StepFailed(key=KEY, error=encode_error(UnknownOutcomeError("who knows")))
    attempt, step = spans_of(scheduled("fail"), f.StepStarted(key=KEY, attempt=0), failed)
    assert (attempt.outcome, step.outcome) == ("lost", "failed")
    assert step.error is not None
    assert step.error.type == "agnt5.exceptions.UnknownOutcomeError"
    assert step.error.message == "who knows"


def test_what_a_person_says_was_done_ends_the_step_and_no_attempt():
    asked = f.UserInputRequested(key=recovery_key(KEY, 0), question="?", about=KEY)
    spans = spans_of(
        scheduled("ask"),
        f.StepStarted(key=KEY, attempt=0),
        asked,
        f.UserReplied(key=asked.key, answer="done", about=KEY),
        f.StepCompleted(key=KEY),
    )
    assert [(span.kind, span.outcome) for span in spans] == [
        ("attempt", "lost"),
        ("question", "completed"),
        ("step", "completed"),
    ]


def test_only_what_was_under_way_begins_again():
    inner = f":plan#0>{KEY}"
    facts = [
        f.StepScheduled(key=":plan#0", name="plan"),
        scheduled(key=inner),
        f.TimerScheduled(key=":sleep#0", due_at=9),
        f.StepCompleted(key=inner),
        f.StepCompleted(key=":plan#0"),
        ENDED,
    ]
    marked = spans_of(*facts, begin_again_after=5)
    again = {s.name for s in marked if s.attributes.get("agnt5.attempt.began_again")}
    assert again == {"attempt charge"}, "the outer step waits for it, and is only replayed"
    facts.insert(3, f.RunParked())
    parked = spans_of(*facts, begin_again_after=6)
    assert not any("agnt5.attempt.began_again" in span.attributes for span in parked)


def test_what_is_asked_for_inside_is_inside_the_attempt():
    inner = f":plan#0>{KEY}"
    spans = spans_of(
        f.StepScheduled(key=":plan#0", name="plan"),
        f.StepAttemptFailed(key=":plan#0", attempt=0, error=ERROR, retry_at=9),
        f.StepStarted(key=":plan#0", attempt=1),
        scheduled(key=inner),
        f.StepCompleted(key=inner),
    )
    step = spans[-1]
    assert step.parent_id == span_id_of("r1", ":plan#0", 1)
    assert spans[0].error == SpanError("KeyError", "'sku'", "line 1")


def test_an_update_is_around_what_its_handler_asks_for():
    branch = update_branch("u/1")
    handled = scheduled(key=f"{branch}{KEY}")
    spans = spans_of(
        f.UpdateReceived(update_id="u", name="other"),
        f.UpdateReceived(update_id="u/1", name="add", traceparent=GOOD),
        handled,
        f.StepCompleted(key=handled.key),
        f.UpdateAnswered(update_id="u/1", error=ERROR),
    )
    _, step, update = spans
    assert step.parent_id == update.span_id == span_id_of("r1", branch)
    assert (update.name, update.outcome, update.error and update.error.type) == (
        "update add",
        "failed",
        "KeyError",
    )
    assert [str(link.to) for link in update.links] == [GOOD]


def test_waits_end_in_time_too_late_or_not_at_all():
    signal = f.SignalAwaited(key=":signal:go#0", name="go", due_at=3)
    spans = spans_of(
        f.TimerScheduled(key=":sleep#0", due_at=4, line="app.py:4"),
        f.TimerFired(key=":sleep#0"),
        signal,
        f.SignalTimedOut(key=signal.key),
        f.UserInputRequested(key=":wait_for_user#0", question="secret", due_at=1),
        f.UserInputExpired(key=":wait_for_user#0"),
        f.TimerScheduled(key=":sleep#1", due_at=99),
        f.OperationCancelled(key=":sleep#1"),
    )
    assert [(span.name, span.outcome, span.late_us) for span in spans] == [
        ("sleep", "completed", 0),
        ("signal go", "timed_out", 3),
        ("question wait_for_user", "timed_out", 7),
        ("sleep", "abandoned", None),
    ]
    assert spans[0].attributes["agnt5.line"] == "app.py:4"
    assert "secret" not in str(spans)


def test_a_signal_is_linked_to_its_own_sender():
    received = f.SignalReceived(signal_id="s1", name="go", traceparent=GOOD)
    spans = spans_of(
        received,
        f.SignalReceived(signal_id="s2", name="go"),
        f.SignalAwaited(key=":signal:go#0", name="go"),
        f.SignalConsumed(key=":signal:go#0", signal_id="s1"),
        f.SignalAwaited(key=":signal:go#1", name="go"),
        f.SignalConsumed(key=":signal:go#1", signal_id="s2"),
    )
    assert [[str(link.to) for link in span.links] for span in spans] == [[GOOD], []]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_child_ends_as_its_run_does(status):
    started = f.ChildStarted(key=":child:pay#0", child_run_id="r1.c", component="pay")
    error = ERROR if status == "failed" else None
    (child,) = spans_of(started, f.ChildFinished(key=started.key, status=status, error=error))
    assert (child.name, child.outcome, child.error is not None) == (
        "child pay",
        status,
        status == "failed",
    )
    assert child.attributes["agnt5.child.run.id"] == "r1.c"


def test_what_is_open_when_a_run_ends_is_abandoned_from_the_inside_out():
    facts = [f.StepScheduled(key=":plan#0", name="plan"), scheduled(key=f":plan#0>{KEY}")]
    spans = spans_of(*facts, f.RunFailed(error=ERROR))
    assert [(span.name, span.outcome) for span in spans] == [
        ("attempt charge", "abandoned"),
        ("step charge", "abandoned"),
        ("attempt plan", "abandoned"),
        ("step plan", "abandoned"),
        ("workflow order", "failed"),
    ]
    assert spans[-1].error == SpanError("KeyError", "'sku'", "line 1")


def test_what_happens_to_a_run_are_events_of_its_span():
    (run,) = spans_of(
        f.RunSuspended(reason="nondeterminism", report="r", definition="d"),
        f.RunResumed(definition="e"),
        f.RunCancelRequested(reason="enough", traceparent=GOOD),
        f.RunCancelled(),
    )
    assert [(event.name, event.at) for event in run.events] == [
        ("started", 2),
        ("suspended", 3),
        ("resumed", 4),
        ("cancel_requested", 5),
    ]
    assert [str(link.to) for link in run.links] == [GOOD]
    assert run.outcome == "cancelled"


def test_links_to_other_attempts_are_in_the_trace_of_the_run():
    follower = RunSpans("r1")
    follower.see(f.RunQueued(component="a", kind="function", input=None, traceparent=GOOD), 1)
    follower.see(scheduled(), 2)
    follower.see(f.StepAttemptFailed(key=KEY, attempt=0, error=ERROR, retry_at=9), 3)
    follower.see(f.StepStarted(key=KEY, attempt=1), 4)
    attempt, _ = follower.see(f.StepCompleted(key=KEY, attempt=1), 5)
    (link,) = attempt.links
    first = span_id_of("r1", KEY, 0)
    assert link.to == TraceParent(trace_id_of("r1", GOOD), first, sampled=True)


@pytest.mark.parametrize("recorded", [None, "text", {}, {"type": "a:B"}])
def test_an_error_of_any_shape_is_told(recorded):
    assert error_of(recorded).type in {"Exception", "a.B"}


@pytest.mark.parametrize("caller", [None, GOOD])
@pytest.mark.parametrize("callers_of_origin", [None, OTHER])
def test_a_fork_and_a_run_that_continues_another_are_linked_to_that(caller, callers_of_origin):
    queued = QUEUED.model_copy(update={"traceparent": caller, "continues": "before"})
    forked = FORKED.model_copy(update={"origin_traceparent": callers_of_origin})
    follower = RunSpans("r1")
    assert not follower.see(queued, 1)
    (run,) = follower.see(f.RunContinued(successor="next", input=None), 2)
    assert [(link.why, link.to.trace_id, link.to.span_id) for link in run.links] == [
        ("continues", trace_id_of("before", caller), span_id_of("before"))
    ]
    assert run.outcome == "completed"
    follower = RunSpans("r1")
    assert not [*follower.see(queued, 1), *follower.see(forked, 2)]
    (run,) = follower.see(ENDED, 3)
    assert [(link.why, link.to.trace_id, link.to.span_id) for link in run.links] == [
        ("fork", trace_id_of("origin", callers_of_origin), span_id_of("origin"))
    ]


def test_what_a_fork_has_copied_lies_before_its_span():
    failed = f.StepAttemptFailed(key=KEY, attempt=0, error=ERROR, retry_at=3)
    spans = spans_of(
        f.RunCancelRequested(traceparent=GOOD),
        scheduled(),
        failed,
        FORKED,
        f.StepStarted(key=KEY, attempt=1),
        f.StepCompleted(key=KEY),
        ENDED,
    )[1:]
    assert told(spans) == [
        ("attempt charge", "completed", 7, 8),
        ("step charge", "completed", 6, 8),
        ("workflow order", "completed", 6, 9),
    ]
    assert [link.why for span in spans for link in span.links] == ["fork"]
    assert spans[-1].events == ()


@pytest.mark.parametrize(
    ("facts", "began_again"),
    [
        # Nothing of it was ever under way in the fork.
        ([FORKED], False),
        ([FORKED, f.SignalReceived(signal_id="s", name="go", payload=None)], False),
        # What was under way when it was paused may have ended, or a crash may have cut it short.
        ([f.RunPaused()], True),
        ([f.RunPaused(), f.RunCancelRequested()], True),
        ([f.RunSuspended(reason="limit", report="", definition="")], False),
    ],
)
def test_what_lay_still_when_a_process_ended_has_not_begun_again(facts, began_again):
    n = 3 + len(facts)
    spans = spans_of(scheduled(), *facts, f.StepCompleted(key=KEY), begin_again_after=n)
    assert spans[0].attributes.get("agnt5.attempt.began_again", False) is began_again


def test_a_paused_run_is_forgotten_when_nothing_is_under_way_any_more():
    follower, facts = RunSpans("r1"), [QUEUED, STARTED, scheduled(), f.RunPaused()]
    facts += [f.StepCompleted(key=KEY), f.RunResumed(definition="d")]
    forgotten = []
    for at, fact in enumerate(facts):
        follower.see(fact, at)
        forgotten.append(follower.may_be_forgotten(fact))
    assert forgotten == [True, False, False, False, True, False]
