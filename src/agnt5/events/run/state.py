"""What is known of a run: the fold of its facts.

``evolve`` consumes the state that it is given and returns it changed (a run of a hundred thousand
facts must not cost a copy per fact). Whoever still needs the old state folds again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import assert_never

from pydantic import JsonValue

from agnt5.events.keys import is_inside, recovery_key, scope_of
from agnt5.events.run.facts import (
    ChildFinished,
    ChildStarted,
    EventEmitted,
    MarkerRecorded,
    OperationCancelled,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunContinued,
    RunFact,
    RunFailed,
    RunForked,
    RunParked,
    RunPaused,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
    SignalAwaited,
    SignalConsumed,
    SignalReceived,
    SignalReturned,
    SignalTimedOut,
    StateChanged,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepScheduled,
    StepStarted,
    TimerFired,
    TimerScheduled,
    UpdateAnswered,
    UpdateReceived,
    UserInputExpired,
    UserInputRequested,
    UserReplied,
)
from agnt5.events.run.operations import Operation, OpKind, OpPhase
from agnt5.events.traces import trace_id_of

__all__ = [
    "OpKind",
    "OpPhase",
    "Operation",
    "Phase",
    "RunState",
    "evolve",
    "fold",
    "is_covered",
    "is_waiting",
]


class Phase(IntEnum):
    """Where a run is in its life."""

    NEW = 0
    QUEUED = 1
    RUNNING = 2
    SUSPENDED = 3
    COMPLETED = 4
    FAILED = 5
    CANCELLED = 6
    CONTINUED = 7


@dataclass(slots=True)
class RunState:
    """A run at a version of its stream."""

    run_id: str
    version: int = 0
    updated_at: int = 0
    """When the last fact was decided."""
    phase: Phase = Phase.NEW
    queued: RunQueued | None = None
    created_at: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    timeout_us: int | None = None
    """How long it may be under way; the two below are kept only when there is such a limit."""
    active_us: int = 0
    """How long it was under way, without the time in which it only waited."""
    active_since: int | None = None
    """Since when it has been under way again; None while it only waits."""
    open: dict[str, Operation] = field(default_factory=dict)
    busy: dict[str, Operation] = field(default_factory=dict)
    """Those of the open ones of which an attempt is under way, or owed: mostly few."""
    settled: dict[str, bool] = field(default_factory=dict)
    """Keys that have an outcome, or that the body has given up; true for inline steps."""
    signals: dict[str, deque[SignalReceived]] = field(default_factory=dict)
    """Received and not yet consumed."""
    consumed: dict[str, SignalReceived] = field(default_factory=dict)
    """What each settled wait for a signal was given."""
    signal_ids: dict[str, None] = field(default_factory=dict)
    """Ids of the signals that it has had, or the runs that it continues, in order."""
    answers: dict[str, UserReplied | UserInputExpired | None] = field(default_factory=dict)
    """What came of each question, by its key, in the order in which they were asked."""
    children: dict[str, ChildStarted] = field(default_factory=dict)
    """Those that have not ended yet: the body waits for them, or they are being cancelled."""
    updates: dict[str, UpdateAnswered | None] = field(default_factory=dict)
    """What came of each update, by its id; None while its handler is under way."""
    values: dict[str, JsonValue] = field(default_factory=dict)
    """The state of the run, as users set it."""
    noted: set[str] = field(default_factory=set)
    """Keys of the body's notes."""
    markers: dict[str, JsonValue] = field(default_factory=dict)
    cancel_requested: bool = False
    cancel_reason: str | None = None
    parked: bool = False
    wake_at: int | None = None
    suspension: RunSuspended | None = None
    """Why its phase is SUSPENDED; None in every other phase."""
    pause: RunPaused | None = None
    """Whatever its phase, suspended too, it stands still; None: it does not."""
    forked: RunForked | None = None
    """The last fork that its history went through."""
    output: JsonValue = None
    failure: RunFailed | None = None
    successor: str | None = None
    """The run that goes on in its place."""
    last_attempts: tuple[int, int] | None = None
    """Of the step that failed last: attempts made, and attempts allowed."""

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to, 32 hex digits."""
        return trace_id_of(self.run_id, self.queued.traceparent if self.queued else None)

    @property
    def is_finished(self) -> bool:
        """Whether a terminal fact stands; nothing may follow it."""
        return self.phase >= Phase.COMPLETED

    @property
    def may_start(self) -> bool:
        """Whether it was accepted, and nothing holds it back."""
        return self.phase is Phase.QUEUED and self.pause is None

    @property
    def is_running(self) -> bool:
        """Whether its body may be under way."""
        return self.phase is Phase.RUNNING and self.pause is None

    @property
    def identity(self) -> str:
        """The run id that idempotency keys are made of."""
        return self.run_id if self.forked is None else self.forked.identity

    @property
    def times_out_at(self) -> int | None:
        """When its time is over if it does not wait before; None: not now."""
        if self.timeout_us is None or self.active_since is None:
            return None
        return self.active_since + max(0, self.timeout_us - self.active_us)

    def refuses(self, key: str) -> bool:
        """Whether a call with this key is no new call."""
        return not self.is_running or key in self.open or key in self.settled


def evolve(state: RunState, fact: RunFact, at: int) -> RunState:
    """The state after one more fact, which was decided at a time (microseconds)."""
    state.version += 1
    state.updated_at = at
    state.parked = False
    match fact:
        case StepScheduled():
            kind = OpKind.INLINE if fact.function is None else OpKind.STEP
            state.open[fact.key] = state.busy[fact.key] = Operation(
                fact.key,
                kind,
                OpPhase.RUNNING,
                fact.name,
                deadline=fact.deadline,
                retry=fact.retry,
                recovery=fact.recovery,
            )
        case StepCompleted():
            _settle(state, fact.key)
            if (fact.state or fact.deleted) and not is_inside(fact.key):
                state.values.update(fact.state or {})
                for name in fact.deleted or ():
                    state.values.pop(name, None)
        case RunQueued() | RunStarted() | RunCompleted():
            _evolve_run(state, fact, at)  # once in every run: not after all that may happen in it
        case StepFailed():
            retry = _settle(state, fact.key).retry
            state.last_attempts = (fact.attempt + 1, retry.max_attempts if retry else 1)
        case TimerFired() | SignalTimedOut():
            _settle(state, fact.key)
        case UserReplied() | UserInputExpired():
            _settle(state, fact.key)
            state.answers[fact.key] = fact
        case OperationCancelled():
            child = _settle(state, fact.key).child
            if child is not None and child.on_parent_end == "abandon":
                del state.children[fact.key]
        case StepStarted():
            op = state.open[fact.key]
            op.phase, op.attempt, op.started, op.due_at = OpPhase.RUNNING, fact.attempt, True, None
            state.busy[fact.key] = op
        case StepAttemptFailed():
            op = state.open[fact.key]
            op.phase, op.attempt, op.started = OpPhase.BACKOFF, fact.attempt, False
            op.due_at = fact.retry_at
            state.busy.pop(fact.key, None)
        case TimerScheduled():
            state.open[fact.key] = Operation(
                fact.key, OpKind.TIMER, OpPhase.WAITING, due_at=fact.due_at
            )
        case SignalAwaited():
            state.open[fact.key] = Operation(
                fact.key, OpKind.SIGNAL, OpPhase.WAITING, fact.name, due_at=fact.due_at
            )
        case UserInputRequested():
            state.answers[fact.key] = None
            if fact.about in state.open:
                state.open[fact.about].phase = OpPhase.WAITING
                state.busy.pop(fact.about, None)
            state.open[fact.key] = Operation(
                fact.key, OpKind.INPUT, OpPhase.WAITING, due_at=fact.due_at, question=fact
            )
        case ChildStarted():
            state.open[fact.key] = Operation(fact.key, OpKind.CHILD, OpPhase.WAITING, child=fact)
            state.children[fact.key] = fact
        case ChildFinished():
            state.children.pop(fact.key, None)
            if fact.key in state.open:
                _settle(state, fact.key)
        case UpdateReceived():
            state.updates[fact.update_id] = None
        case UpdateAnswered():
            state.updates[fact.update_id] = fact
        case MarkerRecorded() | StateChanged() | EventEmitted():
            _note(state, fact)
        case SignalReceived():
            state.signal_ids[fact.signal_id] = None
            state.signals.setdefault(fact.name, deque()).append(fact)
        case SignalConsumed():
            _consume(state, fact)
        case SignalReturned():
            signal = state.consumed.pop(fact.key)
            state.signals.setdefault(signal.name, deque()).appendleft(signal)
        case _:
            _evolve_run(state, fact, at)
    if state.timeout_us is not None:
        _count_time(state, at)
    return state


def _evolve_run(
    state: RunState,
    fact: RunQueued
    | RunStarted
    | RunCancelRequested
    | RunParked
    | RunSuspended
    | RunPaused
    | RunResumed
    | RunForked
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunContinued,
    at: int,
) -> None:
    match fact:
        case RunQueued():
            state.phase, state.queued, state.created_at = Phase.QUEUED, fact, at
            state.values.update(fact.state or {})
            state.signal_ids.update(dict.fromkeys(fact.known_signals or ()))
        case RunStarted():
            state.phase, state.started_at = Phase.RUNNING, at
            state.timeout_us = fact.timeout_us
        case RunCancelRequested():
            state.cancel_requested, state.cancel_reason = True, fact.reason
        case RunParked():
            state.parked, state.wake_at = True, fact.wake_at
        case RunSuspended():
            state.phase, state.suspension = Phase.SUSPENDED, fact
        case RunPaused():
            state.pause = fact
        case RunResumed():
            _go_on(state)
        case RunForked():
            _go_on(state)
            state.forked = fact
            # Its time is its own.
            state.active_us, state.active_since = 0, None
        case RunCompleted():
            state.output = fact.output
            _finish(state, Phase.COMPLETED, at)
        case RunFailed():
            state.failure = fact
            _finish(state, Phase.FAILED, at)
        case RunCancelled():
            state.cancel_reason = fact.reason
            _finish(state, Phase.CANCELLED, at)
        case RunContinued():
            state.successor = fact.successor
            _finish(state, Phase.CONTINUED, at)
        case _:
            assert_never(fact)


def _go_on(state: RunState) -> None:
    state.pause = None
    if state.phase is Phase.SUSPENDED:
        state.phase, state.suspension = Phase.RUNNING, None


def _note(state: RunState, fact: MarkerRecorded | StateChanged | EventEmitted) -> None:
    state.noted.add(fact.key)
    match fact:
        case MarkerRecorded():
            state.markers[fact.key] = fact.value
        case StateChanged() if is_inside(fact.key):
            pass  # it counts when the inline step around it succeeds, whose record holds it
        case StateChanged() if fact.deleted:
            state.values.pop(fact.name, None)
        case StateChanged():
            state.values[fact.name] = fact.value
        case EventEmitted():
            pass


def _settle(state: RunState, key: str) -> Operation:
    op = state.open.pop(key)
    state.busy.pop(key, None)
    state.settled[key] = op.kind is OpKind.INLINE
    if op.recovery == "ask" and op.phase is OpPhase.WAITING:
        question = recovery_key(key, op.attempt)
        if state.open.pop(question, None) is not None:
            state.settled[question] = False
    return op


def _consume(state: RunState, fact: SignalConsumed) -> None:
    op = _settle(state, fact.key)
    waiting = state.signals[op.name]
    state.consumed[fact.key] = waiting.popleft()
    if not waiting:
        del state.signals[op.name]


def _count_time(state: RunState, at: int) -> None:
    if state.active_since is not None:
        state.active_us += max(0, at - state.active_since)
    state.active_since = at if state.is_running and not is_waiting(state) else None


def is_waiting(state: RunState) -> bool:
    """Whether nothing is under way: each open operation waits for a time or for the outside."""
    return bool(state.open) and all(_waits(state, op) for op in state.busy.values())


def _waits(state: RunState, op: Operation) -> bool:
    """Whether an inline step has open calls of its own: those say whether it only waits."""
    scope = scope_of(op.key)
    return op.kind is OpKind.INLINE and any(key.startswith(scope) for key in state.open)


def _finish(state: RunState, phase: Phase, at: int) -> None:
    state.phase, state.finished_at, state.pause, state.suspension = phase, at, None, None
    state.open.clear()
    state.busy.clear()


def fold(run_id: str, facts: Iterable[tuple[RunFact, int]]) -> RunState:
    """The state after these facts, each with its time."""
    state = RunState(run_id)
    for fact, at in facts:
        evolve(state, fact, at)
    return state


def is_covered(state: RunState, key: str, ancestors: Iterable[str]) -> bool:
    """Whether a call was made inside a settled inline step, so that no replay asks for it."""
    return any(state.settled.get(ancestor, False) for ancestor in ancestors if ancestor != key)
