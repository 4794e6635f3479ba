"""The parts of a snapshot: calls, signals, questions, children, updates, each as people see it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from agnt5.answers import maybe, when
from agnt5.events.run import facts as f
from agnt5.events.run.annals import Annals, Call, Child, Question, Update
from agnt5.events.run.state import Operation, OpKind, OpPhase, RunState

OperationKind = Literal["step", "inline step", "timer", "signal", "question", "child"]
KINDS: dict[OpKind, OperationKind] = {
    OpKind.STEP: "step",
    OpKind.INLINE: "inline step",
    OpKind.TIMER: "timer",
    OpKind.SIGNAL: "signal",
    OpKind.INPUT: "question",
    OpKind.CHILD: "child",
}
_PHASES: dict[OpPhase, Literal["running", "backoff", "waiting"]] = {
    OpPhase.RUNNING: "running",
    OpPhase.BACKOFF: "backoff",
    OpPhase.WAITING: "waiting",
}


class View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class OpenOperation(View):
    """A durable call that has no outcome yet."""

    kind: OperationKind
    name: str
    """Of the step, the signal or the child's component; the text of a question."""
    phase: Literal["running", "backoff", "waiting"]
    """An attempt is under way or owed; the next one waits for its time; it waits for something."""
    since: datetime
    """When it was asked for."""
    line: str | None = None
    """The line of code that asked for it, ``file.py:12``."""
    input: JsonValue = None
    attempt: int | None = None
    """Of a step: which attempt is under way, or was the last one; counted from 1."""
    max_attempts: int | None = None
    attempt_since: datetime | None = None
    """When that attempt began or, in ``backoff``, failed."""
    next_attempt_at: datetime | None = None
    due_at: datetime | None = None
    """Of what waits for a time or gives up at one: when."""
    deadline: datetime | None = None
    """When a step with all its attempts must have ended."""
    error: JsonValue = None
    """Why the attempt before failed."""


class WaitingSignal(View):
    """A signal that has come and that no call has taken yet."""

    signal_id: str
    payload: JsonValue
    received_at: datetime


class AskedQuestion(View):
    """A question to a person, and what came of it."""

    question: str
    status: Literal["open", "answered", "expired", "withdrawn"]
    """``withdrawn``: nobody waits for an answer any more."""
    input_type: str
    options: list[dict[str, JsonValue]] | None
    assignees: list[str] | None
    asked_at: datetime
    due_at: datetime | None
    shown: str | None
    """Digest of what the person is shown."""
    about: str | None
    """The key of the step whose outcome a crash has hidden, when it was the engine that asked."""
    answer: str | None = None
    """Also the one that stands when nobody answered in time."""
    answered_at: datetime | None = None
    actor: str | None = None
    channel: str | None = None
    reason: str | None = None


class StartedChild(View):
    """A run that this run has started."""

    child_run_id: str
    component: str
    kind: str
    status: Literal["running", "completed", "failed", "cancelled", "left alone"]
    """As this run knows it. ``left alone``: it goes on, and this run waits for it no more."""
    started_at: datetime
    finished_at: datetime | None = None


class ReceivedUpdate(View):
    """An update, and whether its handler has ended."""

    name: str
    status: Literal["running", "completed", "failed"]
    payload: JsonValue
    received_at: datetime
    answered_at: datetime | None = None
    output: JsonValue = None
    error: JsonValue = None


class Suspension(View):
    """Why a run cannot go on until somebody mends something."""

    reason: str
    """``nondeterminism``, ``unknown_component``, ``version``, ``input`` or ``engine_error``."""
    report: str
    since: datetime


class Pause(View):
    """Somebody has said that the run shall stand still."""

    reason: str | None
    since: datetime


class ForkOrigin(View):
    """Where the history of a run comes from that was copied from another."""

    origin: str
    """The run."""
    at: int
    """The event of that run up to which it was copied."""
    since: datetime


_SHORT = 80


