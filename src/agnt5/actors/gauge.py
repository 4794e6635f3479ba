"""How large a run has grown: two numbers that are compared with marks whenever something is added.

The first mark is half of a limit, where a warning is logged; the second is the limit itself.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from agnt5.actors.reader import Recorded
from agnt5.events.log import RawFact
from agnt5.events.run.state import RunState
from agnt5.limits import Limits

logger = logging.getLogger("agnt5.run")

SUSPENDED_AT_LIMIT = "limit"
"""Why a run is suspended that has grown too large."""
_NEVER = sys.maxsize


class Gauge:
    """Of one incarnation of a run."""

    __slots__ = ("_is_told", "_limits", "events_mark", "open_mark", "size", "size_mark")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._is_told = False
        self.size = 0
        """Bytes of what its events say."""
        self.events_mark = _half(limits.events)
        self.size_mark = _half(limits.size)
        self.open_mark = _half(limits.open_calls)

    def begin(self, state: RunState, history: object) -> None:
        """The run was read from the log. Of what it was then, nobody is warned again."""
        self.size = history.size if isinstance(history, Recorded) else 0
        self._pass_halves(state)

    def add(self, facts: Sequence[RawFact], state: RunState) -> bool:
        """Count what is appended to it; whether something must be looked at."""
        for fact in facts:
            self.size += len(fact.state)
        return (
            state.version >= self.events_mark
            or self.size >= self.size_mark
            or len(state.open) >= self.open_mark
        )

    def report(self, state: RunState) -> str | None:
        """Why the run cannot grow on; None if it may. Warns once that it is half way there."""
        if not state.is_running or state.cancel_requested or self._is_told:
            return None
        limits = self._limits
        for number, limit, what, name in (
            (state.version, limits.events, "events", "events"),
            (self.size, limits.size, "bytes of events", "size"),
            (len(state.open), limits.open_calls, "calls without an outcome", "open_calls"),
        ):
            if limit is not None and number >= limit:
                self._is_told = True
                return _too_large(state, f"{number:,} {what}", f"{name}={limit}")
        for line in self._pass_halves(state):
            logger.warning("%s", line)
        return None

    def _pass_halves(self, state: RunState) -> list[str]:
        limits, lines = self._limits, list[str]()
        if limits.events is not None and self.events_mark <= state.version:
            self.events_mark = limits.events
            lines.append(_warning(state, f"{state.version:,} of {limits.events:,} events"))
        if limits.size is not None and self.size_mark <= self.size:
            self.size_mark = limits.size
            lines.append(_warning(state, f"{self.size:,} of {limits.size:,} bytes of events"))
        if limits.open_calls is not None and self.open_mark <= len(state.open):
            self.open_mark = limits.open_calls
            number = f"{len(state.open):,} of {limits.open_calls:,} calls without an outcome"
            lines.append(_warning(state, number))
        return lines


def _half(limit: int | None) -> int:
    return _NEVER if limit is None else (limit + 1) // 2


def _name(state: RunState) -> str:
    return repr(state.queued.component) if state.queued else "an unknown component"


def _warning(state: RunState, number: str) -> str:
    return (
        f"run {state.run_id} of {_name(state)} has {number} that it may have, and is suspended"
        " there: an endless loop goes on as a new run with ctx.continue_as_new, much work is"
        " divided among child runs"
    )


def _too_large(state: RunState, number: str, setting: str) -> str:
    return (
        f"run {state.run_id} of {_name(state)} has {number}, which is the limit"
        f" (Limits({setting})). Nothing is lost. The ways out:\n"
        "  - an endless loop goes on as a new run with ctx.continue_as_new(...), much work is"
        " divided among child runs: that helps runs to come, and this one once its limit is raised"
        "\n"
        "  - raise the limit with Runtime(limits=Limits(...)), and let it go on with"
        f" client.resume({state.run_id!r})\n"
        f"  - end it with client.cancel({state.run_id!r})"
    )
