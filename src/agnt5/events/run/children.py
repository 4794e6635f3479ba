"""Runs that a run has started: asked for once, reported once, cancelled when nobody waits."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState


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


def left_behind(state: RunState) -> Sequence[e.RunEffect]:
    """The run has ended: children that nobody will wait for are asked to stop."""
    return [
        e.CancelChild(child.child_run_id)
        for child in state.children.values()
        if child.on_parent_end == "cancel"
    ]


def owed_children(state: RunState) -> Sequence[e.RunEffect]:
    """After a restart: each is started, attached to or reported; the unwanted are cancelled."""
    return [
        e.StartChild(child) if key in state.open else e.CancelChild(child.child_run_id)
        for key, child in state.children.items()
    ]
