"""What the bus and its runs may be told, and whom they tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from agnt5.actors.executor import AttemptDefaults
from agnt5.actors.journal import Listener
from agnt5.events.run.facts import Terminal, UpdateAnswered
from agnt5.events.run.retry import StepDefaults
from agnt5.events.run.state import RunState
from agnt5.flow import Queue
from agnt5.limits import Limits

CROWD = 500
"""With so many runs in memory, one that only waits is not kept for the case that it is wanted."""
_SHORT_GRACE_US = 20_000


class Watcher(Protocol):
    """Who is told of the fate of runs."""

    def ended(self, state: RunState, terminal: Terminal) -> None:
        """A run has ended."""
        ...

    def paused(self, state: RunState) -> None:
        """A run waits for a person, or is suspended."""
        ...

    def answered(self, state: RunState, answer: UpdateAnswered) -> None:
        """A run has answered an update."""
        ...


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run actor may be told."""

    park_after_us: int = 1_000_000
    stall_limit_s: float = 10.0
    defaults: StepDefaults | None = None
    limits: Limits = field(default_factory=Limits)

    def grace_us(self, runs_in_memory: int) -> int:
        """How long a run that only waits may stay in memory, microseconds."""
        if runs_in_memory < CROWD:
            return self.park_after_us
        return min(self.park_after_us, _SHORT_GRACE_US)


@dataclass(frozen=True, slots=True)
class BusSettings:
    """What the house may be told."""

    run: RunSettings = field(default_factory=RunSettings)
    max_active_runs: int = 10_000
    threads: int = 64
    queues: tuple[Queue, ...] = ()
    attempts: AttemptDefaults = field(default_factory=AttemptDefaults)
    listeners: tuple[Listener, ...] = ()
    """Who hears of every settled append, in this order."""
