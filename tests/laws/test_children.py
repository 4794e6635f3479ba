"""Whatever dies at whatever moment: a family of runs ends as if nothing had happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws import families
from tests.laws.crashing_log import Crash
from tests.laws.families import Families
from tests.laws.test_crash import LATENCIES, NIGHT, PARK_AFTER, PROFILE, examples
from tests.laws.world import RUN, boundaries, run, some

from agnt5.events.run import facts as f

MOST = 1000 if NIGHT else {"ci": 60}.get(PROFILE, 20)

OUTPUT = ["late", "['good', 'good.grandchild']", "KeyError('bad')", "'fn'"]
RECORDED = {"good", "good.grandchild", "bad", "fn", "late.cleanup", "left.cleanup"}


@pytest.fixture(autouse=True)
def components(registries):
    """The family's components."""
    families.install()


def check(world: Families) -> None:
    """The one end that the family may have."""
    ends = world.ends()
    told = "\n".join(f"{run_id}: {world.disk.facts(run_id)}" for run_id in ends)
    assert not world.problems, "\n".join([*world.problems, told])
    assert world.output() == OUTPUT, told
    assert world.recorded() == dict.fromkeys(RECORDED, 1), told
    assert sorted(ends.values()) == [*["cancelled"] * 2, *["completed"] * 5, "failed"], ends
    assert ends["chosen"] == "cancelled"


@pytest.mark.parametrize(("park_after", "latency"), [(0.0, 0), (1.0, 3), (100.0, 0)])
def test_one_crash_at_any_append_of_any_run(latency, park_after):
    """Parent, children and grandchild: each append is a boundary, before and after it."""

    async def everywhere() -> None:
        options: dict[str, Any] = {"latency": latency, "park_after": park_after}
        calm = await families.play("family_parent", **options)
        check(calm)
        for crash in some(boundaries(calm), MOST):
            world = await families.play("family_parent", [crash], **options)
            world.problems += [str(crash)] if world.problems else []
            check(world)

    run(everywhere())


@given(
    st.lists(st.builds(Crash, st.integers(0, 25), st.booleans()), min_size=2, max_size=4),
    LATENCIES,
    PARK_AFTER,
)
@examples(0.5)
def test_several_crashes(crashes, latency, park_after):
    """Two to four crashes, each in a life of its own."""
    options: dict[str, Any] = {"latency": latency, "park_after": park_after}
    check(run(families.play("family_parent", crashes, **options)))


async def cancel_second(life: Any) -> None:
    """Somebody outside cancels a child, again and again, as soon as it is there."""
    log = life.world.disk.log
    while not life.over and not life.log.crashed:
        row = log.run_row("second")
        if row is not None:
            if row.finished_at is None:
                for _ in range(2):
                    await life.runtime.runs.cancel("second", "not needed")
            return
        await asyncio.sleep(0)


@pytest.mark.parametrize("park_after", [0.0, 1.0])
def test_a_child_that_is_cancelled_from_outside(park_after):
    """The parent is told so, once, whatever crashes; the one it gives up itself ends, too."""

    async def everywhere() -> None:
        calm = await families.play("family_cancelled", meanwhile=cancel_second)
        for crash in [None, *some(boundaries(calm), MOST)]:
            crashes = [crash] if crash else []
            world = await families.play(
                "family_cancelled", crashes, cancel_second, park_after=park_after
            )
            assert not world.problems, [crash, *world.problems]
            assert world.output() == ["ChildCancelledError", "second", "not needed"], crash
            ends = {RUN: "completed", "first": "cancelled", "second": "cancelled"}
            assert world.ends() == ends, crash
            cleaned = {"first.cleanup", "second.cleanup"} & world.recorded().keys()
            assert set(world.recorded().values()) == {1}, crash
            assert "between" in world.recorded()
            assert cleaned or crash is not None

    run(everywhere())


@pytest.mark.parametrize("park_after", [0.0, 1.0])
@pytest.mark.parametrize("latency", [0, 3])
def test_a_child_that_outlives_its_parent_begins(latency, park_after):
    """Also if the parent ended in the moment in which it called it, and everything crashed then."""

    async def everywhere() -> None:
        options: dict[str, Any] = {"latency": latency, "park_after": park_after}
        calm = await families.play("family_deserter", **options)
        for crash in [None, *some(boundaries(calm), MOST)]:
            world = await families.play("family_deserter", [crash] if crash else [], **options)
            assert not world.problems, [crash, *world.problems]
            assert world.output() == "left"
            (child,) = [x for x in world.disk.facts(RUN) if isinstance(x, f.ChildStarted)]
            assert world.ends().get(child.child_run_id) == "completed", crash

    run(everywhere())
