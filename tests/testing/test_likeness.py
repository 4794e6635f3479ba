"""A simulation is the real thing: the same events as a runtime with threads and a real clock."""

from __future__ import annotations

import asyncio

import pytest

from agnt5 import AsyncClient, Runtime, Workflow, WorkflowContext, function, workflow
from agnt5.events.codec import decode_history
from agnt5.testing import Simulation


@function(retries={"max_attempts": 3, "initial_interval_ms": 1})
async def like_flaky(ctx, n: int) -> int:
    if ctx.attempt < 1:
        raise ConnectionError("once")
    return n


@function
def like_blocking(n: int) -> int:
    return n + 1


@function
async def like_failing(n: int) -> int:
    raise LookupError(f"no {n}")


@workflow
async def like_steps(ctx: WorkflowContext, n: int) -> int:
    ctx.state.set("n", n)
    total = await ctx.step(like_flaky, n) + await ctx.step(like_blocking, n)
    await ctx.sleep(0.01)
    return total + await ctx.step("inline", lambda: 1)


@workflow
async def like_parent(ctx: WorkflowContext, n: int) -> int:
    return await ctx.child(like_steps, n=n)


@workflow
async def like_parallel(ctx: WorkflowContext, n: int) -> list[int]:
    return await ctx.parallel(*[ctx.step(like_blocking, each) for each in range(n)])


@workflow
async def like_error(ctx: WorkflowContext, n: int) -> int:
    try:
        return await ctx.step(like_failing, n)
    except LookupError:
        async with ctx.timeout(0.01):
            return await ctx.wait_for_signal("never")


class LikeClass(Workflow):
    async def run(self, n: int) -> int:
        self.seen = [n]
        await self.step(like_blocking, n)
        return len(self.seen)


NAMES = ["like_steps", "like_parent", "like_parallel", "like_error", "LikeClass"]
_OF_THIS_MACHINE = {"duration_us", "due_at", "wake_at", "retry_at", "deadline", "child_run_id"}


def told(facts):
    """Facts without times, of concurrent ones in any order."""
    said = [(f.topic, f.model_dump(exclude=_OF_THIS_MACHINE)) for f in facts]
    return sorted(map(repr, (each for each in said if each[0] != "RunParked")))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_the_events_are_those_of_a_real_runtime(name, seed):
    async def real():
        async with Runtime(store="memory://") as runtime:
            client = AsyncClient(runtime=runtime)
            await client.run(name, {"n": 2}, "workflow", run_id="likeness")
            return decode_history(runtime.runs.bus.log.read("likeness"))

    facts = [fact for fact, _ in asyncio.run(real())]
    with Simulation(seed=seed) as simulation:
        simulation.client.run(name, {"n": 2}, "workflow", run_id="likeness")
        simulated = simulation.history("likeness")
    assert told(simulated) == told(facts)
    assert simulated[-1] == facts[-1]
