"""Durable time: sleeps and timeouts keep their deadline, whatever happens to the process."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from tests.api.helpers import event_types, play, run_workflow, turns, twice, until, written

from agnt5 import AsyncClient, Runtime, StepTimeoutError, function, workflow
from agnt5.actors.clock import ManualClock

START = 1_700_000_000_000_000


@pytest.mark.parametrize("park_after", [60, 0], ids=["in memory", "parked"])
async def test_after_a_restart_only_the_rest_is_slept(store, park_after):
    """An hour's sleep, two crashes after 20 minutes each: it ends after the hour."""
    clock = ManualClock(START)
    woken = []

    @workflow
    async def sleeper(ctx):
        await ctx.sleep(3600)
        woken.append(clock.now())
        return "awake"

    async with Runtime(store, clock=clock, park_after=park_after) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("sleeper", {}, "workflow", run_id="r")
        await until(lambda: "r" not in runtime._bus.runs or runtime._bus.runs["r"].state.open)
        await written(runtime)
        clock.advance(1200)
        await written(runtime)
        await runtime.aclose(grace=0)
    async with Runtime(store, clock=clock, park_after=park_after) as runtime:
        await written(runtime)
        clock.advance(1200)
        await written(runtime)
        await runtime.aclose(grace=0)
    async with Runtime(store, clock=clock, park_after=park_after) as runtime:
        client = AsyncClient(runtime=runtime)
        await written(runtime)
        clock.advance(1199.9)
        await written(runtime)
        assert not woken
        clock.advance(0.1)
        response = await client.wait_for_result("r", 10)
    assert response.output == "awake"
    assert woken == [START + 3_600_000_000]


async def test_a_sleep_that_ended_while_nobody_was_there(store):
    """The deadline passed while the process was down: the run goes on at once."""
    clock = ManualClock(START)

    @workflow
    async def sleeper(ctx):
        await ctx.sleep(3600)
        return "awake"

    async with Runtime(store, clock=clock, park_after=0) as runtime:
        await AsyncClient(runtime=runtime).submit("sleeper", {}, "workflow", run_id="r")
        await until(lambda: "r" not in runtime._bus.runs or runtime._bus.runs["r"].state.open)
        await written(runtime)
    clock._now += 7_200_000_000
    async with Runtime(store, clock=clock) as runtime:
        assert (await AsyncClient(runtime=runtime).wait_for_result("r", 10)).output == "awake"


async def test_a_real_sleep_is_never_early(file_store):
    """With the machine's clock: at least as long as asked, and a second one after it."""

    @workflow
    async def sleeper(ctx):
        await ctx.sleep(0.05)
        await ctx.sleep(0.05, name="second")
        return "awake"

    begun = time.monotonic()
    assert (await run_workflow(file_store, "sleeper")).output == "awake"
    assert time.monotonic() - begun >= 0.1


async def test_a_sleep_of_zero_records_nothing(store):
    """``ctx.sleep(0)`` does nothing and leaves no trace."""

    @workflow
    async def body(ctx):
        await ctx.sleep(0)
        await ctx.sleep(0.0)
        return "ok"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=10)
        types = await event_types(client, response.run_id)
    assert response.output == "ok"
    assert "timer.scheduled" not in types


BAD = [-1, -0.001, math.nan, math.inf, -math.inf, True, False, "1", None, [1], 1e12]


@pytest.mark.parametrize("seconds", BAD, ids=str)
async def test_bad_seconds_are_refused_before_anything_is_written(store, seconds):
    """bool, text, None, negative, NaN, infinite, beyond ten years: ValueError, and no fact."""

    @function
    async def one():
        return 1

    @workflow
    async def body(ctx):
        with pytest.raises(ValueError, match="seconds|ten years"):
            ctx.sleep(seconds)
        with pytest.raises(ValueError, match="seconds|ten years"):
            ctx.timeout(seconds)
        if seconds is not None:
            with pytest.raises(ValueError, match="seconds|ten years"):
                ctx.step(one, timeout=seconds)
        return "ok"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=10)
        types = await event_types(client, response.run_id)
    assert response.output == "ok", response.error
    assert not [t for t in types if "timer" in t or "step" in t]


async def test_sleeps_side_by_side(store):
    """Three sleeps in parallel end in the order of their deadlines, live and on replay."""
    clock = ManualClock(START)
    orders = []

    @workflow
    async def body(ctx):
        order = []

        async def one(seconds):
            await ctx.sleep(seconds)
            order.append(seconds)

        await asyncio.gather(one(30), one(10), one(20))
        orders.append(order)
        await ctx.wait_for_signal("go")
        return order

    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        await play(runtime, clock, lambda: orders)
        await written(runtime)
        await runtime.aclose(grace=0)
    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "go")
        assert (await client.wait_for_result("r", 10)).output == [10, 20, 30]
    assert orders == [[10, 20, 30]] * 2


