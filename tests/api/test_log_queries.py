"""Whatever is asked of the log equals the same filter over all that the runs say one by one."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.audited import PEOPLE, Plan, components, plans, play
from tests.events.golden_facts import GOLDEN

from agnt5 import (
    AsyncClient,
    Client,
    Event,
    FunctionRegistry,
    InvalidInputError,
    Runtime,
    RuntimeClosedError,
    WorkflowContext,
    WorkflowRegistry,
    event_queries,
    workflow,
)
from agnt5.events.codec import decode_fact
from agnt5.events.keys import batch_branch, chosen_key, name_of, operation_key, recovery_key
from agnt5.events.run.facts import RUN_FACTS
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.vocabulary import kinds_of, public_events

Said = tuple[Event, Any, Any, Any]
"""An event, the stored fact it comes from, the row of its run and the run's first fact."""


def fresh() -> None:
    for registry in (FunctionRegistry, WorkflowRegistry):
        registry.clear()
    components()


async def everything(client: AsyncClient, runtime: Runtime) -> list[Said]:
    """Every event in the order of the log, with its fact, the row of its run and its key."""
    log = runtime._log
    found = []
    for run_id in log.run_ids():
        by_version = {each.version: each for each in log.read(run_id)}
        queued = decode_fact(by_version[1])
        for n, event in enumerate(await client.get_events(run_id)):
            origin = by_version[event.metadata["version"]]
            event.metadata["position"] = origin.position
            found.append((origin.position, n, (event, origin, log.run_row(run_id), queued)))
    return [each[2] for each in sorted(found, key=lambda each: each[:2])]


def is_wanted(filters: dict[str, Any], event: Event, origin: Any, row: Any, queued: Any) -> bool:
    fact = decode_fact(origin)
    key = event.step_key or getattr(fact, "key", None)
    found = {
        "run_id": event.run_id,
        "component": queued.component,
        "kind": queued.kind,
        "status": row.status,
        "session_id": queued.session_id,
        "user_id": queued.user_id,
        "idempotency_key": queued.idempotency_key,
        "event_types": event.event_type,
        "topics": fact.topic,
        "actor": getattr(fact, "actor", None),
    }
    for name, wanted in filters.items():
        if name == "since" and event.created_at < wanted:
            return False
        if name == "until" and event.created_at >= wanted:
            return False
        if name == "step" and (key is None or f"{wanted}#" not in key.partition(":")[2] + "#"):
            return False
        if name in found and found[name] not in ([wanted] if isinstance(wanted, str) else wanted):
            return False
    return True


def chosen_filters(every: list[Said], chance: random.Random) -> dict[str, Any]:
    """Conditions that hold for some events or for none."""
    times = [each[0].created_at for each in every]
    known: dict[str, list[Any]] = {
        "run_id": [*{each[0].run_id: None for each in every}, "none"],
        "component": ["mixed", "leaf", "none"],
        "kind": ["workflow", "function"],
        "status": ["completed", "failed", "cancelled", "awaiting_user_input"],
        "user_id": list(PEOPLE),
        "idempotency_key": ["k'1", "k2"],
        "event_types": [*sorted({each[0].event_type for each in every}), "custom.type"],
        "topics": [*sorted({decode_fact(each[1]).topic for each in every}), "UserReplied"],
        "step": ["pay", "flaky", "inline", "sleep", "signal:go", "none"],
        "actor": [*PEOPLE, "eve"],
        "since": [*times, max(times) + timedelta(microseconds=1)],
        "until": [*times, max(times) + timedelta(microseconds=1)],
    }
    filters: dict[str, Any] = {}
    for name in chance.sample(sorted(known), chance.choice([0, 1, 1, 1, 2, 2, 3])):
        several = name in ("run_id", "event_types", "topics") and chance.random() < 0.5
        some = chance.sample(known[name], min(len(known[name]), chance.randint(0, 4)))
        filters[name] = some if several else chance.choice(known[name])
    return filters


async def told(events: Any) -> list[Event]:
    return [event async for event in events]


