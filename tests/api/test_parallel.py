"""Branches: every way of asyncio to wait for several steps, the same live and on replay."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest
from tests.api.helpers import run_workflow, twice

from agnt5 import AsyncClient, Runtime, function, workflow


@pytest.fixture
def calls():
    """What was executed."""
    return []


@pytest.fixture
def work(calls):
    """A function that takes its time."""

    @function
    async def work(value, turns=1):
        calls.append(value)
        for _ in range(turns):
            await asyncio.sleep(0)
        return value

    return work


async def raw(calls, value):
    calls.append(value)
    await asyncio.sleep(0)
    return value


async def parallel_steps(ctx, work, calls):
    return await ctx.parallel(*(ctx.step(work, n, 5 - n) for n in range(5)))


async def parallel_raw(ctx, work, calls):
    return await ctx.parallel(*(raw(calls, n) for n in range(5)))


async def parallel_mixed(ctx, work, calls):
    return await ctx.parallel(
        ctx.step(work, 0), raw(calls, 1), ctx.task(work, 2), raw(calls, 3), ctx.step(work, 4)
    )


async def parallel_nested(ctx, work, calls):
    first, second = await ctx.parallel(
        ctx.parallel(ctx.step(work, 0), ctx.step(work, 1)),
        ctx.parallel(ctx.step(work, 2), raw(calls, 3), raw(calls, 4)),
    )
    return [*first, *second]


async def gather_named(ctx, work, calls):
    found = await ctx.gather(a=ctx.step(work, 0), b=raw(calls, 1), c=ctx.step(work, 2))
    assert list(found) == ["a", "b", "c"]
    more = await ctx.gather(a=raw(calls, 3), b=raw(calls, 4))
    return [*found.values(), *more.values()]


async def asyncio_gather(ctx, work, calls):
    return await asyncio.gather(*(ctx.step(work, n, 5 - n) for n in range(5)))


async def asyncio_gather_of_branches(ctx, work, calls):
    async def branch(n):
        one = await ctx.step(work, n, n)
        two = await ctx.step(work, n + 10, 5 - n)
        assert two == one + 10
        return one

    return await asyncio.gather(*(branch(n) for n in range(5)))


async def asyncio_wait(ctx, work, calls):
    steps = [ctx.step(work, n, 5 - n) for n in range(5)]
    done, pending = await asyncio.wait(steps)
    assert not pending
    assert len(done) == 5
    return [step.result() for step in steps]


async def asyncio_wait_first(ctx, work, calls):
    steps = [ctx.step(work, n, 9 * n) for n in range(5)]
    done, pending = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
    assert done
    assert len(done) + len(pending) == 5
    return [await step for step in steps]


async def asyncio_as_completed(ctx, work, calls):
    steps = [ctx.step(work, n, 9 - 2 * n) for n in range(5)]
    return sorted([await each for each in asyncio.as_completed(steps)])


async def asyncio_task_group(ctx, work, calls):
    async def branch(n):
        return await ctx.step(work, n, 5 - n)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(branch(n)) for n in range(5)]
    return [task.result() for task in tasks]


async def asyncio_task_group_of_steps(ctx, work, calls):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ctx.step(work, n, 5 - n)) for n in range(5)]
    return [task.result() for task in tasks]


async def asyncio_create_task(ctx, work, calls):
    async def branch(n):
        return await ctx.step(work, n, 5 - n)

    tasks = [asyncio.create_task(branch(n)) for n in range(5)]
    return [await task for task in reversed(tasks)][::-1]


async def asyncio_ensure_future(ctx, work, calls):
    steps = [asyncio.ensure_future(ctx.step(work, n)) for n in range(5)]
    return [await step for step in steps]


async def asyncio_wait_for(ctx, work, calls):
    return [await asyncio.wait_for(ctx.step(work, n), 3600) for n in range(5)]


async def asyncio_shield(ctx, work, calls):
    return [await asyncio.shield(ctx.step(work, n)) for n in range(5)]


async def semaphores(ctx, work, calls):
    limit = asyncio.Semaphore(2)

    async def branch(n):
        async with limit:
            return await ctx.step(work, n, 5 - n)

    return await asyncio.gather(*(branch(n) for n in range(5)))


async def queues(ctx, work, calls):
    queue = asyncio.Queue()

    async def producer():
        for n in range(5):
            await queue.put(await ctx.step(work, n))

    async def consumer():
        return [await queue.get() for _ in range(5)]

    _, found = await asyncio.gather(producer(), consumer())
    return found


WAYS = [
    parallel_steps,
    parallel_raw,
    parallel_mixed,
    parallel_nested,
    gather_named,
    asyncio_gather,
    asyncio_gather_of_branches,
    asyncio_wait,
    asyncio_wait_first,
    asyncio_as_completed,
    asyncio_task_group,
    asyncio_task_group_of_steps,
    asyncio_create_task,
    asyncio_ensure_future,
    asyncio_wait_for,
    asyncio_shield,
    semaphores,
    queues,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_every_way_to_wait_for_several(store, work, calls, way):
    """The values in order, live and on replay, and each step executed once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        live, replayed = await twice(store, lambda ctx: way(ctx, work, calls))
        gc.collect()
    assert live == replayed == [0, 1, 2, 3, 4]
    assert len(calls) == len(set(calls))
    assert {0, 1, 2, 3, 4} <= set(calls)
    assert not [str(w.message) for w in caught]


async def test_empty(store):
    """Nothing to wait for: an empty list, an empty dict."""

    async def body(ctx):
        return await ctx.parallel(), await ctx.gather()

    live, replayed = await twice(store, body)
    assert live == replayed == ([], {})


