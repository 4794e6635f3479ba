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

from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run import life, steps
from agnt5.events.run.children import owed_children, owes, report_child, request_child
from agnt5.events.run.life import next_wake
from agnt5.events.run.questions import request_input, submit_answer
from agnt5.events.run.recovery import is_unknown, must_verify, recover
from agnt5.events.run.signals import request_signal, send_signal
from agnt5.events.run.state import OpPhase, Phase, RunState, is_waiting
from agnt5.events.run.succession import continue_run, refuse_letter
from agnt5.events.run.updates import answer_update, send_update
from agnt5.exceptions import RunNotFoundError

__all__ = ["decide", "is_waiting", "next_wake", "react", "resume"]

Facts = Sequence[f.RunFact]
NOTHING: Facts = ()


def decide(state: RunState, command: c.RunCommand, now: int) -> Facts:
    """What follows from a command, at a time (microseconds).

    Raises:
        InvalidInputError: When the command is refused.
        RunNotFoundError: When there is no such run.
        RunContinuedError: When it was said to a run that went on as another one.
    """
    if state.is_finished:
        refuse_letter(state, command)
    if state.phase is Phase.NEW and not isinstance(command, c.QueueRun):
        msg = f"there is no run {state.run_id!r} in this store"
        raise RunNotFoundError(msg)
    match command:
        case c.RequestStep():
            return steps.request_step(state, command, now)
        case c.ReportSuccess():
            return steps.report_success(state, command)
        case c.ReportFailure():
            return steps.report_failure(state, command, now)
        case c.QueueRun():
            return life.queue(state, command)
        case c.StartRun():
            return life.start(state, command)
        case c.CompleteRun():
            return (f.RunCompleted(output=command.output),) if state.is_running else NOTHING
        case c.RequestTimer():
            return steps.request_timer(state, command, now)
        case c.RequestSignal():
            return request_signal(state, command, now)
        case c.RequestInput():
            return request_input(state, command, now)
        case c.RequestChild():
            return request_child(state, command)
        case c.AddNote():
            known = not state.is_running or command.note.key in state.noted
            return NOTHING if known else (command.note,)
        case c.AbandonOperation():
            return NOTHING if state.pause is not None else steps.abandon(state, command.key)
        case c.ReportAbsent():
            return steps.report_absent(state, command)
        case c.WakeRun():
            return life.time_out(state, now)
        case c.WakeOperation():
            return steps.wake(state, command.key, now)
        case c.SendSignal():
            return send_signal(state, command)
        case c.SubmitAnswer():
            return submit_answer(state, command)
        case c.SendUpdate():
            return send_update(state, command)
        case c.AnswerUpdate():
            return answer_update(state, command)
        case c.ReportChild():
            return report_child(state, command)
        case c.Recover():
            return recover(state)
        case c.RequestCancel():
            return life.request_cancel(state, command)
        case c.ParkRun():
            return life.park(state)
        case c.SuspendRun():
            return life.suspend(state, command)
        case c.PauseRun():
            return life.pause(state, command)
        case c.ResumeRun():
            return life.resume_run(state, command)
        case c.ContinueRun():
            return continue_run(state, command)
        case c.FailRun():
            return life.fail(state, command)
        case c.CancelRun():
            return (f.RunCancelled(reason=state.cancel_reason),) if state.is_running else NOTHING
        case _:
            assert_never(command)


def react(state: RunState, fact: f.RunFact) -> Sequence[e.RunEffect]:
    """What must be done because this fact, already folded into the state, now stands."""
    match fact:
        case f.StepScheduled():
            return _scheduled(fact)
        case (
            f.StepCompleted()
            | f.TimerFired()
            | f.SignalConsumed()
            | f.SignalTimedOut()
            | f.ChildFinished()
        ):
            return (e.Resolve(fact, state.updated_at),)
        case f.RunStarted():
            return (e.StartBody(),)
        case f.RunCompleted() | f.RunFailed() | f.RunCancelled():
            return _ended(state, fact)
        case f.RunQueued():
            return ()
        case f.UserReplied() | f.UserInputExpired():
            # An answer to the engine's own question is nothing that the body has asked for.
            return (e.Resolve(fact, state.updated_at),) if fact.about is None else ()
        case f.StepFailed():
            return (e.CancelAttempt(fact.key), e.Resolve(fact, state.updated_at))
        case f.StepStarted():
            op = state.open.get(fact.key)
            eager = fact.attempt > 0 and op is not None and op.recovery == "retry"
            return (e.Execute(fact.key, fact.attempt, eager),)
        case f.StepAttemptFailed():
            return (e.Wake(fact.key, fact.retry_at),)
        case f.TimerScheduled():
            return (e.Wake(fact.key, fact.due_at),)
        case f.SignalAwaited():
            return () if fact.due_at is None else (e.Wake(fact.key, fact.due_at),)
        case f.OperationCancelled():
            return _given_up(state, fact.key)
        case f.ChildStarted():
            return (e.StartChild(fact),)
        case f.UpdateReceived():
            return (e.DeliverUpdate(fact, state.updated_at),)
        case f.UpdateAnswered():
            return (e.AnnounceUpdate(fact),)
        case f.RunCancelRequested():
            return (e.InterruptBody(),)
        case f.UserInputRequested():
            wake = () if fact.due_at is None else (e.Wake(fact.key, fact.due_at),)
            return (*wake, e.AnnouncePause())
        case f.RunParked():
            return (e.CloseBody(),)
        case f.RunPaused():
            return (e.RetireBody(), e.AnnouncePause())
        case f.RunResumed():
            return (e.ComeBack(),)
        case f.RunSuspended():
            return (e.CloseBody(), e.AnnouncePause())
        case f.RunContinued():
            return (*_ended(state, fact), e.BeginSuccessor(fact.successor))
        case (
            f.SignalReceived()
            | f.SignalReturned()
            | f.RunForked()
            | f.MarkerRecorded()
            | f.StateChanged()
            | f.EventEmitted()
        ):
            return ()
        case _:
            assert_never(fact)


def _ended(state: RunState, fact: f.Terminal) -> Sequence[e.RunEffect]:
    owed = (e.HandOver(),) if owes(state) else ()
    return (e.CloseBody(), *owed, e.Announce(fact))


def _scheduled(fact: f.StepScheduled) -> Sequence[e.RunEffect]:
    wake = () if fact.deadline is None else (e.Wake(fact.key, fact.deadline),)
    if fact.recovery != "retry":
        return wake
    return (e.Execute(fact.key, 0, eager=True), *wake)


def _given_up(state: RunState, key: str) -> Sequence[e.RunEffect]:
    child = state.children.get(key)
    if child is not None:
        return (e.CancelChild(child),)
    return (e.CancelAttempt(key),)


def resume(state: RunState) -> Sequence[e.RunEffect]:
    """What is still owed after a restart, once the body has asked for it again."""
    owed: list[e.RunEffect] = []
    if not state.is_running:
        return owed
    for op in state.open.values():
        if op.phase is OpPhase.RUNNING and not is_unknown(op):
            owed.append(e.Execute(op.key, op.attempt, eager=True, verify=must_verify(op)))
        owed += [e.Wake(op.key, at) for at in (op.due_at, op.deadline) if at is not None]
    return [*owed, *owed_children(state)]
