"""A patched workflow, deployed between two crashes: old histories keep the old path."""

from __future__ import annotations

from typing import Any

import pytest
from tests.laws.crashing_log import Crash
from tests.laws.programs import work
from tests.laws.test_crash import check
from tests.laws.world import World, boundaries, current, play, replay, run, some

from agnt5 import WorkflowContext, WorkflowRegistry, workflow

NAME = "laws_body"


@workflow(name=NAME)
async def body(ctx: WorkflowContext) -> Any:
    """Whatever coroutine function the world holds as its program."""
    world = current()
    seen: list[tuple[object, ...]] = []
    world.passes.append(seen)
    return await world.program(ctx, lambda *what: ctx.script.closed or seen.append(what))


@pytest.fixture(autouse=True)
def components(registries):
    WorkflowRegistry.register(body)


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
