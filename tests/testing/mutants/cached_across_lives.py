"""The body keeps a step's result in a module: the next pass does not ask for the step."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow

prices: dict[str, int] = {}
SAYS = "the body did not ask again for what the log holds"
ARGUMENTS = {"input": {"sku": "cup"}}


@function
async def mutant_price(sku: str) -> int:
    return 100 * len(sku)


@workflow
async def buggy_price(ctx: WorkflowContext, sku: str) -> int:
    if sku not in prices:
        prices[sku] = await ctx.step(mutant_price, sku)
    await ctx.sleep(60)
    return prices[sku]


@workflow
async def mended_price(ctx: WorkflowContext, sku: str) -> int:
    price = await ctx.step(mutant_price, sku)
    await ctx.sleep(60)
    return price


buggy, mended = buggy_price, mended_price
