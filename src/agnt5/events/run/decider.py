"""Every judgement about a run. Nothing here waits, reads a clock or rolls a die.

    decide(state, command, now) -> facts     what follows from a request; may refuse
    react(state, fact)          -> effects   what must be done because this fact now stands
    resume(state)               -> effects   what is still owed after a restart

Two laws. Facts are the only thing that ``decide`` returns: an effect that came with them would be
lost in a crash between append and execution, one that is derived from them can be derived again.
And late or duplicate reports are decided into nothing, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from agnt5.events.keys import scope_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.questions import checked_answer
from agnt5.events.run.retry import delay_us
from agnt5.events.run.signals import given_to_waiter, send_signal
from agnt5.events.run.state import Operation, OpKind, OpPhase, Phase, RunState
from agnt5.exceptions import (
    InvalidInputError,
    RunNotFoundError,
    StepTimeoutError,
    UnknownOutcomeError,
)
from agnt5.payloads import encode_error

Facts = Sequence[f.RunFact]
NOTHING: Facts = ()

UNKNOWN_OUTCOME = (
    "the process ended while this attempt was under way, so it is not known whether its effect"
    " happened; its recovery policy is 'fail', which forbids another attempt"
)


def decide(state: RunState, command: c.RunCommand, now: int) -> Facts:  # noqa: C901, PLR0911, PLR0912
    """What follows from a command, at a time (microseconds).

    Raises:
        InvalidInputError: When the command is refused.
        RunNotFoundError: When there is no such run.
    """
    if state.phase is Phase.NEW and not isinstance(command, c.QueueRun):
        msg = f"there is no run {state.run_id!r} in this store"
        raise RunNotFoundError(msg)
    match command:
        case c.RequestStep():
            return _request_step(state, command, now)
        case c.ReportSuccess():
            return _report_success(state, command)
        case c.ReportFailure():
            return _report_failure(state, command, now)
        case c.RequestTimer():
            if _refuses(state, command.key):
                return NOTHING
            due_at = now + command.delay_us
            return (f.TimerScheduled(key=command.key, due_at=due_at, line=command.line),)
        case c.RequestSignal():
            return _request_signal(state, command)
        case c.RequestInput():
            return _request_input(state, command)
        case c.AbandonOperation():
            return _abandon(state, command.key)
        case c.WakeOperation():
            return _wake(state, command.key, now)
        case c.SendSignal():
            return send_signal(state, command)
        case c.SubmitAnswer():
            return _submit_answer(state, command)
        case c.QueueRun():
            return _queue(state, command)
        case c.StartRun():
            return (
                (f.RunStarted(definition=command.definition),)
                if state.phase is Phase.QUEUED
                else NOTHING
            )
        case c.Recover():
            return _recover(state)
        case c.RequestCancel():
            return _request_cancel(state, command)
        case c.ParkRun():
            return _park(state)
        case c.SuspendRun():
            return _suspend(state, command)
        case c.ResumeRun():
            return (
                (f.RunResumed(definition=command.definition), *_recover(state))
                if state.phase is Phase.SUSPENDED
                else NOTHING
            )
        case c.CompleteRun():
            return (f.RunCompleted(output=command.output),) if _runs(state) else NOTHING
        case c.FailRun():
            return _fail(state, command)
        case c.CancelRun():
            return (f.RunCancelled(reason=state.cancel_reason),) if _runs(state) else NOTHING
        case _:
            assert_never(command)


def _runs(state: RunState) -> bool:
    return state.phase is Phase.RUNNING


def _refuses(state: RunState, key: str) -> bool:
    return state.phase is not Phase.RUNNING or key in state.open or key in state.settled


def _fail(state: RunState, command: c.FailRun) -> Facts:
    if not _runs(state):
        return NOTHING
    of_function = state.queued is not None and state.queued.kind == "function"
    made, allowed = (state.last_attempts if of_function else None) or (None, None)
    return (f.RunFailed(error=command.error, attempts=made, max_attempts=allowed),)


def _queue(state: RunState, command: c.QueueRun) -> Facts:
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
        ),
    )


def _request_step(state: RunState, command: c.RequestStep, now: int) -> Facts:
    if _refuses(state, command.key):
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
    )
    if command.recovery == "retry":
        return (scheduled,)
    return (scheduled, f.StepStarted(key=command.key, attempt=0))


def _report_success(state: RunState, command: c.ReportSuccess) -> Facts:
    op = state.open.get(command.key)
    if op is None or op.phase is not OpPhase.RUNNING or op.attempt != command.attempt:
        return NOTHING
    completed = f.StepCompleted(
        key=command.key,
        output=command.output,
        attempt=command.attempt,
        duration_us=command.duration_us,
    )
    return (completed, *_left_inside(state, op))


def _report_failure(state: RunState, command: c.ReportFailure, now: int) -> Facts:
    op = state.open.get(command.key)
    if op is None or op.phase is not OpPhase.RUNNING or op.attempt != command.attempt:
        return NOTHING
    delay = delay_us(op.retry, op.attempt) if command.retryable and op.retry else None
    if delay is None:
        failed = f.StepFailed(key=op.key, error=command.error, attempt=op.attempt)
        return (failed, *_left_inside(state, op))
    return (
        f.StepAttemptFailed(
            key=op.key, attempt=op.attempt, error=command.error, retry_at=now + delay
        ),
    )


def _left_inside(state: RunState, op: Operation) -> Facts:
    """An inline step has ended: nobody waits any more for the calls that were made inside it."""
    if op.kind is not OpKind.INLINE:
        return NOTHING
    scope = scope_of(op.key)
    return [f.OperationCancelled(key=key) for key in state.open if key.startswith(scope)]


def _abandon(state: RunState, key: str) -> Facts:
    op = state.open.get(key)
    if op is not None:
        return (f.OperationCancelled(key=key), *_left_inside(state, op))
    signal = state.consumed.get(key)
    if signal is None or not _runs(state):
        return NOTHING
    # It was given to a wait that the body gave up before it was told: it must not be lost.
    returned = f.SignalReturned(key=key, signal_id=signal.signal_id)
    return (returned, *given_to_waiter(state, signal))


def _request_signal(state: RunState, command: c.RequestSignal) -> Facts:
    if _refuses(state, command.key):
        return NOTHING
    awaited = f.SignalAwaited(key=command.key, name=command.name, line=command.line)
    waiting = state.signals.get(command.name)
    if not waiting:
        return (awaited,)
    first = waiting[0]
    return (
        awaited,
        f.SignalConsumed(key=command.key, signal_id=first.signal_id, payload=first.payload),
    )


def _request_input(state: RunState, command: c.RequestInput) -> Facts:
    if _refuses(state, command.key):
        return NOTHING
    return (
        f.UserInputRequested(
            key=command.key,
            question=command.question,
            input_type=command.input_type,
            options=command.options,
            allow_custom=command.allow_custom,
            skippable=command.skippable,
            line=command.line,
        ),
    )


def _submit_answer(state: RunState, command: c.SubmitAnswer) -> Facts:
    questions = [op for op in state.open.values() if op.question is not None]
    if command.key is not None:
        if command.key in state.settled:
            return NOTHING
        questions = [op for op in questions if op.key == command.key]
    if not questions:
        msg = f"run {state.run_id!r} waits for no answer" + (
            f" to question {command.key!r}" if command.key else ""
        )
        raise InvalidInputError(msg)
    if len(questions) > 1:
        keys = ", ".join(repr(op.key) for op in questions)
        msg = f"run {state.run_id!r} waits for several answers; say which one you mean: {keys}"
        raise InvalidInputError(msg)
    question = questions[0].question
    assert question is not None  # noqa: S101 - filtered above
    return (f.UserReplied(key=question.key, answer=checked_answer(question, command.answer)),)


def _wake(state: RunState, key: str, now: int) -> Facts:
    op = state.open.get(key)
    if op is None or not _runs(state):
        return NOTHING
    if op.deadline is not None and op.deadline <= now:
        late = StepTimeoutError(f"step {op.name!r} did not end within its timeout")
        error = encode_error(late)
        failed = f.StepFailed(key=key, error=error, attempt=op.attempt)
        return (failed, *_left_inside(state, op))
    if op.due_at is None or op.due_at > now:
        return NOTHING
    if op.kind is OpKind.TIMER:
        return (f.TimerFired(key=key),)
    return (f.StepStarted(key=key, attempt=op.attempt + 1),)


def _recover(state: RunState) -> Facts:
    unknown = encode_error(UnknownOutcomeError(UNKNOWN_OUTCOME))
    return [
        f.StepFailed(key=op.key, error=unknown, attempt=op.attempt)
        for op in state.open.values()
        if _is_unknown(op)
    ]


def _is_unknown(op: Operation) -> bool:
    """Whether the effect of its attempt may have happened, and another one is forbidden."""
    return op.recovery == "fail" and op.phase is OpPhase.RUNNING and op.started


def _request_cancel(state: RunState, command: c.RequestCancel) -> Facts:
    if state.is_finished:
        return NOTHING
    reason = state.cancel_reason if state.cancel_requested else command.reason
    requested = () if state.cancel_requested else (f.RunCancelRequested(reason=reason),)
    # No body is there to clean up; one that was suspended while it did will not end by itself.
    return requested if _runs(state) else (*requested, f.RunCancelled(reason=reason))


def _park(state: RunState) -> Facts:
    if not _runs(state) or state.parked or not is_waiting(state):
        return NOTHING
    return (f.RunParked(wake_at=next_wake(state)),)


def _suspend(state: RunState, command: c.SuspendRun) -> Facts:
    if state.phase is Phase.SUSPENDED:
        known = state.suspension
        if known is not None and known.report == command.report:
            return NOTHING
    elif not _runs(state):
        return NOTHING
    return (
        f.RunSuspended(reason=command.reason, report=command.report, definition=command.definition),
    )


def is_waiting(state: RunState) -> bool:
    """Whether nothing is under way: each open operation waits for a time or for the outside."""
    ops = state.open.values()
    return bool(ops) and all(op.phase is not OpPhase.RUNNING or _waits(state, op) for op in ops)


def _waits(state: RunState, op: Operation) -> bool:
    """Whether an inline step has open calls of its own: those say whether it only waits."""
    scope = scope_of(op.key)
    return op.kind is OpKind.INLINE and any(key.startswith(scope) for key in state.open)


def next_wake(state: RunState) -> int | None:
    """When the next operation must be decided about, microseconds since the epoch."""
    times = [op.wake_at for op in state.open.values() if op.wake_at is not None]
    return min(times, default=None)


def react(state: RunState, fact: f.RunFact) -> Sequence[e.RunEffect]:  # noqa: C901, PLR0911
    """What must be done because this fact, already folded into the state, now stands."""
    match fact:
        case f.StepScheduled():
            return _scheduled(fact)
        case f.StepCompleted() | f.TimerFired() | f.SignalConsumed() | f.UserReplied():
            return (e.Resolve(fact),)
        case f.StepFailed():
            return (e.CancelAttempt(fact.key), e.Resolve(fact))
        case f.StepStarted():
            op = state.open.get(fact.key)
            eager = fact.attempt > 0 and op is not None and op.recovery == "retry"
            return (e.Execute(fact.key, fact.attempt, eager),)
        case f.StepAttemptFailed():
            return (e.Wake(fact.key, fact.retry_at),)
        case f.TimerScheduled():
            return (e.Wake(fact.key, fact.due_at),)
        case f.OperationCancelled():
            return (e.CancelAttempt(fact.key),)
        case f.RunStarted():
            return (e.StartBody(),)
        case f.RunCancelRequested():
            return (e.InterruptBody(),)
        case f.UserInputRequested():
            return (e.AnnouncePause(),)
        case f.RunParked():
            return (e.CloseBody(),)
        case f.RunSuspended():
            return (e.CloseBody(), e.AnnouncePause())
        case f.RunCompleted() | f.RunFailed() | f.RunCancelled():
            return (e.CloseBody(), e.Announce(fact))
        case (
            f.RunQueued()
            | f.SignalAwaited()
            | f.SignalReceived()
            | f.SignalReturned()
            | f.RunResumed()
        ):
            return ()
        case _:
            assert_never(fact)


def _scheduled(fact: f.StepScheduled) -> Sequence[e.RunEffect]:
    wake = () if fact.deadline is None else (e.Wake(fact.key, fact.deadline),)
    if fact.recovery != "retry":
        return wake
    return (e.Execute(fact.key, 0, eager=True), *wake)


def resume(state: RunState) -> Sequence[e.RunEffect]:
    """What is still owed after a restart, once the body has asked for it again."""
    owed: list[e.RunEffect] = []
    if state.phase is not Phase.RUNNING:
        return owed
    for op in state.open.values():
        if op.phase is OpPhase.RUNNING and not _is_unknown(op):
            owed.append(e.Execute(op.key, op.attempt, eager=True))
        owed += [e.Wake(op.key, at) for at in (op.due_at, op.deadline) if at is not None]
    return owed
