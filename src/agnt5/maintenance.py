"""Care for a store while nobody uses it."""

from __future__ import annotations

from agnt5.events.codec import decode_history
from agnt5.events.log import EventLog
from agnt5.events.projections import index_of
from agnt5.events.run.state import fold

_GROUP = 100


def rebuild_log_index(log: EventLog) -> int:
    """Drop the index of an open log and build it again from the facts; returns how many runs."""
    run_ids = log.run_ids()
    states = [
        fold(run_id, decode_history(stored))
        for start in range(0, len(run_ids), _GROUP)
        for run_id, stored in log.read_many(run_ids[start : start + _GROUP]).items()
    ]
    log.rebuild(index_of(states))
    return len(states)
