"""A run that stands still for a while ends as if it had not, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.programs import (
    Asked,
    Batch,
    Cleanup,
    Inline,
    Seq,
    Sleep,
    Step,
    Timeout,
    Together,
    Turns,
    is_racy,
    small_programs,
)
from tests.laws.test_crash import LATENCIES, PARK_AFTER, check, examples
from tests.laws.world import RUN, Life, World, run, some, verdict

from agnt5.exceptions import InvalidInputError
from agnt5.operator_desk import Operating


class Paused(World):
    """Its run is paused when it has so many facts, and goes on some turns or a life later."""

    at = 1
    turns: int | None = 0
    times = 2
    """How often, if it is resumed in the same life."""

    def _is_over(self) -> bool:
        row = self.disk.log.run_row(RUN)
        return super()._is_over() or (row is not None and row.status == "paused")

    async def pause(self, life: Life) -> None:
        """Pause it once it is there, and resume it if it shall go on in this life."""
        log = self.disk.log
        while (last := log.last(RUN)) is None or last.version < self.at:
            if life.log.crashed or self._is_over():
                return
            await asyncio.sleep(0)
        for _ in range(self.times):
            try:
                await Operating(life.runtime.runs).pause(RUN, "to see")
            except InvalidInputError:
                return  # it has ended, or is about to
            if self.turns is None:
                return
            for _ in range(self.turns):
                await asyncio.sleep(0)
            await life.runtime.runs.unsuspend(RUN)

    async def resume(self, life: Life) -> None:
        """Let it go on, if it stands still."""
        row = self.disk.log.run_row(RUN)
        if row is not None and row.status == "paused":
            await life.runtime.runs.unsuspend(RUN)

    async def unfold(self, crash: Crash | None) -> None:
        """From its first life to its end."""
        await self.live(crash, self.pause)
        for _ in range(3):
            if self.disk.ended:
                return
            await self.live(None, self.resume)


async def paused_everywhere(
    program: Any, turns: int | None, crash: Crash | None = None, most: int = 12, **options: Any
) -> World:
    """The first run with a problem among: one pause at every version of the calm run."""
    calm = await verdict(program, **options)
    if calm.problems:
        calm.problems.clear()  # what is wrong without it is another law's
        return calm
    for at in some(range(1, len(calm.disk.facts(RUN)) + 1), most):
        world = Paused(program, **options)
        world.at, world.turns = at, turns
        await world.unfold(crash)
        world.check_history()
        world.check_passes()
        if not is_racy(program) and world.outcome() != calm.outcome():
            world.wrong(f"ended with {world.outcome()}, calmly with {calm.outcome()}")
        if world.outcome()[0] == "suspended":
            world.wrong(f"the run was suspended: {world.outcome()[1]}")
        if world.problems:
            world.problems.append(f"paused at version {at} for {turns} turns, {crash}")
            return world
    return calm


TURNS = st.sampled_from([0, 1, 30, None])


@given(small_programs(8), LATENCIES, PARK_AFTER, TURNS)
@examples(0.3)
def test_a_pause_at_any_version_changes_nothing(program, latency, park_after, turns):
    """Be it for no time at all, for a while, or until another process lets it go on."""
    check(run(paused_everywhere(program, turns, latency=latency, park_after=park_after)))


@given(small_programs(8), LATENCIES, TURNS, st.builds(Crash, st.integers(0, 12), st.booleans()))
@examples(0.3)
def test_a_crash_around_a_pause_changes_nothing(program, latency, turns, crash):
    """A paused run that dies stands still when it is back, and nothing is lost."""
    check(run(paused_everywhere(program, turns, crash, most=6, latency=latency)))


HARD = {
    "calls that are awaited later": Asked((Step("a", 4), Step("b", 1), Step("a", 2))),
    "an inline step with calls": Seq((Inline("plan", Seq((Step("a", 2), Turns(3), Step("b")))),)),
    "branches": Together("gather", (Step("a", 6), Seq((Step("b", 1), Step("b", 1))), Sleep(1.0))),
    "cleanup": Cleanup(Step("a", fails="app"), Step("b", 2)),
    "a retry": Seq((Step("a", 2, fails="key", times=2, form="flaky"), Step("b"))),
    "a timeout": Timeout(5.0, Seq((Sleep(1.0), Step("a", 3, lasts=1.0)))),
    "a batch": Batch(((0, None), (4, None), (1, None)), slots=2),
    "the body takes turns": Seq((Turns(6), Step("a"), Turns(6))),
}


@pytest.mark.parametrize("program", HARD.values(), ids=HARD)
@pytest.mark.parametrize("turns", [0, 3, None])
def test_what_is_hard_to_stop(program, turns):
    """At every single version."""
    check(run(paused_everywhere(program, turns, most=100)))
