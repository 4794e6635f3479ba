"""A restart in the middle of an attempt that may not be repeated."""

from __future__ import annotations

import asyncio

import pytest
from tests.events.run.spec import timed
from tests.laws.crashing_log import disk_of

from agnt5 import (
    AsyncClient,
    FunctionRegistry,
    Runtime,
    UnknownOutcomeError,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.events.run import facts as f


@pytest.fixture(autouse=True)
def registries():
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    yield
    FunctionRegistry.clear()
    WorkflowRegistry.clear()


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 30])
async def test_it_is_not_repeated_however_long_the_replay_takes(turns):
    """The body asks for the step again some turns of the loop after the run has recovered."""
    begun = []

    @function
    async def prepare():
        begun.append("prepare")

    @function(recovery="fail")
    async def pay():
        begun.append("pay")

    @workflow
    async def order(ctx):
        await ctx.step(prepare)
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            return await ctx.step(pay)
        except UnknownOutcomeError:
            return "unknown"

    facts = [
        f.RunQueued(component="order", kind="workflow", input={}),
        f.RunStarted(definition="d"),
        f.StepScheduled(key=":prepare#0", name="prepare", function="prepare"),
        f.StepCompleted(key=":prepare#0"),
        f.StepScheduled(key=":pay#0", name="pay", function="pay", recovery="fail"),
        f.StepStarted(key=":pay#0", attempt=0),
    ]
    async with Runtime(disk_of("r1", timed(facts)).log) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r1", 10)
    assert response.output == "unknown"
    assert begun == []
