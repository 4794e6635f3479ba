"""What a run may wait for, each in words: what it is, since when, and what would end the wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from agnt5.answers import maybe, when
from agnt5.events.keys import recovery_key, scope_of
from agnt5.events.leases import Ownership
from agnt5.events.run import facts as f
from agnt5.events.run.annals import Annals, Call
from agnt5.events.run.state import Operation, OpKind, OpPhase
from agnt5.snapshot_parts import KINDS, View, error_text

WaitKind = Literal[
    "step",
    "inline step",
    "retry",
    "timer",
    "signal",
    "question",
    "child",
    "queue",
    "code",
    "mend",
    "resume",
]


class Wait(View):
    """One thing for which a run waits."""

    kind: WaitKind
    """What kind of thing. ``retry``: a step whose next attempt waits for its time; ``queue``: a
    place in a line; ``code``: nothing but its own code, which runs; ``mend``: it is suspended;
    ``resume``: it is paused."""
    key: str | None = None
    """The key of the durable call, if it is one."""
    line: str | None = None
    """The line of code that asked for it, ``file.py:12``."""
    what: str
    """The thing, in words."""
    since: datetime
    until: datetime | None = None
    """When the wait is over whatever happens; None: never by itself."""
    wakes: str
    """What would end the wait, in words; what a client can do is said in Python."""

    def __str__(self) -> str:
        """One sentence."""
        named = ", ".join(each for each in (self.key, self.line) if each is not None)
        where = f" ({named})" if named else ""
        return f"{self.what}{where}, since {_time(self.since)}: {self.wakes}"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a run's own history does not say."""

    now: int
    """Microseconds since the epoch."""
    place: tuple[int, int] | None = None
    """Its place in the line in which it stands, counted from 1, and how many stand there."""
    children: Mapping[str, str] = field(default_factory=dict)
    """The status of runs that it has started, by their id."""
    turns: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By the key of a step whose attempt waits for its function: its place, and how many wait."""
    executes: bool = True
    """Whether it is executed here. An onlooker does not know whether a program executes it now."""
    owner: Ownership | None = None
    """Who has the store open, if it is not executed here and that can be told."""

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody who could execute it has the store open."""
        return not self.executes and self.owner is not None and self.owner.is_open is False


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def while_executed(around: Circumstances) -> str:
    """Of what goes on by itself, for who does not execute it: on what condition."""
    if around.is_left_alone:
        return "once a program that executes the run opens the store, which nobody has open"
    return "while a program that executes the run has the store open"


def _by_itself(at: int, around: Circumstances) -> str:
    has_passed, time = at <= around.now, _time(when(at))
    if around.is_left_alone:
        since = f"since {time}" if has_passed else f"at {time}"
        return f"{since}, {while_executed(around)}"
    passed = ", which is now" if has_passed else ""
    if around.executes:
        return f"by itself at {time}{passed}"
    return f"at {time}{passed}, in a program that executes the run"


def wait_for(op: Operation, annals: Annals, around: Circumstances) -> Wait:
    """Why an open operation has no outcome yet."""
    call = annals.calls[op.key]
    is_step = isinstance(call.request, f.StepScheduled)
    what, wakes = _words(op, call, annals, around)
    return Wait(
        kind="retry" if op.phase is OpPhase.BACKOFF else KINDS[op.kind],
        key=op.key,
        line=call.request.line,
        what=what,
        since=when(call.attempt_at if is_step else call.asked_at),
        until=maybe(op.wake_at),
        wakes=wakes,
    )


def _words(op: Operation, call: Call, annals: Annals, around: Circumstances) -> tuple[str, str]:
    """The thing that is waited for, and what would end the wait."""
    request = call.request
    match request:
        case f.StepScheduled():
            return _step(op, call, annals, around)
        case f.TimerScheduled():
            return "a timer", f"it is due {_by_itself(request.due_at, around)}"
        case f.SignalAwaited():
            wakes = f"client.signal({annals.state.run_id!r}, {request.name!r}, PAYLOAD) sends it"
            if request.due_at is not None:
                wakes += f"; the call gives up {_by_itself(request.due_at, around)}"
            return f"signal {request.name!r}", wakes
        case f.UserInputRequested():
            return _question(request, annals, around)
        case f.ChildStarted():
            return _child(request, around)


def _step(op: Operation, call: Call, annals: Annals, around: Circumstances) -> tuple[str, str]:
    attempt, of = op.attempt + 1, op.retry.max_attempts if op.retry else 1
    step = f"step {op.name!r}"
    if op.phase is OpPhase.BACKOFF and op.due_at is not None:
        what = f"attempt {attempt + 1} of {of} of {step}, after {error_text(call.error)!r}"
        wakes = f"it begins {_by_itself(op.due_at, around)}"
    elif op.phase is OpPhase.WAITING:
        what = f"word of what became of attempt {attempt} of {step}, which a crash cut short"
        wakes = f"an answer to the question {recovery_key(op.key, op.attempt)!r}"
    elif op.kind is OpKind.INLINE and (inside := _inside(op, annals)):
        what, wakes = f"{step}, made of others", f"it waits for {', '.join(map(repr, inside))}"
    else:
        what = f"attempt {attempt} of {of} of {step}"
        wakes = "it is under way, or about to begin, and goes on by itself"
        if not around.executes:
            begins = "it begins" if around.is_left_alone else "it is under way, or begins,"
            wakes = f"{begins} {while_executed(around)}"
        elif op.key in around.turns:
            number, waiting = around.turns[op.key]
            wakes = (
                f"it is number {number} of {waiting} that wait for their turn, and begins by itself"
                f" when the limits of its function allow one more"
            )
    if op.deadline is not None:
        wakes += f"; the step must have ended by {_time(when(op.deadline))}"
    return what, wakes


def _inside(op: Operation, annals: Annals) -> list[str]:
    scope = scope_of(op.key)
    return [key for key in annals.state.open if key.startswith(scope)]


def _question(
    request: f.UserInputRequested, annals: Annals, around: Circumstances
) -> tuple[str, str]:
    what, given = f"an answer to {request.question!r}", ""
    if sum(op.question is not None for op in annals.state.open.values()) > 1:
        given += f", key={request.key!r}"
    if request.assignees is not None:
        what += f" from {' or '.join(map(repr, request.assignees)) or 'nobody'}"
        given += ", actor=WHO"
    wakes = f"client.resume({annals.state.run_id!r}, ANSWER{given}) gives it"
    if request.options:
        ids = ", ".join(repr(option.get("id")) for option in request.options)
        wakes += f", of {ids}{' or any other' if request.allow_custom else ''}"
    if request.due_at is not None:
        end = "the call raises"
        if request.on_timeout is not None:
            end = f"the answer {request.on_timeout!r} stands"
        wakes += f"; without one {end} {_by_itself(request.due_at, around)}"
    return what, wakes


def _child(request: f.ChildStarted, around: Circumstances) -> tuple[str, str]:
    child = request.child_run_id
    status = around.children.get(child)
    stands = f"it is {status.replace('_', ' ')}" if status else "it is about to be accepted"
    return (
        f"the end of the child run {child!r} ({request.kind} {request.component!r})",
        f"{stands}; client.explain({child!r}) says why",
    )
