"""Read models: what the index says of a run, as a function of its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from agnt5.events.entity.facts import EntityCallCompleted, EntityFact
from agnt5.events.entity.streams import call_place, call_scope
from agnt5.events.index import PAUSED, IndexChange, KeyBinding, RunRow
from agnt5.events.run.children import left_alone, owes, unwanted
from agnt5.events.run.facts import (
    OperationCancelled,
    RunCancelled,
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
    UserInputExpired,
    UserInputRequested,
    UserReplied,
)
from agnt5.events.run.state import OpKind, Phase, RunState
from agnt5.events.traces import read_traceparent
from agnt5.payloads import digest

_STATUS = {
    Phase.QUEUED: "queued",
    Phase.RUNNING: "running",
    Phase.SUSPENDED: "suspended",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
    Phase.CONTINUED: "continued",
}

STATUSES: Final = (*_STATUS.values(), "awaiting_user_input", PAUSED)
"""All that :func:`status_of` says."""


def status_of(state: RunState) -> str:
    """The status that users see."""
    if state.pause is not None:
        return PAUSED
    if state.phase is Phase.RUNNING and any(o.kind is OpKind.INPUT for o in state.open.values()):
        return "awaiting_user_input"
    return _STATUS[state.phase]


def key_scope(kind: str, component: str, key: str) -> str:
    """An idempotency key with its scope: the same key of another component is another key."""
    return f"{kind}:{component}:{key}"


def duplicate_scope(queue: str | None, deduplication_id: str) -> str:
    """A deduplication id with its scope: the same id of another queue is another id."""
    return f"queue:{queue or ''}:{deduplication_id}"


def row_of(state: RunState) -> RunRow:
    """The index row of a run."""
    queued = state.queued
    assert queued is not None  # noqa: S101 - a stream begins with RunQueued
    key, caller = queued.idempotency_key, read_traceparent(queued.traceparent)
    return RunRow(
        run_id=state.run_id,
        component=queued.component,
        kind=queued.kind,
        status=status_of(state),
        parked=state.parked,
        wake_at=state.wake_at if state.parked else None,
        created_at=state.created_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        version_label=queued.version_label,
        session_id=queued.session_id,
        user_id=queued.user_id,
        parent_run_id=queued.parent_run_id,
        key_scope=None if key is None else key_scope(queued.kind, queued.component, key),
        owes=owes(state),
        queue=queued.queue,
        priority=queued.priority,
        continued_to=state.successor,
        chain=queued.chain,
        caller_trace_id=caller.trace_id if caller else None,
    )


def settled_row_of(state: RunState) -> RunRow:
    """The row of a run that has ended, once it owes nobody anything."""
    return replace(row_of(state), owes=False)


Known = Callable[[str], RunState | None]
"""The state of another run; None if there is no such run."""


def owes_word(state: RunState, known: Known) -> bool:
    """Whether another run waits for what this one, which has ended, must tell it."""
    queued = state.queued
    if queued is not None and queued.parent_run_id is not None and state.successor is None:
        parent = known(queued.parent_run_id)
        if parent and not parent.is_finished and (queued.parent_key or "") in parent.children:
            return True
    left = [known(child.child_run_id) for child in unwanted(state)]
    return any(child and not child.is_finished and not child.cancel_requested for child in left)


def _still_owes(state: RunState, known: Known, settled: Callable[[str], bool]) -> bool:
    """What a run that has ended owes in the light of all others: those may know already."""
    if owes_word(state, known):
        return True
    is_missing = any(known(child.child_run_id) is None for child in left_alone(state))
    # It never began, or it began in the store that this run came from: only the index may know.
    return is_missing and not settled(state.run_id)


def bindings_of(run_id: str, fact: RunQueued) -> list[KeyBinding]:
    """The idempotency key and the deduplication id that a new run takes.

    One that continues another takes none: they name the first run of the chain.
    """
    bindings: list[KeyBinding] = []
    if fact.continues is not None:
        return bindings
    if fact.idempotency_key is not None:
        scope = key_scope(fact.kind, fact.component, fact.idempotency_key)
        bindings.append(KeyBinding(scope, run_id, digest(fact.input), fact.replaces))
    if fact.deduplication_id is not None:
        scope = duplicate_scope(fact.queue, fact.deduplication_id)
        bindings.append(KeyBinding(scope, run_id, "", fact.replaces_duplicate))
    return bindings


_ROW_FACTS: frozenset[type[RunFact]] = frozenset(
    {
        RunQueued,
        RunStarted,
        RunParked,
        RunSuspended,
        RunPaused,
        RunResumed,
        RunForked,
        RunCompleted,
        RunFailed,
        RunCancelled,
        RunContinued,
        UserInputRequested,
        UserReplied,
        UserInputExpired,
        OperationCancelled,  # it may have been a question
    }
)


def affects_row(fact: RunFact) -> bool:
    """Whether this fact may change the run's row; a step's facts never do, unless it was parked."""
    return type(fact) in _ROW_FACTS


def changes_of(state: RunState, facts: Iterable[RunFact]) -> list[IndexChange]:
    """The index rows that an append of these facts, already folded, must write."""
    changes: list[IndexChange] = []
    for fact in facts:
        if isinstance(fact, RunQueued):
            changes += bindings_of(state.run_id, fact)
    changes.append(row_of(state))
    return changes


def _nobody(run_id: str) -> bool:
    del run_id
    return False


def index_of(
    states: Iterable[RunState], settled: Callable[[str], bool] = _nobody
) -> list[IndexChange]:
    """The whole index, from the states of all runs: what a rebuild writes.

    Args:
        states: Of all runs.
        settled: Whether the index until now says that a run which has ended owes nothing. That of
            a child which was left alone is on no log.
    """
    ordered = sorted(states, key=lambda state: (state.created_at, state.run_id))
    bindings: dict[str, KeyBinding] = {}
    for state in ordered:
        for binding in bindings_of(state.run_id, state.queued) if state.queued else ():
            # The last run that took a key has it; in an empty index it replaces nobody.
            bindings[binding.scope] = replace(binding, replaces=None)
    others = {state.run_id: state for state in ordered}
    rows = [
        row_of(state)
        if not owes(state) or _still_owes(state, others.get, settled)
        else settled_row_of(state)
        for state in ordered
    ]
    return [*rows, *bindings.values()]


def call_binding_of(stream: str, version: int, fact: EntityFact) -> KeyBinding | None:
    """That an entity has applied a call: its id names the place of its answer for ever."""
    if not isinstance(fact, EntityCallCompleted) or fact.call_id is None:
        return None
    scope = call_scope(stream, fact.call_id)
    return KeyBinding(scope, call_place(stream, version), digest(fact.method))
