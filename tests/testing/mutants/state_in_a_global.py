"""The body counts in a global: every pass counts again."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow

count = 0
SAYS = "calmly it completed with 'order 1'"


@function
async def mutant_book(number: int) -> str:
    return f"order {number}"


@workflow
async def buggy_number(ctx: WorkflowContext) -> str:
    global count
    count += 1
    await ctx.sleep(60)
    return f"order {count}"


@workflow
async def mended_number(ctx: WorkflowContext) -> str:
    number = ctx.state.get("count", 0) + 1
    ctx.state.set("count", number)
    await ctx.sleep(60)
    return await ctx.step(mutant_book, number)


buggy, mended = buggy_number, mended_number
