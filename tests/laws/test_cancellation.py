"""Law 7: cancel at every await, twice: it ends, never spins, and its cleanup is on record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws import cancellable
from tests.laws.cancellable import FREE, PROGRAMS, REAL_TIME
from tests.laws.crashing_log import Crash
from tests.laws.families import Families
from tests.laws.test_crash import NIGHT, examples
from tests.laws.world import QUIET, RUN, run, some

from agnt5.events.run import facts as f

MOST = 1000 if NIGHT else 12
TURNS = 4000
"""Of the loop, in all lives of a run together. The longest calm run here takes some 500."""
NEVER = 10**9


@pytest.fixture(autouse=True)
def components(registries):
    """The components of these programs."""
    cancellable.install()


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()


class Cancelling(Families):
    """Somebody cancels when so much has moved, and again a little later."""

    def __init__(self, name: str, at: Sequence[int], again: int, **options: Any) -> None:
        super().__init__(name, name="cancel_program", **options)
        self.changes = 0
        self._at = list(at)
        self._again = again

    def _is_over(self) -> bool:
        return super()._is_over() or self.is_diverged

    @property
    def is_diverged(self) -> bool:
        """Whether a race with real time went another way in a replay (law 6)."""
        row = self.disk.log.run_row(RUN)
        return self.program in REAL_TIME and row is not None and row.status == "suspended"

    async def give_up(self, life: Any) -> None:
        """What a person does about a run that cannot go on."""
        await life.runtime.runs.cancel(RUN, "enough")

    async def cancel(self, life: Any) -> None:
        """What somebody outside does."""
        due = self._at.pop(0) if self._at else 0
        dues = [due, due + self._again] if self._again >= 0 else [due]
        changes, quiet, last = 0, 0, life.progress()
        while dues and not life.over and not life.log.crashed:
            now = life.progress()
            quiet = 0 if now != last else quiet + 1
            changes, last = changes + (now != last), now
            self.changes = max(self.changes, changes)
            row = self.disk.log.run_row(RUN)
            if row is not None and (row.finished_at is not None or self.is_diverged):
                return
            if row is not None and changes >= dues[0]:
                dues.pop(0)
                await life.runtime.runs.cancel(RUN, "enough")
            # Turn by turn while anything moves; patience must not be taken for spinning.
            await asyncio.sleep(0 if quiet < QUIET else 0.001)


def play(name: str, at: Sequence[int], again: int, crashes: Sequence[Crash] = (), **options: Any):
    """Play a program to its end; the world, and the turns of the loop that it took."""
    cancellable.CURRENT.append(name)
    cancellable.SPARED.clear()

    async def lives() -> Cancelling:
        world = Cancelling(name, at, again, **options)
        for crash in crashes:
            if not (await world.live(crash, world.cancel)).crashed:
                break
        while not world._is_over():
            await world.live(None, world.cancel)
        if world.is_diverged:
            world.problems.clear()
            await world.live(None, world.give_up)
        world.check_families()
        return world

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        world = runner.run(lives())
    return world, loop.turns


def check(world: Cancelling, name: str, turns: int) -> None:
    """Closed by one terminal fact, in a bounded time, cleaned up; all of it also if suspended."""
    told = "\n".join(
        f"{run_id}: {fact}"
        for run_id in world.disk.log.run_ids()
        for fact in world.disk.facts(run_id)
    )
    assert not world.problems, "\n".join([*world.problems, told])
    assert turns < TURNS, told
    assert not cancellable.SPARED, (cancellable.SPARED, told)
    facts = world.disk.facts(RUN)
    requested = [fact for fact in facts if isinstance(fact, f.RunCancelRequested)]
    assert len(requested) <= 1, told
    if not requested:
        assert isinstance(facts[-1], f.RunCompleted), told
    if name not in FREE:
        if requested and isinstance(facts[-1], f.RunCompleted):
            # It came when the last outcome was on its way to the body: too late to be felt.
            assert not isinstance(facts[-2], f.Request | f.Outcome), told
        else:
            assert isinstance(facts[-1], f.RunCancelled if requested else f.RunCompleted), told
        check_cleanup(world, told)


def check_cleanup(world: Cancelling, told: str) -> None:
    """In a strict program cleanup that began is complete, and it began if there was any need."""
    for run_id in world.disk.log.run_ids():
        facts = world.disk.facts(run_id)
        labels = {x.key: str(x.input) for x in facts if isinstance(x, f.StepScheduled)}
        ended = {x.key for x in facts if isinstance(x, f.StepCompleted)}
        cleanup = {key for key, label in labels.items() if "cleanup" in label}
        assert cleanup <= ended, told
        is_cancelled = isinstance(facts[-1], f.RunCancelled)
        inside = [
            x for x in facts if isinstance(x, f.Request) and "begin" not in str(labels.get(x.key))
        ]
        if is_cancelled and inside:
            assert len(cleanup) == (4 if run_id == RUN else 1), told


@pytest.mark.parametrize("name", PROGRAMS)
def test_cancel_at_every_move(name):
    """Each move of the body, each start of a step and each append is a moment; once and twice."""
    calm, turns = play(name, [NEVER], -1)
    check(calm, name, turns)
    for at in some(range(calm.changes + 2), MOST):
        for again in (-1, 0, 1, 3):
            world, turns = play(name, [at], again, latency=2 * (at % 2), park_after=float(at % 3))
            check(world, name, turns)


@pytest.mark.parametrize("latency", [2, 5, 9])
def test_a_body_that_moves_while_it_is_being_parked(latency):
    """What it asked for then is asked for again by its next incarnation, which can execute it."""
    cancellable.CURRENT.append("scoped sleep")

    async def move(life: Any) -> None:
        while not life.over:
            actor = life.runtime._bus.runs.get(RUN)
            if actor is not None and actor.state.parked and actor.script is not None:
                cancellable.SCOPES[-1].cancel()
                return
            await asyncio.sleep(0)

    async def once() -> Families:
        world = Families("scoped sleep", name="cancel_program", latency=latency, park_after=0.0)
        await world.live(None, move)
        return world

    world = run(once())
    world.check_families()
    assert not world.problems, world.problems
    assert world.output() == "'after'"


@given(
    st.sampled_from(sorted(PROGRAMS.keys() - REAL_TIME)),
    st.lists(st.integers(0, 60), min_size=1, max_size=3),
    st.integers(-1, 8),
    st.lists(st.builds(Crash, st.integers(0, 14), st.booleans()), min_size=1, max_size=3),
    st.sampled_from([0, 2, 5]),
    st.sampled_from([0.0, 1.0, 100.0]),
)
@examples(2)
def test_cancel_and_crash(name, at, again, crashes, latency, park_after):
    """The same with one to three crashes, before, in the middle of and after the cancellation."""
    world, turns = play(name, at, again, crashes, latency=latency, park_after=park_after)
    check(world, name, turns)
