"""The facts of one run, as a closed union.

*Requests* say what the body asked for, *outcomes* what came of it. A request is claimed again by
the body on every replay; an outcome is handed to the body again, in the order of the log.
Errors and values are JSON as :mod:`agnt5.payloads` writes them.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

from agnt5.events.base import Fact


class RetryPlan(BaseModel):
    """A retry policy as recorded with a step, so that later code changes cannot alter it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    max_attempts: int
    initial_ms: int
    max_ms: int
    backoff: str
    multiplier: float = 2.0


class RunQueued(Fact):
    """A run was accepted."""

    topic: ClassVar[str] = "RunQueued"

    component: str
    kind: str
    input: JsonValue
    idempotency_key: str | None = None
    replaces: str | None = None
    """The failed run from which this one has taken the idempotency key."""
    session_id: str | None = None
    user_id: str | None = None
    metadata: dict[str, JsonValue] | None = None
    version_label: str | None = None


class RunStarted(Fact):
    """An owner began to execute it."""

    topic: ClassVar[str] = "RunStarted"

    definition: str
    """Digest of the code that the run began with."""


class StepScheduled(Fact):
    """The body asked for a step. A request."""

    topic: ClassVar[str] = "StepScheduled"

    key: str
    name: str
    function: str | None = None
    """The registered function, or None for an inline step."""
    input: JsonValue = None
    retry: RetryPlan | None = None
    recovery: str = "retry"
    deadline: int | None = None
    """When the step with all its attempts must have ended, microseconds since the epoch."""
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""


class StepStarted(Fact):
    """An attempt is about to run: a retry, or one whose policy needs its intent on record first."""

    topic: ClassVar[str] = "StepStarted"

    key: str
    attempt: int


class StepAttemptFailed(Fact):
    """An attempt failed and another will follow."""

    topic: ClassVar[str] = "StepAttemptFailed"

    key: str
    attempt: int
    error: JsonValue
    retry_at: int


class StepCompleted(Fact):
    """A step has its result. An outcome."""

    topic: ClassVar[str] = "StepCompleted"

    key: str
    output: JsonValue = None
    attempt: int = 0
    duration_us: int = 0


class StepFailed(Fact):
    """A step failed for good. An outcome."""

    topic: ClassVar[str] = "StepFailed"

    key: str
    error: JsonValue
    attempt: int = 0


class TimerScheduled(Fact):
    """The body asked to be woken. A request; the deadline is recorded, not the duration."""

    topic: ClassVar[str] = "TimerScheduled"

    key: str
    due_at: int
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""


class TimerFired(Fact):
    """A timer's time has come. An outcome."""

    topic: ClassVar[str] = "TimerFired"

    key: str


class SignalAwaited(Fact):
    """The body asked for the next signal of a name. A request."""

    topic: ClassVar[str] = "SignalAwaited"

    key: str
    name: str
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""


class SignalReceived(Fact):
    """A signal came from outside."""

    topic: ClassVar[str] = "SignalReceived"

    signal_id: str
    name: str
    payload: JsonValue = None


class SignalConsumed(Fact):
    """A signal was given to a waiting call. An outcome."""

    topic: ClassVar[str] = "SignalConsumed"

    key: str
    signal_id: str
    payload: JsonValue = None


class SignalReturned(Fact):
    """The body gave up a wait before it was handed its signal: the next wait gets it.

    A request, like OperationCancelled.
    """

    topic: ClassVar[str] = "SignalReturned"

    key: str
    signal_id: str


class UserInputRequested(Fact):
    """The body asked a person. A request."""

    topic: ClassVar[str] = "UserInputRequested"

    key: str
    question: str
    input_type: str = "text"
    options: list[dict[str, JsonValue]] | None = None
    allow_custom: bool = False
    skippable: bool = False
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""


class UserReplied(Fact):
    """A person answered. An outcome."""

    topic: ClassVar[str] = "UserReplied"

    key: str
    answer: str | None


class OperationCancelled(Fact):
    """The body stopped waiting for an operation. A request: a replay waits until it does again."""

    topic: ClassVar[str] = "OperationCancelled"

    key: str


class RunCancelRequested(Fact):
    """Somebody asked the run to stop; the body may still clean up."""

    topic: ClassVar[str] = "RunCancelRequested"

    reason: str | None = None


class RunParked(Fact):
    """The run only waits and has left memory."""

    topic: ClassVar[str] = "RunParked"

    wake_at: int | None = None


class RunSuspended(Fact):
    """The run cannot go on until somebody mends something."""

    topic: ClassVar[str] = "RunSuspended"

    reason: str
    report: str
    definition: str


class RunResumed(Fact):
    """A suspended run goes on."""

    topic: ClassVar[str] = "RunResumed"

    definition: str


class RunCompleted(Fact):
    """The run has its result. Terminal."""

    topic: ClassVar[str] = "RunCompleted"

    output: JsonValue = None


class RunFailed(Fact):
    """The run failed. Terminal."""

    topic: ClassVar[str] = "RunFailed"

    error: JsonValue
    attempts: int | None = None
    """Of a function's run: attempts made, counted from 1."""
    max_attempts: int | None = None


class RunCancelled(Fact):
    """The run was cancelled. Terminal."""

    topic: ClassVar[str] = "RunCancelled"

    reason: str | None = None


Request = StepScheduled | TimerScheduled | SignalAwaited | UserInputRequested
Outcome = StepCompleted | StepFailed | TimerFired | SignalConsumed | UserReplied
Terminal = RunCompleted | RunFailed | RunCancelled
RunFact = (
    RunQueued
    | RunStarted
    | Request
    | StepStarted
    | StepAttemptFailed
    | Outcome
    | SignalReceived
    | SignalReturned
    | OperationCancelled
    | RunCancelRequested
    | RunParked
    | RunSuspended
    | RunResumed
    | Terminal
)

RUN_FACTS: tuple[type[RunFact], ...] = (
    RunQueued,
    RunStarted,
    StepScheduled,
    StepStarted,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    TimerScheduled,
    TimerFired,
    SignalAwaited,
    SignalReceived,
    SignalConsumed,
    SignalReturned,
    UserInputRequested,
    UserReplied,
    OperationCancelled,
    RunCancelRequested,
    RunParked,
    RunSuspended,
    RunResumed,
    RunCompleted,
    RunFailed,
    RunCancelled,
)
