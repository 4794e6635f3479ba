"""``ctx.batch`` and ``ctx.map``: what they take, what they give, what they refuse."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import run_workflow, twice, until

from agnt5 import (
    AsyncClient,
    BatchError,
    BatchItemInput,
    FunctionContext,
    Runtime,
    function,
    workflow,
)


@pytest.fixture
def double():
    @function
    async def double(value: int) -> int:
        if value < 0:
            raise ValueError(f"{value} is negative")
        return 2 * value

    return double


async def test_results_come_in_the_order_of_the_items_and_are_counted(store, double):
    live, replayed = await twice(store, lambda ctx: ctx.batch(double, [3, -1, 5], 2))
    assert live == replayed
    assert live.outputs == [6, None, 10]
    assert live.successful_outputs() == [6, 10]
    assert live.status == "partial_failure"
    assert live.is_partial_failure
    assert not live.is_success
    (failed,) = live.failed_items()
    assert (failed.index, str(failed.error)) == (1, "EXECUTION_ERROR: ValueError: -1 is negative")
    stats = live.stats
    assert (stats.total_items, stats.completed_items, stats.failed_items) == (3, 2, 1)
    assert [each.run_id for each in live.results] == [
        f"/batch:double@0:double#{n}" for n in range(3)
    ]
    assert live.batch_id == replayed.batch_id
    assert all(each.duration_ms >= 0 and each.started_at.tzinfo for each in live.results)


async def test_two_batches_in_one_run_have_ids_of_their_own(double):
    live = await _both(double)
    assert live[0].batch_id != live[1].batch_id
    assert [each.outputs for each in live] == [[2], [4]]


async def _both(double):
    found = []

    @workflow
    async def both(ctx):
        found.extend(await ctx.parallel(ctx.batch(double, [1]), ctx.batch(double, [2])))

    await run_workflow("memory://", "both")
    return found


async def test_shapes_of_items(store):
    @function
    async def shown(ctx: FunctionContext, a, b=0):
        return [a, b]

    @function
    async def takes_input(input, index=0):
        return [input, index]

    async def body(ctx):
        first = await ctx.batch(
            shown,
            [
                {"a": 1, "b": 2},
                {"c": 1},
                "text",
                BatchItemInput({"a": 5}, 10, "five"),
                {"input": 6, "item_id": "six", "index": 20, "metadata": {"x": 1}},
            ],
        )
        second = await ctx.batch(takes_input, [{"input": 1, "index": 2}])
        return first, second

    (first, second), replayed = await twice(store, body)
    assert (first, second) == replayed
    assert [r.output for r in first.results] == [[1, 2], [{"c": 1}, 0], ["text", 0], [5, 0], [6, 0]]
    assert [(r.index, r.item_id) for r in first.results[3:]] == [(10, "five"), (20, "six")]
    assert second.outputs == [[1, 2]]


async def test_never_more_at_once_than_asked_for(store):
    now, most = 0, 0

    @function
    async def busy(n: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return n

    @workflow
    async def many(ctx):
        return await ctx.map(busy, range(20), max_concurrency=3)

    response = await run_workflow(store, "many")
    assert response.output == list(range(20))
    assert most == 3


async def test_map_raises_if_any_item_failed_and_begins_no_more(store, double):
    seen = {}

    @workflow
    async def strict(ctx):
        try:
            await ctx.map(double, [1, -1, 3, 4], max_concurrency=1)
        except BatchError as error:
            seen["error"] = error
            raise

    response = await run_workflow(store, "strict")
    assert response.error.code == "BATCH_FAILED"
    result = seen["error"].batch_result
    assert [each.status for each in result.results] == ["completed", "failed"] + ["cancelled"] * 2
    assert result.stats.cancelled_items == 2
    assert "item 1: EXECUTION_ERROR: ValueError: -1 is negative" in str(seen["error"])


async def test_a_workflow_is_a_child_step_for_each_item(store, double):
    @workflow
    async def quadruple(ctx, value):
        return await ctx.step(double, await ctx.step(double, value))

    live, replayed = await twice(store, lambda ctx: ctx.map(quadruple, [1, 2]))
    assert live == replayed == [4, 8]


async def test_the_timeout_of_an_item(store):
    @function
    async def slow(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def body(ctx):
        given = [0.0, 30.0, {"input": 0.0, "timeout_ms": 60_000}]
        return await ctx.batch(slow, given, timeout_per_item=0.05)

    live, replayed = await twice(store, body)
    assert live == replayed
    assert [each.status for each in live.results] == ["completed", "failed", "completed"]
    assert live.results[1].error.code == "TIMEOUT"


async def test_an_empty_batch_is_complete(store, double):
    live, replayed = await twice(store, lambda ctx: ctx.batch(double, []))
    assert live == replayed
    assert (live.status, live.results, live.stats.total_items) == ("completed", [], 0)


async def test_giving_a_batch_up_gives_its_items_up(store):
    began = []

    @function
    async def stuck(n: int) -> None:
        began.append(n)
        await asyncio.sleep(60)

    @workflow
    async def impatient(ctx):
        call = ctx.batch(stuck, [1, 2, 3], max_concurrency=2)
        await ctx.step("look", until(lambda: len(began) == 2))
        call.cancel()
        return "gave up"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("impatient", {}, "workflow", timeout=15)
        assert response.output == "gave up"
        types = [e.event_type for e in await client.get_events(response.run_id)]
    assert types.count("operation.cancelled") == 2
    assert began == [1, 2]


BAD = {
    "a function that is not decorated": lambda ctx, f: ctx.batch(len, [1]),
    "a name that nobody has": lambda ctx, f: ctx.batch("nobody", [1]),
    "no items": lambda ctx, f: ctx.batch(f, None),
    "a text": lambda ctx, f: ctx.batch(f, "abc"),
    "a set, which has no order": lambda ctx, f: ctx.batch(f, {1, 2}),
    "a dict": lambda ctx, f: ctx.map(f, {"a": 1}),
    "no slots": lambda ctx, f: ctx.batch(f, [1], 0),
    "slots in words": lambda ctx, f: ctx.batch(f, [1], "2"),
    "true slots": lambda ctx, f: ctx.batch(f, [1], True),
    "a word for go on": lambda ctx, f: ctx.batch(f, [1], 2, "yes"),
    "no time": lambda ctx, f: ctx.batch(f, [1], timeout_per_item=0),
    "negative time": lambda ctx, f: ctx.batch(f, [1], timeout_per_item=-1),
    "an item's time": lambda ctx, f: ctx.batch(f, [{"input": 1, "timeout_ms": 0}]),
    "an item's index": lambda ctx, f: ctx.batch(f, [BatchItemInput(1, index="a")]),
    "an item's id": lambda ctx, f: ctx.batch(f, [BatchItemInput(1, item_id=7)]),
}


async def test_bad_input_is_refused_before_anything_begins(double):
    @function
    async def pair(a, b):
        return [a, b]

    errors = {}

    @workflow
    async def wrong(ctx):
        for name, call in BAD.items():
            with pytest.raises(ValueError) as caught:
                call(ctx, double)
            errors[name] = str(caught.value)
        with pytest.raises(TypeError, match="item 1 of the batch does not fit"):
            ctx.batch(pair, [{"a": 1, "b": 2}, {"a": 1}])
        return "fine"

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("wrong", {}, "workflow", timeout=15)
        assert response.output == "fine", response.error
        assert set(errors) == set(BAD)
        types = {event.event_type for event in await client.get_events(response.run_id)}
    assert not [each for each in types if "step" in each]


async def test_an_item_that_is_too_large_is_refused_before_anything_begins(double):
    @workflow
    async def large(ctx):
        await ctx.batch(double, [1, "x" * 10_000])

    response = await run_workflow("memory://", "large", max_payload_bytes=2000)
    assert response.error.code == "PAYLOAD_TOO_LARGE"
    assert "item 1 of a batch" in str(response.error)