async def test_the_order_of_completion_is_replayed(store):
    """What finished first live is first on replay, though nothing is executed any more."""
    gates = {n: asyncio.Event() for n in range(4)}

    @function
    async def gated(n):
        await gates[n].wait()
        following = {2: 0, 0: 3, 3: 1}.get(n)
        if following is not None:
            asyncio.get_running_loop().call_later(0.01, gates[following].set)
        return n

    async def body(ctx):
        order = []

        async def branch(n):
            order.append(await ctx.step(gated, n))

        await asyncio.gather(*(branch(n) for n in range(4)))
        return order

    gates[2].set()
    live, replayed = await twice(store, body)
    assert live == replayed == [2, 0, 3, 1]


async def test_a_race_has_the_same_winner_again(store):
    """``asyncio.wait(FIRST_COMPLETED)`` and cancelling the loser replay the same way."""
    gate = asyncio.Event()
    attempts = []

    @function
    async def fast():
        attempts.append("fast")
        return "fast"

    @function
    async def slow():
        attempts.append("slow")
        await gate.wait()
        return "slow"

    async def body(ctx):
        racers = {ctx.step(slow): "slow", ctx.step(fast): "fast"}
        done, pending = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        for loser in pending:
            loser.cancel()
        return [racers[winner] for winner in done]

    live, replayed = await twice(store, body)
    assert live == replayed == ["fast"]
    assert sorted(attempts) == ["fast", "slow"]


async def test_identities_follow_the_code_and_not_the_clock(store):
    """The reference's bug: two branches of two steps must not swap results on replay."""
    gates = {"A1": asyncio.Event(), "B1": asyncio.Event()}
    calls = []

    @function
    async def step(name):
        calls.append(name)
        if name == "A1":
            await gates["A1"].wait()
        if name == "B2":
            gates["A1"].set()
        return name

    async def body(ctx):
        async def branch(letter):
            return [await ctx.step(step, f"{letter}1"), await ctx.step(step, f"{letter}2")]

        return await asyncio.gather(branch("A"), branch("B"))

    live, replayed = await twice(store, body)
    assert live == replayed == [["A1", "A2"], ["B1", "B2"]]
    assert sorted(calls) == ["A1", "A2", "B1", "B2"]


async def test_the_first_error_is_raised_and_the_siblings_keep_running(store):
    """``ctx.parallel`` fails like ``asyncio.gather``; what else runs is still recorded."""
    gate = asyncio.Event()

    @function
    async def fails():
        raise LookupError("first")

    @function
    async def slow():
        await gate.wait()
        return "slow"

    async def body(ctx):
        sibling = ctx.step(slow)
        try:
            await ctx.parallel(sibling, ctx.step(fails))
        except LookupError as error:
            gate.set()
            return str(error), await sibling
        return None

    live, replayed = await twice(store, body)
    assert live == replayed == ("first", "slow")


async def test_gather_with_return_exceptions(store):
    """Errors as values, with their class, live and on replay."""

    @function
    async def check(n):
        if n % 2:
            raise ValueError(n)
        return n

    async def body(ctx):
        found = await asyncio.gather(
            *(ctx.step(check, n) for n in range(4)), return_exceptions=True
        )
        return [(type(e).__name__, e.args) if isinstance(e, Exception) else e for e in found]

    live, replayed = await twice(store, body)
    assert live == replayed == [0, ("ValueError", (1,)), 2, ("ValueError", (3,))]


async def test_a_task_group_cancels_the_siblings(store):
    """One branch of a TaskGroup fails: the other's attempt is cancelled; the same on replay."""
    started, cancelled = asyncio.Event(), []

    @function
    async def fails():
        await started.wait()
        raise LookupError("x")

    @function
    async def slow():
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async def body(ctx):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step(slow))
                group.create_task(ctx.step(fails))
        except ExceptionGroup as errors:
            return [str(e) for e in errors.exceptions]
        return None

    live, replayed = await twice(store, body)
    assert live == replayed == ["x"]
    assert cancelled == [1]


async def test_wait_for_that_runs_out_replays_the_same_way(store):
    """A real timeout in the body: the step is given up, on record; the replay gives up too."""

    @function
    async def never():
        await asyncio.Event().wait()

    async def body(ctx):
        try:
            await asyncio.wait_for(ctx.step(never), 0.02)
        except TimeoutError:
            return "given up", await ctx.step("next", lambda: 1)
        return None

    live, replayed = await twice(store, body)
    assert live == replayed == ("given up", 1)


async def test_many_branches(store, work, calls):
    """Three hundred branches of two steps each."""

    @workflow
    async def many(ctx):
        async def branch(n):
            first = await ctx.step(work, n)
            return await ctx.step("next", lambda: first + 1)

        return sum(await asyncio.gather(*(branch(n) for n in range(300))))

    response = await run_workflow(store, "many")
    assert response.output == sum(range(1, 301))
    assert len(calls) == 300


async def test_raw_coroutines_are_named_by_their_position_or_keyword(store, calls):
    """What is recorded of raw coroutines has readable keys."""

    @workflow
    async def body(ctx):
        await ctx.parallel(raw(calls, 1), raw(calls, 2))
        await ctx.gather(revenue=raw(calls, 3))
        return "ok"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=10)
        events = await client.get_events(response.run_id)
    keys = [e.step_key for e in events if e.event_type == "workflow.step.started"]
    assert keys == [":parallel_0#0", ":parallel_1#0", ":revenue#0"]
