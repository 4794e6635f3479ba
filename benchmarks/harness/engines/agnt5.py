"""agnt5 on SQLite, by its public API. Variants: full, process (its two durabilities)."""

from __future__ import annotations

from agnt5 import (
    AsyncClient,
    RunResponse,
    RunStatus,
    Runtime,
    WorkflowContext,
    function,
    workflow,
)
from harness.api import STEPS, Adapter, Config


@function
async def work(run_id: str, i: int) -> int:
    return STEPS.mark(run_id, i)


@workflow
async def chain(ctx: WorkflowContext, run_id: str, n: int) -> int:
    for i in range(n):
        await ctx.step(work, run_id, i)
    return n


@workflow
async def fan(ctx: WorkflowContext, run_id: str, n: int) -> int:
    return len(await ctx.parallel(*(ctx.step(work, run_id, i) for i in range(n))))


@workflow
async def parked(ctx: WorkflowContext, run_id: str, n: int) -> int:
    for i in range(n):
        await ctx.step(work, run_id, i)
    await ctx.wait_for_signal("go")
    return await ctx.step(work, run_id, n)


@workflow
async def waiting(ctx: WorkflowContext, run_id: str, n: int) -> int:
    for i in range(n):
        await ctx.step(work, run_id, i)
    await ctx.wait_for_user("Go on?", input_type="approval")
    return await ctx.step(work, run_id, n)


class Agnt5(Adapter):
    async def start(self, config: Config) -> None:
        self.runtime = Runtime(f"sqlite:///{config.dir}/agnt5.db", durability=config.variant)
        await self.runtime.__aenter__()
        self.client = AsyncClient()

    async def stop(self) -> None:
        await self.runtime.__aexit__(None, None, None)

    async def _run(self, workflow: str, run_id: str, n: int) -> None:
        given = {"run_id": run_id, "n": n}
        answer = await self.client.run(workflow, given, component_type="workflow", run_id=run_id)
        expect(answer, n)

    async def run(self, run_id: str, steps: int) -> None:
        await self._run("chain", run_id, steps)

    async def fan_out(self, run_id: str, width: int) -> None:
        await self._run("fan", run_id, width)

    async def start_parked(self, run_id: str, steps: int) -> None:
        given = {"run_id": run_id, "n": steps}
        await self.client.submit("parked", given, component_type="workflow", run_id=run_id)

    async def signal(self, run_id: str) -> None:
        await self.client.signal(run_id, "go")

    async def start_waiting(self, run_id: str, steps: int) -> None:
        given = {"run_id": run_id, "n": steps}
        await self.client.submit("waiting", given, component_type="workflow", run_id=run_id)

    async def answer(self, run_id: str) -> None:
        await self.client.resume(run_id, "approve")

    async def join(self, run_id: str) -> None:
        expect(await self.client.wait_for_result(run_id))


def expect(answer: RunResponse, output: int | None = None) -> None:
    """A failed run is an answer, not an exception: it must not pass for a fast one."""
    if answer.status is not RunStatus.COMPLETED or output not in {None, answer.output}:
        raise RuntimeError(f"{answer.run_id}: {answer.status}, {answer.output!r}, {answer.error}")


def create() -> Adapter:
    return Agnt5()
