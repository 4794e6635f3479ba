"""What the actor of a run needs of the house."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pydantic import JsonValue

from agnt5.actors.executor import Attempt, Cancel
from agnt5.actors.family import Family
from agnt5.actors.ports import Definition, Handler
from agnt5.actors.streams import Streams
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState

A_contra = TypeVar("A_contra", contravariant=True)


class Surroundings(Protocol[A_contra]):
    """What a run actor needs of the house."""

    streams: Streams

    def definition(self, kind: str, name: str, version: str | None = None) -> Definition | None:
        """The component, if this process has it in this version."""
        ...

    def known_components(self, kind: str, name: str) -> str:
        """A sentence that names what this process has instead."""
        ...

    def send_attempt(self, handler: Handler, command: Attempt | Cancel) -> None:
        """To the executor of a function."""
        ...

    def grace_us(self) -> int:
        """How long a run that only waits may stay in memory, microseconds."""
        ...

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it may lie on the log."""
        ...

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse a recorded value that is too large."""
        ...

    def ended(self, actor: A_contra, terminal: f.Terminal) -> None:
        """A run has ended."""
        ...

    def answered(self, actor: A_contra, answer: f.UpdateAnswered) -> None:
        """A run has answered an update."""
        ...

    @property
    def family(self) -> Family:
        """Who starts, reports and cancels children."""
        ...

    def begin_successor(self, ended: RunState, run_id: str) -> None:
        """A run went on as another one, which stands in line from now on."""
        ...

    def paused(self, actor: A_contra) -> None:
        """A run waits for a person, or is suspended."""
        ...

    def left(self, actor: A_contra) -> None:
        """A run has left memory; letters may be left in its box."""
        ...

    def failed(self, actor: A_contra, error: BaseException) -> None:
        """An incarnation of a run has failed."""
        ...
