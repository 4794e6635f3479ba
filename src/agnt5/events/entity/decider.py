"""What follows from what an entity is asked to record."""

from __future__ import annotations

from typing import assert_never

from agnt5.events.entity.commands import CompleteCall, EntityCommand, FailCall
from agnt5.events.entity.facts import (
    EntityCallCompleted,
    EntityCallFailed,
    EntityFact,
    EntitySnapshot,
)
from agnt5.events.entity.state import EntityState

SNAPSHOT_EVERY = 64
"""A version that is a multiple of it is a snapshot, so that the last one is found without index."""


def decide(state: EntityState, command: EntityCommand) -> tuple[EntityFact, ...]:
    """The facts to append. A call without an id that has changed nothing says nothing."""
    fact: EntityFact
    match command:
        case CompleteCall():
            if command.call_id is None and not command.changes and not command.deleted:
                return ()
            fact = EntityCallCompleted(
                method=command.method,
                call_id=command.call_id,
                caller=command.caller,
                output=command.output,
                changes=command.changes or None,
                deleted=command.deleted or None,
            )
        case FailCall():
            fact = EntityCallFailed(
                method=command.method,
                call_id=command.call_id,
                caller=command.caller,
                error=command.error,
            )
        case _:
            assert_never(command)
    if (state.version + 1) % SNAPSHOT_EVERY:
        return (fact,)
    return (EntitySnapshot(values=state.values, versions=state.versions), fact)


def first_to_read(last: int) -> int:
    """Of a stream whose last version is this: after which version a reader begins.

    >>> first_to_read(63), first_to_read(64), first_to_read(130)
    (0, 63, 127)
    """
    return max(0, last // SNAPSHOT_EVERY * SNAPSHOT_EVERY - 1)
