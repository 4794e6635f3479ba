"""Batches, sagas, recorded chance and time through crashes at every moment, with the proof kit."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from agnt5 import (
    FunctionContext,
    FunctionRegistry,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.saga import _Undo
from agnt5.testing import DisprovedError, Effects, Outcome, Simulation, crash_everywhere

outside = Effects("outside")
VALUES = {"text": "a", "tuple": ("a", 1, (2.5, None)), "none": None, "decimal": Decimal("1.50")}
ERRORS = {"value": ValueError, "key": KeyError}


async def _attempted(ctx: FunctionContext, spec: dict[str, Any]) -> Any:
    for _ in range(spec["turns"]):
        await asyncio.sleep(0)
    await asyncio.sleep(spec["lasts"])
    if spec["fails"] is not None and ctx.attempt < spec["times"]:
        raise ERRORS[spec["fails"]](spec["label"])
    return spec["label"], VALUES[spec["value"]]


@function(name="laws_patient", retries={"max_attempts": 4, "initial_interval_ms": 300})
async def patient(ctx: FunctionContext, spec: dict[str, Any]) -> Any:
    """Tried again."""
    return await _attempted(ctx, spec)


@function(name="laws_single")
async def single(ctx: FunctionContext, spec: dict[str, Any]) -> Any:
    """Tried once."""
    return await _attempted(ctx, spec)


@function(name="laws_do")
async def do(ctx: FunctionContext, label: str, spec: dict[str, Any]) -> str:
    """An effect on the world; a failure takes it back."""
    outside.record("do", label=label)
    await asyncio.sleep(spec["lasts"])
    if spec["fails"]:
        outside.record("take_back", label=label)
        raise ValueError(label)
    return f"receipt {label}"


@function(name="laws_undo", retries={"max_attempts": 3, "initial_interval_ms": 100})
async def undo(ctx: FunctionContext, label: str, spec: dict[str, Any], result: str | None) -> None:
    """Undoes it; at times not at the first attempt."""
    assert result == f"receipt {label}"
    if ctx.attempt < spec["stubborn"]:
        raise OSError(label)
    outside.record("take_back", label=label)


@workflow(name="laws_batches")
async def batches(
    ctx: WorkflowContext, items: list[Any], slots: int, go_on: bool, beside: bool
) -> list[Any]:
    """One batch, or two at once; each must keep its own items, and their durations."""
    specs = [{**item, "label": f"i{n}"} for n, item in enumerate(items)]
    calls = [ctx.batch(patient, [{"spec": s} for s in specs], slots, go_on)]
    if beside:
        calls.append(ctx.batch(single, [{"spec": s} for s in specs], 2, go_on, timeout_per_item=9))
    results = await ctx.parallel(*calls)
    noted = await ctx.step("note", lambda: repr(results))
    assert noted == repr(results), "a later pass sees another result"
    return [(r.status, repr(r.output), str(r.error)) for each in results for r in each.results]


@workflow(name="laws_sagas")
async def sagas(ctx: WorkflowContext, specs: list[Any], together: bool) -> str:
    """All of it, or nothing."""
    try:
        async with ctx.saga() as saga:
            steps = [
                lambda n=n, spec=spec: saga.step(do, f"s{n}", spec, undo=undo)
                for n, spec in enumerate(specs)
            ]
            if together:
                await ctx.parallel(*(step() for step in steps))
            else:
                for step in steps:
                    await step()
    except ValueError as error:
        assert any(spec["fails"] for spec in specs), "it failed for no reason"
        # Which of two that fail at once is first, a crash may change.
        return "undone" if together else f"undone {error}"
    assert not any(spec["fails"] for spec in specs), "a failure was lost"
    return "done"


@workflow(name="laws_chances")
async def chances(ctx: WorkflowContext, calls: list[str]) -> list[str]:
    """What its calls of chance and time said."""
    seen: list[str] = []
    for call in calls:
        if call == "step":
            await ctx.step("step", lambda: None)
        elif call == "pause":
            await ctx.sleep(2.5)
        else:
            seen.append(repr(getattr(ctx, call)()))
    return [*seen, repr(ctx.random()), str(ctx.uuid4())]


@pytest.fixture(autouse=True)
def components(registries):
    for each in (batches, sagas, chances):
        WorkflowRegistry.register(each)
    for each in (patient, single, do, undo):
        FunctionRegistry.register(each)


def law(tested: Any, given: dict[str, Any], share: float, **options: Any) -> None:
    """What holds of it after any crash, takeover or trouble."""
    examples = max(5, int(settings.default.max_examples * share))
    crash_everywhere(tested, given, examples=examples, regressions=False, **options)


ITEM = st.fixed_dictionaries(
    {
        "turns": st.integers(0, 4),
        "value": st.sampled_from(sorted(VALUES)),
        "fails": st.sampled_from([None, None, *sorted(ERRORS)]),
        "times": st.integers(1, 5),
        "lasts": st.sampled_from([0.0, 0.0, 1.5]),
    }
)


@pytest.mark.parametrize("go_on", [True, False])
def test_a_batch_is_the_same_after_any_crash(go_on):
    """Also its durations. One that ends with the first failure is a race of its items."""
    given = {
        "items": st.lists(ITEM, max_size=5),
        "slots": st.integers(1, 3),
        "go_on": go_on,
        "beside": st.booleans(),
    }
    law(batches, given, 0.15, racy=not go_on, check=_ends)


def _ends(outcome: Outcome) -> None:
    assert not isinstance(outcome.value, AssertionError), outcome.value


SPEC = st.fixed_dictionaries(
    {
        "fails": st.booleans(),
        "stubborn": st.integers(0, 2),
        "lasts": st.sampled_from([0.5, 1.0]),
    }
)


def all_or_nothing(outcome: Outcome) -> None:
    """What a worker that has lost the store still does is nobody's promise."""
    _ends(outcome)
    there: set[str] = set()
    touched: set[str] = set()
    for each in outcome.effects:
        if not each.late:
            (there.add if each.name == "do" else there.discard)(each.details)
            touched.add(each.details)
    assert there == (touched if outcome.value == "done" else set())


