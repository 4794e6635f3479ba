"""A run at one event of its history, as people look at it. Values, made of a fold.

Payloads are as they lie on the log: plain JSON where that says it all, and see
:mod:`agnt5.payloads` for the rest. So a snapshot needs none of the classes that the run used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import JsonValue

from agnt5.answers import maybe, when
from agnt5.events.projections import status_of
from agnt5.events.run.annals import Annals
from agnt5.payloads import decode, decode_error
from agnt5.snapshot_parts import (
    AskedQuestion,
    ForkOrigin,
    OpenOperation,
    Pause,
    ReceivedUpdate,
    StartedChild,
    Suspension,
    View,
    WaitingSignal,
    child_of,
    error_text,
    fork_of,
    operation_of,
    pause_of,
    question_of,
    short,
    signals_of,
    suspension_of,
    update_of,
)


class RunSnapshot(View):
    """A run as it stood after one of its events. Payloads are as recorded; times are in UTC.

    ``str()`` gives a few lines for people, ``model_dump(mode="json")`` plain JSON.

    Attributes:
        run_id: The run.
        component: Its function or workflow.
        kind: ``"function"`` or ``"workflow"``.
        version_label: The version of the workflow to which it is pinned.
        created_at: When it was accepted.
        started_at: When its execution began.
        finished_at: When it ended, in whatever way.
        input: What it was started with, by name.
        output: What it gave.
        metadata: What the caller attached.
        session_id: The session that it was started with.
        user_id: The user.
        idempotency_key: The key.
        queue: The queue in which it lines up.
        priority: The greater one of a queue begins first.
        parent_run_id: The run that has started it as a child.
        cancel_requested: Whether somebody asked it to stop.
        cancel_reason: Why.
        suspension: Why it cannot go on, with a report and since when.
        pause: Why somebody has it stand still, and since when.
    """

    run_id: str
    version: int
    """The number of the event, counted from 1."""
    last_version: int
    """How many events the run had when one looked."""
    at: datetime
    """When that event was recorded."""
    component: str
    kind: str
    version_label: str | None
    status: str
    """As of :class:`agnt5.RunStatus`."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    input: JsonValue
    output: JsonValue
    error: JsonValue
    """Why it failed: a record with ``type`` and ``message``."""
    metadata: dict[str, JsonValue]
    session_id: str | None
    user_id: str | None
    idempotency_key: str | None
    queue: str | None
    priority: int
    parent_run_id: str | None
    parked: bool
    """It only waits, and has left memory."""
    wake_at: datetime | None
    """Of a parked run: when it comes back by itself."""
    times_out_at: datetime | None
    """When its time is over if it does not wait before."""
    cancel_requested: bool
    cancel_reason: str | None
    suspension: Suspension | None
    pause: Pause | None
    fork: ForkOrigin | None
    """Of a run that was copied from another: which, up to where, and when."""
    outcomes: int
    """How many durable calls have had an outcome."""
    operations: dict[str, OpenOperation]
    """What it waits for, by key."""
    state: dict[str, JsonValue]
    """``ctx.state``."""
    uncertain: list[str]
    """Names of ``state`` that a step and a branch beside it have both written: only a replay can
    tell in which order these writes counted."""
    signals: dict[str, list[WaitingSignal]]
    """By name, the oldest first."""
    questions: dict[str, AskedQuestion]
    """By key, in the order of the asking."""
    children: dict[str, StartedChild]
    """By the key of the call."""
    updates: dict[str, ReceivedUpdate]
    """By the update's id."""
    markers: dict[str, JsonValue]
    """Decisions of the body that every replay repeats, such as patches."""

    def decode_input(self) -> Any:
        """The input as Python values. Raises PayloadError when a class of it is gone."""
        return decode(self.input, where=f"input of run {self.run_id}")

    def decode_output(self) -> Any:
        """The output as Python values. Raises PayloadError when a class of it is gone."""
        return decode(self.output, where=f"output of run {self.run_id}")

    def decode_state(self) -> dict[str, Any]:
        """The state as Python values. Raises PayloadError when a class of it is gone."""
        return {name: decode(v, where=f"state {name!r}") for name, v in self.state.items()}

    def decode_error(self) -> BaseException | None:
        """The exception with which it failed; None if it has not. Never raises."""
        return None if self.error is None else decode_error(self.error)

    def __str__(self) -> str:
        """A few lines for people."""
        where = f"event {self.version} of {self.last_version}, {self.at:%Y-%m-%d %H:%M:%S} UTC"
        lines = [
            f"run {self.run_id} ({self.kind} {self.component!r}) at {where}: {self.status}",
            f"  input: {short(self.input)}",
        ]
        if self.status == "completed":
            lines.append(f"  output: {short(self.output)}")
        if self.error is not None:
            lines.append(f"  error: {error_text(self.error)}")
        if self.cancel_requested:
            lines.append(f"  cancel requested: {self.cancel_reason or 'no reason was given'}")
        if self.suspension is not None:
            lines.append(f"  suspended: {self.suspension.reason}")
        if self.pause is not None:
            lines.append(f"  paused: {self.pause.reason or 'no reason was given'}")
        if self.fork is not None:
            lines.append(f"  forked: from run {self.fork.origin} at its event {self.fork.at}")
        for key, op in self.operations.items():
            tried = f", attempt {op.attempt}" if op.attempt is not None else ""
            lines.append(f"  open: {op.kind} {key!r}, {op.phase}{tried}")
        for name, value in self.state.items():
            unsure = " (uncertain)" if name in self.uncertain else ""
            lines.append(f"  state {name}: {short(value)}{unsure}")
        for name, waiting in self.signals.items():
            lines.append(f"  signals {name!r} not taken yet: {len(waiting)}")
        return "\n".join(lines)


def snapshot_of(annals: Annals, last_version: int) -> RunSnapshot:
    """The run as its annals have it, of a history of so many events. It begins with RunQueued."""
    state, queued = annals.state, annals.state.queued
    assert queued is not None  # noqa: S101 - a stream begins with RunQueued
    return RunSnapshot(
        run_id=state.run_id,
        version=state.version,
        last_version=last_version,
        at=when(state.updated_at),
        component=queued.component,
        kind=queued.kind,
        version_label=queued.version_label,
        status=status_of(state),
        created_at=when(state.created_at),
        started_at=maybe(state.started_at),
        finished_at=maybe(state.finished_at),
        input=queued.input,
        output=state.output,
        error=state.failure.error if state.failure else None,
        metadata=queued.metadata or {},
        session_id=queued.session_id,
        user_id=queued.user_id,
        idempotency_key=queued.idempotency_key,
        queue=queued.queue,
        priority=queued.priority,
        parent_run_id=queued.parent_run_id,
        parked=state.parked,
        wake_at=maybe(state.wake_at) if state.parked else None,
        times_out_at=maybe(state.times_out_at),
        cancel_requested=state.cancel_requested,
        cancel_reason=state.cancel_reason,
        suspension=suspension_of(annals),
        pause=pause_of(annals),
        fork=fork_of(annals),
        outcomes=annals.outcomes,
        operations={key: operation_of(op, annals.calls[key]) for key, op in state.open.items()},
        state=dict(state.values),
        uncertain=annals.uncertain,
        signals=signals_of(annals),
        questions={key: question_of(one, state) for key, one in annals.questions.items()},
        children={key: child_of(key, one, state) for key, one in annals.children.items()},
        updates={name: update_of(one) for name, one in annals.updates.items()},
        markers=dict(state.markers),
    )
