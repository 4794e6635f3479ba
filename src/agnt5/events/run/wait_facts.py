"""What a run waits for from outside: signals, people, children, updates."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from agnt5.events.base import Encoded, Fact


class SignalAwaited(Fact):
    """The body asked for the next signal of a name. A request."""

    topic: ClassVar[str] = "SignalAwaited"

    key: str
    name: str
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""
    due_at: int | None = None
    """When the wait is over, microseconds since the epoch; None: never."""


class SignalReceived(Fact):
    """A signal came from outside."""

    topic: ClassVar[str] = "SignalReceived"

    signal_id: str
    name: str
    payload: Encoded = None
    traceparent: str | None = None
    """The span in which it was sent, as W3C Trace Context writes it."""


class SignalConsumed(Fact):
    """A signal was given to a waiting call. An outcome."""

    topic: ClassVar[str] = "SignalConsumed"

    key: str
    signal_id: str
    payload: Encoded = None


class SignalTimedOut(Fact):
    """No signal came in time. An outcome; one that comes later is for the next wait."""

    topic: ClassVar[str] = "SignalTimedOut"

    key: str


class SignalReturned(Fact):
    """The body gave up a wait before it was handed its signal: the next wait gets it.

    A request, like OperationCancelled.
    """

    topic: ClassVar[str] = "SignalReturned"

    key: str
    signal_id: str


class UserInputRequested(Fact):
    """The body asked a person. A request."""

    topic: ClassVar[str] = "UserInputRequested"

    key: str
    question: str
    input_type: str = "text"
    options: list[dict[str, JsonValue]] | None = None
    allow_custom: bool = False
    skippable: bool = False
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""
    assignees: list[str] | None = None
    """Who may answer; None: anybody."""
    due_at: int | None = None
    """When the question expires, microseconds since the epoch."""
    on_timeout: str | None = None
    """The answer that stands when it expires; without one, the call raises."""
    shown: str | None = None
    """Digest of all that the person is shown: question, type and options."""
    about: str | None = None
    """The step whose outcome a crash has hidden, when it was the engine that asks."""


class UserReplied(Fact):
    """A person answered. An outcome."""

    topic: ClassVar[str] = "UserReplied"

    key: str
    answer: str | None
    actor: str | None = None
    channel: str | None = None
    reason: str | None = None
    shown: str | None = None
    """Digest of what the question showed, as in UserInputRequested."""
    about: str | None = None
    """The step that the engine's own question was about, as in UserInputRequested."""
    traceparent: str | None = None
    """The span in which the answer was given, as in SignalReceived."""


class UserInputExpired(Fact):
    """Nobody answered in time. An outcome."""

    topic: ClassVar[str] = "UserInputExpired"

    key: str
    answer: str | None = None
    """The answer that stands instead; None: the call raises."""
    about: str | None = None
    """The step that the engine's own question was about: it has ended otherwise."""


class ChildStarted(Fact):
    """The body asked for a run of its own. A request."""

    topic: ClassVar[str] = "ChildStarted"

    key: str
    child_run_id: str
    component: str
    kind: str = "workflow"
    input: Encoded = None
    on_parent_end: str = "cancel"
    """What becomes of it when this run ends first: ``cancel`` or ``abandon``."""
    line: str | None = None
    """Where in the code it was asked for, ``file.py:12``."""


class ChildFinished(Fact):
    """A child has ended. An outcome."""

    topic: ClassVar[str] = "ChildFinished"

    key: str
    status: str
    """``completed``, ``failed`` or ``cancelled``."""
    output: Encoded = None
    error: Encoded = None


class UpdateReceived(Fact):
    """Somebody outside asks the run to do something and to reply. Its validator has agreed."""

    topic: ClassVar[str] = "UpdateReceived"

    update_id: str
    name: str
    payload: Encoded = None
    traceparent: str | None = None
    """The span in which it was sent, as in SignalReceived."""


class UpdateAnswered(Fact):
    """The handler of an update has ended: with an output, or with an error."""

    topic: ClassVar[str] = "UpdateAnswered"

    update_id: str
    output: Encoded = None
    error: Encoded = None
