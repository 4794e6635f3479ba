"""What a person reads when a body no longer matches its log (law 6)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from agnt5.events.run import facts as f

_WAYS_OUT = (
    "Nothing is lost: the run is suspended with all that it has recorded. Ways out:\n"
    "  - restore the call that the log holds, start the program again, and the run goes on;\n"
    "  - or cancel the run and start a new one with the new code.\n"
    "Usual causes: the code was changed while the run was under way, or the body looks at\n"
    "something that differs from one pass to the next (clock, random, environment, files, the\n"
    "order of a set): move that into a step."
)


def divergence_report(
    run_id: str,
    component: str,
    where: str,
    expected: f.RunFact | None,
    asked: Sequence[tuple[str, str | None]],
    how: str,
) -> str:
    """What was expected, what was asked, where, the nearest match, and the ways out."""
    headline = (
        f"run {run_id}: the code of {component!r} ({where}) no longer asks for what its log holds;"
        f" it {how}."
    )
    lines = [headline, f"  expected: {describe(expected)}"]
    if asked:
        lines += [f"  asked for: {key!r}{_at(line)}" for key, line in asked[:5]]
    else:
        lines.append("  asked for: nothing else")
    wanted = getattr(expected, "key", "")
    near = difflib.get_close_matches(str(wanted), [key for key, _ in asked], n=1, cutoff=0.4)
    if near:
        lines.append(f"  nearest match: {near[0]!r} (recorded as {wanted!r})")
    return "\n".join([*lines, _WAYS_OUT])


def not_served_report(run_id: str, queued: f.RunQueued, known: str, *, pinned: bool) -> str:
    """Why a run waits: its component, or the version that it is pinned to, is not here."""
    kind, name = queued.kind, queued.component
    what = f"{kind} named {name!r}"
    if pinned:
        what = f"version {queued.version_label!r} of the {kind} {name!r}"
    return (
        f"run {run_id}: this process has no {what}. {known} Import the module that defines it and"
        " start the program again: the run goes on then by itself."
    )


def describe(fact: f.RunFact | None) -> str:
    """A recorded request in words, with the line that asked for it."""
    match fact:
        case None:
            return "nothing more"
        case f.StepScheduled():
            return f"step {fact.key!r}{_at(fact.line)}"
        case f.TimerScheduled():
            return f"sleep or timeout {fact.key!r}{_at(fact.line)}"
        case f.SignalAwaited():
            return f"signal {fact.key!r}{_at(fact.line)}"
        case f.UserInputRequested():
            return f"question {fact.key!r}{_at(fact.line)}"
        case f.ChildStarted():
            return f"child {fact.key!r}{_at(fact.line)}"
        case f.OperationCancelled() | f.SignalReturned():
            return f"that the body stops waiting for {fact.key!r}"
        case _:
            return type(fact).__name__


def _at(line: str | None) -> str:
    return f", at {line}" if line else ""
