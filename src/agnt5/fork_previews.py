"""What a fork would keep, and what it would do again: said before anything is written. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import JsonValue

from agnt5.events.keys import idempotency_key, is_inside
from agnt5.events.run import facts as f
from agnt5.events.run.annals import Call, annals_of
from agnt5.events.run.forking import Fork, TimedFacts
from agnt5.replay_reports import ReplayReport
from agnt5.snapshot_parts import View
from agnt5.wording import counted

CallKind = Literal["step", "timer", "signal", "question", "child"]
Fate = Literal["again", "anew", "goes on"]


class Redo(View):
    """One call of the origin that its fork has to make, or to wait for, itself."""

    key: str
    """The identity of the call."""
    kind: CallKind
    name: str
    """Of the step, the signal or the child's component; the text of a question."""
    fate: Fate
    """``again``: it lies behind the fork, and is done once more if the code still asks for it;
    ``anew``: it was open there, and begins anew (an attempt, a child); ``goes on``: it was open
    there, and is waited for (a time, which stays what it was; a signal or an answer, for as long
    as the origin has waited at most)."""
    line: str | None = None
    """The line of code that asked for it, ``file.py:12``."""
    attempts: int = 0
    """How many attempts of a step the origin has begun behind the fork."""
    outcome: str
    """What came of it in the origin: ``completed``, ``failed``, ``given up`` or ``open``."""
    idempotency_key: str | None = None
    """What a step shows to the outside world in the fork."""
    is_recognised: bool = False
    """It is the key that the origin has shown: who honours such keys does it only once."""

    def __str__(self) -> str:
        """One line."""
        tried = f", {self.attempts} attempt{'s' * (self.attempts != 1)}" if self.attempts else ""
        key = ""
        if self.idempotency_key is not None:
            known = "the key of the origin" if self.is_recognised else "a key of its own"
            key = f"; shows {known}"
        place = f"{self.key}, {self.line}" if self.line else self.key
        origin = f"{self.outcome} in the origin{tried}"
        return f"{self.fate}: {self.kind} {self.name!r} ({place}): {origin}{key}"


class ForkPreview(View):
    """What a fork would be. ``str()`` says it for people.

    Attributes:
        component: The function or workflow of the origin.
        kind: ``"function"`` or ``"workflow"``.
        version_label: The version of the workflow that the fork would have.
        input_changed: Whether it would have another input than the origin.
    """

    origin: str
    """The run that would be forked."""
    component: str
    kind: str
    version_label: str | None
    asked_at: int
    """The event that was named."""
    at: int
    """The event up to which the origin would be kept: what was decided together stays together."""
    events: int
    """How many the origin has."""
    kept: tuple[str, ...]
    """Keys of the calls that are over, whose outcomes are copied."""
    redo: tuple[Redo, ...]
    """What the fork has to do itself, in the order of the origin."""
    cleanup: tuple[str, ...] = ()
    """Of a retry: calls that the origin made after its failure, to clean up. The fork would not
    know of them."""
    identity: Literal["origin", "own"]
    """Whose idempotency keys, random numbers and ids it has from the fork on."""
    input_changed: bool
    verdict: str | None = None
    """Whether the code that is registered here asks for what is kept, as of
    :class:`agnt5.replay_reports.Verdict`; None: it is not registered here, or was not tried."""
    report: dict[str, JsonValue] | None = None
    """What a replay of the kept part on that code found, with the first calls that it makes."""

    @property
    def again(self) -> tuple[str, ...]:
        """Keys of the steps and children of the origin that will run in the fork, too."""
        return tuple(
            each.key
            for each in self.redo
            if each.kind in {"step", "child"} and each.fate != "goes on"
        )

    def __str__(self) -> str:
        """A headline, then a line for each thing that is to be done."""
        run = f"run {self.origin} ({self.kind} {self.component!r})"
        where = f"event {self.at} of {self.events}"
        lines = [f"a fork of {run} at {where} keeps {counted(len(self.kept), 'outcome')}"]
        lines += [f"  {each}" for each in self.redo]
        if self.cleanup:
            lines.append(f"  forgets what the origin did to clean up: {', '.join(self.cleanup)}")
        if self.verdict is not None:
            lines.append(f"  the code that is registered here: {self.verdict}")
            calls: Any = (self.report or {}).get("next_calls") or []
            lines += [f"    asks first for {call['what']} {call['key']!r}" for call in calls]
            if self.report and self.report.get("reason"):
                lines.append(f"    {self.report['reason']}")
        return "\n".join(lines)