async def test_a_durable_timeout_cancels_the_block_and_replays_the_same_way(store):
    """``async with ctx.timeout``: TimeoutError, the step's attempt is cancelled; the same again."""
    attempts, ended = [], []

    @function
    async def slow():
        attempts.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def body(ctx):
        try:
            async with ctx.timeout(0.02) as scope:
                await ctx.step(slow)
        except TimeoutError as error:
            return "timeout", scope.expired, str(error)
        return "no timeout"

    live, replayed = await twice(store, body)
    assert live == replayed == ("timeout", True, "the block did not end within 0.02 s")
    assert attempts == ended == [1]


async def test_a_durable_timeout_that_is_not_reached(store):
    """A block that ends in time leaves no timer behind."""

    async def body(ctx):
        async with ctx.timeout(3600) as scope:
            value = await ctx.step("quick", lambda: 5)
        return value, scope.expired

    live, replayed = await twice(store, body)
    assert live == replayed == (5, False)


async def test_the_deadline_of_a_timeout_holds_across_a_restart(store):
    """Half the time passes before the crash, the other half after it."""
    clock = ManualClock(START)
    expired = []

    @workflow
    async def body(ctx):
        try:
            async with ctx.timeout(100):
                await ctx.wait_for_signal("never")
        except TimeoutError:
            expired.append(clock.now())
            return "timeout"
        return None

    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        await AsyncClient(runtime=runtime).submit("body", {}, "workflow", run_id="r")
        await until(lambda: len(runtime._bus.runs["r"].state.open) == 2)
        await written(runtime)
        clock.advance(60)
        await written(runtime)
        await runtime.aclose(grace=0)
    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        client = AsyncClient(runtime=runtime)
        await written(runtime)
        await turns()
        clock.advance(39)
        await written(runtime)
        assert not expired
        clock.advance(1)
        assert (await client.wait_for_result("r", 10)).output == "timeout"
    assert expired == [START + 100_000_000]


async def test_nested_timeouts(store):
    """The inner one ends the inner block only."""

    async def body(ctx):
        async with ctx.timeout(3600):
            try:
                async with ctx.timeout(0.02):
                    await ctx.wait_for_signal("never")
            except TimeoutError:
                return "inner"
        return None

    live, replayed = await twice(store, body)
    assert live == replayed == "inner"


async def test_a_timeout_is_entered_once(store):
    """The same timeout entered again says so."""

    async def body(ctx):
        scope = ctx.timeout(60)
        async with scope:
            pass
        try:
            async with scope:
                pass
        except RuntimeError as error:
            return str(error)
        return None

    live, replayed = await twice(store, body)
    assert live == replayed
    assert "entered once" in live


async def test_the_timeout_of_a_step_is_on_record(store):
    """``ctx.step(..., timeout=)`` raises StepTimeoutError (a TimeoutError), also on replay."""
    cancelled = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(1)

    async def body(ctx):
        try:
            await ctx.step("forever", forever(), timeout=0.02)
        except TimeoutError as error:
            return type(error), str(error)
        return None

    live, replayed = await twice(store, body)
    assert live == replayed == (StepTimeoutError, "step 'forever' did not end within its timeout")
    assert cancelled == [1]


@pytest.mark.parametrize("crash", [False, True], ids=["live", "crash"])
async def test_a_signal_after_a_timed_out_wait_goes_to_the_next_wait(store, crash):
    """A wait that was given up takes no signal, even if the crash ate the record of giving up."""
    clock = ManualClock(START)

    @workflow
    async def body(ctx):
        async def impatient():
            try:
                async with ctx.timeout(5):
                    await ctx.wait_for_signal("go")
            except TimeoutError:
                pass
            return await ctx.wait_for_signal("go")

        async def sleeper():
            await ctx.sleep(5)
            return "slept"

        return await asyncio.gather(impatient(), sleeper())

    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        actor = runtime._bus.runs["r"]
        await until(lambda: len(actor.state.open) == 3)
        await written(runtime)
        if crash:
            # Both timers fire in one append; the body never gets to see them.
            actor.script.frozen = True
        clock.advance(6)
        await written(runtime)
        if crash:
            await runtime.aclose(grace=0)
        else:
            await until(lambda: [key for key in actor.state.open if key.endswith("go#1")])
            await client.signal("r", "go", 7)
            assert (await client.wait_for_result("r", 10)).output == [7, "slept"]
            return
    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        client = AsyncClient(runtime=runtime)
        await written(runtime)
        await until(lambda: len(runtime._bus.runs["r"].state.open) == 1)
        await client.signal("r", "go", 7)
        assert (await client.wait_for_result("r", 10)).output == [7, "slept"]
