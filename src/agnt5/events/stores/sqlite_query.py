"""An EventQuery as SQL: every condition is decided by SQLite, with an index where there is one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import orjson

from agnt5.events.keys import name_of
from agnt5.events.query import GROUPS, EventQuery
from agnt5.events.stores.sqlite_recorder import SqlValue
from agnt5.events.stores.sqlite_views import SELDOM, is_seldom

_IN = "IN (SELECT value FROM json_each(?))"
_SHORT = 1000
"""Facts that are read faster than an index is asked."""
_COLUMNS = {
    "topic": "topic",
    "run_id": "originator_id",
    "day": "strftime('%Y-%m-%d',recorded_at/1000000,'unixepoch')",
}

Parameters = tuple[SqlValue, ...]


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection what the conditions call."""
    connection.create_function("agnt5_name_of", 1, name_of, deterministic=True)


def selected(query: EventQuery, limit: int) -> tuple[str, Parameters]:
    """What follows the columns and the table in a select of facts."""
    where, parameters = _where(query)
    order = "DESC" if query.backward else "ASC"
    return f"WHERE {where} ORDER BY {_position(query)} {order} LIMIT ?", (*parameters, limit)


def counted(query: EventQuery, by: str | None) -> tuple[str, Parameters]:
    """A select of pairs of a group and a number.

    Raises:
        KeyError: When nothing is counted by that.
    """
    where, parameters = _where(query)
    if by is None:
        return f"SELECT NULL, count(*) FROM stored_events WHERE {where}", parameters
    if by not in GROUPS:
        raise KeyError(by)
    if by in _COLUMNS:
        # Grouped by run, facts are counted on the key's index; the rest is read in any order.
        return f"SELECT {_COLUMNS[by]}, count(*) FROM stored_events WHERE {where} GROUP BY 1", (
            parameters
        )
    sql = (
        f"SELECT r.{by}, sum(n) FROM (SELECT originator_id AS id, count(*) AS n FROM stored_events "
        f"WHERE {where} GROUP BY originator_id) LEFT JOIN runs r ON r.run_id=id GROUP BY 1"
    )
    return sql, parameters


def _position(query: EventQuery) -> str:
    """The position, such that SQLite reads whole runs by their key, or a short piece of the log.

    For the sake of the order it would walk along the log to find a run.
    """
    is_short = query.upto is not None and query.upto - query.after < _SHORT
    return "rowid" if query.run_ids is None or is_short else "+rowid"


def _where(query: EventQuery) -> tuple[str, Parameters]:
    # By hand and not by range: a range on the stream would tempt SQLite to leave the log's order.
    conditions, values = ["substr(originator_id,1,1)<>'$'"], list[SqlValue]()

    def add(condition: str, *given: SqlValue) -> None:
        conditions.append(condition)
        values.extend(given)

    _add_place(query, add)
    if query.step is not None:
        add("agnt5_name_of(step)=?", query.step)
    if query.actor is not None:
        add(f"{is_seldom()} AND topic='UserReplied'")
        add("json_extract(CAST(state AS TEXT),'$.actor')=?", query.actor)
    _add_run(query, conditions, values)
    return " AND ".join(conditions), tuple(values)


def _add_place(query: EventQuery, add: Callable[..., None]) -> None:
    if query.after > 0:
        add(f"{_position(query)}>?", query.after)
    if query.upto is not None:
        add(f"{_position(query)}<=?", query.upto)
    if query.run_ids is not None:
        add(f"originator_id {_IN}", orjson.dumps(query.run_ids).decode())
    if query.topics is not None:
        if all(topic in SELDOM for topic in query.topics):
            add(is_seldom())
        add(f"topic {_IN}", orjson.dumps(query.topics).decode())
    if query.since is not None:
        add("recorded_at>=?", query.since)
    if query.until is not None:
        add("recorded_at<?", query.until)


def _add_run(query: EventQuery, conditions: list[str], values: list[SqlValue]) -> None:
    wanted: list[str] = []
    for column, value in query.of_run():
        if value is not None:
            is_key = column == "idempotency_key"
            wanted.append("key_scope=kind||':'||component||':'||?" if is_key else f"{column}=?")
            values.append(value)
    if wanted:
        conditions.append(
            f"originator_id IN (SELECT run_id FROM runs WHERE {' AND '.join(wanted)})"
        )
