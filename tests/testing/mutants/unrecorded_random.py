"""The body rolls dice: a replay rolls others, and takes another way."""

from __future__ import annotations

import random

from agnt5 import WorkflowContext, function, workflow

SAYS = "which the calm run did not"


@function
async def mutant_variant_a() -> str:
    return "a"


@function
async def mutant_variant_b() -> str:
    return "b"


@workflow
async def buggy_variant(ctx: WorkflowContext) -> str:
    chosen = mutant_variant_a if random.random() < 0.5 else mutant_variant_b
    return await ctx.step(chosen)


@workflow
async def mended_variant(ctx: WorkflowContext) -> str:
    chosen = mutant_variant_a if ctx.random() < 0.5 else mutant_variant_b
    return await ctx.step(chosen)


buggy, mended = buggy_variant, mended_variant
