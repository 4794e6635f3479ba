"""A process with a run that is paused, resumed and forked while somebody kills it."""

from __future__ import annotations

import asyncio
import os
import sys

from agnt5 import AsyncClient, FunctionContext, Runtime, WorkflowContext, function, workflow
from agnt5.exceptions import InvalidInputError

ORIGIN, FORK = "origin", "fork"
KEPT = 8
"""The event at which it is forked: after its second step."""


@function
async def work(ctx: FunctionContext, label: str) -> str:
    """Leaves a line in the witness file, as a real effect would."""
    line = f"{ctx.run_id} {label} {ctx.idempotency_key}\n".encode()
    witness = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(witness, line)
    os.close(witness)
    await asyncio.sleep(0.01)
    return label


@workflow
async def chain(ctx: WorkflowContext) -> list[str]:
    """Six steps, one after the other."""
    return [await ctx.step(work, f"step {n}") for n in range(6)]


def say(line: str) -> None:
    """Tell whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def begin(client: AsyncClient) -> None:
    """Start the run, unless it is there."""
    try:
        await client.submit("chain", {}, "workflow", run_id=ORIGIN)
    except InvalidInputError as error:
        assert "already" in str(error)


async def stand_still(client: AsyncClient) -> None:
    """Pause the run and let it go on, as often as it takes to end."""
    while (await client.get_status(ORIGIN)).completed_at is None:
        try:
            await client.pause(ORIGIN)
            say("PAUSED")
            await asyncio.sleep(0.02)
            await client.resume(ORIGIN)
        except InvalidInputError:
            pass  # it has just ended
        await asyncio.sleep(0.03)


async def main() -> None:
    """As far as one gets."""
    async with Runtime(store=f"sqlite:///{sys.argv[1]}") as runtime:
        client = AsyncClient(runtime=runtime)
        await begin(client)
        if (await client.get_status(ORIGIN)).status == "paused":
            say("STILL PAUSED")
            await client.resume(ORIGIN)
        await stand_still(client)
        try:
            await client.fork(ORIGIN, KEPT, new_run_id=FORK, identity="own")
        except InvalidInputError as error:
            assert "already" in str(error)
        say("FORKED")
        await client.wait_for_result(FORK, 30)
        say("DONE")


asyncio.run(main())
