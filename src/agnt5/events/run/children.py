"""Runs that a run has started: asked for once, reported once, cancelled when nobody waits."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.keys import child_run_id
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState
from agnt5.events.run.succession import RunContinuedError
from agnt5.exceptions import ChildCancelledError
from agnt5.payloads import encode_error


def id_of_child(state: RunState, key: str, chosen: str | None) -> str:
    """The id of the run that a call starts, or has started.

    A fork has children of its own: what its origin has chosen, or would choose, is taken.
    """
    forked = state.forked
    if forked is None:
        return chosen or child_run_id(state.run_id, key)
    return (forked.children or {}).get(key) or child_run_id(state.run_id, key)


def request_child(state: RunState, command: c.RequestChild) -> Sequence[f.RunFact]:
    """The body wants a run of its own."""
    if state.refuses(command.key):
        return ()
    return (
        f.ChildStarted(
            key=command.key,
            child_run_id=command.child_run_id,
            component=command.component,
            kind=command.kind,
            input=command.input,
            on_parent_end=command.on_parent_end,
            line=command.line,
        ),
    )


def report_child(state: RunState, command: c.ReportChild) -> Sequence[f.RunFact]:
    """A child has ended. Said twice, or to a run that has ended itself, it says nothing."""
    if state.is_finished or command.key not in state.children:
        return ()
    return (
        f.ChildFinished(
            key=command.key, status=command.status, output=command.output, error=command.error
        ),
    )


def unwanted(state: RunState) -> Sequence[f.ChildStarted]:
    """Children for which nobody will wait, and which must be asked to stop."""
    return [
        child
        for key, child in state.children.items()
        if key not in state.open and child.on_parent_end == "cancel"
    ]


def left_alone(state: RunState) -> Sequence[f.ChildStarted]:
    """Children that outlive their parent: they must be there, whatever a crash cut short."""
    return [child for child in state.children.values() if child.on_parent_end == "abandon"]


def owes(state: RunState) -> bool:
    """Whether a run that has ended owes others something: a report, a start, a request to stop."""
    if not state.is_finished or state.queued is None:
        return False
    # The parent of a run that went on hears of the end of the last one.
    if state.queued.parent_run_id is not None and state.successor is None:
        return True
    return bool(state.children) and bool(unwanted(state) or left_alone(state))


def owed_children(state: RunState) -> Sequence[e.RunEffect]:
    """After a restart: each is started, attached to or reported; the unwanted are cancelled."""
    awaited = [e.StartChild(state.children[key]) for key in state.open if key in state.children]
    return [*awaited, *map(e.CancelChild, unwanted(state))]


def report_of(terminal: f.Terminal, key: str, child_run_id: str) -> c.ReportChild:
    """What the end of a child means for the call that waits for it.

    Raises:
        RunContinuedError: When it is no end: the child went on as another run.
    """
    match terminal:
        case f.RunCompleted():
            return c.ReportChild(key, "completed", terminal.output)
        case f.RunFailed():
            return c.ReportChild(key, "failed", None, terminal.error)
        case f.RunContinued():
            raise RunContinuedError(child_run_id, terminal.successor)
        case f.RunCancelled():
            error = encode_error(ChildCancelledError(child_run_id, terminal.reason))
            return c.ReportChild(key, "cancelled", None, error)
