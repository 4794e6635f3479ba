"""The key of a step is made by chance: after a crash it is another step, which charges again."""

from __future__ import annotations

import uuid

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import Effects

card = Effects("card")
SAYS = "debit(cents=500) was done by"


@function
async def mutant_debit(cents: int) -> None:
    card.record("debit", cents=cents)


@workflow
async def buggy_debit(ctx: WorkflowContext) -> None:
    await ctx.step(mutant_debit, 500, key=str(uuid.uuid4()))


@workflow
async def mended_debit(ctx: WorkflowContext) -> None:
    await ctx.step(mutant_debit, 500, key=str(ctx.uuid4()))


buggy, mended = buggy_debit, mended_debit
