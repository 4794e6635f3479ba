"""What comes back into memory behaves as if it had never left, and leaves again."""

import asyncio
import threading

import pytest
from tests.api.helpers import until

from agnt5 import AsyncClient, InvalidInputError, Runtime, workflow
from agnt5.actors.threads import Threads


@pytest.fixture
def asks():
    @workflow
    async def asks(ctx) -> str | None:
        options = [{"id": "yes", "label": "Yes"}]
        return await ctx.wait_for_user("well?", "select", options)


async def test_a_run_that_waits_leaves_memory_after_a_restart_too(tmp_path, asks):
    """Nothing is appended when it is read again, and it parks all the same."""
    store = f"sqlite:///{tmp_path}/a.db"
    async with Runtime(store, park_after=60) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.run("asks", {}, "workflow")).run_id
    async with Runtime(store, park_after=0.05) as runtime:
        client = AsyncClient(runtime=runtime)
        await until(lambda: not runtime._bus.runs)
        with pytest.raises(InvalidInputError, match="no option"):
            await client.resume(run_id, "maybe")
        await until(lambda: not runtime._bus.runs)
        await client.resume(run_id, "yes")
        assert (await client.wait_for_result(run_id, 10)).output == "yes"


async def test_calls_inside_an_inline_step_end_with_it(tmp_path):
    """A question that was asked inside of a step which failed is no question any more."""

    @workflow
    async def outer(ctx) -> str:
        async def inner():
            asked = asyncio.ensure_future(ctx.wait_for_user("well?"))
            await ctx.step("first", lambda: 1)
            del asked
            raise ValueError("no more")

        try:
            await ctx.step("inner", inner())
        except ValueError:
            return await ctx.wait_for_signal("go")

    async with Runtime(f"sqlite:///{tmp_path}/a.db", park_after=0.05) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("outer", {}, "workflow")).run_id
        await until(lambda: not runtime._bus.runs)
        assert (await client.get_status(run_id)).status == "running"
        with pytest.raises(InvalidInputError, match="no answer"):
            await client.resume(run_id, "late")
        await client.signal(run_id, "go", "done")
        assert (await client.wait_for_result(run_id, 10)).output == "done"


async def test_a_call_cancelled_before_it_has_a_thread_never_begins():
    """Cancelling a queued blocking call takes it out of the queue."""
    threads, gate, began = Threads(1), threading.Event(), []
    first = asyncio.ensure_future(threads.call(gate.wait))
    second = asyncio.ensure_future(threads.call(lambda: began.append("second")))
    third = asyncio.ensure_future(threads.call(lambda: began.append("third")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, third)
    threads.close()
    assert began == ["third"]


async def test_a_workflow_used_as_a_step_leaves_memory_while_it_waits(tmp_path):
    """What waits inside of an inline step waits on disk only, too, and goes on from there."""
    begun = []

    @workflow
    async def inner(ctx) -> str:
        await ctx.step("first", lambda: begun.append("first"))
        return await ctx.wait_for_signal("go")

    @workflow
    async def outer(ctx) -> list:
        return [await ctx.step(inner), await ctx.step("last", lambda: begun.append("last"))]

    async with Runtime(f"sqlite:///{tmp_path}/a.db", park_after=0.05) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("outer", {}, "workflow")).run_id
        await until(lambda: begun and not runtime._bus.runs)
        await client.signal(run_id, "go", "there")
        assert (await client.wait_for_result(run_id, 10)).output == ["there", None]
        assert begun == ["first", "last"]
