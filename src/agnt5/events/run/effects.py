"""What the world must do because a fact now stands. Data, derived from facts, never lost.

Nobody changes an effect. It is not frozen, since one is made for each fact, and to freeze it costs
three times as much as to make it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agnt5.events.run.facts import (
    ChildStarted,
    Outcome,
    Terminal,
    UpdateAnswered,
    UpdateReceived,
)


@dataclass(slots=True)
class Execute:
    """Run an attempt of a step."""

    key: str
    attempt: int
    eager: bool
    """May begin before its own intent is durable (everything it rests on already is)."""
    verify: bool = False
    """Do not run it: find out whether the attempt that a crash cut short has had its effect."""


@dataclass(slots=True)
class CancelAttempt:
    """Stop the attempt that may be running; nobody wants its result."""

    key: str


@dataclass(slots=True)
class Wake:
    """Send WakeOperation for this key at this time."""

    key: str
    due_at: int


@dataclass(slots=True)
class Resolve:
    """Hand an outcome to the body."""

    outcome: Outcome
    at: int = field(default=0, compare=False)
    """When it was decided, microseconds since the epoch."""


@dataclass(slots=True)
class DeliverUpdate:
    """Hand an update to the body."""

    update: UpdateReceived
    at: int = field(default=0, compare=False)


@dataclass(slots=True)
class AnnounceUpdate:
    """Tell whoever sent an update what came of it."""

    answer: UpdateAnswered


@dataclass(slots=True)
class StartChild:
    """See to it that the child is there; if it has ended already, its end is reported."""

    child: ChildStarted


@dataclass(slots=True)
class CancelChild:
    """Ask a child to stop: nobody waits for it any more."""

    child: ChildStarted


@dataclass(slots=True)
class HandOver:
    """The run has ended: report that to its parent, and ask the children it leaves to stop."""


@dataclass(slots=True)
class BeginSuccessor:
    """The run that goes on in place of this one is accepted: let it begin when it is its turn."""

    run_id: str


@dataclass(slots=True)
class StartBody:
    """Host the body."""


@dataclass(slots=True)
class InterruptBody:
    """Cancel the body's main task."""


@dataclass(slots=True)
class CloseBody:
    """End the body without effects; the run has left memory or cannot go on."""


@dataclass(slots=True)
class RetireBody:
    """Have the body hear and ask nothing more; leave memory when what is under way has ended."""


@dataclass(slots=True)
class ComeBack:
    """Begin again from the log, if the body was retired."""


@dataclass(slots=True)
class Announce:
    """Tell those who wait for the run that it has ended."""

    terminal: Terminal


@dataclass(slots=True)
class AnnouncePause:
    """Tell those who wait for the run that it waits for a person, is suspended, or is paused."""


FamilyEffect = StartChild | CancelChild | HandOver
"""What is owed to the parent and the children of a run."""

OutsideEffect = (
    FamilyEffect
    | DeliverUpdate
    | AnnounceUpdate
    | BeginSuccessor
    | RetireBody
    | ComeBack
    | Announce
    | AnnouncePause
)
"""What does not touch the attempts and outcomes of a body."""

RunEffect = (
    Execute | Resolve | CancelAttempt | Wake | StartBody | InterruptBody | CloseBody | OutsideEffect
)
