"""The body charges by itself: after a crash it charges again."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import Effects

bank = Effects("bank")
SAYS = "charge(cents=500) was done once by the body itself, outside of any step"


@function
async def mutant_charge(cents: int) -> None:
    bank.record("charge", cents=cents)


@function
async def mutant_pack(item: str) -> str:
    return f"parcel of {item}"


@workflow
async def buggy_charge(ctx: WorkflowContext, item: str) -> str:
    bank.record("charge", cents=500)
    return await ctx.step(mutant_pack, item)


@workflow
async def mended_charge(ctx: WorkflowContext, item: str) -> str:
    await ctx.step(mutant_charge, 500)
    return await ctx.step(mutant_pack, item)


buggy, mended = buggy_charge, mended_charge
