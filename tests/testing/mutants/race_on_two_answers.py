"""The body looks whether a second answer is there already: that depends on how long things take."""

from __future__ import annotations

import asyncio

from agnt5 import WorkflowContext, function, workflow

ARGUMENTS = {"answers": {"Legal?": "yes", "Finance?": "no"}}
SAYS = "calmly it completed with"


@function
async def mutant_note(who: str) -> str:
    await asyncio.sleep(3)
    return f"{who} noted"


@workflow
async def buggy_approval(ctx: WorkflowContext) -> str:
    legal = asyncio.ensure_future(ctx.wait_for_user("Legal?"))
    finance = asyncio.ensure_future(ctx.wait_for_user("Finance?"))
    await legal
    await ctx.step(mutant_note, "legal")
    if finance.done():
        return f"legal {legal.result()}, finance {finance.result()}"
    return f"legal {legal.result()}, finance did not object"


@workflow
async def mended_approval(ctx: WorkflowContext) -> str:
    legal = asyncio.ensure_future(ctx.wait_for_user("Legal?"))
    finance = asyncio.ensure_future(ctx.wait_for_user("Finance?"))
    await legal
    await ctx.step(mutant_note, "legal")
    return f"legal {legal.result()}, finance {await finance}"


buggy, mended = buggy_approval, mended_approval
