"""What the cast is given from above: callables and plain values, never contexts or decorators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import JsonValue

from agnt5.actors.streams import Streams
from agnt5.events.keys import idempotency_key
from agnt5.events.run.commands import RunCommand
from agnt5.events.run.facts import RunQueued
from agnt5.exceptions import UnknownOutcomeError
from agnt5.flow import RateLimit


@dataclass(slots=True)
class AttemptInfo:
    """What user code may know of the attempt that it is."""

    run_id: str
    key: str
    name: str
    attempt: int
    session_id: str | None = None
    metadata: Mapping[str, JsonValue] | None = None
    user_id: str | None = None
    values: Mapping[str, JsonValue] | None = None
    """The state of the run when the step was asked for."""
    changes: dict[str, JsonValue] | None = None
    """What the attempt has set in the state of the run; counts when it succeeds."""
    deleted: dict[str, None] | None = None
    """What it has deleted there."""
    streams: Streams | None = None
    """Where what it says on the way goes; None outside of a house."""
    identity: str | None = None
    """The run id that idempotency keys are made of, when it is another: that of a fork's origin."""
    queued: RunQueued | None = None
    """With what its run was accepted."""

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this step and after every crash."""
        return idempotency_key(self.identity or self.run_id, self.key)


UNDER_WAY: ContextVar[AttemptInfo | None] = ContextVar("agnt5_attempt", default=None)
"""The attempt that runs here, also of a function that takes no context; None in a body."""


class Handler(Protocol):
    """A user function, ready to be called by an executor."""

    name: str
    on_thread: bool
    """It blocks, so it runs on a thread and returns a plain value."""
    timeout_s: float | None
    """For one attempt."""
    concurrency: int | None
    rate: RateLimit | None
    verify_on_thread: bool

    def is_retryable(self, error: BaseException) -> bool | None:
        """Whether its policy allows another attempt after an exception; None: it has no policy."""
        ...

    def verify(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Awaitable[object] | object:
        """Find out whether the effect of an attempt that a crash cut short has happened."""
        ...

    def call(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Awaitable[object] | object:
        """Call it."""
        ...


class PlainHandler:
    """A handler without limits and policies of its own, for steps that the library itself makes."""

    on_thread = False
    timeout_s: float | None = None
    concurrency: int | None = None
    rate: RateLimit | None = None
    verify_on_thread = False

    def is_retryable(self, error: BaseException) -> bool | None:  # noqa: ARG002 - the port's shape
        """It has no policy."""
        return None

    def verify(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Nobody asks: a step of such a handler may always be tried again."""
        del args, kwargs
        raise UnknownOutcomeError(f"{info.name!r} cannot find out whether its effect happened")


After = dict[str, JsonValue]
"""An after-image: sections such as ``args``, ``kwargs`` and ``self``, each of values by name."""


class Images(Protocol):
    """The mutable objects that a step can reach, photographed around it and put back on replay.

    A provider sees sections: ``{"args": {"0": image}}``, ``{"self": {"count": image}}``. The
    engine calls :meth:`capture` before an attempt and again after it, and records the entries that
    differ as ``after`` of the outcome; an entry that is gone is recorded as ``{"$": "gone"}``.
    When a replay hands out that outcome, :meth:`restore` is called before the body sees it, in the
    order of the log. Several providers are one with :class:`agnt5.actors.images.Together`.
    """

    def capture(self) -> After:
        """Images of everything as it is now. Must not raise: what has no image is left out."""
        ...

    def restore(self, after: After) -> None:
        """Put the recorded entries back, in place; sections of other providers are ignored."""
        ...


@dataclass(slots=True)
class FunctionWork:
    """A step that an executor runs."""

    handler: Handler
    args: tuple[object, ...]
    kwargs: dict[str, object]
    images: Images | None = None
    """What it may change beside returning a value; None costs nothing."""
    before: After | None = None
    """How that was before the first attempt of this incarnation."""
    values: Mapping[str, JsonValue] | None = None
    """The state of the run when the step was asked for: every attempt sees the same."""

    def discard(self) -> None:
        """It will not be run."""


@dataclass(slots=True)
class InlineWork:
    """A step that only the body can run, because it was handed the awaitable itself."""

    start: Callable[[], Awaitable[object]]
    discard: Callable[[], None]
    """Close what was handed over, unstarted."""
    images: Images | None = None
    """What it may change beside returning a value; None costs nothing."""


Work = FunctionWork | InlineWork


class Channel(Protocol):
    """How a script reaches the actor of its run."""

    def command(self, command: RunCommand) -> None:
        """Send a command."""
        ...

    def execute(self, key: str, attempt: int, work: FunctionWork) -> None:
        """Have an executor run an attempt."""
        ...

    def crashed(self, error: Exception) -> None:
        """The script itself has failed."""
        ...

    def diverged(self, report: str) -> None:
        """The body no longer asks for what the log holds."""
        ...

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it may lie on the log.

        Raises:
            PayloadError: When it cannot be recorded, or is too large.
        """
        ...

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large.

        Raises:
            PayloadTooLargeError: With both sizes.
        """
        ...


@dataclass(slots=True)
class Definition:
    """A component as the cast sees it."""

    name: str
    kind: str
    digest: str
    body: Callable[[Any, dict[str, object], AttemptInfo], Coroutine[Any, Any, object]]
    """(script, input, info) to a coroutine."""
    where: str = ""
    version_label: str | None = None
    queue: str | None = None
    """In which its runs line up, unless who starts one says otherwise."""
    timeout_us: int | None = None
    """How long a run may be under way."""
    durable: bool = True
    """False: its runs are kept in memory only."""
