"""Read models: what the index says of a run, as a function of its state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agnt5.events.entity.facts import EntityCallCompleted, EntityFact
from agnt5.events.entity.streams import call_place, call_scope
from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.run.facts import (
    OperationCancelled,
    RunCancelled,
    RunCompleted,
    RunFact,
    RunFailed,
    RunParked,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
    UserInputExpired,
    UserInputRequested,
    UserReplied,
)
from agnt5.events.run.state import OpKind, Phase, RunState
from agnt5.payloads import digest

_STATUS = {
    Phase.QUEUED: "queued",
    Phase.RUNNING: "running",
    Phase.SUSPENDED: "suspended",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
}


def status_of(state: RunState) -> str:
    """The status that users see."""
    if state.phase is Phase.RUNNING and any(o.kind is OpKind.INPUT for o in state.open.values()):
        return "awaiting_user_input"
    return _STATUS[state.phase]


def key_scope(kind: str, component: str, key: str) -> str:
    """An idempotency key with its scope: the same key of another component is another key."""
    return f"{kind}:{component}:{key}"


def row_of(state: RunState) -> RunRow:
    """The index row of a run."""
    queued = state.queued
    assert queued is not None  # noqa: S101 - a stream begins with RunQueued
    key = queued.idempotency_key
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
    )


def binding_of(run_id: str, fact: RunQueued) -> KeyBinding | None:
    """The idempotency key that a new run takes."""
    if fact.idempotency_key is None:
        return None
    scope = key_scope(fact.kind, fact.component, fact.idempotency_key)
    return KeyBinding(scope, run_id, digest(fact.input), fact.replaces)


_ROW_FACTS: frozenset[type[RunFact]] = frozenset(
    {
        RunQueued,
        RunStarted,
        RunParked,
        RunSuspended,
        RunResumed,
        RunCompleted,
        RunFailed,
        RunCancelled,
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
            binding = binding_of(state.run_id, fact)
            if binding is not None:
                changes.append(binding)
    changes.append(row_of(state))
    return changes


def index_of(states: Iterable[RunState]) -> list[IndexChange]:
    """The whole index, from the states of all runs: what a rebuild writes."""
    ordered = sorted(states, key=lambda state: (state.created_at, state.run_id))
    bindings: dict[str, KeyBinding] = {}
    for state in ordered:
        binding = None if state.queued is None else binding_of(state.run_id, state.queued)
        if binding is not None:
            # The last run that took a key has it; in an empty index it replaces nobody.
            bindings[binding.scope] = replace(binding, replaces=None)
    return [*map(row_of, ordered), *bindings.values()]


def call_binding_of(stream: str, version: int, fact: EntityFact) -> KeyBinding | None:
    """That an entity has applied a call: its id names the place of its answer for ever."""
    if not isinstance(fact, EntityCallCompleted) or fact.call_id is None:
        return None
    scope = call_scope(stream, fact.call_id)
    return KeyBinding(scope, call_place(stream, version), digest(fact.method))
