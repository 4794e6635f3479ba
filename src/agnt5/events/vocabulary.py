"""Facts in the public vocabulary: the event types that clients, contracts and audits speak."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from agnt5.events.run import facts as f


@dataclass(slots=True)
class PublicEvent:
    """One public event; a fact may stand for several."""

    event_type: str
    step_key: str | None = None
    input_data: JsonValue = None
    output_data: JsonValue = None
    metadata: dict[str, JsonValue] = field(default_factory=dict)


_TYPES: dict[str, str] = {
    "RunQueued": "run.queued",
    "RunStarted": "run.assigned run.started workflow.started",
    "RunCompleted": "workflow.completed run.completed",
    "RunFailed": "workflow.failed run.failed",
    "RunCancelled": "run.cancelled",
    "RunContinued": "workflow.continued run.continued",
    "RunCancelRequested": "run.cancel_requested",
    "RunParked": "run.parked",
    "RunSuspended": "run.paused",
    "RunPaused": "run.paused",
    "RunResumed": "run.resumed",
    "RunForked": "run.forked",
    "StepScheduled": "workflow.step.started function.started",
    "StepCompleted": "workflow.step.completed function.completed",
    "StepFailed": "workflow.step.failed function.failed",
    "StepStarted": "function.started",
    "StepAttemptFailed": "function.failed",
    "TimerScheduled": "timer.scheduled",
    "TimerFired": "timer.fired",
    "OperationCancelled": "operation.cancelled",
    "SignalAwaited": "signal.awaited",
    "SignalReceived": "signal.received",
    "SignalConsumed": "signal.consumed",
    "SignalTimedOut": "signal.timed_out",
    "SignalReturned": "signal.returned",
    "UserInputRequested": "approval.requested workflow.paused",
    "UserReplied": "approval.resolved workflow.resumed",
    "UserInputExpired": "approval.expired workflow.resumed",
    "ChildStarted": "child.started",
    "ChildFinished": "child.finished",
    "UpdateReceived": "update.received",
    "UpdateAnswered": "update.answered",
    "StateChanged": "workflow.state.changed",
    "MarkerRecorded": "marker.recorded",
}


def kinds_of(event_type: str) -> list[str]:
    """The kinds of facts that an event of this type may come from.

    A body may emit any type but those that begin like ours.

    >>> kinds_of("workflow.resumed")
    ['UserReplied', 'UserInputExpired']
    >>> kinds_of("order.packed")
    ['EventEmitted']
    """
    ours = [kind for kind, types in _TYPES.items() if event_type in types.split()]
    return ours or [f.EventEmitted.topic]


def public_events(
    kind: str, facts: Iterable[f.RunFact], functions: dict[str, str | None] | None = None
) -> list[list[PublicEvent]]:
    """The public events of each fact, for a run of a kind (``function`` or ``workflow``).

    ``functions`` is what was learnt from the facts before these, for whoever reads on.
    """
    functions = {} if functions is None else functions
    found: list[list[PublicEvent]] = []
    for fact in facts:
        if isinstance(fact, f.StepScheduled):
            functions[fact.key] = fact.function
        found.append(_of_run(kind, fact) or _of_step(kind, fact, functions) or _of_wait(fact))
    return found


def _of_run(kind: str, fact: f.RunFact) -> list[PublicEvent]:  # noqa: C901, PLR0911 - a flat match
    match fact:
        case f.RunQueued():
            return [PublicEvent("run.queued", input_data=fact.input)]
        case f.RunStarted():
            started = [PublicEvent("run.assigned"), PublicEvent("run.started")]
            return [*started, *_own(kind, PublicEvent("workflow.started"))]
        case f.RunCompleted():
            done = PublicEvent("run.completed", output_data=fact.output)
            return [*_own(kind, PublicEvent("workflow.completed", output_data=fact.output)), done]
        case f.RunFailed():
            failed = PublicEvent("run.failed", metadata={"error": fact.error})
            return [
                *_own(kind, PublicEvent("workflow.failed", metadata={"error": fact.error})),
                failed,
            ]
        case f.RunCancelled():
            return [PublicEvent("run.cancelled", metadata={"reason": fact.reason})]
        case f.RunContinued():
            about: dict[str, JsonValue] = {"successor": fact.successor}
            about |= {} if fact.version_label is None else {"version": fact.version_label}
            went_on = PublicEvent("run.continued", input_data=fact.input, metadata=about)
            return [*_own(kind, replace(went_on, event_type="workflow.continued")), went_on]
        case f.RunCancelRequested():
            return [PublicEvent("run.cancel_requested", metadata={"reason": fact.reason})]
        case f.RunParked():
            return [PublicEvent("run.parked", metadata={"wake_at": fact.wake_at})]
        case f.RunSuspended():
            about = {"reason": fact.reason, "report": fact.report}
            return [PublicEvent("run.paused", metadata=about)]
        case f.RunPaused():
            return [PublicEvent("run.paused", metadata={"reason": fact.reason})]
        case f.RunResumed():
            return [PublicEvent("run.resumed")]
        case f.RunForked():
            forked: dict[str, JsonValue] = {"origin": fact.origin, "at": fact.at}
            return [PublicEvent("run.forked", metadata=forked)]
        case _:
            return []


def _own(kind: str, event: PublicEvent) -> list[PublicEvent]:
    return [event] if kind == "workflow" else []


def _of_step(kind: str, fact: f.RunFact, functions: dict[str, str | None]) -> list[PublicEvent]:
    match fact:
        case f.StepScheduled():
            about: dict[str, JsonValue] = {"name": fact.name, "line": fact.line}
            if fact.undo is not None:
                about["undo"] = fact.undo
            return _step(kind, functions, "started", fact.key, about, input_data=fact.input)
        case f.StepCompleted():
            about = {"attempt": fact.attempt, "duration_ms": fact.duration_us / 1000}
            return _step(kind, functions, "completed", fact.key, about, output_data=fact.output)
        case f.StepFailed():
            about = {"attempt": fact.attempt, "error": fact.error}
            return _step(kind, functions, "failed", fact.key, about)
        case f.StepStarted():
            return [PublicEvent("function.started", fact.key, metadata={"attempt": fact.attempt})]
        case f.StepAttemptFailed():
            about = {"attempt": fact.attempt, "error": fact.error, "retry_at": fact.retry_at}
            return [PublicEvent("function.failed", fact.key, metadata=about)]
        case _:
            return []


def _step(
    kind: str,
    functions: dict[str, str | None],
    stage: str,
    key: str,
    about: dict[str, JsonValue],
    *,
    input_data: JsonValue = None,
    output_data: JsonValue = None,
) -> list[PublicEvent]:
    step = PublicEvent(f"workflow.step.{stage}", key, input_data, output_data, about)
    own = PublicEvent(f"function.{stage}", key, input_data, output_data, about)
    if kind == "function":
        return [own]
    if functions.get(key) is None:
        return [step]
    return [step, own] if stage == "started" else [own, step]


def _of_wait(fact: f.RunFact) -> list[PublicEvent]:
    match fact:
        case f.TimerScheduled():
            return [PublicEvent("timer.scheduled", fact.key, metadata={"due_at": fact.due_at})]
        case f.TimerFired():
            return [PublicEvent("timer.fired", fact.key)]
        case f.OperationCancelled():
            return [PublicEvent("operation.cancelled", fact.key)]
        case _:
            return _of_signal(fact) or _of_person(fact) or _of_other_run(fact) or _of_note(fact)


def _of_signal(fact: f.RunFact) -> list[PublicEvent]:
    match fact:
        case f.SignalAwaited():
            about: dict[str, JsonValue] = {"name": fact.name}
            if fact.due_at is not None:
                about["due_at"] = fact.due_at
            return [PublicEvent("signal.awaited", fact.key, metadata=about)]
        case f.SignalReceived():
            about = {"name": fact.name, "signal_id": fact.signal_id}
            return [PublicEvent("signal.received", input_data=fact.payload, metadata=about)]
        case f.SignalConsumed():
            return [PublicEvent("signal.consumed", fact.key, output_data=fact.payload)]
        case f.SignalTimedOut():
            return [PublicEvent("signal.timed_out", fact.key)]
        case f.SignalReturned():
            return [PublicEvent("signal.returned", fact.key)]
        case _:
            return []


def _of_person(fact: f.RunFact) -> list[PublicEvent]:
    match fact:
        case f.UserInputRequested():
            asked: dict[str, JsonValue] = {
                "question": fact.question,
                "input_type": fact.input_type,
                "options": list(fact.options) if fact.options is not None else None,
                "assignees": list(fact.assignees) if fact.assignees is not None else None,
                "due_at": fact.due_at,
                "shown": fact.shown,
            }
            requested = PublicEvent("approval.requested", fact.key, metadata=_given(asked))
            return [requested, PublicEvent("workflow.paused", fact.key)]
        case f.UserReplied():
            said = {"actor": fact.actor, "channel": fact.channel, "reason": fact.reason}
            about = _given({**said, "shown": fact.shown})
            resolved = PublicEvent("approval.resolved", fact.key, None, fact.answer, about)
            return [resolved, PublicEvent("workflow.resumed", fact.key)]
        case f.UserInputExpired():
            expired = PublicEvent("approval.expired", fact.key, output_data=fact.answer)
            return [expired, PublicEvent("workflow.resumed", fact.key)]
        case _:
            return []


def _given(about: dict[str, JsonValue]) -> dict[str, JsonValue]:
    asked = {"question", "input_type", "options"}
    return {name: value for name, value in about.items() if value is not None or name in asked}


def _of_other_run(fact: f.RunFact) -> list[PublicEvent]:
    match fact:
        case f.ChildStarted():
            about: dict[str, JsonValue] = {
                "child_run_id": fact.child_run_id,
                "component": fact.component,
                "kind": fact.kind,
                "line": fact.line,
            }
            return [PublicEvent("child.started", fact.key, fact.input, metadata=about)]
        case f.ChildFinished():
            about = {"status": fact.status, "error": fact.error}
            return [PublicEvent("child.finished", fact.key, None, fact.output, about)]
        case f.UpdateReceived():
            about = {"update_id": fact.update_id, "name": fact.name}
            return [PublicEvent("update.received", input_data=fact.payload, metadata=about)]
        case f.UpdateAnswered():
            about = {"update_id": fact.update_id, "error": fact.error}
            return [PublicEvent("update.answered", output_data=fact.output, metadata=about)]
        case _:
            return []


def _of_note(fact: f.RunFact) -> list[PublicEvent]:
    match fact:
        case f.StateChanged():
            about: dict[str, JsonValue] = {"name": fact.name, "deleted": fact.deleted}
            return [PublicEvent("workflow.state.changed", fact.key, None, fact.value, about)]
        case f.MarkerRecorded():
            return [PublicEvent("marker.recorded", fact.key, output_data=fact.value)]
        case f.EventEmitted():
            return [PublicEvent(fact.event_type, fact.key, output_data=fact.payload)]
        case _:
            return []
