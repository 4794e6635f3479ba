"""Batches, sagas, patches and recorded chance through crashes at every moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.programs import flaky, work
from tests.laws.test_crash import check, examples
from tests.laws.world import World, boundaries, current, play, replay, run, some, verdict

from agnt5 import (
    FunctionContext,
    FunctionRegistry,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)

NAME = "laws_body"


@workflow(name=NAME)
async def body(ctx: WorkflowContext) -> Any:
    """Whatever coroutine function the world holds as its program."""
    world = current()
    seen: list[tuple[object, ...]] = []
    world.passes.append(seen)
    return await world.program(ctx, lambda *what: ctx.script.closed or seen.append(what))


@function(name="laws_do")
async def do(ctx: FunctionContext, label: str, spec: dict[str, Any]) -> str:
    """An effect on the world, which may fail after it."""
    life = current().begins(ctx.idempotency_key, label)
    SINK.add(label)
    await life.pass_time(spec["lasts"])
    if spec["fails"]:
        SINK.discard(label)
        raise ValueError(label)
    return f"receipt {label}"


@function(name="laws_undo", retries={"max_attempts": 3, "initial_interval_ms": 100})
async def undo(ctx: FunctionContext, label: str, spec: dict[str, Any], result: str | None) -> None:
    """Undoes it; at times not at the first attempt."""
    current().begins(ctx.idempotency_key, f"undo {label}")
    assert result == f"receipt {label}"
    if ctx.attempt < spec["stubborn"]:
        raise OSError(label)
    SINK.discard(label)


SINK: set[str] = set()


@pytest.fixture(autouse=True)
def components(registries):
    WorkflowRegistry.register(body)
    FunctionRegistry.register(do)
    FunctionRegistry.register(undo)


async def everywhere(program: Any, racy: bool, most: int = 24, after: Any = None) -> World:
    SINK.clear()
    calm = await verdict(program, name=NAME)
    if after is not None:
        after(calm)
    for crash in some(boundaries(calm), most):
        if calm.problems:
            break
        SINK.clear()
        expected = None if racy else calm.outcome()
        world = await verdict(program, [crash], expected, name=NAME)
        if after is not None:
            after(world)
        if world.problems:
            world.problems.append(str(crash))
            return world
    return calm


ITEM = st.fixed_dictionaries(
    {
        "turns": st.integers(0, 4),
        "value": st.sampled_from(["text", "tuple", "none", "decimal"]),
        "fails": st.sampled_from([None, None, "value", "app"]),
        "times": st.integers(1, 5),
        "lasts": st.sampled_from([0.0, 0.0, 1.5]),
    }
)


@given(st.lists(ITEM, max_size=5), st.integers(1, 3), st.booleans(), st.booleans())
@examples(0.15)
def test_a_batch_is_the_same_after_any_crash(items, slots, go_on, beside):
    """Also its durations; and with two batches at once each keeps its own items."""
    specs = [{**item, "label": f"i{n}"} for n, item in enumerate(items)]

    async def program(ctx, observe):
        first = ctx.batch(flaky, [{"spec": s} for s in specs], slots, go_on)
        if beside:
            second = ctx.batch(work, [{"spec": s} for s in specs], 2, go_on, timeout_per_item=9)
            await ctx.parallel(first, second)
            observe(repr(second.result()))
        result = await first
        observe(repr(result))
        return [(r.status, repr(r.output), str(r.error)) for r in result.results]

    check(run(everywhere(program, racy=not go_on)))


@given(
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.lists(st.sampled_from([0.5, 1.0]), min_size=4, max_size=4),
    st.booleans(),
)
@examples(0.3)
def test_a_saga_leaves_all_or_nothing(fails, stubborn, lasts, together):
    specs = [
        {"fails": f, "stubborn": s, "lasts": x}
        for f, s, x in zip(fails, stubborn, lasts, strict=False)
    ]

    async def program(ctx, observe):
        try:
            async with ctx.saga() as saga:
                steps = (
                    lambda n=n, spec=spec: saga.step(do, f"s{n}", spec, undo=undo)
                    for n, spec in enumerate(specs)
                )
                if together:
                    await ctx.parallel(*(step() for step in steps))
                else:
                    for step in steps:
                        observe(await step())
        except ValueError as error:
            # Which of two that fail at once is first, a crash may change.
            return "undone" if together else f"undone {error}"
        return "done"

    def after(world: World) -> None:
        wanted = {f"s{n}" for n in range(len(specs))} if world.outcome()[1] == "'done'" else set()
        if wanted != SINK:
            world.wrong(f"{world.outcome()} with the effects {SINK}")

    check(run(everywhere(program, racy=False, after=after)))


def test_a_saga_undoes_what_is_there_in_reverse_and_the_log_names_the_undo():
    specs = [{"fails": n == 2, "stubborn": 0, "lasts": 0.5} for n in range(3)]

    async def program(ctx, observe):
        async with ctx.saga() as saga:
            for n, spec in enumerate(specs):
                await saga.step(do, f"s{n}", spec, undo=undo)

    SINK.clear()
    world = run(play(program, name=NAME))
    asked = [fact for fact in world.disk.facts("run-1") if type(fact).__name__ == "StepScheduled"]
    assert [(fact.function, fact.input["args"][0]) for fact in asked if not fact.undo] == [
        ("laws_undo", "s1"),
        ("laws_undo", "s0"),
    ]
    assert [fact.undo for fact in asked] == ["laws_undo"] * 3 + [None] * 2


def _step(label: str) -> dict[str, Any]:
    turns = len(label) % 3
    return {"label": label, "turns": turns, "value": "text", "fails": None, "times": 9, "lasts": 0}


async def old(ctx, observe):
    first = await ctx.step(work, _step("a"))
    middle = await ctx.step(work, _step("old"))
    side = ctx.step(work, _step("side"))
    last = await ctx.step(work, _step("b"))
    return [first, middle, last, await side]


async def new(ctx, observe):
    await ctx.step(work, _step("a"))
    path = "new" if ctx.patched("renamed") else "old"
    observe(path)
    if path == "new":
        middle = [await ctx.step("fresh", work, _step("n1")), await ctx.step(work, _step("n2"))]
    else:
        middle = [await ctx.step(work, _step("old"))]
    side = ctx.step(work, _step("side"))
    if ctx.patched("renamed") is not (path == "new"):
        observe("changed its mind")
    await ctx.step(work, _step("b"))
    await side
    return [path, *middle]


async def patched_after(at: Crash | None, crashes: list[Crash]) -> World:
    world = World(old, name=NAME)
    await world.live(at)
    if world.disk.ended:
        return world
    asked = {f.key for f in world.disk.facts("run-1") if type(f).__name__ == "StepScheduled"}
    world.program, world.passes = new, []
    for crash in crashes:
        if not (await world.live(crash)).crashed:
            break
    if not world.disk.ended:
        await world.live()
    world.check_history()
    world.check_passes()
    went_on = ":laws_work#1" in asked
    wanted = "['old', 'old']" if went_on else "['new', 'n1', 'n2']"
    if world.outcome() != ("completed", wanted):
        world.wrong(f"after {at}, {crashes}: {world.outcome()}, not {wanted}")
    world.problems += (await replay(world)).problems
    return world


def test_an_old_history_keeps_the_old_path_and_a_fresh_one_takes_the_new():
    """A crash anywhere in the old code, then anywhere in the new code."""
    calm = run(play(old, name=NAME))
    for at in boundaries(calm):
        for second in (None, *some(boundaries(calm), 8)):
            check(run(patched_after(at, [second] if second else [])))


def test_the_question_may_be_removed_again():
    """Once no run is on the old path, code without the question replays the new histories."""

    async def without(ctx, observe):
        await ctx.step(work, _step("a"))
        await ctx.step("fresh", work, _step("n1"))
        await ctx.step(work, _step("n2"))
        await ctx.step(work, _step("late"))
        return "without"

    calm = run(play(new, name=NAME))
    for at in boundaries(calm)[: 2 * 6]:

        async def both(at=at) -> World:
            world = World(new, name=NAME)
            await world.live(at)
            if len([f for f in world.disk.facts("run-1") if hasattr(f, "function")]) > 3:
                return world
            world.program, world.passes = without, []
            await world.live()
            assert world.outcome() == ("completed", "'without'"), world.describe()
            return world

        check(run(both()))


@given(st.lists(st.sampled_from(["now", "random", "uuid4", "step", "pause"]), max_size=8))
@examples(0.2)
def test_recorded_chance_and_time_are_the_same_on_every_pass(calls):
    async def program(ctx, observe):
        for call in calls:
            if call == "step":
                await ctx.step(work, _step("s"))
            elif call == "pause":
                await ctx.sleep(2.5)
            else:
                observe(call, repr(getattr(ctx, call)()))
        return [ctx.random(), str(ctx.uuid4())]

    check(run(everywhere(program, racy=False, most=12)))
