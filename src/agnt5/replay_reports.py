"""What a replay check says of one history: a verdict, the place, what differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import orjson
from pydantic import JsonValue

from agnt5.events.run.comparison import Difference
from agnt5.events.run.report import Divergence, describe, divergence_lines

_SHOWN = 300


class Verdict(StrEnum):
    """What becomes of a run with this history when it goes on with this code."""

    COMPATIBLE = "compatible"
    """It goes on: the code asks for everything that is recorded."""
    NEEDS_PATCHED = "needs patched"
    """It would be suspended, unless ``ctx.patched`` keeps the old path for it."""
    NEEDS_FORK = "needs a fork"
    """What is recorded cannot be given to this code; it needs the old code, or a new run."""
    UNDECIDED = "undecided"
    """The body waits for something that is no durable call, and did not come to its end in time."""


_WAYS_OUT = {
    Verdict.NEEDS_PATCHED: (
        "keep the old path for runs that are past this place, with `if ctx.patched(...)`; or keep"
        " the old version of the workflow beside the new one"
    ),
    Verdict.NEEDS_FORK: (
        "no ctx.patched can help: take the old shape as well, keep the old version of the workflow,"
        " or start the run anew"
    ),
    Verdict.UNDECIDED: (
        "put what the body waits for into a step (or ctx.sleep), or give the check more patience"
    ),
}


@dataclass(frozen=True, slots=True)
class NextCall:
    """What the code asks for once everything that is recorded was handed out."""

    key: str
    what: str
    line: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One history, replayed.

    Attributes:
        run_id: The run.
        component: The name of the workflow or function that it is a run of.
        where: The code that it was replayed on, ``file.py:12``.
        status: Where the run was at the end of its history, such as ``completed``.
        events: How many events the history has.
        reproduced: The version up to which the code did the same again.
        verdict: What it comes to.
        reason: Why, in words; empty if the run is compatible.
        divergence: The place, for a verdict of ``needs patched``.
        differences: What is not as it was, but keeps nobody from going on: arguments, the result.
        next_calls: What the code asks for then. Of a run that had ended, this is a difference, too.
        not_entered: Events of steps that were under way, which only their own code can ask for.
    """

    run_id: str
    component: str
    where: str
    status: str
    events: int
    reproduced: int
    verdict: Verdict
    reason: str = ""
    divergence: Divergence | None = None
    differences: tuple[Difference, ...] = ()
    next_calls: tuple[NextCall, ...] = ()
    not_entered: int = 0
    was_over: bool = field(default=False)
    """Whether the history has the end of the body itself."""

    @property
    def is_compatible(self) -> bool:
        """Whether a run with this history goes on with this code."""
        return self.verdict is Verdict.COMPATIBLE

    @property
    def is_exact(self) -> bool:
        """Whether the code did just the same again: the same arguments and, at the end, result."""
        return (
            self.is_compatible and not self.differences and not (self.was_over and self.next_calls)
        )

    def require_compatible(self) -> None:
        """Raise AssertionError with the whole report unless the run is compatible."""
        if not self.is_compatible:
            raise AssertionError(str(self))

    def require_exact(self) -> None:
        """Raise AssertionError with the whole report unless the code did just the same again."""
        if not self.is_exact:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        """The report for people."""
        lines = [f"run {self.run_id} of {self.component!r} ({self.where}): {self.verdict}"]
        if self.events:
            lines.append(f"  reproduced: {self.reproduced} of {self.events} events")
        if self.reason:
            lines.append(f"  why: {self.reason}")
        if self.divergence is not None:
            lines += divergence_lines(self.divergence)
        lines += [f"  differs: {_difference(each)}" for each in self.differences]
        if self.was_over:
            lines += [
                f"  the run ended here; the code goes on: {_call(c)}" for c in self.next_calls
            ]
        if not self.is_compatible:
            lines.append(f"  way out: {_WAYS_OUT[self.verdict]}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, JsonValue]:
        """The report for programs."""
        return {
            "run_id": self.run_id,
            "component": self.component,
            "where": self.where,
            "status": self.status,
            "events": self.events,
            "reproduced": self.reproduced,
            "verdict": str(self.verdict),
            "exact": self.is_exact,
            "reason": self.reason,
            "divergence": None if self.divergence is None else _as_json(self.divergence),
            "differences": [
                {
                    "key": each.key,
                    "what": each.what,
                    "recorded": each.recorded,
                    "now": each.now,
                    "recorded_line": each.recorded_line,
                    "line": each.line,
                }
                for each in self.differences
            ],
            "next_calls": [
                {"key": each.key, "what": each.what, "line": each.line} for each in self.next_calls
            ],
            "not_entered": self.not_entered,
        }


def _as_json(found: Divergence) -> dict[str, JsonValue]:
    return {
        "how": found.how,
        "expected": {
            "key": getattr(found.expected, "key", None),
            "what": describe(found.expected),
            "line": getattr(found.expected, "line", None),
        },
        "asked": [{"key": key, "line": line} for key, line in found.asked],
        "nearest": found.nearest,
    }


def _difference(found: Difference) -> str:
    place = f"{found.what} of {found.key!r}" if found.key else found.what
    lines = [f"recorded at {found.recorded_line}"] if found.recorded_line else []
    lines += [f"now at {found.line}"] if found.line else []
    where = f" ({', '.join(lines)})" if lines else ""
    return f"{place}{where}: {_short(found.recorded)} was recorded, now {_short(found.now)}"


def _short(value: JsonValue) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _call(call: NextCall) -> str:
    return f"{call.what} {call.key!r}{f', at {call.line}' if call.line else ''}"
