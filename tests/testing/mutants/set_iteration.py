"""The body goes through a set: its order is another one in the next process."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow

SAYS = "the body asked for step 'mutant_ship'"


class Parcel:
    """Without a hash of its own: its place in a set is its place in memory."""

    def __init__(self, number: int) -> None:
        self.number = number


@function
async def mutant_ship(number: int) -> int:
    return number


@workflow
async def buggy_shipping(ctx: WorkflowContext) -> int:
    parcels = {Parcel(number) for number in range(12)}
    return sum([await ctx.step(mutant_ship, each.number) for each in parcels])


@workflow
async def mended_shipping(ctx: WorkflowContext) -> int:
    parcels = {Parcel(number) for number in range(12)}
    ordered = sorted(parcels, key=lambda each: each.number)
    return sum([await ctx.step(mutant_ship, each.number) for each in ordered])


buggy, mended = buggy_shipping, mended_shipping
