"""The life of a run, from its queue to its end."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from agnt5.events.base import Encoded, Fact


class RunQueued(Fact):
    """A run was accepted."""

    topic: ClassVar[str] = "RunQueued"

    component: str
    kind: str
    input: Encoded
    idempotency_key: str | None = None
    replaces: str | None = None
    """The failed run from which this one has taken the idempotency key."""
    session_id: str | None = None
    user_id: str | None = None
    metadata: dict[str, Encoded] | None = None
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
    continues: str | None = None
    """The run that went on as this one."""
    chain: str | None = None
    """The first run of the chain of runs that went on as one another."""
    link: int = 0
    """Its number in the chain: the first one is 0."""
    state: dict[str, Encoded] | None = None
    """With which state it begins: what the run before has left."""
    known_signals: list[str] | None = None
    """Ids of signals that the chain has had already: one that comes again is no other signal."""
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


class RunPaused(Fact):
    """Somebody asked the run to stand still; it goes on when somebody says so."""

    topic: ClassVar[str] = "RunPaused"

    reason: str | None = None


class RunResumed(Fact):
    """A suspended or paused run goes on."""

    topic: ClassVar[str] = "RunResumed"

    definition: str


class RunForked(Fact):
    """What lies before was copied from another run; what follows is this run's own."""

    topic: ClassVar[str] = "RunForked"

    origin: str
    """The run that it was copied from."""
    origin_traceparent: str | None = None
    """The span in which that one was started; the fork belongs to the span of whoever forked it."""
    at: int
    """The version of the origin up to which its facts were kept."""
    kept_identity: str
    """The run id from which the chance of the copied part follows."""
    identity: str
    """The run id from which chance and idempotency keys follow from here on."""
    input_changed: bool = False
    children: dict[str, str] | None = None
    """The ids of the children that the copied part has started, by the key of the call."""
    again: list[str] | None = None
    """Calls whose facts were left out, so that the body asks for them again."""
    reason: str | None = None


class RunCompleted(Fact):
    """The run has its result. Terminal."""

    topic: ClassVar[str] = "RunCompleted"

    output: Encoded = None


class RunFailed(Fact):
    """The run failed. Terminal."""

    topic: ClassVar[str] = "RunFailed"

    error: Encoded
    attempts: int | None = None
    """Of a function's run: attempts made, counted from 1."""
    max_attempts: int | None = None


class RunContinued(Fact):
    """The run goes on as another run, which begins in the same moment. Terminal."""

    topic: ClassVar[str] = "RunContinued"

    successor: str
    """The id of the run that goes on."""
    input: Encoded
    """Its input."""
    version_label: str | None = None
    """The version of the code that it begins with."""
    state: dict[str, Encoded] | None = None
    """The state that it begins with."""


class RunCancelled(Fact):
    """The run was cancelled. Terminal."""

    topic: ClassVar[str] = "RunCancelled"

    reason: str | None = None
