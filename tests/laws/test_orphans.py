"""Tasks that a body leaves behind, on real IO: its end is what counts, however far they have come.

IO takes another while on every pass, so that an orphan has asked for more or for less by the time
the body ends. The body itself looks at nothing of theirs: every pass must end as the calm run.
"""

from __future__ import annotations

import asyncio
import random
from contextvars import Context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.test_crash import LATENCIES, PARK_AFTER, check, examples
from tests.laws.world import RUN, World, boundaries, current, play, run, some

from agnt5 import FunctionRegistry, WorkflowContext, WorkflowRegistry, function, workflow
from agnt5.events.run import facts as f

NAME = "laws_orphans"


def io(turns: int) -> asyncio.Future[None]:
    """Something outside of the engine, that takes so many turns of the loop."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def turn(left: int) -> None:
        if done.done():
            return
        if left:
            loop.call_soon(turn, left - 1, context=Context())
        else:
            done.set_result(None)

    turn(turns)
    return done


@function(name="laws_orphan_work")
async def orphan_work(label: str) -> str:
    """A step of an orphan."""
    await asyncio.sleep(0)
    return label


@function(name="laws_hanging")
async def hanging() -> None:
    """A step that is under way when the run ends."""
    await asyncio.Event().wait()


class Pass:
    """One pass of a body, with the IO of its own."""

    def __init__(self, ctx: WorkflowContext, seed: int, number: int) -> None:
        self.ctx = ctx
        self.tasks: list[asyncio.Task[Any]] = []
        self.chance = random.Random(f"{seed}/{number}")

    async def act(self, op: Any, label: str) -> Any:
        """One thing that the body or an orphan of it does."""
        ctx = self.ctx
        match op:
            case "step":
                return await ctx.step(orphan_work, label)
            case "inline":
                return await ctx.step(label, self.act_all(["step", "io", "step"], label))
            case "sleep":
                return await ctx.sleep(0.5)
            case "emit":
                return ctx.emit("said", {"label": label})
            case "drop":
                return ctx.step(orphan_work, f"{label} dropped") and None
            case "hang":
                return ctx.step(hanging) and None
            case "give up":
                step = ctx.step(orphan_work, label)
                await io(self.chance.choice([0, 1, 6, 15]))
                return step.cancel() and None
            case "io":
                return await io(self.chance.choice([0, 0, 1, 2, 5, 9, 18]))
            case [*ops]:
                self.tasks.append(asyncio.create_task(self.act_all(ops, f"{label} orphan")))
        return None

    async def act_all(self, ops: list[Any], label: str) -> list[Any]:
        """One after another."""
        return [await self.act(op, f"{label}.{n}") for n, op in enumerate(ops)]


@workflow(name=NAME)
async def body(ctx: WorkflowContext) -> Any:
    """Does what the program of the world says."""
    world = current()
    seen: list[tuple[object, ...]] = []
    world.passes.append(seen)
    ops, seed = world.program
    this = Pass(ctx, seed, len(world.passes))
    for n, op in enumerate(ops):
        seen.append((n, await this.act(op, f"main.{n}")))
    return list(seen)


@pytest.fixture(autouse=True)
def components(registries):
    WorkflowRegistry.register(body)
    FunctionRegistry.register(orphan_work)
    FunctionRegistry.register(hanging)


SIMPLE = st.sampled_from(["step", "inline", "sleep", "emit", "drop", "hang", "give up", "io", "io"])
ORPHAN = st.lists(SIMPLE | st.lists(SIMPLE, min_size=1, max_size=3), min_size=1, max_size=5)
MAIN = st.sampled_from(["step", "step", "sleep", "emit", "drop", "hang", "io"])
PROGRAMS = st.tuples(ORPHAN, st.lists(MAIN | ORPHAN, max_size=5)).map(lambda p: [p[0], *p[1]])


def asked(world: World) -> set[str]:
    """What the body itself has asked for or said, without its orphans."""
    facts = world.disk.facts(RUN)
    keys = {fact.key for fact in facts if isinstance(fact, f.Request | f.Note)}
    return {key for key in keys if key.startswith(":")}


async def verdict(
    program: Any, crashes: Any = (), calm: World | None = None, **options: Any
) -> World:
    """Play; the run must have ended as the calm one, and end so again without its last fact."""
    world = await play(program, crashes, name=NAME, **options)
    world.check_history()
    world.check_passes()
    again = World(program, disk=world.disk.without_last(RUN), name=NAME, now=world.now)
    again.passes += world.passes[-1:]
    await again.live()
    again.check_history()
    again.check_passes()
    calm = calm or world
    for each in (world, again):
        if each.outcome() != calm.outcome() or each.outcome()[0] != "completed":
            each.wrong(f"ended with {each.outcome()}, calmly with {calm.outcome()}")
        if asked(each) != asked(calm):
            each.wrong(f"asked for {asked(each)}, calmly for {asked(calm)}")
    world.problems += again.problems
    return world


@pytest.mark.timeout(300)
@given(
    PROGRAMS,
    st.integers(0, 2**32),
    st.lists(st.builds(Crash, st.integers(0, 24), st.booleans()), min_size=1, max_size=3),
    LATENCIES,
    PARK_AFTER,
)
@examples(4)
def test_what_a_body_leaves_behind_never_suspends_it(ops, seed, crashes, latency, park_after):
    """Random bodies with orphans, random IO, one to three crashes."""
    program = (ops, seed)

    async def both() -> World:
        calm = await verdict(program)
        if calm.problems:
            return calm
        options = {"latency": latency, "park_after": park_after}
        return await verdict(program, crashes, calm, **options)

    check(run(both()))


@pytest.mark.timeout(300)
@given(PROGRAMS, st.integers(0, 2**32))
@examples(0.1)
def test_at_every_moment(ops, seed):
    """A crash before and after each append."""

    async def everywhere() -> World:
        calm = await verdict((ops, seed))
        for crash in some(boundaries(calm), 24):
            if calm.problems:
                break
            world = await verdict((ops, seed), [crash], calm)
            if world.problems:
                return world
        return calm

    check(run(everywhere()))


def test_what_is_said_after_the_last_outcome_is_said_again():
    """The crash has eaten it, and a step that nobody awaits keeps the replay from being over."""

    async def everywhere() -> World:
        program = (["hang", "step", "emit", "drop"], 0)
        calm = await verdict(program)
        assert len(asked(calm)) == 4
        for crash in boundaries(calm):
            world = await verdict(program, [crash], calm)
            check(world)
        return calm

    check(run(everywhere()))
