"""A run that goes on as another one: how it ends, and how the other one begins.

Both are decided here and recorded in one append, so that there is no moment between the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.keys import successor_run_id
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, fold
from agnt5.exceptions import AGNT5Error

KNOWN_SIGNALS = 256
"""So many ids of signals, the latest, are remembered along a chain: more would make it grow."""


class RunContinuedError(AGNT5Error):
    """Something was said to a run that went on as another one. Whoever said it says it there.

    Attributes:
        successor: The id of the run that goes on.
    """

    code = "CONTINUED"

    def __init__(self, run_id: str, successor: str) -> None:
        super().__init__(f"run {run_id!r} went on as run {successor!r}: say it to that one")
        self.successor = successor


def continue_run(state: RunState, command: c.ContinueRun) -> Sequence[f.RunFact]:
    """The body wants to go on as a new run. One that was asked to stop does not go on."""
    if not state.is_running:
        return ()
    if state.cancel_requested:
        return (f.RunCancelled(reason=state.cancel_reason),)
    queued = _accepted(state)
    return (
        f.RunContinued(
            successor=successor_run_id(queued.chain or state.run_id, queued.link + 1),
            input=command.input,
            version_label=command.version_label,
            state=command.state or None,
        ),
    )


def refuse_letter(state: RunState, command: c.RunCommand) -> None:
    """What is said from outside to a run that went on as another one is meant for that one.

    Raises:
        RunContinuedError: When it went on; whoever has sent it sends it there.
    """
    if state.successor is None:
        return
    match command:
        case c.RequestCancel() | c.PauseRun() | c.SubmitAnswer() | c.SendUpdate():
            raise RunContinuedError(state.run_id, state.successor)
        case c.SendSignal() if command.signal_id not in state.signal_ids:
            raise RunContinuedError(state.run_id, state.successor)
        case _:
            pass


def first_facts(state: RunState, continued: f.RunContinued) -> Sequence[f.RunFact]:
    """How the run begins that goes on in place of this one, which has just ended.

    Signals that came and were not consumed come to it, in the order in which they came by name.
    """
    queued = _accepted(state)
    waiting = [signal for signals in state.signals.values() for signal in signals]
    there = {signal.signal_id for signal in waiting}
    known = [signal_id for signal_id in state.signal_ids if signal_id not in there]
    accepted = queued.model_copy(
        update={
            "input": continued.input,
            "version_label": continued.version_label,
            "state": continued.state,
            "continues": state.run_id,
            "chain": queued.chain or state.run_id,
            "link": queued.link + 1,
            "known_signals": known[-KNOWN_SIGNALS:] or None,
            # What it replaced, and what started it, is told by the first of the chain.
            "replaces": None,
            "replaces_duplicate": None,
            "origin": None,
        }
    )
    return (accepted, *waiting)


def _accepted(state: RunState) -> f.RunQueued:
    assert state.queued is not None  # noqa: S101 - a stream begins with RunQueued
    return state.queued


def successor_of(
    state: RunState, continued: f.RunContinued, at: int
) -> tuple[RunState, Sequence[f.RunFact]]:
    """The run that goes on in place of this one, as it is accepted, with its first facts."""
    facts = first_facts(state, continued)
    return fold(continued.successor, ((fact, at) for fact in facts)), facts
