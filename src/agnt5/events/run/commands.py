"""Everything that anyone may ask of a run."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from agnt5.events.run.facts import Note, RetryPlan


@dataclass(slots=True)
class QueueRun:
    """Accept a new run."""

    component: str
    kind: str
    input: JsonValue
    idempotency_key: str | None = None
    replaces: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    metadata: dict[str, JsonValue] | None = None
    version_label: str | None = None
    parent_run_id: str | None = None
    parent_key: str | None = None
    queue: str | None = None
    priority: int = 0
    deduplication_id: str | None = None
    replaces_duplicate: str | None = None
    origin: dict[str, JsonValue] | None = None
    durable: bool = True
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(slots=True)
class StartRun:
    """Begin to execute it, with the code of this digest."""

    definition: str
    timeout_us: int | None = None


@dataclass(slots=True)
class Recover:
    """The owner has just read the stream after a restart: settle what a crash left unknown."""


@dataclass(slots=True)
class RequestStep:
    """The body calls a step."""

    key: str
    name: str
    function: str | None
    input: JsonValue
    retry: RetryPlan | None
    recovery: str
    timeout_us: int | None = None
    line: str | None = None
    undo: str | None = None


@dataclass(slots=True)
class RequestTimer:
    """The body wants to be woken after some time."""

    key: str
    delay_us: int
    line: str | None = None


@dataclass(slots=True)
class RequestSignal:
    """The body waits for a signal."""

    key: str
    name: str
    line: str | None = None
    timeout_us: int | None = None


@dataclass(slots=True)
class RequestInput:
    """The body asks a person."""

    key: str
    question: str
    input_type: str
    options: list[dict[str, JsonValue]] | None
    allow_custom: bool
    skippable: bool
    line: str | None = None
    assignees: list[str] | None = None
    timeout_us: int | None = None
    on_timeout: str | None = None
    shown: str | None = None


@dataclass(slots=True)
class RequestChild:
    """The body wants a run of its own."""

    key: str
    child_run_id: str
    component: str
    kind: str
    input: JsonValue
    on_parent_end: str = "cancel"
    line: str | None = None


@dataclass(slots=True)
class AddNote:
    """The body says something and waits for nothing."""

    note: Note


@dataclass(slots=True)
class AbandonOperation:
    """The body no longer waits for an operation."""

    key: str


@dataclass(slots=True)
class ReportSuccess:
    """An executor has a result."""

    key: str
    attempt: int
    output: JsonValue
    duration_us: int
    after: dict[str, JsonValue] | None = None
    state: dict[str, JsonValue] | None = None
    deleted: list[str] | None = None


@dataclass(slots=True)
class ReportFailure:
    """An executor's attempt failed."""

    key: str
    attempt: int
    error: JsonValue
    retryable: bool = True
    after: dict[str, JsonValue] | None = None


@dataclass(slots=True)
class WakeOperation:
    """The time of a timer, a retry or a deadline has come."""

    key: str


@dataclass(slots=True)
class ReportAbsent:
    """The verification of an attempt that a crash cut short says: its effect did not happen."""

    key: str
    attempt: int


@dataclass(slots=True)
class WakeRun:
    """The time that the run may be under way is over."""


@dataclass(slots=True)
class SendSignal:
    """Somebody outside sends a signal. The same id twice is the same signal."""

    signal_id: str
    name: str
    payload: JsonValue
    traceparent: str | None = None


@dataclass(slots=True)
class SubmitAnswer:
    """A person answers a question: the one with this key, or the only open one."""

    answer: str | None
    key: str | None = None
    actor: str | None = None
    channel: str | None = None
    reason: str | None = None
    shown: str | None = None
    """Digest of what the person was shown; refused when the question shows something else."""
    is_custom: bool = False
    """It is said to be none of the options: a question that allows only those refuses it."""
    traceparent: str | None = None


@dataclass(slots=True)
class SendUpdate:
    """Somebody outside asks for something to be done. The same id twice is the same update."""

    update_id: str
    name: str
    payload: JsonValue
    traceparent: str | None = None


@dataclass(slots=True)
class AnswerUpdate:
    """The handler of an update has ended."""

    update_id: str
    output: JsonValue = None
    error: JsonValue = None


@dataclass(slots=True)
class ReportChild:
    """A child has ended."""

    key: str
    status: str
    output: JsonValue = None
    error: JsonValue = None


@dataclass(slots=True)
class RequestCancel:
    """Somebody outside wants the run to stop."""

    reason: str | None = None
    traceparent: str | None = None


@dataclass(slots=True)
class ParkRun:
    """The run only waits: let it leave memory."""


@dataclass(slots=True)
class SuspendRun:
    """The run cannot go on."""

    reason: str
    report: str
    definition: str


@dataclass(slots=True)
class PauseRun:
    """Somebody outside wants the run to stand still."""

    reason: str | None = None


@dataclass(slots=True)
class ResumeRun:
    """A suspended or paused run goes on."""

    definition: str


@dataclass(slots=True)
class CompleteRun:
    """The body has returned."""

    output: JsonValue


@dataclass(slots=True)
class ContinueRun:
    """The body wants to go on as a new run."""

    input: JsonValue
    state: dict[str, JsonValue]
    version_label: str | None = None


@dataclass(slots=True)
class FailRun:
    """The body has raised."""

    error: JsonValue


@dataclass(slots=True)
class CancelRun:
    """The body ended because it was cancelled."""


RunCommand = (
    RequestStep
    | ReportSuccess
    | QueueRun
    | StartRun
    | Recover
    | RequestTimer
    | RequestSignal
    | RequestInput
    | RequestChild
    | AddNote
    | AbandonOperation
    | ReportFailure
    | ReportAbsent
    | WakeOperation
    | WakeRun
    | SendSignal
    | SubmitAnswer
    | SendUpdate
    | AnswerUpdate
    | ReportChild
    | RequestCancel
    | ParkRun
    | SuspendRun
    | PauseRun
    | ResumeRun
    | CompleteRun
    | ContinueRun
    | FailRun
    | CancelRun
)
