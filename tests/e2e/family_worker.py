"""A process with a parent and three children: one succeeds, one fails, one is cancelled."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from agnt5 import AsyncClient, FunctionContext, Runtime, WorkflowContext, function, workflow

PARENT = "parent"


@function
async def work(ctx: FunctionContext, label: str) -> str:
    """Leaves a line in the witness file, as a real effect would."""
    line = f"{label} {ctx.idempotency_key}\n".encode()
    witness = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(witness, line)
    os.close(witness)
    await asyncio.sleep(0.01)
    return label


@workflow
async def good(ctx: WorkflowContext) -> list[str]:
    """Three steps and a pause."""
    first = [await ctx.step(work, "good 1"), await ctx.step(work, "good 2")]
    await ctx.sleep(0.1)
    return [*first, await ctx.step(work, "good 3")]


@workflow
async def bad(ctx: WorkflowContext) -> None:
    """Fails after a step."""
    await ctx.step(work, "bad 1")
    raise KeyError("bad")


@workflow
async def endless(ctx: WorkflowContext) -> None:
    """Ends only when it is cancelled, and cleans up."""
    await ctx.step(work, "endless 1")
    try:
        await ctx.sleep(3600)
    except asyncio.CancelledError:
        await ctx.step(work, "endless cleanup 1")
        await ctx.step(work, "endless cleanup 2")
        raise


@workflow
async def parent(ctx: WorkflowContext) -> Any:
    """Waits for two, and gives the third one up."""
    children = [ctx.child(good, run_id="good"), ctx.child(bad, run_id="bad")]
    third = ctx.child(endless, run_id="endless")
    ends = await asyncio.gather(*children, return_exceptions=True)
    await ctx.wait_for_signal("began")
    third.cancel()
    return [repr(end) for end in ends]


async def main() -> None:
    """Go on until all four have ended."""
    async with Runtime(f"sqlite:///{sys.argv[1]}", park_after=0.02) as runtime:
        client = AsyncClient(runtime=runtime)
        if not await client.list_runs(component="parent"):
            await client.submit("parent", {}, "workflow", run_id=PARENT)
        print("READY", flush=True)  # noqa: T201 - what the test waits for
        while not await client.list_runs(component="endless"):
            await asyncio.sleep(0.005)
        while "workflow.step.completed" not in {
            event.event_type for event in await client.get_events("endless")
        }:
            await asyncio.sleep(0.005)
        if (await client.get_status(PARENT)).status == "running":
            await client.signal(PARENT, "began", signal_id="once")
        for run_id in (PARENT, "good", "bad", "endless"):
            await client.wait_for_result(run_id)
        print("DONE", flush=True)  # noqa: T201 - the same


if __name__ == "__main__":
    asyncio.run(main())
