"""Each round waits anew for both signals: one of them goes to a wait that nobody looks at."""

from __future__ import annotations

import asyncio
from typing import Any

from agnt5 import WorkflowContext, workflow

ARGUMENTS = {"signals": [("work", 1), ("work", 2), ("stop", None)]}
SAYS = "the run never ended: it waits for signal"


@workflow
async def buggy_rounds(ctx: WorkflowContext) -> int:
    done = 0
    while True:
        work = asyncio.ensure_future(ctx.wait_for_signal("work"))
        stop = asyncio.ensure_future(ctx.wait_for_signal("stop"))
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return done
        done += work.result()
        if done == 3:
            await stop
            return done


@workflow
async def mended_rounds(ctx: WorkflowContext) -> int:
    done = 0
    stop: asyncio.Future[Any] = asyncio.ensure_future(ctx.wait_for_signal("stop"))
    for _ in range(2):
        done += await ctx.wait_for_signal("work")
    await stop
    return done


buggy, mended = buggy_rounds, mended_rounds
