"""Ids of children that users choose: each names one run, and nobody touches another's."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import until, written

from agnt5 import AsyncClient, Runtime, WorkflowContext, workflow
from agnt5.exceptions import InvalidInputError


@pytest.fixture(autouse=True)
def stranger():
    """A run that others may want for a child."""

    @workflow
    async def waits(ctx: WorkflowContext) -> object:
        return await ctx.wait_for_signal("go")

    @workflow
    async def says(ctx: WorkflowContext, n: int) -> int:
        return n


async def test_two_calls_that_want_one_id_at_once_do_not_wait_for_ever(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        both = (ctx.child("says", n, run_id="mine") for n in range(2))
        said = await asyncio.gather(*both, return_exceptions=True)
        return sorted("taken" if isinstance(each, InvalidInputError) else "won" for each in said)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("whole", {}, "workflow", timeout=5)
        assert response.output == ["taken", "won"], response.error
        assert (await client.get_result("mine")).output in (0, 1)
        await written(runtime)
        assert runtime._log.owing() == []


async def test_a_run_that_was_never_its_child_is_not_asked_to_stop(store):
    @workflow
    async def hasty(ctx: WorkflowContext) -> str:
        ctx.child("waits", run_id="theirs")
        return "over"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("waits", {}, "workflow", run_id="theirs")
        await until(lambda: runtime._log.run_row("theirs").status == "running")
        assert (await client.run("hasty", {}, "workflow", timeout=5)).output == "over"
        await written(runtime)
        await until(lambda: not runtime._log.owing())
    # What is owed is looked at again at the next start.
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await written(runtime)
        await client.signal("theirs", "go", 7)
        assert (await client.wait_for_result("theirs", 10)).output == 7
        assert runtime._log.owing() == []
