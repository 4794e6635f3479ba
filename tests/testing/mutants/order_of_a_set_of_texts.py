"""The body goes through a set of texts: the next process has them in another order."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow

ARGUMENTS = {"elsewhere": True}
SAYS = "a replay in another process differs"
TOWNS = ("Bonn", "Kiel", "Jena", "Hof", "Ulm", "Trier", "Mainz", "Celle", "Goslar", "Essen")


@function
async def mutant_visit(town: str) -> int:
    return len(town)


@workflow
async def buggy_tour(ctx: WorkflowContext) -> list[int]:
    return [await ctx.step(town, mutant_visit, town) for town in set(TOWNS)]


@workflow
async def mended_tour(ctx: WorkflowContext) -> list[int]:
    return [await ctx.step(town, mutant_visit, town) for town in sorted(set(TOWNS))]


buggy, mended = buggy_tour, mended_tour
