"""Everything at once, and a crash anywhere: the end is that of the calm run, in every respect."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws import sinks
from tests.laws.crashing_log import Crash
from tests.laws.sinks import ENTITIES, VARIANTS, Kitchen, executed
from tests.laws.test_crash import LATENCIES, NIGHT, PARK_AFTER, PROFILE, examples
from tests.laws.world import RUN, World, boundaries, replay, run, some, verdict

from agnt5 import EntityRegistry

MOST = 10_000 if NIGHT else {"ci": 20}.get(PROFILE, 6)
pytestmark = pytest.mark.timeout(600 if NIGHT else 60)
UNDONE = ["third", "second", "first"]


@pytest.fixture(autouse=True)
def components(registries):
    """The sinks' components."""
    sinks.install()
    yield
    EntityRegistry.clear()


def differences(world: Kitchen, calm: Kitchen) -> list[str]:
    """In what this history has ended otherwise than the calm one."""
    found = list(world.problems)
    if world.outcome() != calm.outcome():
        found.append(f"ended with {world.outcome()}, calmly with {calm.outcome()}")
    if world.contents() != calm.contents():
        found.append(f"entities hold {world.contents()}, calmly {calm.contents()}")
    here, there = world.remains(), calm.remains()
    if here.keys() != there.keys():
        found.append(f"the runs are {sorted(here)}, calmly {sorted(there)}")
    for run_id in here.keys() & there.keys():
        mine, calmly = here[run_id], there[run_id]
        for what in sorted(mine.keys() | calmly.keys()):
            if mine.get(what) != calmly.get(what):
                told = f"{mine.get(what)}, calmly {calmly.get(what)}"
                found.append(f"{what} of {run_id}: {told}")
    if [each["args"][0] for each in world.undone()] != UNDONE:
        found.append(f"undone was {world.undone()}")
    return found + _effects(world, calm)


def _effects(world: Kitchen, calm: Kitchen) -> list[str]:
    """No code runs that a calm run would not, and none again unless a crash came between."""
    found, often = [], Counter(executed(calm))
    ran = Counter(executed(world))
    if ran.keys() != often.keys():
        found.append(f"steps that only one of them ran: {ran.keys() ^ often.keys()}")
    crashes = sum(life.crashed for life in world.lives)
    for key, times in ran.items():
        if times > often[key] + crashes:
            found.append(f"a step began {times} times through {crashes} crashes: {key}")
    return found


async def replayed(world: Kitchen) -> list[str]:
    """What is wrong about a pure replay: it writes nothing, anywhere, and calls nothing."""
    again = await replay(world)
    found = list(again.problems)
    if again.life.executed:
        found.append(f"the replay ran {again.life.executed}")
    if set(again.disk.log.run_ids()) != {RUN}:
        found.append(f"the replay began {again.disk.log.run_ids()}")
    if wrote := [stream for stream in ENTITIES if again.disk.log.read(stream)]:
        found.append(f"the replay wrote to {wrote}")
    return found


async def trouble(
    variant: str, crashes: list[Crash], calm: Kitchen | None = None, **options: Any
) -> tuple[Kitchen, list[str]]:
    """Play, compare, replay."""
    world = await sinks.play(variant, crashes, **options)
    found = differences(world, calm or world)
    return world, found or await replayed(world)


async def everywhere(variant: str, most: int = MOST, **options: Any) -> list[str]:
    """What is wrong about the calm run, or about the first of those that crash once."""
    calm, found = await trouble(variant, [], **options)
    for crash in some(boundaries(calm), most):
        if found:
            break
        world, found = await trouble(variant, [crash], calm, **options)
        found += [str(crash), world.describe()] if found else []
    return found


@pytest.mark.parametrize(("park_after", "latency"), [(0.0, 0), (1.0, 3), (100.0, 0)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_crash_anywhere(variant, latency, park_after):
    """Before and after every append: of the run, of its children, of entities."""
    found = run(everywhere(variant, latency=latency, park_after=park_after))
    assert not found, "\n".join(found)


@given(
    st.sampled_from(VARIANTS),
    st.lists(st.builds(Crash, st.integers(0, 120), st.booleans()), min_size=2, max_size=2),
    LATENCIES,
    PARK_AFTER,
)
@examples(0.2)
def test_two_crashes(variant, crashes, latency, park_after):
    """Two, the second in the life after the first."""

    async def both() -> list[str]:
        options: dict[str, Any] = {"latency": latency, "park_after": park_after}
        calm = await sinks.play(variant, **options)
        world, found = await trouble(variant, crashes, calm, **options)
        return [*found, world.describe()] if found else []

    found = run(both())
    assert not found, "\n".join(found)


async def deployed(crash: Crash, **options: Any) -> list[str]:
    """What is wrong when newer code goes on with a run that has crashed there."""
    world = await verdict("deployed", [crash], pure=False, name="sink_deployed", **options)
    found = list(world.problems)
    if "old two" in world.outcome()[1] and "new two" in world.outcome()[1]:
        found.append(f"one patch was taken and was not: {world.outcome()}")
    again = World("deployed", disk=world.disk.without_last(RUN), name="sink_deployed")
    again.is_deployed = len(world.lives) > 1
    await again.live()
    if again.outcome() != world.outcome():
        found.append(f"the replay ended with {again.outcome()}, the run with {world.outcome()}")
    return [*found, str(crash), world.describe()] if found else []


async def deployed_everywhere(**options: Any) -> list[str]:
    """A deployment at every boundary of the calm run."""
    calm = await verdict("deployed", pure=False, name="sink_deployed", **options)
    for crash in boundaries(calm):
        if found := await deployed(crash, **options):
            return found
    return []


@pytest.mark.parametrize(("park_after", "latency"), [(0.0, 0), (1.0, 3), (100.0, 0)])
def test_newer_code_with_patches_goes_on_anywhere(latency, park_after):
    """What a run has begun with the code of before it ends so; each patch is taken or not."""
    found = run(deployed_everywhere(latency=latency, park_after=park_after))
    assert not found, "\n".join(found)


def test_what_a_step_under_way_has_set_is_read_the_same_again():
    """A branch reads state while a step under way in another branch has set some just now.

    The reader's outcome lies on the log before the write, but is handed over after it; a replay,
    which does not enter the step again, hands over in the order of the log. So what the step sets
    counts beside it only from the step's own outcome on.
    """
    world = run(verdict("beside", name="sink_beside"))
    assert not world.problems, world.problems


def test_every_part_leaves_its_trace():
    """The sinks would be of little use if a part did nothing."""
    world = run(sinks.play("sink_at_once"))
    topics = {fact.topic for fact in world.disk.facts(RUN)}
    assert topics >= {
        "StepAttemptFailed",
        "StepFailed",
        "TimerFired",
        "OperationCancelled",
        "SignalConsumed",
        "SignalTimedOut",
        "UserReplied",
        "UserInputExpired",
        "ChildStarted",
        "ChildFinished",
        "UpdateReceived",
        "UpdateAnswered",
        "StateChanged",
        "EventEmitted",
        "MarkerRecorded",
    }
    assert sorted(world.ends().values()) == ["completed", "completed", "failed"]
    assert world.contents() == {
        "$entity/$session/s": {"count": 2, "pair": 2},
        "$entity/$user/u": {"last": [RUN]},
        "$entity/SinkCounter/own": {"total": 9},
        "$entity/SinkCounter/shared": {"total": 11},
    }
