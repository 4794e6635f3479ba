"""The kit on workflows that were not written for it: they are not disproved, but without a saga."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import strategies as st

from agnt5 import (
    EntityRegistry,
    FunctionRegistry,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.testing import DisprovedError, Effects, Outcome, crash_everywhere
from agnt5.testing.plugin import _put_back

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ORDERS = {
    "order": 1,
    "city": st.sampled_from(["bonn", "mars"]),
    "cents": st.sampled_from([9_000, 21_000]),
}
garage = Effects("garage")


@pytest.fixture(scope="module")
def desk():
    """The example; what it registers is forgotten in the end, its webhook above all."""
    registries = [EntityRegistry, FunctionRegistry, WorkflowRegistry]
    before = [set(each.all()) for each in registries]
    spec = importlib.util.spec_from_file_location("order_desk_of_kit", EXAMPLES / "order_desk.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for registry, known in zip(registries, before, strict=True):
        for name in set(registry.all()) - known:
            _put_back(registry, name, None)


def test_the_order_desk_survives(desk):
    """A saga, entities called from steps, a child, a queue, a question that two may answer."""
    verdict = crash_everywhere(
        desk.handle_order,
        ORDERS,
        answers={"Order *": st.sampled_from(["approve", "reject"])},
        regressions=False,
        examples=12,
    )
    assert verdict.singles > 40


@function
async def garage_lend(car: str) -> str:
    garage.record("lend", car=car)
    return car


@function
async def garage_take_back(car: str) -> None:
    garage.record("take back", car=car)


@workflow
async def garage_careful(ctx: WorkflowContext, car: str) -> str:
    async with ctx.saga() as saga:
        await saga.step(garage_lend, car, undo=garage_take_back)
        await ctx.wait_for_signal("back", timeout=60)
        return "driven"


@workflow
async def garage_careless(ctx: WorkflowContext, car: str) -> str:
    await ctx.step(garage_lend, car)
    await ctx.wait_for_signal("back", timeout=60)
    await ctx.step(garage_take_back, car)
    return "driven"


def every_car_comes_back(outcome: Outcome) -> None:
    names = [each.name for each in outcome.effects]
    is_driven = outcome.status == "completed"
    assert is_driven or "lend" not in names or "take back" in names, "a car is gone"


def test_a_cancellation_is_undone_by_a_saga_and_by_nothing_else():
    def search(tested):
        return crash_everywhere(
            tested,
            {"car": "van"},
            signals={"back": None},
            cancels=True,
            racy=True,
            check=every_car_comes_back,
            regressions=False,
            examples=30,
        )

    search(garage_careful)
    with pytest.raises(DisprovedError, match="a car is gone"):
        search(garage_careless)
