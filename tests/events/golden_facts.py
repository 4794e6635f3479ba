"""What the recorded facts of ``golden/`` mean: of every kind and version, a full one and the least.

A golden file is what some version of agnt5 has written, and is never changed. When a kind of fact
is added, or its ``schema_version`` raised:

1. add the pair to ``GOLDEN`` below, under ``KIND.vN``; keep the old ones: they say what old files
   mean today, after their upcasters;
   When fields were added with a default, the pair goes under ``KIND.vN+``, and the old one stays;
2. run ``python -m tests.events.golden_facts``; it writes the files that are missing, and only them.

The least one spells the defaults out: to change a default is to change what old logs mean.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from agnt5.events.base import Fact
from agnt5.events.codec import encode_fact
from agnt5.events.entity import facts as n
from agnt5.events.run import facts as f
from agnt5.events.schedule import facts as s

FOLDER = Path(__file__).parent / "golden"

_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_ERROR = {"type": "builtins:KeyError", "message": "'sku'", "args": ["sku"], "traceback": "..."}
_PLAN = f.RetryPlan(
    max_attempts=4, initial_ms=50, max_ms=900, backoff="exponential", multiplier=1.5
)
_LEAST_PLAN = f.RetryPlan(
    max_attempts=1, initial_ms=0, max_ms=0, backoff="constant", multiplier=2.0
)
_OPTIONS = [{"id": "yes", "label": "Yes"}, {"id": "no", "label": "Nö"}]

GOLDEN: dict[str, tuple[Fact, Fact]] = {
    "RunQueued.v1": (
        f.RunQueued(
            component="order",
            kind="workflow",
            input={"lines": {"$": "tuple", "v": [1, 2.5, None, True, "é"]}},
            idempotency_key="k-1",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"trace": "t"},
            version_label="2026-11",
        ),
        f.RunQueued(
            component="add",
            kind="function",
            input=None,
            idempotency_key=None,
            replaces=None,
            session_id=None,
            user_id=None,
            metadata=None,
            version_label=None,
        ),
    ),
    "RunStarted.v1": (f.RunStarted(definition="5f0c"), f.RunStarted(definition="")),
    "StepScheduled.v1": (
        f.StepScheduled(
            key="/0:charge#1",
            name="charge",
            function="charge_card",
            input=[{"amount": 12}],
            retry=_PLAN,
            recovery="fail",
            deadline=1_700_000_005_000_000,
            line="app.py:12",
        ),
        f.StepScheduled(
            key=":a#0",
            name="a",
            function=None,
            input=None,
            retry=None,
            recovery="retry",
            deadline=None,
            line=None,
        ),
    ),
    "StepScheduled.v1+": (
        f.StepScheduled(
            key="/0:charge#1",
            name="charge",
            function="charge_card",
            input=[{"amount": 12}],
            retry=_PLAN,
            recovery="fail",
            deadline=1_700_000_005_000_000,
            line="app.py:12",
            undo="refund",
        ),
        f.StepScheduled(
            key=":a#0",
            name="a",
            function=None,
            input=None,
            retry=None,
            recovery="retry",
            deadline=None,
            line=None,
            undo=None,
        ),
    ),
    "StepStarted.v1": (
        f.StepStarted(key=":a#0", attempt=2),
        f.StepStarted(key=":a#0", attempt=0),
    ),
    "StepAttemptFailed.v1": (
        f.StepAttemptFailed(key=":a#0", attempt=1, error=_ERROR, retry_at=1_700_000_000_000_001),
        f.StepAttemptFailed(key=":a#0", attempt=0, error=None, retry_at=0),
    ),
    "StepCompleted.v1": (
        f.StepCompleted(key=":a#0", output={"total": 12}, attempt=2, duration_us=1500),
        f.StepCompleted(key=":a#0", output=None, attempt=0, duration_us=0),
    ),
    "StepFailed.v1": (
        f.StepFailed(key=":a#0", error=_ERROR, attempt=2),
        f.StepFailed(key=":a#0", error=None, attempt=0),
    ),
    "TimerScheduled.v1": (
        f.TimerScheduled(key=":sleep#0", due_at=1_700_000_000_000_001, line="app.py:3"),
        f.TimerScheduled(key=":sleep#0", due_at=0, line=None),
    ),
    "TimerFired.v1": (f.TimerFired(key=":sleep#0"), f.TimerFired(key="")),
    "SignalAwaited.v1": (
        f.SignalAwaited(key=":signal:go#0", name="go", line="app.py:4"),
        f.SignalAwaited(key=":signal:go#0", name="go", line=None),
    ),
    "SignalReceived.v1": (
        f.SignalReceived(signal_id="s1", name="go", payload=[1]),
        f.SignalReceived(signal_id="s1", name="go", payload=None),
    ),
    "SignalConsumed.v1": (
        f.SignalConsumed(key=":signal:go#0", signal_id="s1", payload=[1]),
        f.SignalConsumed(key=":signal:go#0", signal_id="s1", payload=None),
    ),
    "SignalAwaited.v1+": (
        f.SignalAwaited(
            key=":signal:go#0", name="go", line="app.py:4", due_at=1_700_000_000_000_001
        ),
        f.SignalAwaited(key=":signal:go#0", name="go", line=None, due_at=None),
    ),
    "SignalTimedOut.v1": (f.SignalTimedOut(key=":signal:go#0"), f.SignalTimedOut(key="")),
    "SignalReturned.v1": (
        f.SignalReturned(key=":signal:go#0", signal_id="s1"),
        f.SignalReturned(key="", signal_id=""),
    ),
    "UserInputRequested.v1": (
        f.UserInputRequested(
            key=":wait_for_user#0",
            question="Ship?",
            input_type="select",
            options=_OPTIONS,
            allow_custom=True,
            skippable=True,
            line="app.py:5",
        ),
        f.UserInputRequested(
            key=":wait_for_user#0",
            question="Ship?",
            input_type="text",
            options=None,
            allow_custom=False,
            skippable=False,
            line=None,
        ),
    ),
    "UserReplied.v1": (
        f.UserReplied(key=":wait_for_user#0", answer="yes"),
        f.UserReplied(key=":wait_for_user#0", answer=None),
    ),
    "OperationCancelled.v1": (f.OperationCancelled(key=":a#0"), f.OperationCancelled(key="")),
    "RunCancelRequested.v1": (
        f.RunCancelRequested(reason="enough"),
        f.RunCancelRequested(reason=None),
    ),
    "RunCancelRequested.v1+": (
        f.RunCancelRequested(reason="enough", traceparent=_TRACEPARENT),
        f.RunCancelRequested(reason=None, traceparent=None),
    ),
    "RunParked.v1": (f.RunParked(wake_at=1_700_000_000_000_001), f.RunParked(wake_at=None)),
    "RunSuspended.v1": (
        f.RunSuspended(reason="nondeterminism", report="no such step", definition="5f0c"),
        f.RunSuspended(reason="", report="", definition=""),
    ),
    "RunResumed.v1": (f.RunResumed(definition="77ab"), f.RunResumed(definition="")),
    "RunPaused.v1": (f.RunPaused(reason="the bank is closed"), f.RunPaused(reason=None)),
    "RunForked.v1": (
        f.RunForked(
            origin="r0",
            at=7,
            kept_identity="r0",
            identity="r1",
            input_changed=True,
            children={":child:pay#0": "r1.36c46fc14e0be33067ab"},
            again=[":charge#0"],
            reason="the card was declined",
        ),
        f.RunForked(
            origin="",
            at=1,
            kept_identity="",
            identity="",
            input_changed=False,
            children=None,
            again=None,
            reason=None,
        ),
    ),
    "RunForked.v1+": (
        f.RunForked(
            origin="r0",
            origin_traceparent=_TRACEPARENT,
            at=7,
            kept_identity="r0",
            identity="r1",
            input_changed=True,
            children={":child:pay#0": "r1.36c46fc14e0be33067ab"},
            again=[":charge#0"],
            reason="the card was declined",
        ),
        f.RunForked(
            origin="",
            origin_traceparent=None,
            at=1,
            kept_identity="",
            identity="",
            input_changed=False,
            children=None,
            again=None,
            reason=None,
        ),
    ),
    "RunCompleted.v1": (f.RunCompleted(output={"total": 12}), f.RunCompleted(output=None)),
    "RunFailed.v1": (
        f.RunFailed(error=_ERROR, attempts=3, max_attempts=4),
        f.RunFailed(error=None, attempts=None, max_attempts=None),
    ),
    "RunCancelled.v1": (f.RunCancelled(reason="enough"), f.RunCancelled(reason=None)),
    "RunContinued.v1": (
        f.RunContinued(
            successor="r1.next", input={"n": 2}, version_label="2026-12", state={"n": 1}
        ),
        f.RunContinued(successor="r1.next", input=None, version_label=None, state=None),
    ),
    "RunQueued.v1+++++": (
        f.RunQueued(
            component="order",
            kind="workflow",
            input={"n": 1},
            idempotency_key="k-1",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"trace": "t"},
            version_label="2026-11",
            parent_run_id="r9",
            parent_key=":child#0",
            queue="mail",
            priority=5,
            deduplication_id="d-1",
            replaces_duplicate="r-1",
            origin={"type": "event", "name": "user.signed_up"},
            durable=False,
            continues="r3",
            chain="r2",
            link=2,
            state={"n": 1},
            known_signals=["s-1"],
            traceparent=_TRACEPARENT,
            tracestate="vendor=1",
        ),
        f.RunQueued(
            component="add",
            kind="function",
            input=None,
            idempotency_key=None,
            replaces=None,
            session_id=None,
            user_id=None,
            metadata=None,
            version_label=None,
            parent_run_id=None,
            parent_key=None,
            queue=None,
            priority=0,
            deduplication_id=None,
            replaces_duplicate=None,
            origin=None,
            durable=True,
            continues=None,
            chain=None,
            link=0,
            state=None,
            known_signals=None,
            traceparent=None,
            tracestate=None,
        ),
    ),
    "RunQueued.v1++++": (
        f.RunQueued(
            component="order",
            kind="workflow",
            input={"n": 1},
            idempotency_key="k-1",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"trace": "t"},
            version_label="2026-11",
            parent_run_id="r9",
            parent_key=":child#0",
            queue="mail",
            priority=5,
            deduplication_id="d-1",
            replaces_duplicate="r-1",
            origin={"type": "event", "name": "user.signed_up"},
            durable=False,
            continues="r3",
            chain="r2",
            link=2,
            state={"n": 1},
            known_signals=["s-1"],
        ),
        f.RunQueued(
            component="add",
            kind="function",
            input=None,
            idempotency_key=None,
            replaces=None,
            session_id=None,
            user_id=None,
            metadata=None,
            version_label=None,
            parent_run_id=None,
            parent_key=None,
            queue=None,
            priority=0,
            deduplication_id=None,
            replaces_duplicate=None,
            origin=None,
            durable=True,
            continues=None,
            chain=None,
            link=0,
            state=None,
            known_signals=None,
        ),
    ),
    "SignalReceived.v1+": (
        f.SignalReceived(signal_id="s1", name="go", payload=[1], traceparent=_TRACEPARENT),
        f.SignalReceived(signal_id="s1", name="go", payload=None, traceparent=None),
    ),
    "UpdateReceived.v1+": (
        f.UpdateReceived(update_id="u1", name="add", payload=[1], traceparent=_TRACEPARENT),
        f.UpdateReceived(update_id="u1", name="add", payload=None, traceparent=None),
    ),
    "RunQueued.v1+++": (
        f.RunQueued(
            component="order",
            kind="workflow",
            input={"n": 1},
            idempotency_key="k-1",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"trace": "t"},
            version_label="2026-11",
            parent_run_id="r9",
            parent_key=":child#0",
            queue="mail",
            priority=5,
            deduplication_id="d-1",
            replaces_duplicate="r-1",
            origin={"type": "event", "name": "user.signed_up"},
            durable=False,
        ),
        f.RunQueued(
            component="add",
            kind="function",
            input=None,
            idempotency_key=None,
            replaces=None,
            session_id=None,
            user_id=None,
            metadata=None,
            version_label=None,
            parent_run_id=None,
            parent_key=None,
            queue=None,
            priority=0,
            deduplication_id=None,
            replaces_duplicate=None,
            origin=None,
            durable=True,
        ),
    ),
    "RunQueued.v1++": (
        f.RunQueued(
            component="order",
            kind="workflow",
            input={"n": 1},
            idempotency_key="k-1",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"trace": "t"},
            version_label="2026-11",
            parent_run_id="r9",
            parent_key=":child#0",
            queue="mail",
            priority=5,
            deduplication_id="d-1",
            replaces_duplicate="r-1",
            origin={"type": "event", "name": "user.signed_up"},
        ),
        f.RunQueued(
            component="add",
            kind="function",
            input=None,
            idempotency_key=None,
            replaces=None,
            session_id=None,
            user_id=None,
            metadata=None,
            version_label=None,
            parent_run_id=None,
            parent_key=None,
            queue=None,
            priority=0,
            deduplication_id=None,
            replaces_duplicate=None,
            origin=None,
        ),
    ),
    "RunQueued.v1+": (
        f.RunQueued(
            component="order",
            kind="workflow",
            input={"n": 1},
            idempotency_key="k-1",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"trace": "t"},
            version_label="2026-11",
            parent_run_id="r9",
            parent_key=":child#0",
            queue="mail",
            priority=5,
            deduplication_id="d-1",
            origin={"type": "event", "name": "user.signed_up"},
        ),
        f.RunQueued(
            component="add",
            kind="function",
            input=None,
            idempotency_key=None,
            replaces=None,
            session_id=None,
            user_id=None,
            metadata=None,
            version_label=None,
            parent_run_id=None,
            parent_key=None,
            queue=None,
            priority=0,
            deduplication_id=None,
            origin=None,
        ),
    ),
    "RunStarted.v1+": (
        f.RunStarted(definition="5f0c", timeout_us=60_000_000),
        f.RunStarted(definition="", timeout_us=None),
    ),
    "StepCompleted.v1+": (
        f.StepCompleted(
            key=":a#0",
            output=[1],
            attempt=2,
            duration_us=1500,
            after={"args": {"0": {"n": 2}}},
            state={"phase": "paid"},
            deleted=["draft"],
        ),
        f.StepCompleted(
            key=":a#0", output=None, attempt=0, duration_us=0, after=None, state=None, deleted=None
        ),
    ),
    "StepFailed.v1+": (
        f.StepFailed(key=":a#0", error=_ERROR, attempt=2, after={"args": {"0": {"n": 2}}}),
        f.StepFailed(key=":a#0", error=None, attempt=0, after=None),
    ),
    "UserInputRequested.v1+": (
        f.UserInputRequested(
            key=":wait_for_user#0",
            question="Ship?",
            input_type="select",
            options=_OPTIONS,
            allow_custom=True,
            skippable=True,
            line="app.py:5",
            assignees=["ada"],
            due_at=1_700_000_000_000_009,
            on_timeout="no",
            shown="77ab",
            about=":ship#0",
        ),
        f.UserInputRequested(
            key=":wait_for_user#0",
            question="Ship?",
            input_type="text",
            options=None,
            allow_custom=False,
            skippable=False,
            line=None,
            assignees=None,
            due_at=None,
            on_timeout=None,
            shown=None,
            about=None,
        ),
    ),
    "UserReplied.v1+": (
        f.UserReplied(
            key=":wait_for_user#0",
            answer="yes",
            actor="ada",
            channel="mail",
            reason="in stock",
            shown="77ab",
        ),
        f.UserReplied(
            key=":wait_for_user#0", answer=None, actor=None, channel=None, reason=None, shown=None
        ),
    ),
    "UserReplied.v1+++": (
        f.UserReplied(
            key="?recovery#0:charge#0",
            answer="done",
            actor="ada",
            channel="mail",
            reason="seen",
            shown="77ab",
            about=":charge#0",
            traceparent=_TRACEPARENT,
        ),
        f.UserReplied(
            key=":wait_for_user#0",
            answer=None,
            actor=None,
            channel=None,
            reason=None,
            shown=None,
            about=None,
            traceparent=None,
        ),
    ),
    "UserReplied.v1++": (
        f.UserReplied(
            key="?recovery#0:charge#0",
            answer="done",
            actor="ada",
            channel="mail",
            reason="seen",
            shown="77ab",
            about=":charge#0",
        ),
        f.UserReplied(
            key=":wait_for_user#0",
            answer=None,
            actor=None,
            channel=None,
            reason=None,
            shown=None,
            about=None,
        ),
    ),
    "UserInputExpired.v1+": (
        f.UserInputExpired(key=":wait_for_user#0", answer="no", about=":charge#0"),
        f.UserInputExpired(key=":wait_for_user#0", answer=None, about=None),
    ),
    "UserInputExpired.v1": (
        f.UserInputExpired(key=":wait_for_user#0", answer="no"),
        f.UserInputExpired(key=":wait_for_user#0", answer=None),
    ),
    "ChildStarted.v1": (
        f.ChildStarted(
            key=":child:pay#0",
            child_run_id="r2",
            component="pay",
            kind="function",
            input={"cents": 5},
            on_parent_end="abandon",
            line="app.py:9",
        ),
        f.ChildStarted(
            key=":child:pay#0",
            child_run_id="r2",
            component="pay",
            kind="workflow",
            input=None,
            on_parent_end="cancel",
            line=None,
        ),
    ),
    "ChildFinished.v1": (
        f.ChildFinished(key=":child:pay#0", status="failed", output=[1], error=_ERROR),
        f.ChildFinished(key=":child:pay#0", status="completed", output=None, error=None),
    ),
    "UpdateReceived.v1": (
        f.UpdateReceived(update_id="u1", name="add", payload={"item": 3}),
        f.UpdateReceived(update_id="u1", name="add", payload=None),
    ),
    "UpdateAnswered.v1": (
        f.UpdateAnswered(update_id="u1", output=3, error=_ERROR),
        f.UpdateAnswered(update_id="u1", output=None, error=None),
    ),
    "MarkerRecorded.v1": (
        f.MarkerRecorded(key="patch:tax", value=True),
        f.MarkerRecorded(key="patch:tax", value=None),
    ),
    "StateChanged.v1": (
        f.StateChanged(key=":state:phase#0", name="phase", value="paid", deleted=True),
        f.StateChanged(key=":state:phase#0", name="phase", value=None, deleted=False),
    ),
    "EventEmitted.v1": (
        f.EventEmitted(key=":emit:order.paid#0", event_type="order.paid", payload={"cents": 5}),
        f.EventEmitted(key=":emit:order.paid#0", event_type="order.paid", payload=None),
    ),
    "EntityCallCompleted.v1": (
        n.EntityCallCompleted(
            method="add",
            call_id="order-7",
            caller="r1",
            output={"$": "tuple", "v": [1, 2]},
            changes={"total": 3},
            deleted=["draft"],
        ),
        n.EntityCallCompleted(
            method="add", call_id=None, caller=None, output=None, changes=None, deleted=None
        ),
    ),
    "EntityCallFailed.v1": (
        n.EntityCallFailed(method="add", call_id="order-7", caller="r1", error=_ERROR),
        n.EntityCallFailed(method="add", call_id=None, caller=None, error=None),
    ),
    "EntitySnapshot.v1": (
        n.EntitySnapshot(values={"total": 3}, versions={"total": 12}),
        n.EntitySnapshot(values={}, versions={}),
    ),
    # A retry plan has no topic of its own: it lies within a step.
    "StepScheduled.v1.jitter": (
        f.StepScheduled(key=":a#0", name="a", retry=_PLAN.model_copy(update={"jitter": 0.5})),
        f.StepScheduled(key=":a#0", name="a", retry=_LEAST_PLAN),
    ),
    "StepScheduled.v1.least-retry": (
        f.StepScheduled(key=":a#0", name="a", retry=_PLAN),
        f.StepScheduled(key=":a#0", name="a", retry=_LEAST_PLAN),
    ),
    "ScheduleArmed.v1": (
        s.ScheduleArmed(expression="*/5 * * * *", timezone="UTC", upto=1_700_000_000_000_001),
        s.ScheduleArmed(expression="", timezone="", upto=0),
    ),
    "ScheduleFired.v1": (
        s.ScheduleFired(
            expression="*/5 * * * *",
            timezone="Europe/Berlin",
            due_at=1_700_000_100_000_000,
            run_id="r3",
        ),
        s.ScheduleFired(expression="", timezone="", due_at=0, run_id=""),
    ),
    "ScheduleSkipped.v1": (
        s.ScheduleSkipped(
            expression="*/5 * * * *", timezone="UTC", upto=1_700_000_000_000_001, policy="skip"
        ),
        s.ScheduleSkipped(expression="", timezone="", upto=0, policy=""),
    ),
}


def record() -> list[str]:
    """Write the files that are missing; their names."""
    written: list[str] = []
    for name, facts in GOLDEN.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            rows = [encode_fact(fact, 0, "") for fact in facts]
            shape = {"topic": rows[0].topic, "states": [orjson.loads(row.state) for row in rows]}
            FOLDER.mkdir(exist_ok=True)
            path.write_bytes(orjson.dumps(shape, option=orjson.OPT_INDENT_2) + b"\n")
            written.append(path.name)
    return written


if __name__ == "__main__":
    print("\n".join(record()) or "nothing is missing")  # noqa: T201 - a script
