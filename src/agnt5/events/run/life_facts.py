"""The life of a run, from its queue to its end."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from agnt5.events.base import Fact


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
    parent_run_id: str | None = None
    parent_key: str | None = None
    """The call of the parent that this run answers."""
    queue: str | None = None
    priority: int = 0
    """A greater one of the same queue goes first."""
    deduplication_id: str | None = None
    """While a run of the same queue with this id is unfinished, there is no second one."""
    replaces_duplicate: str | None = None
    """The finished run from which this one has taken the deduplication id."""
    origin: dict[str, JsonValue] | None = None
    """What started it, when that was a trigger: its type, its event, its delivery."""
    durable: bool = True
    """False: it is kept in memory only, and ends with the process."""
    traceparent: str | None = None
    """The span in which it was started, as W3C Trace Context writes it; see agnt5.events.traces."""
    tracestate: str | None = None


class RunStarted(Fact):
    """An owner began to execute it."""

    topic: ClassVar[str] = "RunStarted"

    definition: str
    """Digest of the code that the run began with."""
    timeout_us: int | None = None
    """How long it may be under way, without the time in which it only waits."""


class RunCancelRequested(Fact):
    """Somebody asked the run to stop; the body may still clean up."""

    topic: ClassVar[str] = "RunCancelRequested"

    reason: str | None = None
    traceparent: str | None = None
    """The span in which it was asked, as in RunQueued."""


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
