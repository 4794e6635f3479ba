"""A run that only waits costs disk only, and comes back when what it waits for has come."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest
from tests.api.helpers import event_types, play, turns, until, written

from agnt5 import AsyncClient, Runtime, function, workflow
from agnt5.actors.clock import ManualClock


async def parked(runtime, *run_ids):
    """Wait until these runs have left memory."""
    await until(lambda: not any(run_id in runtime._bus.runs for run_id in run_ids))
    await written(runtime)


async def test_a_run_that_waits_leaves_memory_and_comes_back(store):
    """After the grace no actor, no task and no context is left; a signal brings the run back."""
    steps, contexts = [], []

    @workflow
    async def body(ctx):
        contexts.append(weakref.ref(ctx))
        await ctx.step("before", lambda: steps.append("before"))
        first = await ctx.wait_for_signal("go")
        await ctx.step("between", lambda: steps.append("between"))
        second = await ctx.wait_for_signal("go")
        return [first, second]

    async with Runtime(store, park_after=0.01) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        tasks = len(asyncio.all_tasks())
        await parked(runtime, "r")
        assert runtime._bus.runs == {}
        assert len(asyncio.all_tasks()) <= tasks
        await turns()
        gc.collect()
        assert [reference() for reference in contexts] == [None]
        assert (await client.get_status("r")).status == "running"
        await client.signal("r", "go", 1)
        await until(lambda: "between" in steps)
        await parked(runtime, "r")
        await client.signal("r", "go", 2)
        assert (await client.wait_for_result("r", 10)).output == [1, 2]
        assert (await event_types(client, "r")).count("run.parked") == 2
    assert steps == ["before", "between"]


async def test_a_sleeping_run_comes_back_by_itself(store):
    """Time brings a parked run back; a shorter sleep than the grace is slept in memory."""
    clock = ManualClock()

    @workflow
    async def body(ctx):
        await ctx.sleep(0.5)
        await ctx.sleep(3600)
        return "awake"

    async with Runtime(store, clock=clock, park_after=1) as runtime:
        client = AsyncClient(runtime=runtime)
        waiting = asyncio.create_task(client.run("body", {}, "workflow", run_id="r"))
        await play(runtime, clock, waiting.done)
        assert (await waiting).output == "awake"
        assert (await event_types(client, "r")).count("run.parked") == 1


async def test_many_sleepers_leave_memory(store):
    """Two hundred sleepers: none in memory, all awake at their time, the earliest first."""
    clock = ManualClock()
    woken = []

    @workflow
    async def body(ctx, n: int):
        await ctx.sleep(1000 + n)
        woken.append(n)
        return n

    async with Runtime(store, clock=clock, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        ids = [(await client.submit("body", {"n": n}, "workflow")).run_id for n in range(200)]
        async with asyncio.timeout(20):
            while runtime._bus.runs:
                await written(runtime)
                clock.advance(0.001)
        assert not woken
        await play(runtime, clock, lambda: len(woken) == 200, seconds=40)
        responses = await asyncio.gather(*(client.wait_for_result(r, 10) for r in ids))
    assert [response.output for response in responses] == list(range(200))
    assert woken == sorted(woken)


async def test_the_body_of_a_parked_run_ends_without_effects(store):
    """``except BaseException`` and ``finally`` run on the way out; durable calls do nothing."""
    effects, ways_out = [], []

    @function
    async def effect(name):
        effects.append(name)

    @workflow
    async def body(ctx):
        try:
            return await ctx.wait_for_signal("go")
        except BaseException as error:
            ways_out.append(type(error).__name__)
            await ctx.step(effect, "except")
            raise
        finally:
            ways_out.append("finally")
            try:
                await ctx.step("named", lambda: effects.append("named"))
                await ctx.sleep(1)
            except BaseException:
                ways_out.append("swallowed")
            await ctx.step(effect, "finally")

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        await parked(runtime, "r")
        await turns()
        assert effects == []
        assert ways_out[:1] == ["BodyClosed"]
        assert "finally" in ways_out
        before = await event_types(client, "r")
        assert before[-1] == "run.parked"
        assert not [t for t in before if "step" in t]
        await client.signal("r", "go", 5)
        assert (await client.wait_for_result("r", 10)).output == 5
    assert effects == ["named", "finally"]


async def test_a_body_that_swallows_everything_is_still_closed(store):
    """A loop around ``except BaseException: pass`` neither holds the runtime nor loses the run."""

    @workflow
    async def stubborn(ctx):
        while True:
            try:
                return await ctx.wait_for_signal("go")
            except BaseException:
                pass

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("stubborn", {}, "workflow", run_id="r")
        await parked(runtime, "r")
        await client.signal("r", "go", 5)
        assert (await client.wait_for_result("r", 10)).output == 5


async def test_a_body_in_real_work_is_not_parked(store):
    """A body that waits for a socket, a lock or ``asyncio.sleep`` stays where it is."""
    gate = asyncio.Event()

    @workflow
    async def works(ctx):
        await asyncio.gather(gate.wait(), ctx.wait_for_signal("go"))
        return "ok"

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("works", {}, "workflow", run_id="r")
        actor = runtime._bus.runs["r"]
        await until(lambda: actor.state.open)
        for _ in range(3):
            await written(runtime)
            await asyncio.sleep(0.01)
        assert runtime._bus.runs == {"r": actor}
        gate.set()
        await client.signal("r", "go")
        assert (await client.wait_for_result("r", 10)).output == "ok"


async def test_a_run_with_a_running_step_is_not_parked(store):
    """As long as an attempt runs, the run stays."""
    gate, begun = asyncio.Event(), []

    @function
    async def slow():
        begun.append(1)
        await gate.wait()

    @workflow
    async def body(ctx):
        await ctx.parallel(ctx.step(slow), ctx.wait_for_signal("go"))
        return "ok"

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        await until(lambda: begun)
        for _ in range(3):
            await written(runtime)
            await asyncio.sleep(0.01)
        assert "r" in runtime._bus.runs
        gate.set()
        await client.signal("r", "go")
        assert (await client.wait_for_result("r", 10)).output == "ok"
    assert begun == [1]


@pytest.mark.parametrize("letters", [1, 50])
async def test_letters_that_cross_with_parking(store, letters):
    """Signals sent at the very moment of parking are all taken."""
    received = []

    @workflow
    async def body(ctx):
        total = 0
        for _ in range(20 * letters):
            total += await ctx.wait_for_signal("n")
            received.append(1)
        return total

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        for _ in range(20):
            await asyncio.gather(*(client.signal("r", "n", 1) for _ in range(letters)))
            await turns(7)
        response = await client.wait_for_result("r", 20)
    assert response.output == 20 * letters


async def test_cancel_reaches_a_parked_run(store):
    """A parked run is cancelled like any other, its cleanup included."""
    cleaned = []

    @workflow
    async def body(ctx):
        try:
            await ctx.wait_for_signal("never")
        finally:
            await ctx.step("clean", lambda: cleaned.append(1))

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        await parked(runtime, "r")
        assert not cleaned
        await client.cancel("r", "enough")
        assert (await client.wait_for_result("r", 10)).status == "cancelled"
    assert cleaned == [1]


async def test_a_parked_run_with_branches(store):
    """TaskGroup, gather and wait all park, and go on where they were."""
    steps = []

    @workflow
    async def body(ctx):
        async def branch(n):
            await ctx.step("one", lambda: steps.append(n))
            got = await ctx.wait_for_signal(f"s{n}")
            await ctx.step("two", lambda: steps.append(n + 10))
            return got

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(n)) for n in range(3)]
        gathered = await asyncio.gather(branch(3), branch(4))
        waited, _ = await asyncio.wait([asyncio.create_task(branch(5))])
        return [*(t.result() for t in tasks), *gathered, *(t.result() for t in waited)]

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        for n in (2, 0, 1, 4, 3, 5):
            await until(lambda n=n: n in steps)
            await parked(runtime, "r")
            await client.signal("r", f"s{n}", n)
        assert (await client.wait_for_result("r", 10)).output == [0, 1, 2, 3, 4, 5]
    assert sorted(steps) == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]


async def test_an_idle_runtime_with_parked_runs_does_nothing(file_store):
    """Parked runs cost no commits and no wake-ups of the loop."""

    @workflow
    async def body(ctx):
        await ctx.wait_for_signal("go")

    async with Runtime(file_store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(20):
            await client.submit("body", {}, "workflow", run_id=f"r{n}")
        await until(lambda: not runtime._bus.runs)
        await written(runtime)
        commits, used = runtime._log.commits, time.process_time()
        await asyncio.sleep(0.3)
        assert runtime._log.commits == commits
        assert time.process_time() - used < 0.1


async def test_where_many_wait_nobody_waits_for_the_grace(store, monkeypatch):
    """With a crowd in memory, runs that only wait leave at once, however long the grace is."""
    monkeypatch.setattr("agnt5.actors.settings.CROWD", 3)

    @workflow
    async def body(ctx):
        return await ctx.wait_for_user("Well?")

    async with Runtime(store, park_after=3600) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(8):
            await client.submit("body", {}, "workflow", run_id=f"r{n}")
        # Who comes while there is no crowd has the whole grace.
        await until(lambda: len(runtime._bus.runs) <= 2)
        for n in range(8):
            await client.resume(f"r{n}", str(n))
            assert (await client.wait_for_result(f"r{n}", 10)).output == str(n)


@pytest.mark.parametrize("how", ["gather", "wait", "as_completed"])
async def test_a_run_that_was_just_handed_an_outcome_does_not_leave(store, how):
    """It has to get through to the task that waits for several things; nobody would bring it back.

    The step is in its last attempt, so that the run comes back for it, and for nothing else.
    """
    clock = ManualClock()

    @function(retries=2, backoff="constant")
    async def work(fails: bool) -> str:
        if fails:
            raise ValueError("as asked")
        return "done"

    @workflow
    async def body(ctx):
        calls = [ctx.wait_for_signal("never"), ctx.step(work, how == "gather")]
        if how == "gather":
            await asyncio.gather(*calls)
        elif how == "wait":
            done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            return await done.pop()
        return await next(asyncio.as_completed(calls))

    async with Runtime(store, clock=clock, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        ended = asyncio.ensure_future(client.wait_for_result("r", 15))
        await play(runtime, clock, ended.done)
        assert str((await ended).status) == ("failed" if how == "gather" else "completed")
