"""What is known of an entity: the fold of its facts.

``evolve`` leaves the state that it is given as it is, so that queries can go on reading it while
the next call is being written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from pydantic import JsonValue

from agnt5.events.entity.facts import (
    EntityCallCompleted,
    EntityCallFailed,
    EntityFact,
    EntitySnapshot,
)


@dataclass(frozen=True, slots=True)
class EntityState:
    """An entity at a version of its stream."""

    version: int = 0
    values: dict[str, JsonValue] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """The version at which each value was set; a name that is not here has no value."""


def evolve(state: EntityState, fact: EntityFact) -> EntityState:
    """The state after one more fact."""
    version = state.version + 1
    match fact:
        case EntityCallFailed():
            return EntityState(version, state.values, state.versions)
        case EntitySnapshot():
            return EntityState(version, dict(fact.values), dict(fact.versions))
        case EntityCallCompleted():
            if not fact.changes and not fact.deleted:
                return EntityState(version, state.values, state.versions)
            values, versions = dict(state.values), dict(state.versions)
            for name in fact.deleted or ():
                values.pop(name, None)
                versions.pop(name, None)
            for name, value in (fact.changes or {}).items():
                values[name], versions[name] = value, version
            return EntityState(version, values, versions)
        case _:
            assert_never(fact)


def fold(facts: Iterable[EntityFact], after: int = 0) -> EntityState:
    """The state after these facts, the first of which follows a version.

    With an ``after`` that is not 0 the first one must be a snapshot.
    """
    state = EntityState(after)
    for fact in facts:
        state = evolve(state, fact)
    return state