def preview_of(
    origin: str,
    history: TimedFacts,
    fork: Fork,
    *,
    asked_at: int,
    cleanup: Sequence[str] = (),
    replayed: ReplayReport | None = None,
) -> ForkPreview:
    """What this fork would be."""
    queued, forked = fork.state.queued, fork.state.forked
    assert queued is not None  # noqa: S101 - a stream begins with RunQueued
    assert forked is not None  # noqa: S101 - and a fork says that it is one
    own = forked.identity == fork.state.run_id
    return ForkPreview(
        origin=origin,
        component=queued.component,
        kind=queued.kind,
        version_label=queued.version_label,
        asked_at=asked_at,
        at=fork.kept,
        events=len(history),
        kept=tuple(key for key in fork.state.settled if not is_inside(key)),
        redo=tuple(_redone(origin, history, fork)),
        cleanup=tuple(cleanup),
        identity="own" if own else "origin",
        input_changed=forked.input_changed,
        verdict=None if replayed is None else str(replayed.verdict),
        report=None if replayed is None else replayed.as_json(),
    )


def _redone(origin: str, history: TimedFacts, fork: Fork) -> list[Redo]:
    annals = annals_of(origin, history)
    identity = annals.state.identity
    found: list[Redo] = []
    tried = _attempts(history, fork)
    ended = _ends(history)
    for key, call in annals.calls.items():
        if key in fork.state.settled or _is_of_engine(call):
            continue
        is_step = isinstance(call.request, f.StepScheduled)
        shown = idempotency_key(fork.state.identity, key) if is_step else None
        found.append(
            Redo(
                key=key,
                kind=_kind(call.request),
                name=_name(call.request),
                fate=_fate(key, call, fork),
                line=call.request.line,
                attempts=tried.get(key, 0),
                outcome=ended.get(key, "open"),
                idempotency_key=shown,
                is_recognised=shown == idempotency_key(identity, key),
            )
        )
    return found


def _is_of_engine(call: Call) -> bool:
    return isinstance(call.request, f.UserInputRequested) and call.request.about is not None


def _fate(key: str, call: Call, fork: Fork) -> Fate:
    if key not in fork.state.open:
        return "again"
    return "anew" if isinstance(call.request, f.StepScheduled | f.ChildStarted) else "goes on"


def _kind(request: f.Request) -> CallKind:
    match request:
        case f.StepScheduled():
            return "step"
        case f.TimerScheduled():
            return "timer"
        case f.SignalAwaited():
            return "signal"
        case f.UserInputRequested():
            return "question"
        case f.ChildStarted():
            return "child"


def _name(request: f.Request) -> str:
    match request:
        case f.StepScheduled() | f.SignalAwaited():
            return request.name
        case f.UserInputRequested():
            return request.question
        case f.ChildStarted():
            return request.component
        case f.TimerScheduled():
            return ""


def _attempts(history: TimedFacts, fork: Fork) -> dict[str, int]:
    """How many attempts of each step had a beginning or an end behind the fork."""
    seen: dict[str, set[int]] = {}
    left_out = set(fork.state.forked.again or ()) if fork.state.forked else set[str]()
    for version, (fact, _) in enumerate(history, 1):
        behind = version > fork.kept or getattr(fact, "key", None) in left_out
        match fact:
            case f.StepScheduled() if behind:
                seen.setdefault(fact.key, set()).add(0)
            case f.StepStarted() | f.StepAttemptFailed() | f.StepCompleted() | f.StepFailed() if (
                behind
            ):
                seen.setdefault(fact.key, set()).add(fact.attempt)
            case _:
                pass
    return {key: len(attempts) for key, attempts in seen.items()}


def _ends(history: TimedFacts) -> dict[str, str]:
    """What came of each call that has an outcome."""
    ends: dict[str, str] = {}
    for fact, _ in history:
        match fact:
            case f.StepFailed() | f.SignalTimedOut() | f.UserInputExpired():
                ends[fact.key] = "failed"
            case f.ChildFinished():
                ends[fact.key] = "completed" if fact.status == "completed" else "failed"
            case f.OperationCancelled():
                ends[fact.key] = "given up"
            case f.StepCompleted() | f.TimerFired() | f.SignalConsumed() | f.UserReplied():
                ends[fact.key] = "completed"
            case _:
                pass
    return ends
