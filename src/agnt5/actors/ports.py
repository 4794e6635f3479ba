"""What the cast is given from above: callables and plain values, never contexts or decorators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import JsonValue

from agnt5.actors.streams import Streams
from agnt5.events.keys import idempotency_key
from agnt5.events.run.commands import RunCommand


@dataclass(slots=True)
class AttemptInfo:
    """What user code may know of the attempt that it is."""

    run_id: str
    key: str
    name: str
    attempt: int
    session_id: str | None = None
    metadata: Mapping[str, JsonValue] | None = None
    streams: Streams | None = None
    """Where what it says on the way goes; None outside of a house."""

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this step and after every crash."""
        return idempotency_key(self.run_id, self.key)


class Handler(Protocol):
    """A user function, ready to be called by an executor."""

    name: str
    on_thread: bool
    """It blocks, so it runs on a thread and returns a plain value."""
    timeout_s: float | None
    """For one attempt."""
    concurrency: int | None

    def call(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Awaitable[object] | object:
        """Call it."""
        ...


@dataclass(slots=True)
class FunctionWork:
    """A step that an executor runs."""

    handler: Handler
    args: tuple[object, ...]
    kwargs: dict[str, object]

    def discard(self) -> None:
        """It will not be run."""


@dataclass(slots=True)
class InlineWork:
    """A step that only the body can run, because it was handed the awaitable itself."""

    start: Callable[[], Awaitable[object]]
    discard: Callable[[], None]
    """Close what was handed over, unstarted."""


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
