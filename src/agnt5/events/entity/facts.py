"""The facts of one entity, as a closed union."""

from __future__ import annotations

from typing import ClassVar

from agnt5.events.base import Encoded, Fact


class EntityCallCompleted(Fact):
    """A method has run, and this is what it changed and answered."""

    topic: ClassVar[str] = "EntityCallCompleted"

    method: str
    call_id: str | None = None
    """The same id is applied once for ever; None: nobody can ask for it again."""
    caller: str | None = None
    """The run that called."""
    output: Encoded = None
    changes: dict[str, Encoded] | None = None
    """What it set, by name."""
    deleted: list[str] | None = None
    """The names that it deleted."""


class EntityCallFailed(Fact):
    """A method has failed. It changed nothing, and its call may be tried again."""

    topic: ClassVar[str] = "EntityCallFailed"

    method: str
    call_id: str | None = None
    caller: str | None = None
    error: Encoded = None


class EntitySnapshot(Fact):
    """The whole state, so that nothing before it has to be read."""

    topic: ClassVar[str] = "EntitySnapshot"

    values: dict[str, Encoded]
    versions: dict[str, int]
    """The version of the stream at which each value was set."""


EntityFact = EntityCallCompleted | EntityCallFailed | EntitySnapshot

ENTITY_FACTS: tuple[type[EntityFact], ...] = (
    EntityCallCompleted,
    EntityCallFailed,
    EntitySnapshot,
)
