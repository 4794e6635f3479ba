"""A step changes a dict of the body through a closure: a replay does not run the step again."""

from __future__ import annotations

from agnt5 import WorkflowContext, workflow

SAYS = "calmly it completed with {'net': 100, 'tax': 20}"


@workflow
async def buggy_totals(ctx: WorkflowContext) -> dict[str, int]:
    totals: dict[str, int] = {}

    def add_net() -> None:
        totals["net"] = 100

    def add_tax() -> None:
        totals["tax"] = 20

    await ctx.step("net", add_net)
    await ctx.step("tax", add_tax)
    return totals


@workflow
async def mended_totals(ctx: WorkflowContext) -> dict[str, int]:
    return {
        "net": await ctx.step("net", lambda: 100),
        "tax": await ctx.step("tax", lambda: 20),
    }


buggy, mended = buggy_totals, mended_totals
