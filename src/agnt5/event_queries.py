"""The desk for those who ask of the whole log. Lives on the runtime's loop; reads on threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from agnt5.answers import events_of
from agnt5.events.codec import topics_of
from agnt5.events.log import EventLog, StoredFact
from agnt5.events.query import GROUPS, EventQuery
from agnt5.events.run import facts as f
from agnt5.events.shredded import decode_shown
from agnt5.events.vocabulary import kinds_of, public_events
from agnt5.exceptions import InvalidInputError, RuntimeClosedError
from agnt5.names import check_word
from agnt5.responses import Event
from agnt5.run_lists import check_kind, check_status
from agnt5.runs import Runs

_FIRST_PAGE, _LARGEST_PAGE = 64, 2048
"""Facts read at a time: few at first, for whoever looks at the first ones only."""
_REMEMBERED = 10_000
"""Runs of which a reader keeps what it has learnt."""


class EventFilters(TypedDict, total=False):
    """Which events; all conditions that are given must hold."""

    run_id: str | Iterable[str] | None
    """One run, or several."""
    component: str | None
    """Of runs of this function or workflow."""
    kind: str | None
    """Of runs of this kind: ``"function"`` or ``"workflow"``."""
    status: str | None
    """Of runs with this status now, such as ``"failed"``."""
    session_id: str | None
    user_id: str | None
    idempotency_key: str | None
    event_types: str | Iterable[str] | None
    """Public types, such as ``"approval.resolved"``; not for counts."""
    topics: str | Iterable[str] | None
    """Kinds of facts, such as ``"UserReplied"``."""
    step: str | None
    """Of calls of this name; the engine's question about a step is of that step."""
    actor: str | None
    """Answers that this person gave."""
    since: datetime | None
    """Recorded at this time or later; with a time zone."""
    until: datetime | None
    """Recorded before this time; with a time zone."""


@dataclass(frozen=True)
class Asked:
    """What a client asks to read."""

    filters: EventFilters
    after: int | Event | None = None
    backward: bool = False
    follow: bool = False


class EventFeed:
    """Reads on through the log, in portions."""

    def __init__(self, runs: Runs, asked: Asked, query: EventQuery) -> None:
        self._runs = runs
        self._asked = asked
        self._query = query
        self._types = _several(asked.filters, "event_types")
        self._size = _FIRST_PAGE
        self._over = False
        self._seen = asked.after if isinstance(asked.after, Event) else None
        self._teller = _Teller(runs.bus.log)
        self._news = asyncio.Event()
        if asked.follow:
            runs.bus.journal.followers.add(self._news)

    async def take(self) -> list[Event]:
        """The next portion, as soon as there is one; empty at the end.

        Raises:
            RuntimeClosedError: When the runtime closes.
            StoreError: When the log cannot be read.
        """
        while not self._over:
            self._news.clear()
            is_last, events = await self._portion()
            if is_last and not self._asked.follow:
                self._over = True
            if events:
                return events
            if is_last and self._asked.follow:
                _ = self._runs.bus  # closed in the meantime: then nobody would wake us
                await self._news.wait()
        return []

    async def close(self) -> None:
        """Read no more."""
        self._over = True
        with suppress(RuntimeClosedError):
            self._runs.bus.journal.followers.discard(self._news)

    async def _portion(self) -> tuple[bool, list[Event]]:
        log, query, size = self._runs.bus.log, self._query, self._size
        if self._asked.follow:
            query = replace(query, upto=await self._runs.look(log.position))
        stored = await self._runs.look(log.query, query, size)
        is_last = len(stored) < size
        if query.backward:
            upto = 0 if is_last else stored[-1].position - 1
            self._query = replace(query, upto=upto)
        else:
            # Also when nothing was found: what was looked through is not looked through again.
            self._query = replace(
                query, after=(query.upto or 0) if is_last else stored[-1].position
            )
        self._size = min(size * 2, _LARGEST_PAGE)
        events = await self._runs.look(self._teller.tell, stored)
        if query.backward:
            events.reverse()
        return is_last, self._wanted(events)

    def _wanted(self, events: list[Event]) -> list[Event]:
        seen, types = self._seen, self._types
        if seen is not None and events:
            self._seen, ids = None, [event.id for event in events]
            if seen.id in ids:
                del events[: ids.index(seen.id) + 1]
        if types is None:
            return events
        return [event for event in events if event.event_type in types]


