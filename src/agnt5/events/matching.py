"""Which facts an EventQuery asks for, and what they are counted under: for a log without SQL."""

from __future__ import annotations

from datetime import date, timedelta

import orjson

from agnt5.events.index import NO_RUN, RunRow
from agnt5.events.keys import name_of
from agnt5.events.log import StoredFact
from agnt5.events.query import GROUPS, EventQuery

_DAY_US = 86_400_000_000


def matches(query: EventQuery, fact: StoredFact, row: RunRow | None) -> bool:
    """Whether a fact is asked for. ``row`` is that of its run, if the index has one."""
    return (
        not fact.stream.startswith(NO_RUN)
        and query.after < fact.position
        and (query.upto is None or fact.position <= query.upto)
        and (query.run_ids is None or fact.stream in query.run_ids)
        and (query.topics is None or fact.topic in query.topics)
        and (query.since is None or query.since <= fact.at)
        and (query.until is None or fact.at < query.until)
        and (query.step is None or name_of(fact.step) == query.step)
        and (query.actor is None or _actor(fact) == query.actor)
        and (not query.asks_of_run or (row is not None and _is_of(query, row)))
    )


def _actor(fact: StoredFact) -> object:
    shape = orjson.loads(fact.state) if fact.topic.startswith("UserReplied") else {}
    return shape.get("actor")


def _is_of(query: EventQuery, row: RunRow) -> bool:
    for column, wanted in query.of_run():
        found: object = key_of(row) if column == "idempotency_key" else getattr(row, column)
        if wanted is not None and found != wanted:
            return False
    return True


def key_of(row: RunRow) -> str | None:
    """The idempotency key of a run, without its scope."""
    scope = f"{row.kind}:{row.component}:"
    return None if row.key_scope is None else row.key_scope.removeprefix(scope)


def group_of(by: str, fact: StoredFact, row: RunRow | None) -> str | None:
    """What a fact is counted under; None if its run has no such thing.

    Raises:
        KeyError: When nothing is counted by that.
    """
    match by:
        case "topic":
            return fact.topic
        case "run_id":
            return fact.stream
        case "day":
            return (date(1970, 1, 1) + timedelta(days=fact.at // _DAY_US)).isoformat()
        case _ if by in GROUPS:
            found: str | None = getattr(row, by, None)
            return found
        case _:
            raise KeyError(by)
