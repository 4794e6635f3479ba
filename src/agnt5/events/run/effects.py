"""What the world must do because a fact now stands. Data, derived from facts, never lost."""

from __future__ import annotations

from dataclasses import dataclass

from agnt5.events.run.facts import Outcome, Terminal


@dataclass(frozen=True, slots=True)
class Execute:
    """Run an attempt of a step."""

    key: str
    attempt: int
    eager: bool
    """May begin before its own intent is durable (everything it rests on already is)."""


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Stop the attempt that may be running; nobody wants its result."""

    key: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Send WakeOperation for this key at this time."""

    key: str
    due_at: int


@dataclass(frozen=True, slots=True)
class Resolve:
    """Hand an outcome to the body."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class StartBody:
    """Host the body."""


@dataclass(frozen=True, slots=True)
class InterruptBody:
    """Cancel the body's main task."""


@dataclass(frozen=True, slots=True)
class CloseBody:
    """End the body without effects; the run has left memory or cannot go on."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell those who wait for the run that it has ended."""

    terminal: Terminal


@dataclass(frozen=True, slots=True)
class AnnouncePause:
    """Tell those who wait for the run that it waits for a person, or is suspended."""


RunEffect = (
    Execute
    | Resolve
    | CancelAttempt
    | Wake
    | StartBody
    | InterruptBody
    | CloseBody
    | Announce
    | AnnouncePause
)
