"""Changes of workflows, checked on histories that are made up."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import strategies as st

from agnt5 import ConfigurationError, WorkflowContext, function, workflow
from agnt5.testing.upgrade import check_upgrade


@pytest.fixture(autouse=True)
def pay(registries):
    @function(name="pay")
    async def pay(n: int) -> int:
        return n

    return pay


def test_the_smallest_input_and_the_first_event_are_named(pay):
    @workflow(name="order", version="1")
    async def old(ctx: WorkflowContext, amounts: list[int]) -> int:
        return sum([await ctx.step(pay, n) for n in amounts])

    @workflow(name="order", version="2")
    async def new(ctx: WorkflowContext, amounts: list[int]) -> int:
        if len(amounts) > 2:
            await ctx.step("approve", lambda: None)
        return sum([await ctx.step(pay, n) for n in amounts])

    check_upgrade(old, old, max_examples=10, strict=True)
    with pytest.raises(AssertionError) as caught:
        check_upgrade(old, new)
    first = str(caught.value).splitlines()[0]
    assert first == "with the input {'amounts': [0, 0, 0]}, cut after event 3 of 9:"
    assert "asked for: ':approve#0'" in str(caught.value)


def test_patched_makes_it_pass(pay):
    @workflow(name="order", version="1")
    async def old(ctx: WorkflowContext, n: int) -> int:
        await ctx.step(pay, n)
        await ctx.sleep(n * 1000 % 7)
        return await ctx.step(pay, n + 1)

    @workflow(name="order", version="2")
    async def new(ctx: WorkflowContext, n: int) -> int:
        await ctx.step(pay, n)
        if ctx.patched("no-sleep"):
            return await ctx.step(pay, n + 2)
        await ctx.sleep(n * 1000 % 7)
        return await ctx.step(pay, n + 1)

    check_upgrade(old, new, max_examples=10)


def test_strict_finds_changed_arguments(pay):
    @workflow(name="order", version="1")
    async def old(ctx: WorkflowContext, n: int) -> int:
        return await ctx.step(pay, n)

    @workflow(name="order", version="2")
    async def new(ctx: WorkflowContext, n: int) -> int:
        return await ctx.step(pay, min(n, 100))

    check_upgrade(old, new, max_examples=20)
    with pytest.raises(AssertionError, match=r"'n': 101\}.*cut after event 3"):
        check_upgrade(old, new, strict=True, max_examples=200)


def test_a_workflow_that_is_not_deterministic_is_told_apart(pay):
    numbers = itertools.count()

    @workflow(name="order")
    async def old(ctx: WorkflowContext) -> int:
        return await ctx.step(f"number {next(numbers)}", pay, 1)

    with pytest.raises(AssertionError, match="not even the old code does the same again"):
        check_upgrade(old, old, max_examples=3)


def test_signals_questions_time_and_branches(pay):
    @workflow(name="order")
    async def old(ctx: WorkflowContext, n: int = 1) -> object:
        parts = await asyncio.gather(ctx.step(pay, n), ctx.sleep(86_400), ctx.step(pay, 2))
        got = [await ctx.wait_for_signal("go"), await ctx.wait_for_signal("go")]
        return [*parts, got, await ctx.wait_for_user("Well?")]

    @workflow(name="other")
    async def new(ctx: WorkflowContext, n: int = 1) -> object:
        parts = await asyncio.gather(ctx.step(pay, n), ctx.sleep(86_400), ctx.step(pay, 2))
        got = [await ctx.wait_for_signal("go"), await ctx.wait_for_signal("go")]
        if got == [1, 2]:
            await ctx.step(pay, 3)
        return [*parts, got, await ctx.wait_for_user("Well?")]

    outside = {"signals": {"go": [1, 2]}, "answers": {"Well?": "yes"}, "max_examples": 3}
    check_upgrade(old, old, strict=True, **outside)
    with pytest.raises(AssertionError, match="expected: question"):
        check_upgrade(old, new, **outside)
    # Nobody answers, so that nothing is known of what comes after the question's turn.
    check_upgrade(old, new, signals={"go": 1}, max_examples=3)


def test_inputs_come_from_hints_or_are_given(pay):
    @workflow(name="order")
    async def bare(ctx, n) -> int:
        return await ctx.step(pay, n)

    with pytest.raises(ConfigurationError, match="'n' of 'order' has no type hint"):
        check_upgrade(bare, bare)
    check_upgrade(bare, bare, st.just({"n": 1}), max_examples=2)
    with pytest.raises(ConfigurationError, match="is no workflow"):
        check_upgrade(bare, "bare")