def short(value: JsonValue) -> str:
    """A value in one line of bounded length."""
    text = repr(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def error_text(record: JsonValue) -> str:
    """A recorded error in one line, as ``Type: message``."""
    if not isinstance(record, dict):
        return short(record)
    name = str(record.get("type", "")).rpartition(":")[2]
    message = " ".join(str(record.get("message", "")).split())
    return f"{name}: {message}" if message else name


def suspension_of(annals: Annals) -> Suspension | None:
    """Why it is suspended, if it is."""
    found = annals.state.suspension
    if found is None:
        return None
    return Suspension(reason=found.reason, report=found.report, since=when(annals.phase_at))


def pause_of(annals: Annals) -> Pause | None:
    """Why it stands still, if it does."""
    found, at = annals.state.pause, annals.paused_at
    return None if found is None or at is None else Pause(reason=found.reason, since=when(at))


def fork_of(annals: Annals) -> ForkOrigin | None:
    """Where it was forked last, if it was."""
    found, at = annals.state.forked, annals.forked_at
    if found is None or at is None:
        return None
    return ForkOrigin(origin=found.origin, at=found.at, since=when(at))


def operation_of(op: Operation, call: Call) -> OpenOperation:
    """An open operation, with how it was asked for."""
    request = call.request
    is_step = isinstance(request, f.StepScheduled)
    backs_off = op.phase is OpPhase.BACKOFF
    return OpenOperation(
        kind=KINDS[op.kind],
        name=_name_of(request),
        phase=_PHASES[op.phase],
        since=when(call.asked_at),
        line=request.line,
        input=request.input if isinstance(request, f.StepScheduled | f.ChildStarted) else None,
        attempt=op.attempt + 1 if is_step else None,
        max_attempts=(op.retry.max_attempts if op.retry else 1) if is_step else None,
        attempt_since=when(call.attempt_at) if is_step else None,
        next_attempt_at=maybe(op.due_at) if backs_off else None,
        due_at=None if is_step else maybe(op.due_at),
        deadline=maybe(op.deadline),
        error=call.error,
    )


def _name_of(request: f.Request) -> str:
    match request:
        case f.StepScheduled() | f.SignalAwaited():
            return request.name
        case f.UserInputRequested():
            return request.question
        case f.ChildStarted():
            return request.component
        case f.TimerScheduled():
            return ""


def signals_of(annals: Annals) -> dict[str, list[WaitingSignal]]:
    """What has come and was not taken yet."""
    return {
        name: [
            WaitingSignal(
                signal_id=signal.signal_id,
                payload=signal.payload,
                received_at=when(annals.signals_at[signal.signal_id]),
            )
            for signal in line
        ]
        for name, line in annals.state.signals.items()
    }


def question_of(exchange: Question, state: RunState) -> AskedQuestion:
    """A question, and what came of it."""
    asked, answer = exchange.asked, exchange.answer
    status: Literal["open", "answered", "expired", "withdrawn"] = "withdrawn"
    if isinstance(answer, f.UserReplied):
        status = "answered"
    elif isinstance(answer, f.UserInputExpired):
        status = "expired"
    elif asked.key in state.open:
        status = "open"
    replied = answer if isinstance(answer, f.UserReplied) else None
    return AskedQuestion(
        question=asked.question,
        status=status,
        input_type=asked.input_type,
        options=asked.options,
        assignees=asked.assignees,
        asked_at=when(exchange.asked_at),
        due_at=maybe(asked.due_at),
        shown=asked.shown,
        about=asked.about,
        answer=answer.answer if isinstance(answer, f.UserReplied | f.UserInputExpired) else None,
        answered_at=maybe(exchange.answered_at),
        actor=replied.actor if replied else None,
        channel=replied.channel if replied else None,
        reason=replied.reason if replied else None,
    )


_CHILD: dict[str, Literal["completed", "failed", "cancelled"]] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def child_of(key: str, exchange: Child, state: RunState) -> StartedChild:
    """A child, as its parent knows it."""
    asked, answer = exchange.asked, exchange.answer
    status: Literal["running", "completed", "failed", "cancelled", "left alone"] = "running"
    if isinstance(answer, f.ChildFinished):
        status = _CHILD[answer.status]
    elif key not in state.children or (state.is_finished and asked.on_parent_end == "abandon"):
        status = "left alone"
    return StartedChild(
        child_run_id=asked.child_run_id,
        component=asked.component,
        kind=asked.kind,
        status=status,
        started_at=when(exchange.asked_at),
        finished_at=maybe(exchange.answered_at),
    )


def update_of(exchange: Update) -> ReceivedUpdate:
    """An update, and what came of it."""
    asked, answer = exchange.asked, exchange.answer
    answered = answer if isinstance(answer, f.UpdateAnswered) else None
    failed = answered is not None and answered.error is not None
    return ReceivedUpdate(
        name=asked.name,
        status="running" if answered is None else "failed" if failed else "completed",
        payload=asked.payload,
        received_at=when(exchange.asked_at),
        answered_at=maybe(exchange.answered_at),
        output=answered.output if answered else None,
        error=answered.error if answered else None,
    )