@pytest.mark.parametrize("together", [True, False])
def test_a_saga_leaves_all_or_nothing(together):
    given = {"specs": st.lists(SPEC, min_size=1, max_size=4), "together": together}
    law(sagas, given, 0.25, check=all_or_nothing, racy=together)


def test_a_saga_that_undoes_nothing_is_caught(monkeypatch):
    monkeypatch.setattr(_Undo, "is_due", property(lambda self: False))
    specs = [{"fails": n == 1, "stubborn": 0, "lasts": 0.5} for n in range(2)]
    with pytest.raises(DisprovedError):
        law(sagas, {"specs": specs, "together": False}, 0, check=all_or_nothing)


def test_a_saga_undoes_what_is_there_in_reverse_and_the_log_names_the_undo():
    specs = [{"fails": n == 2, "stubborn": 0, "lasts": 0.5} for n in range(3)]
    with Simulation() as simulation:
        given = {"specs": specs, "together": False}
        run_id = simulation.client.run("laws_sagas", given, "workflow").run_id
        history = simulation.history(run_id)
    asked = [fact for fact in history if type(fact).__name__ == "StepScheduled"]
    assert [(fact.function, fact.input["args"][0]) for fact in asked if not fact.undo] == [
        ("laws_undo", "s1"),
        ("laws_undo", "s0"),
    ]
    assert [fact.undo for fact in asked] == ["laws_undo"] * 3 + [None] * 2


def test_recorded_chance_and_time_are_the_same_on_every_pass():
    calls = st.sampled_from(["now", "random", "uuid4", "step", "pause"])
    law(chances, {"calls": st.lists(calls, max_size=8)}, 0.2)
