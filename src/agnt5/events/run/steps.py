"""Steps and timers: asked for, reported, given up, tried again, cut short by a crash."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.keys import operation_key, scope_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.recovery import close_question
from agnt5.events.run.retry import delay_us
from agnt5.events.run.signals import given_to_waiter
from agnt5.events.run.state import Operation, OpKind, OpPhase, RunState
from agnt5.exceptions import StepTimeoutError
from agnt5.payloads import encode_error

Facts = Sequence[f.RunFact]
NOTHING: Facts = ()


def request_timer(state: RunState, command: c.RequestTimer, now: int) -> Facts:
    """The body wants to be woken."""
    if state.refuses(command.key):
        return NOTHING
    due_at = now + command.delay_us
    return (f.TimerScheduled(key=command.key, due_at=due_at, line=command.line),)


def request_step(state: RunState, command: c.RequestStep, now: int) -> Facts:
    """The body calls a step."""
    if state.refuses(command.key):
        return NOTHING
    scheduled = f.StepScheduled(
        key=command.key,
        name=command.name,
        function=command.function,
        input=command.input,
        retry=command.retry,
        recovery=command.recovery,
        deadline=None if command.timeout_us is None else now + command.timeout_us,
        line=command.line,
        undo=command.undo,
    )
    if command.recovery == "retry":
        return (scheduled,)
    return (scheduled, f.StepStarted(key=command.key, attempt=0))


def report_success(state: RunState, command: c.ReportSuccess) -> Facts:
    """An attempt has a result; one that nobody waits for says nothing."""
    op = state.open.get(command.key)
    if op is None or op.phase is not OpPhase.RUNNING or op.attempt != command.attempt:
        return NOTHING
    completed = f.StepCompleted(
        key=command.key,
        output=command.output,
        attempt=command.attempt,
        duration_us=command.duration_us,
        after=command.after,
        state=command.state,
        deleted=command.deleted,
    )
    if _is_whole_run(state, op):
        # No body looks at it: that the step has its result and that the run has are one moment.
        return (completed, f.RunCompleted(output=command.output))
    return (completed, *_left_inside(state, op))


def _is_whole_run(state: RunState, op: Operation) -> bool:
    """Whether it is the one step of a run of a function, which nobody wants to stop."""
    queued = state.queued
    if queued is None or queued.kind != "function" or op.kind is not OpKind.STEP:
        return False
    is_first = op.key == operation_key("", queued.component, 0)
    return is_first and state.is_running and not state.cancel_requested


def report_failure(state: RunState, command: c.ReportFailure, now: int) -> Facts:
    """An attempt failed: try again, or fail for good."""
    op = state.open.get(command.key)
    if op is None or op.phase is not OpPhase.RUNNING or op.attempt != command.attempt:
        return NOTHING
    delay = None
    if command.retryable and op.retry:
        delay = delay_us(op.retry, op.attempt, f"{state.run_id}\n{op.key}")
    if delay is None:
        failed = f.StepFailed(
            key=op.key, error=command.error, attempt=op.attempt, after=command.after
        )
        return (failed, *_left_inside(state, op))
    return (
        f.StepAttemptFailed(
            key=op.key, attempt=op.attempt, error=command.error, retry_at=now + delay
        ),
    )


def report_absent(state: RunState, command: c.ReportAbsent) -> Facts:
    """The effect of an attempt that a crash cut short did not happen: another one may follow."""
    op = state.open.get(command.key)
    if op is None or op.phase is not OpPhase.RUNNING or op.attempt != command.attempt:
        return NOTHING
    # With a suspended run it would start a body's step where there is no body.
    return (f.StepStarted(key=op.key, attempt=op.attempt + 1),) if state.is_running else NOTHING


def _left_inside(state: RunState, op: Operation) -> Facts:
    """An inline step has ended: nobody waits any more for the calls that were made inside it."""
    if op.kind is not OpKind.INLINE:
        return NOTHING
    scope = scope_of(op.key)
    return [f.OperationCancelled(key=key) for key in state.open if key.startswith(scope)]


def abandon(state: RunState, key: str) -> Facts:
    """The body no longer waits for an operation."""
    op = state.open.get(key)
    if op is not None:
        return (f.OperationCancelled(key=key), *_left_inside(state, op))
    signal = state.consumed.get(key)
    if signal is None or not state.is_running:
        return NOTHING
    # It was given to a wait that the body gave up before it was told: it must not be lost.
    returned = f.SignalReturned(key=key, signal_id=signal.signal_id)
    return (returned, *given_to_waiter(state, signal))


def wake(state: RunState, key: str, now: int) -> Facts:
    """The time of a timer, a retry, a question or a deadline has come."""
    op = state.open.get(key)
    if op is None or not state.is_running:
        return NOTHING
    if op.deadline is not None and op.deadline <= now:
        late = StepTimeoutError(f"step {op.name!r} did not end within its timeout")
        error = encode_error(late)
        failed = f.StepFailed(key=key, error=error, attempt=op.attempt)
        return (*close_question(state, key), failed, *_left_inside(state, op))
    if op.due_at is None or op.due_at > now:
        return NOTHING
    if op.kind is OpKind.TIMER:
        return (f.TimerFired(key=key),)
    if op.kind is OpKind.SIGNAL:
        return (f.SignalTimedOut(key=key),)
    if op.question is not None:
        return (f.UserInputExpired(key=key, answer=op.question.on_timeout),)
    return (f.StepStarted(key=key, attempt=op.attempt + 1),)
