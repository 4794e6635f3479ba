"""Updates: requests from outside that the body handles and answers, each once."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState
from agnt5.exceptions import InvalidInputError


def send_update(state: RunState, command: c.SendUpdate) -> Sequence[f.RunFact]:
    """An update has come. The same id twice is the same update.

    Raises:
        InvalidInputError: When the run is not under way.
    """
    if command.update_id in state.updates:
        return ()
    if state.pause is not None:
        msg = f"run {state.run_id!r} is paused: it takes no updates; resume it first"
        raise InvalidInputError(msg)
    if not state.is_running:
        msg = f"run {state.run_id!r} is {state.phase.name.lower()}: it takes no updates"
        raise InvalidInputError(msg)
    return (
        f.UpdateReceived(
            update_id=command.update_id,
            name=command.name,
            payload=command.payload,
            traceparent=command.traceparent,
        ),
    )


def answer_update(state: RunState, command: c.AnswerUpdate) -> Sequence[f.RunFact]:
    """The handler of an update has ended; a second answer says nothing."""
    if not state.is_running or state.updates.get(command.update_id, command) is not None:
        return ()
    return (
        f.UpdateAnswered(update_id=command.update_id, output=command.output, error=command.error),
    )
