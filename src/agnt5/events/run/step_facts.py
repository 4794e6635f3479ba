"""What happens to the steps and timers of a run."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from agnt5.events.base import Encoded, Fact


class RetryPlan(BaseModel):
    """A retry policy as recorded with a step, so that later code changes cannot alter it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    max_attempts: int
    initial_ms: int
    max_ms: int
    backoff: str
    multiplier: float = 2.0
    jitter: float = 0.0
    """The share of the delay that chance may take off, from 0 to 1."""


class StepScheduled(Fact):
    """The body asked for a step. A request."""

    topic: ClassVar[str] = "StepScheduled"

    key: str
    name: str
    function: str | None = None
    """The registered function, or None for an inline step."""
    input: Encoded = None
    retry: RetryPlan | None = None
    recovery: str = "retry"
    deadline: int | None = None
    """When the step with all its attempts must have ended, microseconds since the epoch."""
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""
    undo: str | None = None
    """What a saga will call to undo it, by name."""


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
    error: Encoded
    retry_at: int


class StepCompleted(Fact):
    """A step has its result. An outcome."""

    topic: ClassVar[str] = "StepCompleted"

    key: str
    output: Encoded = None
    attempt: int = 0
    duration_us: int = 0
    after: dict[str, Encoded] | None = None
    """What the call made of its mutable arguments, written back on replay; None: nothing."""
    state: dict[str, Encoded] | None = None
    """What the call set in the state of the run, by name."""
    deleted: list[str] | None = None
    """What it deleted from the state of the run."""


class StepFailed(Fact):
    """A step failed for good. An outcome."""

    topic: ClassVar[str] = "StepFailed"

    key: str
    error: Encoded
    attempt: int = 0
    after: dict[str, Encoded] | None = None
    """What the call made of its mutable arguments before it failed."""


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


class OperationCancelled(Fact):
    """The body stopped waiting for an operation. A request: a replay waits until it does again."""

    topic: ClassVar[str] = "OperationCancelled"

    key: str
