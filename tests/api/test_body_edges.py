"""Threads of a body, answers whose acknowledgement was lost, classes as children and in batches."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import event_types, play, run_workflow

from agnt5 import (
    AsyncClient,
    Runtime,
    StoreError,
    Workflow,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.codec import decode_history


@pytest.fixture(autouse=True)
def nothing_registered():
    yield
    WorkflowRegistry.clear()


@pytest.mark.parametrize("call", ["step", "sleep", "wait_for_signal", "child", "side_effect"])
async def test_a_durable_call_from_another_thread_is_refused(store, call):
    """``asyncio.to_thread`` copies the context of the body, but its loop is not there."""

    @function
    async def work() -> int:
        return 1

    calls = {
        "step": lambda ctx: ctx.step(work),
        "sleep": lambda ctx: ctx.sleep(1),
        "wait_for_signal": lambda ctx: ctx.wait_for_signal("never"),
        "child": lambda ctx: ctx.child(work),
        "side_effect": lambda ctx: ctx.step("mine", lambda: 1),
    }

    @workflow
    async def body(ctx) -> int:
        with pytest.raises(RuntimeError, match="in another thread"):
            await asyncio.to_thread(calls[call], ctx)
        return await ctx.step(work)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=15)
        assert response.output == 1, response.error
        types = await event_types(client, response.run_id)
    assert types.count("workflow.step.started") == 1
    assert not [each for each in types if "child" in each or "signal" in each or "sleep" in each]


async def test_an_update_whose_acknowledgement_was_lost_is_answered(store):
    """The answer got onto the disk and its append looked failed: the run is read again."""

    @workflow
    async def basket(ctx):
        items: list[str] = []
        ctx.set_update_handler("add", lambda item: items.append(item) or len(items))
        return [await ctx.wait_for_signal("full"), items]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("basket", {}, "workflow", run_id="r")
        lost = lose_acknowledgement_of(runtime, "UpdateAnswered")
        assert await client.update("r", "add", "fig", timeout=10) == 1
        assert lost == ["r"]
        await client.signal("r", "full")
        assert (await client.wait_for_result("r", 10)).output == [None, ["fig"]]
        types = await event_types(client, "r")
    assert types.count("update.received") == types.count("update.answered") == 1


async def test_a_run_whose_last_acknowledgement_was_lost_has_ended(store):
    """Whoever waits for its result gets it."""

    @workflow
    async def body(ctx) -> str:
        return "done"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        lost = lose_acknowledgement_of(runtime, "RunCompleted")
        response = await client.run("body", {}, "workflow", run_id="r", timeout=5)
    assert (response.output, lost) == ("done", ["r"])


def lose_acknowledgement_of(runtime, topic):
    """The next append that holds such a fact is written, and reported as failed."""
    journal = runtime._bus.journal
    settle, lost = journal._settle, []

    def settled(requests):
        for each in requests:
            if not lost and any(fact.topic.startswith(topic) for fact in each.facts):
                each.error = StoreError("the acknowledgement was lost")
                lost.append(each.stream)
        settle(requests)

    journal._settle = settled
    return lost


# Workflows as classes.


def doubling():
    """A class workflow with a step and an argument."""

    class Doubling(Workflow):
        async def run(self, n: int) -> int:
            return await self.step("double", self.double, n)

        def double(self, n: int) -> int:
            return n * 2

    return Doubling


async def test_a_class_workflow_as_a_child(store):
    """By its name, as a run of its own without a version."""
    doubling()

    @workflow
    async def parent(ctx) -> int:
        return await ctx.child("Doubling", n=4)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("parent", {}, "workflow", timeout=15)
        assert response.output == 8, response.error
        (child,) = await client.list_runs(component="Doubling")
        assert str(child.status) == "completed"
        row = runtime._log.run_row(child.run_id)
        assert row is not None
        assert (row.parent_run_id, row.version_label) == (response.run_id, None)


@pytest.mark.parametrize("items", [[1, 2, 3], [{"n": 1}, {"n": 2}, {"n": 3}]])
async def test_a_class_workflow_in_a_batch(store, items):
    """Items are arguments of ``run``; a dict names them."""
    doubling()

    @workflow
    async def body(ctx) -> list[int]:
        return await ctx.map("Doubling", items)

    response = await run_workflow(store, "body")
    assert response.output == [2, 4, 6], response.error


async def test_an_item_that_does_not_fit_a_class_workflow(store):
    """Nothing is begun."""

    class Adding(Workflow):
        async def run(self, a: int, b: int) -> int:
            return a + b

    @workflow
    async def body(ctx) -> str:
        with pytest.raises(TypeError, match="item 1 of the batch does not fit"):
            ctx.map("Adding", [{"a": 1, "b": 2}, {"a": 1}])
        return "refused"

    response = await run_workflow(store, "body")
    assert response.output == "refused", response.error


async def test_the_timeout_of_a_class_workflow_is_enforced(store):
    """Time that its steps take counts, time in which it waits does not."""
    clock = ManualClock()
    under_way, gate = asyncio.Event(), asyncio.Event()

    class Slow(Workflow):
        def __init__(self) -> None:
            super().__init__(timeout=60)

        async def run(self) -> str:
            await self.sleep(3600)
            return await self.step("work", self.work)

        async def work(self) -> str:
            under_way.set()
            await gate.wait()
            return "done"

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("Slow", {}, "workflow", run_id="r")
        await play(runtime, clock, under_way.is_set)
        await play(runtime, clock, lambda: runtime._log.run_row("r").finished_at is not None)
        response = await client.wait_for_result("r", 10)
        facts = decode_history(runtime._log.read("r"))
    assert str(response.status) == "failed"
    assert facts[-1][0].error["type"] == "agnt5.exceptions:RunTimeoutError"
