"""A timeout of the process begins again after a crash: what was too late is in time then."""

from __future__ import annotations

import asyncio

from agnt5 import WorkflowContext, workflow
from agnt5.exceptions import StepTimeoutError

ARGUMENTS = {"signals": {"approve": "Ada"}}
SAYS = "calmly it"


@workflow
async def buggy_deadline(ctx: WorkflowContext) -> str:
    try:
        async with asyncio.timeout(50):
            await ctx.sleep(40)
            return await ctx.wait_for_signal("approve")
    except TimeoutError:
        return "nobody"


@workflow
async def mended_deadline(ctx: WorkflowContext) -> str:
    try:
        async with ctx.timeout(50):
            await ctx.sleep(40)
            return await ctx.wait_for_signal("approve")
    except (TimeoutError, StepTimeoutError):
        return "nobody"


buggy, mended = buggy_deadline, mended_deadline
