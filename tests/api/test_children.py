"""Children: runs of their own that a workflow starts and waits for."""

from __future__ import annotations

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow


async def test_a_child_is_a_run_of_its_own(store):
    @function
    async def double(n: int) -> int:
        return 2 * n

    @workflow
    async def part(ctx: WorkflowContext, n: int, plus: int = 0) -> int:
        return await ctx.step(double, n) + plus

    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        one = ctx.child(part, 3)
        two = ctx.child("part", n=4, plus=1)
        three = ctx.child(double, 5)
        return [await one, await two, await three, one.run_id, two.run_id, three.run_id]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("whole", {}, "workflow", timeout=10)
        assert response.output[:3] == [6, 9, 10], response.error
        for child, output in zip(response.output[3:], (6, 9, 10), strict=True):
            assert (await client.get_result(child)).output == output
        children = await client.list_runs(parent_run_id=response.run_id)
        assert {row.run_id for row in children} == set(response.output[3:])