class _Teller:
    """Says facts in the public vocabulary, as ``get_events`` does for whole runs."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._runs: dict[str, tuple[str, str | None]] = {}
        """The kind and the trace of each run."""
        self._functions: dict[str, dict[str, str | None]] = {}

    def tell(self, stored: Sequence[StoredFact]) -> list[Event]:
        """The events of facts, in the order of the log; reads what else it must know."""
        if len(self._runs) > _REMEMBERED:
            self._runs.clear()
            self._functions.clear()
        facts = [(origin, decode_shown(origin)) for origin in stored]
        facts.sort(key=lambda pair: pair[0].position)
        self._learn(facts)
        events: list[Event] = []
        for origin, fact in facts:
            functions = self._functions.setdefault(origin.stream, {})
            kind, trace_id = self._run(origin.stream)
            (told,) = public_events(kind, [fact], functions)
            for event in events_of(origin, told, trace_id):
                event.metadata["position"] = origin.position
                events.append(event)
        return events

    def _run(self, run_id: str) -> tuple[str, str | None]:
        known = self._runs.get(run_id)
        if known is None:
            row = self._log.run_row(run_id)
            known = ("workflow", None) if row is None else (row.kind, row.trace_id)
            self._runs[run_id] = known
        return known

    def _learn(self, facts: Sequence[tuple[StoredFact, f.RunFact]]) -> None:
        """Of outcomes, whether their steps were functions: their requests say so."""
        missing: dict[str, None] = {}
        for origin, fact in facts:
            if isinstance(fact, f.StepScheduled):
                self._functions.setdefault(origin.stream, {})[fact.key] = fact.function
            if isinstance(fact, f.StepCompleted | f.StepFailed):
                known = self._functions.get(origin.stream, {})
                if fact.key not in known and self._run(origin.stream)[0] == "workflow":
                    missing[origin.stream] = None
        query = EventQuery(run_ids=tuple(missing), topics=topics_of([f.StepScheduled.topic]))
        while missing:
            page = self._log.query(query, _LARGEST_PAGE)
            for origin in page:
                fact = decode_shown(origin)
                if isinstance(fact, f.StepScheduled):
                    self._functions.setdefault(origin.stream, {})[fact.key] = fact.function
            if len(page) < _LARGEST_PAGE:
                break
            query = replace(query, after=page[-1].position)


class EventQueries:
    """Opens feeds, and counts."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def open(self, asked: Asked) -> EventFeed:
        """Begin to read.

        Raises:
            InvalidInputError: When something is wrong with what is asked.
        """
        for name in ("backward", "follow"):
            if not isinstance(getattr(asked, name), bool):
                msg = f"{name} is True or False, not {getattr(asked, name)!r}"
                raise InvalidInputError(msg)
        if asked.follow and (asked.backward or asked.filters.get("status") is not None):
            msg = (
                "follow=True waits for what comes, so it cannot read backward, and cannot filter"
                " by the status of runs, which changes while it waits"
            )
            raise InvalidInputError(msg)
        query = _query(asked.filters)
        place = _place(asked.after)
        tail = await self._runs.look(self._runs.bus.log.position)
        if asked.backward:
            # Of a fact whose events were seen in part, the others come first.
            is_event = isinstance(asked.after, Event)
            upto = tail if place is None else min(tail, place if is_event else place - 1)
            query = replace(query, backward=True, upto=max(0, upto))
        else:
            behind = (place or 0) - isinstance(asked.after, Event)
            query = replace(query, after=max(0, behind), upto=tail)
        return EventFeed(self._runs, asked, query)

    async def count(self, filters: EventFilters, by: str | None) -> dict[str | None, int]:
        """How many facts, by one of the groups.

        Raises:
            InvalidInputError: When something is wrong with what is asked.
        """
        if by is not None and by not in GROUPS:
            msg = f"events are counted by one of {', '.join(GROUPS)}, not by {by!r}"
            raise InvalidInputError(msg)
        if filters.get("event_types") is not None:
            msg = (
                "facts are counted, and one may be several events: count by topics, such as"
                " topics='UserReplied', instead of event_types"
            )
            raise InvalidInputError(msg)
        query = _query(filters)
        found = await self._runs.look(self._runs.bus.log.count, query, by)
        if by != "topic":
            return found
        counts: dict[str | None, int] = {}
        for topic, number in found.items():
            name = (topic or "").partition(";v=")[0]
            counts[name] = counts.get(name, 0) + number
        return counts


