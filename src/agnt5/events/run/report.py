"""What a person reads when a body no longer matches its log (law 6)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from agnt5.events.run import facts as f

_WAYS_OUT = (
    "Nothing is lost: the run is suspended with all that it has recorded. Ways out:\n"
    "  - restore the call that the log holds, start the program again, and the run goes on;\n"
    "  - or fork it at an event before this place, with the new code, and cancel it;\n"
    "  - or cancel the run and start a new one with the new code.\n"
    "Usual causes: the code was changed while the run was under way, or the body looks at\n"
    "something that differs from one pass to the next (clock, random, environment, files, the\n"
    "order of a set): move that into a step."
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a body no longer matches its log."""

    how: str
    """Such as ``asked for something else``."""
    expected: f.RunFact | None
    """The recorded fact that the body has not asked for; None: it should have ended."""
    asked: tuple[tuple[str, str | None], ...] = ()
    """What it has asked for instead: keys, each with its line."""

    @property
    def nearest(self) -> str | None:
        """The key among those that were asked for that looks most like the recorded one."""
        wanted = getattr(self.expected, "key", "")
        near = difflib.get_close_matches(str(wanted), [k for k, _ in self.asked], n=1, cutoff=0.4)
        return near[0] if near else None


def divergence_report(run_id: str, component: str, where: str, found: Divergence) -> str:
    """What was expected, what was asked, where, the nearest match, and the ways out."""
    headline = (
        f"run {run_id}: the code of {component!r} ({where}) no longer asks for what its log holds;"
        f" it {found.how}."
    )
    return "\n".join([headline, *divergence_lines(found), _WAYS_OUT])


def divergence_lines(found: Divergence) -> list[str]:
    """What was expected, what was asked and where, and the nearest match."""
    lines = [f"  expected: {describe(found.expected)}"]
    if found.asked:
        lines += [f"  asked for: {key!r}{_at(line)}" for key, line in found.asked[:5]]
    else:
        lines.append("  asked for: nothing else")
    if found.nearest:
        wanted = getattr(found.expected, "key", "")
        lines.append(f"  nearest match: {found.nearest!r} (recorded as {wanted!r})")
    return lines


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
