"""The life of a run: accepted, started, parked, suspended, resumed, cancelled, ended."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.recovery import recover
from agnt5.events.run.state import Phase, RunState, is_waiting
from agnt5.exceptions import InvalidInputError, RunTimeoutError
from agnt5.payloads import encode_error

Facts = Sequence[f.RunFact]
NOTHING: Facts = ()
IMPORTED = "imported"
"""Why a run is suspended that came from another store: only somebody who says so resumes it."""


def queue(state: RunState, command: c.QueueRun) -> Facts:
    """Accept a new run."""
    if state.phase is not Phase.NEW:
        msg = f"a run with the id {state.run_id!r} is already in this store; choose another id"
        raise InvalidInputError(msg)
    return (
        f.RunQueued(
            component=command.component,
            kind=command.kind,
            input=command.input,
            idempotency_key=command.idempotency_key,
            replaces=command.replaces,
            session_id=command.session_id,
            user_id=command.user_id,
            metadata=command.metadata,
            version_label=command.version_label,
            parent_run_id=command.parent_run_id,
            parent_key=command.parent_key,
            queue=command.queue,
            priority=command.priority,
            deduplication_id=command.deduplication_id,
            replaces_duplicate=command.replaces_duplicate,
            origin=command.origin,
            durable=command.durable,
            traceparent=command.traceparent,
            tracestate=command.tracestate,
        ),
    )


def fail(state: RunState, command: c.FailRun) -> Facts:
    """The body has raised."""
    if not state.is_running:
        return NOTHING
    of_function = state.queued is not None and state.queued.kind == "function"
    made, allowed = (state.last_attempts if of_function else None) or (None, None)
    return (f.RunFailed(error=command.error, attempts=made, max_attempts=allowed),)


def request_cancel(state: RunState, command: c.RequestCancel) -> Facts:
    """Somebody outside wants the run to stop."""
    if state.is_finished:
        return NOTHING
    reason = state.cancel_reason if state.cancel_requested else command.reason
    fact = f.RunCancelRequested(reason=reason, traceparent=command.traceparent)
    requested = () if state.cancel_requested else (fact,)
    if state.phase is Phase.RUNNING:
        # Standing still, it could not clean up.
        return requested if state.pause is None else (*requested, f.RunResumed(definition=""))
    # No body is there to clean up; one that was suspended while it did will not end by itself.
    return (*requested, f.RunCancelled(reason=reason))


def park(state: RunState) -> Facts:
    """The run only waits: it may leave memory."""
    if not state.is_running or state.parked or not is_waiting(state):
        return NOTHING
    return (f.RunParked(wake_at=next_wake(state)),)


def suspend(state: RunState, command: c.SuspendRun) -> Facts:
    """The run cannot go on."""
    if state.phase is Phase.SUSPENDED:
        known = state.suspension
        if known is not None and known.report == command.report:
            return NOTHING
    elif state.phase is not Phase.RUNNING:
        return NOTHING
    return (
        f.RunSuspended(reason=command.reason, report=command.report, definition=command.definition),
    )


def next_wake(state: RunState) -> int | None:
    """When the next operation must be decided about, microseconds since the epoch."""
    times = [op.wake_at for op in state.open.values() if op.wake_at is not None]
    return min(times, default=None)


def start(state: RunState, command: c.StartRun) -> Facts:
    """An owner begins to execute it."""
    if not state.may_start:
        return NOTHING
    unfit = state.queued and state.queued.origin and state.queued.origin.get("error")
    if unfit:
        # A trigger brought what the workflow cannot take; nobody was there to be refused.
        return (f.RunFailed(error=unfit),)
    return (f.RunStarted(definition=command.definition, timeout_us=command.timeout_us),)


def pause(state: RunState, command: c.PauseRun) -> Facts:
    """Somebody outside wants the run to stand still.

    Raises:
        InvalidInputError: When the run has ended.
    """
    if state.is_finished:
        msg = (
            f"run {state.run_id!r} has ended ({state.phase.name.lower()}): there is nothing to"
            " pause"
        )
        raise InvalidInputError(msg)
    return NOTHING if state.pause is not None else (f.RunPaused(reason=command.reason),)


def resume_run(state: RunState, command: c.ResumeRun) -> Facts:
    """A suspended or paused run goes on."""
    if state.pause is not None:
        # What a crash has left unknown is settled when it is back in memory: attempts that were
        # under way when it was paused may still be so.
        return (f.RunResumed(definition=command.definition),)
    if state.phase is not Phase.SUSPENDED:
        return NOTHING
    return (f.RunResumed(definition=command.definition), *recover(state))


def time_out(state: RunState, now: int) -> Facts:
    """The run has been under way for as long as it may."""
    due_at = state.times_out_at
    if due_at is None or state.timeout_us is None or due_at > now:
        return NOTHING
    name = state.queued.component if state.queued else ""
    late = RunTimeoutError(
        f"run {state.run_id} of {name!r} was under way for longer than its timeout of"
        f" {state.timeout_us / 1e6:g} s; time in which it only waited is not counted"
    )
    return (f.RunFailed(error=encode_error(late)),)
