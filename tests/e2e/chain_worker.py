"""A process with a loop that goes on as a new run with every turn."""

from __future__ import annotations

import asyncio
import os
import sys

from agnt5 import AsyncClient, FunctionContext, Runtime, WorkflowContext, function, workflow

FIRST = "loop"
TURNS = 25


@function
async def work(ctx: FunctionContext, turn: int) -> int:
    """Leaves a line in the witness file, as a real effect would."""
    witness = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(witness, f"{turn} {ctx.idempotency_key}\n".encode())
    os.close(witness)
    return turn + 1


@workflow
async def loop(ctx: WorkflowContext, turn: int = 0) -> list[int]:
    """One turn: a step, and a signal once in a while."""
    ctx.state.set("turns", [*ctx.state.get("turns", []), turn])
    following = await ctx.step(work, turn)
    if turn % 10 == 5:
        await ctx.wait_for_signal("go")
    if following == TURNS:
        return ctx.state.get("turns")
    return ctx.continue_as_new(following)


async def main() -> None:
    """Go on until the last turn has ended."""
    async with Runtime(f"sqlite:///{sys.argv[1]}", park_after=0.02) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("loop", {}, "workflow", run_id=FIRST, idempotency_key="once")
        print("READY", flush=True)  # noqa: T201 - what the test waits for
        for n in range(TURNS // 10 + 1):
            try:
                await client.signal(FIRST, "go", signal_id=f"go{n}")
            except ValueError:
                break  # it has ended
        response = await client.wait_for_result(FIRST)
        print("DONE", response.output == list(range(TURNS)), flush=True)  # noqa: T201 - the same


if __name__ == "__main__":
    asyncio.run(main())
