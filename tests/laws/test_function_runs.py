"""A run of a function: one step, whose result and the end of the run are recorded as one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash, Disk
from tests.laws.test_crash import LATENCIES, check, examples
from tests.laws.world import RUN, World, boundaries, current, run

from agnt5 import FunctionContext, function
from agnt5.events.run import facts as f

NAME = "laws_charge"


class Charging(World):
    """A function that fails so many times, and then returns its list, or fails for good."""

    kind = "function"


@pytest.fixture(autouse=True)
def charge() -> None:
    """The function. It is forgotten after each test, as all of them are."""

    @function(name=NAME, retries=3, backoff="constant")
    async def charge(ctx: FunctionContext) -> list[int]:
        world = current()
        world.life.executed.append(ctx.idempotency_key)
        if ctx.attempt < world.program:
            raise ValueError(f"attempt {ctx.attempt}")
        return [world.program]


async def charged(failures: int, crash: Crash | None = None, **options: Any) -> Charging:
    """From its beginning to its end, through a crash."""
    world = Charging(failures, name=NAME, **options)
    if crash is not None:
        await world.live(crash)
    if not world.disk.ended:
        await world.live()
    world.check_history()
    for life in world.lives:
        for said in life.log.topics:
            if "StepCompleted" in said and "RunCompleted" not in said:
                world.wrong("the result of the step was recorded without that of the run")
    return world


@given(st.integers(0, 3), LATENCIES)
@examples(0.2)
def test_one_crash_at_any_boundary_changes_nothing(failures, latency):
    """Before and after every append: it ends as the calm run, and a result stands once."""

    async def everywhere() -> None:
        calm = await charged(failures, latency=latency)
        check(calm)
        assert calm.outcome()[0] == ("failed" if failures == 3 else "completed")
        for crash in boundaries(calm):
            world = await charged(failures, crash, latency=latency)
            if world.outcome() != calm.outcome():
                world.wrong(f"{crash}: {world.outcome()}, calmly {calm.outcome()}")
            facts = world.disk.facts(RUN)
            done = [fact for fact in facts if isinstance(fact, f.StepCompleted)]
            if len(done) != (failures < 3):
                world.wrong(f"{crash}: its results: {done}")
            check(world)

    run(everywhere())


@pytest.mark.parametrize("failures", [0, 1])
def test_the_log_of_an_older_version_that_died_in_between(failures):
    """The result stands without the end of the run: nothing is executed again, and it ends."""

    async def resumed() -> None:
        calm = await charged(failures)
        cut: Disk = calm.disk.without_last(RUN)
        assert isinstance(cut.facts(RUN)[-1], f.StepCompleted)
        again = Charging(failures, name=NAME, disk=cut, now=calm.now)
        life = await again.live()
        assert life.executed == []
        assert again.outcome() == calm.outcome()
        assert len(cut.facts(RUN)) == len(calm.disk.facts(RUN))
        check(again)

    run(resumed())


def test_it_takes_two_commits():
    """One for its beginning, which the intent of its step joins, and one for everything else."""
    world = run(charged(0))
    urgent = [said for said in world.life.log.topics if said != {"StepScheduled"}]
    assert [said & {"RunQueued", "RunCompleted"} for said in urgent] == [
        {"RunQueued"},
        {"RunCompleted"},
    ]