_WORDS = (
    "component",
    "kind",
    "status",
    "session_id",
    "user_id",
    "idempotency_key",
    "step",
    "actor",
)


def _query(filters: EventFilters) -> EventQuery:
    given: dict[str, Any] = dict(filters)
    unknown = sorted(set(given) - set(EventFilters.__annotations__))
    if unknown:
        known = ", ".join(EventFilters.__annotations__)
        raise InvalidInputError(f"there is no filter {unknown[0]!r}; the filters are {known}")
    for name in _WORDS:
        check_word(given.get(name), name)
    check_status(given.get("status"))
    check_kind(given.get("kind"))
    query = EventQuery(
        component=given.get("component"),
        kind=given.get("kind"),
        status=given.get("status"),
        session_id=given.get("session_id"),
        user_id=given.get("user_id"),
        idempotency_key=given.get("idempotency_key"),
        step=given.get("step"),
        actor=given.get("actor"),
        since=_time(given, "since"),
        until=_time(given, "until"),
        run_ids=_several(filters, "run_id"),
    )
    types, topics = _several(filters, "event_types"), _several(filters, "topics")
    try:
        names = None if topics is None else set(topics_of(topics))
    except LookupError as error:
        msg = f"no fact of a run is a {error.args[0]!r}; docs/reference/events.md lists the kinds"
        raise InvalidInputError(msg) from None
    if types is not None:
        ours = set(topics_of(kind for each in types for kind in kinds_of(each)))
        names = ours if names is None else names & ours
    return query if names is None else replace(query, topics=tuple(sorted(names)))


def _several(filters: EventFilters, name: str) -> tuple[str, ...] | None:
    given: Any = filters.get(name)
    if given is None:
        return None
    if not isinstance(given, Iterable):
        raise InvalidInputError(f"{name} is a text or several, not {given!r}")
    several: list[str] = []
    each: Any
    for each in [given] if isinstance(given, str) else given:
        if not isinstance(each, str):
            raise InvalidInputError(f"{name} is a text or several, not one with {each!r}")
        check_word(each, name)
        several.append(each)
    return tuple(several)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _time(given: dict[str, Any], name: str) -> int | None:
    time = given.get(name)
    if time is None:
        return None
    if not isinstance(time, datetime) or time.tzinfo is None:
        msg = f"{name} is a datetime with a time zone, such as datetime.now(UTC), not {time!r}"
        raise InvalidInputError(msg)
    return (time - _EPOCH) // timedelta(microseconds=1)


def _place(after: object) -> int | None:
    place: Any = after.metadata.get("position") if isinstance(after, Event) else after
    if after is None or (isinstance(place, int) and not isinstance(place, bool) and place >= 0):
        return None if after is None else int(place)
    msg = (
        "after takes an event that client.events gave, or its metadata['position'], a number"
        f" that is not negative; not {after!r}"
    )
    raise InvalidInputError(msg)
