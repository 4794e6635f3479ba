"""Runs that stand still: what they hear, what is recorded meanwhile, and how they go on."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import event_types, play, until

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow
from agnt5.actors.clock import ManualClock
from agnt5.actors.retiring import Retiring
from agnt5.exceptions import InvalidInputError, RunNotFoundError
from agnt5.policies import RetryPolicy


async def status(client: AsyncClient, run_id: str) -> str:
    return str((await client.get_status(run_id)).status)


async def test_an_attempt_under_way_ends_and_is_recorded_and_the_body_hears_later(store):
    """The body asks for its second step only after it was resumed."""
    gate, calls = asyncio.Event(), []

    @function
    async def first() -> int:
        calls.append("first")
        await gate.wait()
        return 1

    @function
    async def second() -> int:
        calls.append("second")
        return 2

    @workflow
    async def both(ctx: WorkflowContext) -> int:
        return await ctx.step(first) + await ctx.step(second)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("both", {}, "workflow")).run_id
        await until(lambda: calls)
        paused = await client.pause(run_id, "the bank is closed")
        assert paused.status == "paused"
        gate.set()
        await until(lambda: run_id not in runtime._bus.runs)
        assert "function.completed" in await event_types(client, run_id)
        assert calls == ["first"]
        response = await client.get_result(run_id)
        assert (response.status, response.is_paused) == ("paused", True)
        assert "the bank is closed" in response.error.message
        await client.resume(run_id)
        assert (await client.wait_for_result(run_id, 10)).output == 3
        assert calls == ["first", "second"]


async def test_a_run_that_is_resumed_before_its_attempt_has_ended_goes_on_after_it(store):
    """The attempt is not made again."""
    gate, calls = asyncio.Event(), []

    @function
    async def slow() -> int:
        calls.append("slow")
        await gate.wait()
        return 1

    @workflow
    async def one(ctx: WorkflowContext) -> int:
        return await ctx.step(slow)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("one", {}, "workflow")).run_id
        await until(lambda: calls)
        await client.pause(run_id)
        await client.pause(run_id)
        await client.resume(run_id)
        assert await status(client, run_id) == "running"
        gate.set()
        assert (await client.wait_for_result(run_id, 10)).output == 1
        assert calls == ["slow"]
        assert (await event_types(client, run_id)).count("run.paused") == 1


async def test_an_inline_step_under_way_ends_first(store):
    """It runs where the body runs, and is given the time that it takes."""
    gate, calls = asyncio.Event(), []

    async def plan() -> int:
        calls.append("plan")
        await gate.wait()
        return 1

    @workflow
    async def one(ctx: WorkflowContext) -> int:
        found = await ctx.step("plan", plan())
        calls.append("after")
        return found

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("one", {}, "workflow")).run_id
        await until(lambda: calls)
        await client.pause(run_id)
        gate.set()
        await until(lambda: run_id not in runtime._bus.runs)
        assert calls == ["plan"]
        await client.resume(run_id)
        assert (await client.wait_for_result(run_id, 10)).output == 1
        assert calls == ["plan", "after"]


async def test_signals_and_answers_are_recorded_and_handed_over_in_order(store):
    """A signal to a paused run is not lost; nor is the answer to its question."""

    @workflow
    async def asks(ctx: WorkflowContext) -> list[object]:
        told = await ctx.wait_for_signal("news")
        return [told, await ctx.wait_for_user("Go on?")]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("asks", {}, "workflow")).run_id
        await client.pause(run_id)
        await client.signal(run_id, "news", 7)
        assert await status(client, run_id) == "paused"
        await client.resume(run_id)
        while await status(client, run_id) != "awaiting_user_input":
            await asyncio.sleep(0.002)
        await client.pause(run_id)
        await client.resume(run_id, "yes")
        assert await status(client, run_id) == "paused"
        await client.resume(run_id)
        assert (await client.wait_for_result(run_id, 10)).output == [7, "yes"]


async def test_a_timer_that_comes_due_meanwhile_fires_when_the_run_goes_on(store):
    """Its time goes on; nothing fires as long as the run stands still."""
    clock = ManualClock()

    @workflow
    async def sleeper(ctx: WorkflowContext) -> str:
        await ctx.sleep(60)
        return "awake"

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("sleeper", {}, "workflow")).run_id
        await until(lambda: run_id in runtime._bus.runs and runtime._bus.runs[run_id].state.open)
        await client.pause(run_id)
        await until(lambda: run_id not in runtime._bus.runs)
        clock.advance(120)
        assert await status(client, run_id) == "paused"
        assert "timer.fired" not in await event_types(client, run_id)
        await client.resume(run_id)
        assert (await client.wait_for_result(run_id, 10)).output == "awake"


async def test_a_paused_run_stays_so_over_a_restart_and_takes_its_retry_later(store):
    """A failed attempt is recorded, and the next one waits for the run to go on."""
    calls = []

    @function(retries=RetryPolicy(max_attempts=3, initial_interval_ms=1))
    async def flaky() -> int:
        calls.append("call")
        if len(calls) == 1:
            await gate.wait()
            raise ValueError("not yet")
        return len(calls)

    @workflow
    async def one(ctx: WorkflowContext) -> int:
        return await ctx.step(flaky)

    gate = asyncio.Event()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("one", {}, "workflow")).run_id
        await until(lambda: calls)
        await client.pause(run_id)
        gate.set()
        await until(lambda: run_id not in runtime._bus.runs)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await asyncio.sleep(0.02)
        assert await status(client, run_id) == "paused"
        assert run_id not in runtime._bus.runs
        assert len(calls) == 1
        await client.resume(run_id)
        assert (await client.wait_for_result(run_id, 10)).output == 2


async def test_a_paused_run_that_is_cancelled_cleans_up(store):
    """Cancelling lets it go on to its cleanup, and no further."""
    seen = []

    @function
    async def undo() -> None:
        seen.append("undo")

    @workflow
    async def tidy(ctx: WorkflowContext) -> None:
        try:
            await ctx.wait_for_signal("never")
        finally:
            await ctx.step(undo)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("tidy", {}, "workflow")).run_id
        await client.pause(run_id)
        await client.cancel(run_id, "enough")
        response = await client.wait_for_result(run_id, 10)
        assert response.status == "cancelled"
        assert seen in ([], ["undo"])  # it may not have come to its first line
        with pytest.raises(InvalidInputError, match="has ended"):
            await client.pause(run_id)


async def test_a_run_in_line_that_is_paused_does_not_begin(store):
    """It takes its turn when it is resumed."""
    gate, begun = asyncio.Event(), []

    @workflow
    async def queued(ctx: WorkflowContext, name: str) -> str:
        begun.append(name)
        await ctx.step("gate", gate.wait())
        return name

    async with Runtime(store, max_active_runs=1) as runtime:
        client = AsyncClient(runtime=runtime)
        a = (await client.submit("queued", {"name": "a"}, "workflow")).run_id
        b = (await client.submit("queued", {"name": "b"}, "workflow")).run_id
        await until(lambda: begun)
        await client.pause(b)
        gate.set()
        await client.wait_for_result(a, 10)
        await asyncio.sleep(0.02)
        assert begun == ["a"]
        assert await status(client, b) == "paused"
        await client.resume(b)
        assert (await client.wait_for_result(b, 10)).output == "b"


async def test_children_are_paused_only_when_that_is_asked_for(store):
    """A paused parent hears of the end of its child when it goes on."""

    @workflow
    async def child(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("end")

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        return await ctx.child(child, run_id="the-child")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("parent", {}, "workflow")).run_id
        await until(lambda: "the-child" in runtime._bus.runs)
        await client.pause(run_id)
        assert await status(client, "the-child") in {"running", "queued"}
        await client.pause(run_id, children=True)
        assert await status(client, "the-child") == "paused"
        await client.signal("the-child", "end", "over")
        await client.resume("the-child")
        assert (await client.wait_for_result("the-child", 10)).output == "over"
        assert await status(client, run_id) == "paused"
        await client.resume(run_id)
        assert (await client.wait_for_result(run_id, 10)).output == "over"


async def test_the_time_of_a_paused_run_stands_still(store):
    """A run of at most a minute may be paused for an hour."""
    clock = ManualClock()
    gate = asyncio.Event()

    @function
    async def slow() -> int:
        await gate.wait()
        return 1

    @workflow(timeout=60)
    async def brief(ctx: WorkflowContext) -> int:
        return await ctx.step(slow)

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("brief", {}, "workflow")).run_id
        await until(lambda: run_id in runtime._bus.runs and runtime._bus.runs[run_id].state.open)
        await client.pause(run_id)
        clock.advance(3600)
        await client.resume(run_id)
        gate.set()
        result = asyncio.ensure_future(client.wait_for_result(run_id, 10))
        await play(runtime, clock, result.done)
        assert (await result).output == 1


async def test_a_run_that_is_paused_again_as_soon_as_it_was_resumed_goes_on_in_the_end(store):
    """Before it could even leave memory."""

    @workflow
    async def waits(ctx: WorkflowContext) -> int:
        return await ctx.wait_for_signal("go")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("waits", {}, "workflow")).run_id
        for _ in range(3):
            await client.pause(run_id)
            await client.resume(run_id)
        await client.signal(run_id, "go", 1)
        assert (await client.wait_for_result(run_id, 5)).output == 1


async def test_a_run_that_has_ended_before_somebody_resumes_it_stays_where_it_is(store):
    """Of two who resume a suspended run, the slower one may come too late."""

    @workflow
    async def nothing(ctx: WorkflowContext) -> int:
        del ctx
        return 1

    async with Runtime(store) as runtime:
        run_id = (await AsyncClient(runtime=runtime).run("nothing", {}, "workflow")).run_id
        await until(lambda: not runtime._bus.runs)
        said = asyncio.get_running_loop().create_future()
        runtime._bus.resume(run_id, said.set_result)
        assert await said is None
        assert not runtime._bus.runs


async def test_what_is_not_there_or_makes_no_sense_is_refused(store):
    """With words that say what to do."""

    @workflow
    async def waits(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("never")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(RunNotFoundError):
            await client.pause("nobody")
        run_id = (await client.submit("waits", {}, "workflow")).run_id
        with pytest.raises(InvalidInputError, match="reason"):
            await client.pause(run_id, 7)
        with pytest.raises(InvalidInputError, match="neither paused nor suspended"):
            await client.resume(run_id)
        await client.pause(run_id)
        with pytest.raises(InvalidInputError, match="paused"):
            await client.update(run_id, "x")


async def test_nobody_watches_a_run_any_more_that_was_paused_and_has_left(store, monkeypatch):
    """An idle runtime wakes up for nothing."""
    looks: list[Retiring] = []
    look_again = Retiring._look_again

    def looking(self: Retiring) -> None:
        looks.append(self)
        look_again(self)

    monkeypatch.setattr(Retiring, "_look_again", looking)

    @workflow
    async def waits(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("waits", {}, "workflow")).run_id
        await until(lambda: run_id not in runtime._bus.runs)
        await client.pause(run_id)
        await until(lambda: run_id not in runtime._bus.runs)
        await client.resume(run_id)
        await client.signal(run_id, "go", "on")
        assert (await client.wait_for_result(run_id, 10)).output == "on"
        await asyncio.sleep(0.05)
        looks.clear()
        await asyncio.sleep(0.6)
        assert not looks
