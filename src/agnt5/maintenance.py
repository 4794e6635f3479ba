"""Care for a store while nobody uses it."""

from __future__ import annotations

from typing import cast

from agnt5.events.codec import decode_any
from agnt5.events.entity.facts import EntityFact
from agnt5.events.entity.streams import is_entity_stream
from agnt5.events.index import KeyBinding
from agnt5.events.log import EventLog
from agnt5.events.projections import call_binding_of, index_of
from agnt5.events.run.state import fold
from agnt5.events.shredded import show_history

_GROUP = 100


def rebuild_log_index(log: EventLog) -> int:
    """Drop the index of an open log and build it again from the facts; returns how many runs."""
    run_ids = log.run_ids()
    states = [
        fold(run_id, show_history(stored))
        for start in range(0, len(run_ids), _GROUP)
        for run_id, stored in log.read_many(run_ids[start : start + _GROUP]).items()
    ]

    def settled(run_id: str) -> bool:
        row = log.run_row(run_id)
        return row is not None and row.finished_at is not None and not row.owes

    log.rebuild([*index_of(states, settled), *_calls_of_entities(log)])
    return len(states)


def _calls_of_entities(log: EventLog) -> list[KeyBinding]:
    """Which calls entities have applied; only their own streams know."""
    found: list[KeyBinding] = []
    for stream in filter(is_entity_stream, log.other_streams()):
        for row in log.read(stream):
            fact = cast("EntityFact", decode_any(row))
            binding = call_binding_of(stream, row.version, fact)
            if binding is not None:
                found.append(binding)
    return found
