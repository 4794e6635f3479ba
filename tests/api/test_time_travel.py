"""A client looks back: at a run's state at any event, at what has changed, at what it waits for."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.api.helpers import python, turns, until, written

from agnt5 import (
    AsyncClient,
    Client,
    FunctionContext,
    FunctionRegistry,
    InvalidInputError,
    Queue,
    RunNotFoundError,
    Runtime,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.stores.memory import MemoryLog


def order():
    """A workflow that sets, waits, asks."""

    @function
    async def reserve(item: str) -> str:
        return f"{item} reserved"

    @workflow(name="order")
    async def body(ctx: WorkflowContext, item: str) -> str:
        ctx.state.set("item", item)
        reserved = await ctx.step(reserve, item)
        ctx.state.set("paid", await ctx.wait_for_signal("paid"))
        return f"{reserved}, {await ctx.wait_for_user('Ship it?')}"


async def waits_for(client: AsyncClient, run_id: str, kind: str) -> None:
    """Until it waits for a thing of this kind, and for nothing else."""

    async def kinds() -> list[str]:
        return [wait.kind for wait in (await client.explain(run_id)).waits]

    async with asyncio.timeout(20):
        while await kinds() != [kind]:
            await asyncio.sleep(0.002)


async def test_a_run_at_any_event(store):
    order()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("order", {"item": "lamp"}, "workflow")).run_id
        await waits_for(client, run_id, "signal")
        before = await client.state_at(run_id)
        assert (before.status, before.state) == ("running", {"item": "lamp"})
        assert [op.kind for op in before.operations.values()] == ["signal"]
        await client.signal(run_id, "paid", 12)
        await waits_for(client, run_id, "question")
        asked = await client.state_at(run_id)
        assert asked.state == {"item": "lamp", "paid": 12}

        # What has been stays as it was, whatever comes later.
        again = await client.state_at(run_id, before.version)
        assert again == before.model_copy(update={"last_version": asked.version})
        found = await client.diff(run_id, before.version)
        assert found.apply(again) == asked
        assert [str(each) for each in found.under("state")] == ["+ state.paid: 12"]
        assert (await client.diff(run_id, asked.version, before.version)).apply(asked) == again

        await client.resume(run_id, "yes")
        assert (await client.wait_for_result(run_id, 15)).output == "lamp reserved, yes"
        end = await client.state_at(run_id)
        assert (end.status, end.output) == ("completed", "lamp reserved, yes")
        assert (await client.explain(run_id)).waits == ()
        events = await client.get_events(run_id)
        assert end.version == end.last_version == max(e.metadata["version"] for e in events)


async def test_a_run_at_a_time(store):
    order()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("order", {"item": "lamp"}, "workflow")).run_id
        await waits_for(client, run_id, "signal")
        now = await client.state_at(run_id)
        assert await client.state_at(run_id, at=now.at) == now
        later = await client.state_at(run_id, at=now.at + timedelta(days=1))
        assert later == now
        first = await client.state_at(run_id, at=now.created_at)
        versions = range(1, now.version + 1)
        every = [await client.state_at(run_id, version) for version in versions]
        assert first == [one for one in every if one.at == now.created_at][-1]
        found = await client.diff(run_id, now.created_at, now.at)
        assert found.apply(first) == now


async def test_what_cannot_be_looked_at(store):
    order()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("order", {"item": "lamp"}, "workflow")).run_id
        created = (await client.state_at(run_id)).created_at
        for call in (client.state_at, client.explain):
            with pytest.raises(RunNotFoundError, match="no run 'nobody'"):
                await call("nobody")
        with pytest.raises(RunNotFoundError, match="no run 'nobody'"):
            await client.diff("nobody", 1)
        for version in (0, -1, 1000):
            with pytest.raises(
                InvalidInputError, match=f"counted from 1: there is none at {version}"
            ):
                await client.state_at(run_id, version)
        for moment in (True, "1", 1.0):
            with pytest.raises(InvalidInputError, match="the number of an event, or a datetime"):
                await client.state_at(run_id, moment)
        with pytest.raises(InvalidInputError, match="not both"):
            await client.state_at(run_id, 1, at=created)
        with pytest.raises(InvalidInputError, match="has no time zone"):
            await client.state_at(run_id, at=datetime(2026, 1, 1))
        with pytest.raises(InvalidInputError, match="it was accepted at"):
            await client.state_at(run_id, at=created - timedelta(microseconds=1))
        with pytest.raises(InvalidInputError, match="from which event"):
            await client.diff(run_id, None)


def test_from_ordinary_code():
    order()
    client = Client(store="memory://")
    run_id = client.submit("order", {"item": "lamp"}, "workflow").run_id
    client.signal(run_id, "paid", 12)
    while client.explain(run_id).waits[0].kind != "question":
        time.sleep(0.002)
    asked = client.state_at(run_id)
    first = client.state_at(run_id, 1)
    assert (first.status, first.state) == ("queued", {})
    assert client.diff(run_id, 1).apply(first) == asked
    assert client.state_at(run_id, at=asked.at) == asked


async def test_a_place_in_a_queue():
    order()

    @workflow(queue="mail")
    async def letter(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    async with Runtime("memory://", queues=[Queue("mail", concurrency=1)]) as runtime:
        client = AsyncClient(runtime=runtime)
        runs = [(await client.submit("letter", {}, "workflow")).run_id for _ in range(3)]
        urgent = (await client.submit("letter", {}, "workflow", priority=1)).run_id
        await waits_for(client, runs[0], "signal")
        told = {run_id: str((await client.explain(run_id)).waits[0]) for run_id in (*runs, urgent)}
        assert "queue 'mail', where it is number 1 of 3" in told[urgent]
        assert "queue 'mail', where it is number 2 of 3" in told[runs[1]]
        assert "queue 'mail', where it is number 3 of 3" in told[runs[2]]
        assert "number" not in told[runs[0]]


async def test_a_turn_at_a_function():
    """Of two steps of a function that takes one at a time, the second one says so."""
    entered = asyncio.Event()

    @function(concurrency=1)
    async def narrow() -> None:
        entered.set()
        await asyncio.Event().wait()

    @workflow
    async def both(ctx: WorkflowContext) -> None:
        await ctx.gather(one=ctx.step(narrow), two=ctx.step(narrow))

    async with Runtime(store="memory://", grace=0) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("both", component_type="workflow")).run_id
        await asyncio.wait_for(entered.wait(), 10)
        async with asyncio.timeout(10):
            while len(waits := (await client.explain(run_id)).waits) < 2:
                await asyncio.sleep(0)
        first, second = waits
        assert first.wakes.startswith("it is under way")
        assert second.wakes.startswith("it is number 1 of 1 that wait for their turn")
        await client.cancel(run_id)
        assert (await client.wait_for_result(run_id, 10)).status == "cancelled"


async def test_a_child_says_why():
    order()

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        return await ctx.child("order", item="lamp")

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("parent", {}, "workflow")).run_id
        await waits_for(client, run_id, "child")
        [child] = (await client.state_at(run_id)).children.values()
        while "about to be accepted" in (await client.explain(run_id)).waits[0].wakes:
            await asyncio.sleep(0.002)
        await waits_for(client, child.child_run_id, "signal")
        [wait] = (await client.explain(run_id)).waits
        assert wait.wakes == f"it is running; client.explain({child.child_run_id!r}) says why"


async def test_what_explain_says_would_wake_a_run_wakes_it(file_store):
    """A retry and a timer by the clock, also when the run is parked."""
    clock, tries = ManualClock(), []

    @function(retries=2, backoff="constant")
    async def flaky() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("down")
        return "up"

    @workflow
    async def patient(ctx: WorkflowContext) -> str:
        up = await ctx.step(flaky)
        await ctx.sleep(3600)
        return up

    async with Runtime(file_store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("patient", {}, "workflow")).run_id
        for kind in ("retry", "timer"):
            await waits_for(client, run_id, kind)
            await written(runtime)
            [wait] = (await client.explain(run_id)).waits
            assert wait.until is not None
            assert wait.until > wait.since
            clock.advance((wait.until - (await client.explain(run_id)).at) / timedelta(seconds=1))
            await turns()
        assert (await client.wait_for_result(run_id, 15)).output == "up"


async def test_a_suspended_run_says_what_to_do(file_store):
    order()
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("order", {"item": "lamp"}, "workflow")).run_id
        await waits_for(client, run_id, "signal")
    WorkflowRegistry.clear()

    @workflow(name="order")
    async def other(ctx: WorkflowContext, item: str) -> None:
        await ctx.wait_for_user("What is this?")

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        await waits_for(client, run_id, "mend")
        found = await client.explain(run_id)
        assert found.report is not None
        assert "no longer asks for what its log holds" in found.report
        snapshot = await client.state_at(run_id)
        assert snapshot.suspension is not None
        assert snapshot.suspension.report == found.report


PROGRAM = """
import os
from agnt5 import Client, workflow

