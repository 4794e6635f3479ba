"""What a body asks for again beside what was recorded of the same call: the key says nothing of it.

A replay goes by keys. Whether the call behind a key still is the same (its function, its arguments,
how long it sleeps) makes no difference to it, but may make one to whoever changed the code.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f

Asked = c.RequestStep | c.RequestTimer | c.RequestSignal | c.RequestInput | c.RequestChild


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a call, or about the end of a run, that is no longer as it was recorded."""

    key: str
    """Of the call; empty for the end of the run."""
    what: str
    """Such as ``input``, ``function`` or ``result``."""
    recorded: JsonValue
    now: JsonValue
    recorded_line: str | None = None
    line: str | None = None


def compare_call(recorded: f.Request, at: int, asked: c.RunCommand) -> list[Difference]:
    """How a call differs from the recorded request of the same key, which was decided at a time."""
    before = recorded_of(recorded, at)
    now = asked_of(asked)
    line = getattr(asked, "line", None)
    return [
        Difference(recorded.key, what, before.get(what), now.get(what), recorded.line, line)
        for what in {**before, **now}
        if before.get(what) != now.get(what)
    ]


def recorded_of(fact: f.Request, at: int) -> dict[str, JsonValue]:
    """What the log says of a call, beside its key, its line and how it is retried."""
    match fact:
        case f.StepScheduled():
            return {"kind": "step", "function": fact.function, "input": fact.input}
        case f.TimerScheduled():
            return {"kind": "sleep or timeout", "seconds": (fact.due_at - at) / 1e6}
        case f.SignalAwaited():
            return {"kind": "signal", "name": fact.name, "seconds": _seconds(fact.due_at, at)}
        case f.UserInputRequested():
            return {
                "kind": "question",
                "question": fact.question,
                "input_type": fact.input_type,
                "options": [*fact.options] if fact.options is not None else None,
                "seconds": _seconds(fact.due_at, at),
            }
        case f.ChildStarted():
            return {
                "kind": "child",
                "component": fact.component,
                "input": fact.input,
                "child_run_id": fact.child_run_id,
            }


def asked_of(command: c.RunCommand) -> dict[str, JsonValue]:
    """The same of a call that a body makes."""
    match command:
        case c.RequestStep():
            return {"kind": "step", "function": command.function, "input": command.input}
        case c.RequestTimer():
            return {"kind": "sleep or timeout", "seconds": command.delay_us / 1e6}
        case c.RequestSignal():
            seconds = None if command.timeout_us is None else command.timeout_us / 1e6
            return {"kind": "signal", "name": command.name, "seconds": seconds}
        case c.RequestInput():
            return {
                "kind": "question",
                "question": command.question,
                "input_type": command.input_type,
                "options": [*command.options] if command.options is not None else None,
                "seconds": None if command.timeout_us is None else command.timeout_us / 1e6,
            }
        case c.RequestChild():
            return {
                "kind": "child",
                "component": command.component,
                "input": command.input,
                "child_run_id": command.child_run_id,
            }
        case _:
            return {}


def compare_note(recorded: f.Note, said: f.Note) -> list[Difference]:
    """How a note differs from the recorded one of the same key."""
    before, now = _said(recorded), _said(said)
    return [
        Difference(recorded.key, what, before.get(what), now.get(what))
        for what in {**before, **now}
        if before.get(what) != now.get(what)
    ]


def _said(note: f.Note) -> dict[str, JsonValue]:
    match note:
        case f.StateChanged():
            return {"state": None if note.deleted else note.value, "deleted": note.deleted}
        case f.EventEmitted():
            return {"event": note.payload}
        case f.MarkerRecorded():
            return {"marker": note.value}


def compare_end(recorded: f.Terminal, ended: c.RunCommand) -> list[Difference]:
    """How the end of a body differs from the recorded end of its run."""
    before, now = _end_of(recorded), _end_of(ended)
    return [] if before == now else [Difference("", "result", before, now)]


def _end_of(end: f.Terminal | c.RunCommand) -> JsonValue:
    match end:
        case f.RunCompleted() | c.CompleteRun():
            return {"completed": end.output}
        case f.RunContinued() | c.ContinueRun():
            return {"continued": end.input}
        case f.RunFailed() | c.FailRun():
            return {"failed": without_traceback(end.error)}
        case _:
            return "cancelled"


def without_traceback(error: JsonValue) -> JsonValue:
    """The record of an error without the lines of code that it came through."""
    if isinstance(error, dict):
        return {k: without_traceback(v) for k, v in error.items() if k != "traceback"}
    return [without_traceback(each) for each in error] if isinstance(error, list) else error


def _seconds(due_at: int | None, at: int) -> float | None:
    return None if due_at is None else (due_at - at) / 1e6
