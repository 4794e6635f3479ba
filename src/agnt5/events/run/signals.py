"""Signals: received in order, each given to one waiting call."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import OpKind, RunState
from agnt5.exceptions import InvalidInputError


def send_signal(state: RunState, command: c.SendSignal) -> Sequence[f.RunFact]:
    """A signal has come. The same id twice is the same signal, also when the run has ended since.

    Raises:
        InvalidInputError: When the run has ended.
    """
    if command.signal_id in state.signal_ids:
        return ()
    if state.is_finished:
        msg = f"run {state.run_id!r} has ended ({state.phase.name.lower()}): it takes no signals"
        raise InvalidInputError(msg)
    received = f.SignalReceived(
        signal_id=command.signal_id,
        name=command.name,
        payload=command.payload,
        traceparent=command.traceparent,
    )
    return (received, *given_to_waiter(state, received))


def given_to_waiter(state: RunState, signal: f.SignalReceived) -> Sequence[f.RunFact]:
    """The first call that waits for a signal of this name has it, if there is one."""
    for op in state.open.values():
        if op.kind is OpKind.SIGNAL and op.name == signal.name:
            consumed = f.SignalConsumed(
                key=op.key, signal_id=signal.signal_id, payload=signal.payload
            )
            return (consumed,)
    return ()


def request_signal(state: RunState, command: c.RequestSignal, now: int) -> Sequence[f.RunFact]:
    """The body waits for a signal: it takes the oldest that came earlier, if there is one."""
    if state.refuses(command.key):
        return ()
    awaited = f.SignalAwaited(
        key=command.key,
        name=command.name,
        line=command.line,
        due_at=None if command.timeout_us is None else now + command.timeout_us,
    )
    waiting = state.signals.get(command.name)
    if not waiting:
        return (awaited,)
    first = waiting[0]
    return (
        awaited,
        f.SignalConsumed(key=command.key, signal_id=first.signal_id, payload=first.payload),
    )