@workflow
async def order(ctx, item: str):
    ctx.state.set("item", item)
    await ctx.wait_for_signal("paid")

client = Client(store=os.environ["STORE"])
client.submit("order", {"item": "lamp"}, "workflow", run_id="o-1")
while not client.state_at("o-1").operations:
    pass
print(client.state_at("o-1").model_dump_json(), flush=True)
os._exit(9)
"""


async def test_another_process_sees_the_same_after_a_crash(file_store):
    process = python(PROGRAM, env={"STORE": file_store})
    said, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 9, errors
    order()
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        seen = type(await client.state_at("o-1")).model_validate_json(said)
        now = await client.state_at("o-1", seen.version)
        assert now == seen.model_copy(update={"last_version": now.last_version})
        assert now.state == {"item": "lamp"}


class TestTheStateThatABodySees:
    """The fold knows it, except for the names that it says it is not sure of."""

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["set", "delete", "step", "inner", "gather", "after", "before"]),
                st.sampled_from("ab"),
            ),
            max_size=8,
        )
    )
    @example([("before", "a")])
    def test_it_is_the_snapshot_s(self, program):
        FunctionRegistry.clear()
        WorkflowRegistry.clear()
        seen: list[dict] = []

        @function
        async def work(ctx: FunctionContext, name: str, n: int) -> None:
            ctx.state.set(name, [n])
            ctx.state.delete("b" if name == "a" else "a")

        @function
        async def rest() -> None: ...

        async def inner(ctx, name, n):
            ctx.state.set(name, -n)
            await ctx.step(work, name, n)

        async def beside(ctx, name, n):
            await ctx.step(rest)
            ctx.state.set(name, f"beside {n}")

        @workflow
        async def subject(ctx: WorkflowContext) -> None:
            for n, (what, name) in enumerate(program):
                match what:
                    case "set":
                        ctx.state.set(name, n)
                    case "delete":
                        ctx.state.delete(name)
                    case "step":
                        await ctx.step(work, name, n)
                    case "inner":
                        await ctx.step("inner", lambda name=name, n=n: inner(ctx, name, n))
                    case "gather":
                        await asyncio.gather(ctx.step(work, "a", n), ctx.step(work, "b", n))
                    case "after":
                        await asyncio.gather(ctx.step(work, name, n), beside(ctx, name, n))
                    case _:
                        # Both steps end in one moment: the branch writes before it is the turn of
                        # the second, whose outcome is on the log already.
                        other = asyncio.create_task(beside(ctx, name, n))
                        await asyncio.sleep(0)
                        await asyncio.gather(other, ctx.step(work, name, n))
            seen.append(ctx.state.to_dict())
            await ctx.wait_for_signal("end")

        async def main():
            async with Runtime(MemoryLog()) as runtime:
                client = AsyncClient(runtime=runtime)
                run_id = (await client.submit("subject", {}, "workflow")).run_id
                await until(lambda: seen)
                await waits_for(client, run_id, "signal")
                return await client.state_at(run_id)

        found = asyncio.run(main())
        sure = {name: value for name, value in found.state.items() if name not in found.uncertain}
        assert sure == {k: v for k, v in seen[0].items() if k not in found.uncertain}
        if not {"gather", "after", "before"} & {what for what, _ in program}:
            assert found.uncertain == []
