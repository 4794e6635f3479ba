"""A key of one's own says the same of two items: the second one is never charged."""

from __future__ import annotations

from hypothesis import strategies as st

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import Effects, Outcome

till = Effects("till")
SAYS = "items were not charged"


@function
async def mutant_ring(cents: int) -> int:
    till.record("ring", cents=cents)
    return cents


@workflow
async def buggy_till(ctx: WorkflowContext, items: list[int]) -> int:
    return sum([await ctx.step(mutant_ring, each, key="ring") for each in items])


@workflow
async def mended_till(ctx: WorkflowContext, items: list[int]) -> int:
    rung = [await ctx.step(mutant_ring, each, key=f"ring {n}") for n, each in enumerate(items)]
    return sum(rung)


def every_item_is_charged(outcome: Outcome) -> None:
    items = outcome.events[0].input["items"]
    places = {each.place for each in outcome.effects}
    assert len(places) == len(items), "items were not charged"


ARGUMENTS = {
    "input": {"items": st.lists(st.integers(1, 9), max_size=3)},
    "check": every_item_is_charged,
}
buggy, mended = buggy_till, mended_till