async def compare(runtime: Runtime, wanted: list[Plan], chance: random.Random) -> None:
    client = AsyncClient(runtime=runtime)
    following = asyncio.ensure_future(told_until_last(client))
    await asyncio.gather(*(play(runtime, plan) for plan in wanted))
    last = await play(runtime, Plan((), "finish", user="last"))
    followed = await asyncio.wait_for(following, 15)
    every = await everything(client, runtime)
    whole = [each[0] for each in every]
    assert followed == whole
    assert whole[-1].run_id == last
    for _ in range(12):
        filters = chosen_filters(every, chance)
        expected = [each[0] for each in every if is_wanted(filters, *each)]
        assert await told(client.events(**filters)) == expected, filters
        assert await told(client.events(**filters, backward=True)) == expected[::-1], filters
        for event in expected[:: max(1, len(expected) // 3)]:
            n = expected.index(event)
            assert await told(client.events(**filters, after=event)) == expected[n + 1 :]
            rest = await told(client.events(**filters, after=event, backward=True))
            assert rest == expected[:n][::-1]
            place = event.metadata["position"]
            behind = [each for each in expected if each.metadata["position"] > place]
            assert await told(client.events(**filters, after=place)) == behind
        await compare_counts(client, every, filters)


async def compare_counts(client: AsyncClient, every: list[Any], filters: dict[str, Any]) -> None:
    filters.pop("event_types", None)
    facts = {each[1].position: each for each in every if is_wanted(filters, *each)}
    assert await client.count_events(**filters) == len(facts)
    groups = {
        "topic": lambda each: each[1].topic,
        "run_id": lambda each: each[0].run_id,
        "component": lambda each: each[3].component,
        "kind": lambda each: each[3].kind,
        "status": lambda each: each[2].status,
        "user_id": lambda each: each[3].user_id,
        "session_id": lambda each: each[3].session_id,
        "version_label": lambda each: each[3].version_label,
        "day": lambda each: f"{each[0].created_at:%Y-%m-%d}",
    }
    assert set(groups) == set(event_queries.GROUPS)
    for name, group in groups.items():
        expected = Counter(group(each) for each in facts.values())
        assert await client.count_events_by(name, **filters) == expected, name


async def told_until_last(client: AsyncClient) -> list[Event]:
    """All that is told live, to the end of the run of the user ``last``."""
    found: list[Event] = []
    last: str | None = None
    async for event in client.events(follow=True):
        found.append(event)
        if event.event_type == "run.queued":
            is_last = client.runtime._log.run_row(event.run_id).user_id == "last"
            last = event.run_id if is_last else last
        if event.event_type == "run.completed" and event.run_id == last:
            break
    return found


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=15)
@given(wanted=plans, seed=st.integers(0, 2**32), size=st.sampled_from([1, 2, 3, 7, 64]))
def test_any_query_equals_the_same_filter_over_everything(kind, wanted, seed, size):
    fresh()

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = MemoryLog() if kind == "memory" else f"sqlite:///{Path(folder, 'store.db')}"
            async with Runtime(store) as runtime:
                await compare(runtime, wanted, random.Random(seed))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(event_queries, "_FIRST_PAGE", size)
        patched.setattr(event_queries, "_LARGEST_PAGE", max(size, 2))
        asyncio.run(main())


async def test_who_follows_is_told_once_and_costs_nothing_while_nothing_happens(store, monkeypatch):
    """Neither a query nor a timer, until something is durable; a close ends it."""
    components()
    asked = 0

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        look = runtime.runs.look

        async def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            return await look(*args, **kwargs)

        monkeypatch.setattr(runtime.runs, "look", counted)
        found: list[str] = []

        async def follow() -> None:
            async for event in client.events(follow=True, event_types="run.completed"):
                found.append(event.run_id)

        following = asyncio.ensure_future(follow())
        first = await play(runtime, Plan(("pay",), "finish"))
        async with asyncio.timeout(10):
            while found != [first]:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        before = asked
        await asyncio.sleep(0.3)
        assert asked == before
        second = await play(runtime, Plan((), "finish"))
        async with asyncio.timeout(10):
            while found != [first, second]:
                await asyncio.sleep(0.005)
    with pytest.raises(RuntimeClosedError):
        await asyncio.wait_for(following, 10)


async def test_a_follower_that_leaves_is_forgotten(store):
    components()
    async with Runtime(store) as runtime:
        events = AsyncClient(runtime=runtime).events(follow=True)
        await play(runtime, Plan((), "finish"))
        assert (await anext(events)).event_type == "run.queued"
        assert len(runtime._bus.journal.followers) == 1
        await events.aclose()
        assert not runtime._bus.journal.followers


def test_from_ordinary_code(file_store):
    components()
    client = Client(store=file_store)
    given = {"ops": ["pay", "inline"], "numbers": [1, 2], "end": "finish"}
    response = client.run("mixed", given, "workflow", user_id="ada")
    whole = list(client.events())
    assert [each.id for each in whole] == [each.id for each in client.get_events(response.run_id)]
    assert list(client.events(backward=True)) == whole[::-1]
    step, function = "workflow.step.completed", "function.completed"
    outcomes = [each.event_type for each in client.events(topics="StepCompleted")]
    assert outcomes == [function, step, step]  # an inline step is no function
    following = client.events(follow=True, event_types=["run.completed"])
    assert next(following).run_id == response.run_id
    following.close()
    assert list(following) == []
    assert client.count_events(run_id=response.run_id, topics="StepCompleted") == 2
    assert client.count_events_by("user_id")["ada"] == client.count_events()
    client.runtime.call(client.runtime.aclose)


async def test_a_run_in_memory_only_is_not_part_of_a_durable_log(file_store):
    components()

    @workflow(enable_durability=False)
    async def fleeting(ctx: WorkflowContext) -> int:
        return 1

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        kept = await play(runtime, Plan((), "finish"))
        assert (await client.run("fleeting", {}, "workflow", timeout=15)).is_success
        assert {each.run_id for each in await told(client.events())} == {kept}
        assert await client.count_events_by("component") == {"mixed": 3}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"nonsense": "x"}, "there is no filter 'nonsense'"),
        ({"run_id": 7}, "run_id is a text"),
        ({"run_id": ["a", 7]}, "not one with 7"),
        ({"component": 7}, "component"),
        ({"kind": "flow"}, "one of function, workflow"),
        ({"topics": "StepDone"}, "'StepDone'"),
        ({"topics": "EntitySnapshot"}, "'EntitySnapshot'"),
        ({"since": datetime(2020, 1, 1)}, "time zone"),
        ({"until": 3}, "time zone"),
        ({"after": -1}, "after takes"),
        ({"after": True}, "after takes"),
        ({"after": Event("1", "run.queued", "r")}, "after takes"),
        ({"follow": 1}, "follow is True or False"),
        ({"follow": True, "backward": True}, "cannot read backward"),
        ({"follow": True, "status": "failed"}, "cannot filter"),
    ],
)
async def test_what_cannot_be_asked(store, asked, says):
    async with Runtime(store) as runtime:
        with pytest.raises(InvalidInputError, match=says):
            await told(AsyncClient(runtime=runtime).events(**asked))


