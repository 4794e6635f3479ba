"""Holds what a store answers against what the model says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from agnt5.events.index import RunRow
from agnt5.events.log import Append, RawFact, StoredFact
from agnt5.events.matching import group_of, matches
from agnt5.events.query import EventQuery
from agnt5.testing.stores.model import Model
from agnt5.testing.stores.port import Store, StoreConformanceError

T = TypeVar("T")

_NOBODY = "nobody"
_SHOWN = 700


def same(law: str, asked: str, found: T, expected: T) -> None:
    """Raises StoreConformanceError unless both are equal."""
    if found != expected:
        raise StoreConformanceError(
            law, f"{asked} answered {shorten(found)}; expected was {shorten(expected)}."
        )


def shorten(value: object) -> str:
    """How a value is shown in a report."""
    text = repr(value)
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[:half]} ... {text[-half:]}"


def _plain(fact: RawFact | StoredFact) -> tuple[str, bytes, int, str, str | None]:
    return fact.topic, fact.state, fact.at, fact.event_id, fact.step


def same_facts(
    asked: str, stream: str, found: Sequence[StoredFact], expected: Sequence[RawFact], first: int
) -> None:
    """Whether the facts of a stream are those, from version ``first`` on."""
    ids = [fact.event_id for fact in found]
    wanted = [fact.event_id for fact in expected]
    law = "durable" if len(ids) < len(wanted) and ids == wanted[: len(ids)] else "reads"
    same(law, asked, ids, wanted)
    versions = list(range(first, first + len(expected)))
    same("reads", f"{asked}, its versions,", [fact.version for fact in found], versions)
    same("reads", f"{asked}, its streams,", {fact.stream for fact in found} - {stream}, set())
    for fact, raw in zip(found, expected, strict=True):
        what = f"{asked}, version {fact.version},"
        same("reads", what, _plain(fact), _plain(raw))
        same("reads", f"{what} the type of its state", type(fact.state), bytes)


def same_streams(store: Store, model: Model) -> dict[str, list[StoredFact]]:
    """Every stream is as the model says; answers the facts."""
    asked = [*model.streams, _NOBODY]
    found = store.read_many(asked)
    same("reads", "read_many(), its keys,", list(found), asked)
    same("reads", f"read_many() of {_NOBODY!r}", found.pop(_NOBODY), [])
    for stream, facts in found.items():
        same_facts(f"read_many() of {stream!r}", stream, facts, model.streams[stream], 1)
        same("reads", f"last({stream!r})", store.last(stream), facts[-1])
        same("reads", f"read({stream!r})", store.read(stream), facts)
    for stream, facts in list(found.items())[:1]:
        for after, upto, limit in ((1, 1, None), (0, len(facts) - 1, None), (0, None, 0)):
            same_window(store, model, stream, after, upto, limit)
        same_window(store, model, stream, len(facts) // 2, None, 1)
    same("reads", f"last({_NOBODY!r})", store.last(_NOBODY), None)
    same("reads", "run_ids()", store.run_ids(), model.run_ids())
    same("reads", "other_streams()", store.other_streams(), model.other_streams())
    return found


def same_window(
    store: Store, model: Model, stream: str, after: int, upto: int | None, limit: int | None
) -> None:
    """A window of a stream is as the model says."""
    expected = model.streams.get(stream, [])[after:upto]
    if limit is not None:
        expected = expected[:limit]
    found = store.read(stream, after=after, upto=upto, limit=limit)
    asked = f"read({stream!r}, after={after}, upto={upto}, limit={limit})"
    versions = [after + n + 1 for n in range(len(expected))]
    same("reads", asked, [fact.version for fact in found], versions)
    same_facts(asked, stream, found, expected, after + 1)


def same_index(store: Store, model: Model, moments: Sequence[int]) -> None:
    """Every lookup answers what the model says."""
    rows = model.list_runs()
    same("index", "list_runs()", store.list_runs(), rows)
    same("index", "list_runs(limit=1)", store.list_runs(limit=1), rows[:1])
    for newest in rows[:1]:
        asked = f"list_runs(before={newest.run_id!r})"
        same("index", asked, store.list_runs(before=newest.run_id), rows[1:])
    for run_id in [*model.streams, _NOBODY]:
        row = store.run_row(run_id)
        same("index", f"run_row({run_id!r})", row, model.rows.get(run_id))
        if row is not None and not (type(row.parked) is bool and type(row.owes) is bool):
            raise StoreConformanceError("index", f"run_row({run_id!r}) has truths that are no bool")
    for scope in ("k", "l", "vk", "none"):
        same("keys", f"key_binding({scope!r})", store.key_binding(scope), model.keys.get(scope))
    for chain in ("a", "b", "a.1"):
        _same_last(store, model, chain)
    same("index", "runnable()", store.runnable(), model.runnable())
    same("index", "suspended()", store.suspended(), model.suspended())
    same("index", "owing()", store.owing(), model.owing())
    for before in (3, 4):
        same("index", f"ended({before})", store.ended(before), model.ended(before))
    for now in moments:
        _same_wakes(store, model, now)


def _same_last(store: Store, model: Model, chain: str) -> None:
    found, expected = store.last_of_chain(chain), model.lasts_of_chain(chain)
    if found not in expected and (found is not None or expected):
        raise StoreConformanceError(
            "index", f"last_of_chain({chain!r}) answered {found}; expected was one of {expected}."
        )


def _same_wakes(store: Store, model: Model, now: int) -> None:
    wakes = model.wakes()
    due = [run_id for wake_at, run_id in wakes if wake_at <= now]
    found = store.due(now)
    if model.volatile:  # of two logs side by side, each is in order
        same("index", f"due({now}), sorted,", sorted(found), sorted(due))
    else:
        same("index", f"due({now})", found, due)
    later = next((wake_at for wake_at, _ in wakes if wake_at > now), None)
    same("index", f"next_wake({now})", store.next_wake(now), later)


def same_list(
    store: Store,
    model: Model,
    *,
    status: str | None,
    component: str | None,
    parent_run_id: str | None,
    limit: int,
    before: str | None,
) -> None:
    """A list of runs is as the model says."""
    found: list[RunRow] = store.list_runs(
        status=status,
        component=component,
        parent_run_id=parent_run_id,
        limit=limit,
        before=before,
    )
    expected = model.list_runs(status, component, parent_run_id, limit, before)
    asked = (
        f"list_runs(status={status!r}, component={component!r}, parent_run_id={parent_run_id!r}, "
        f"limit={limit}, before={before!r})"
    )
    same("index", asked, [row.run_id for row in found], [row.run_id for row in expected])
    same("index", asked, found, expected)


def seen_in_flight(store: Store, model: Model, pending: Sequence[Append]) -> None:
    """While appends are under way, a reader sees each of them whole or not at all."""
    streams = {append.stream for append in pending}
    streams |= {append.begins.stream for append in pending if append.begins is not None}
    for stream, facts in store.read_many(sorted(streams)).items():
        before = [fact.event_id for fact in model.streams.get(stream, ())]
        ids = [fact.event_id for fact in facts]
        same("durable", f"read_many() of {stream!r}, begun,", ids[: len(before)], before)
        _whole_appends(stream, ids[len(before) :], pending)


def _whole_appends(stream: str, rest: list[str], pending: Sequence[Append]) -> None:
    parts = [part for append in pending for part in (append, append.begins) if part is not None]
    for append in parts:
        ids = [fact.event_id for fact in append.facts]
        if append.stream == stream and ids and rest[:1] == ids[:1]:
            if rest[: len(ids)] != ids:
                raise StoreConformanceError(
                    "atomic", f"Of an append with the facts {ids} a reader saw only {rest}."
                )
            rest = rest[len(ids) :]
    if rest:
        raise StoreConformanceError(
            "reads", f"A reader of {stream!r} saw {rest}, which nobody has appended there."
        )


def same_query(store: Store, model: Model, query: EventQuery, limit: int, by: str | None) -> None:
    """What is asked of the whole log is answered as its facts and the model's rows say."""
    every = [fact for facts in same_streams(store, model).values() for fact in facts]
    every.sort(key=lambda fact: fact.position, reverse=query.backward)
    found = [fact for fact in every if matches(query, fact, model.rows.get(fact.stream))]
    same("index", f"query({query}, limit={limit})", store.query(query, limit), found[:limit])
    groups = Counter(
        None if by is None else group_of(by, fact, model.rows.get(fact.stream)) for fact in found
    )
    # Whether a group without facts is told is left to the store.
    counted = {group: number for group, number in store.count(query, by).items() if number}
    same("index", f"count({query}, by={by!r})", counted, dict(groups))
