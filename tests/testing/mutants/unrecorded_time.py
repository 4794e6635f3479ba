"""The body reads the machine's clock: a replay reads another time."""

from __future__ import annotations

import time

from agnt5 import WorkflowContext, function, workflow

SAYS = "the body asked for step 'mutant_stamp'"


@function
async def mutant_stamp(at: int) -> str:
    return f"stamped {at % 1 == 0}"


@workflow
async def buggy_stamp(ctx: WorkflowContext) -> str:
    return await ctx.step(mutant_stamp, time.perf_counter_ns())


@workflow
async def mended_stamp(ctx: WorkflowContext) -> str:
    return await ctx.step(mutant_stamp, int(ctx.now().timestamp()))


buggy, mended = buggy_stamp, mended_stamp