async def test_what_cannot_be_counted(store):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(InvalidInputError, match="not by 'event_type'"):
            await client.count_events_by("event_type")
        with pytest.raises(InvalidInputError, match="count by topics"):
            await client.count_events(event_types="run.completed")
        assert await client.count_events() == 0
        assert await client.count_events_by("day") == {}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_type_is_looked_for_where_it_may_come_from(name):
    for fact in GOLDEN[name]:
        if type(fact) in RUN_FACTS:
            for kind in ("function", "workflow"):
                for functions in ({}, {fact.key: "f"} if hasattr(fact, "key") else {}):
                    (events,) = public_events(kind, [fact], dict(functions))
                    assert all(fact.topic in kinds_of(each.event_type) for each in events)


NAMES = st.text("ab:>%@!é#/0", min_size=1, max_size=6)
BRANCHES = st.sampled_from(["", "/0", "/1/20", ":out%3E#0>", "/2:x#1>/3", "!u%2F1", "!u/0"])


@given(BRANCHES, NAMES.filter(lambda name: "@" not in name), st.integers(0, 12))
def test_the_name_of_a_call_is_in_its_key(branch, name, n):
    key = operation_key(branch, name, n)
    assert name_of(key) == name
    assert name_of(recovery_key(key, 1)) == name
    assert name_of(operation_key(batch_branch(branch, name, 2), name, n)) == name
    plain = name.replace(":", ".")
    assert name_of(chosen_key(branch, plain, "order:7#1>2")) == plain
