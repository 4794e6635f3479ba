"""The main law: whatever dies at whatever moment, the run ends as if nothing had happened.

Race-free programs must end exactly as their calm run. Where the winner of a race may differ because
a crash came before it was recorded, a run is held to its own log: every pass must observe what the
passes before it have observed, in that order, and a pure replay must end as the run did.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.programs import (
    Asked,
    Cleanup,
    Inline,
    Late,
    Loop,
    Seq,
    Sleep,
    State,
    Step,
    Timeout,
    Together,
    Turns,
    is_racy,
    small_programs,
)
from tests.laws.world import World, boundaries, run, some, verdict

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or "dev"
NIGHT = PROFILE == "night"


def examples(share: float) -> Any:
    """A share of the profile's examples; the same ones every time, except at night."""
    return settings(
        max_examples=max(5, int(settings.default.max_examples * share)),
        derandomize=not NIGHT,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


LATENCIES = st.sampled_from([0, 0, 2, 9])
PARK_AFTER = st.sampled_from([0.0, 1.0, 100.0])


async def crashed_everywhere(program: Any, most: int = 200, **options: Any) -> World:
    """The first run with a problem among: calm, and one crash at every boundary of the calm run."""
    calm = await verdict(program, **options)
    if calm.problems:
        return calm
    expected = None if is_racy(program) else calm.outcome()
    for crash in some(boundaries(calm), most):
        world = await verdict(program, [crash], expected, **options)
        if world.problems:
            world.problems.append(str(crash))
            return world
    return calm


def check(world: World) -> None:
    """Fail with everything that is known."""
    assert not world.problems, "\n".join([*world.problems, world.describe()])


@given(small_programs(8, racy=False), LATENCIES, PARK_AFTER)
@examples(0.25)
def test_one_crash_at_any_boundary_changes_nothing(program, latency, park_after):
    """Race-free: the outcome of every run that crashed once equals that of the calm run."""
    check(run(crashed_everywhere(program, latency=latency, park_after=park_after)))


@given(small_programs(8, racy=True), LATENCIES, PARK_AFTER)
@examples(0.25)
def test_one_crash_never_contradicts_what_was_recorded(program, latency, park_after):
    """Racy: what was recorded before the crash is observed again, and replays to the same end."""
    check(run(crashed_everywhere(program, latency=latency, park_after=park_after)))


@given(
    small_programs(14),
    LATENCIES,
    PARK_AFTER,
    st.lists(st.builds(Crash, st.integers(0, 12), st.booleans()), min_size=2, max_size=3),
    st.integers(0, 12),
)
@examples(0.6)
def test_several_crashes_change_nothing(program, latency, park_after, crashes, afterlife):
    """Larger programs, two or three crashes, and a while in which nothing is recorded any more."""

    async def several() -> World:
        options: dict[str, Any] = {"latency": latency, "park_after": park_after}
        calm = await verdict(program, pure=False, **options)
        if calm.problems:
            return calm
        expected = None if is_racy(program) else calm.outcome()
        return await verdict(program, crashes, expected, afterlife=afterlife, **options)

    check(run(several()))


# What random programs found once, kept for ever.
FOUND = {
    "calls awaited in reverse after a pause": Seq(
        (Turns(4), Asked((Step("b", 1), Step("a", 1)))),
    ),
    "a failure while another branch has an inline step with calls": Seq(
        (
            Step("a"),
            Together("parallel", (Step("a", fails="app"), Inline("a", Step("a")))),
        )
    ),
    "the loser is an inline step that has just made a call": Together(
        "first", (Step("a", form="inline"), Inline("a", Step("a", 1)))
    ),
    "a slow loser is an inline step with a call to come": Seq(
        (
            Together("first", (Step("a", form="inline"), Inline("a", Seq((Turns(3), Step("a")))))),
            Step("b"),
        )
    ),
    "an orphan ends after the body": Late(Step("a"), Step("a", fails="app")),
    "two failures at once": Together("gather", (Step("a", fails="app"), Step("b", 3, fails="os"))),
    "a deadline passes while the process is away": Together(
        "parallel",
        (Together("settled", (Step("a", 6, lasts=1.0, timeout=0.6), Turns(2))), Turns(3)),
    ),
    "cleanup with several calls when the body is closed": Seq(
        (
            Turns(1),
            Cleanup(Step("b", 7, form="inline"), Together("gather", (Step("a"), Sleep(0.5)))),
        )
    ),
    "a chosen key in a loop that is cleaned up": Loop(
        3, Together("as_completed", (Turns(4), Cleanup(Sleep(0.5), Step("a", key="k"))))
    ),
    "what a loser has set in a step is still there when it cleans up": Loop(
        2,
        Together(
            "first",
            (
                Step("a"),
                Together(
                    "parallel", (Step("b", form="blocking"), Step("a", form="inline"), State(True))
                ),
            ),
        ),
    ),
    "an answer is ready while the body waits for a retry": Asked(
        (Step("a", 7), Step("a", 1), Step("a", 1, fails="key", times=4, form="flaky"))
    ),
    "a cancelled body winds down while an outcome comes": Timeout(
        0.5,
        Together("first", (Step("a", 2), Together("as_completed", (Step("a", 1), Turns(1))))),
    ),
    "a body is about to go on when it might be parked": Together(
        "first",
        (
            Step("a", 5),
            Together("first", (Sleep(5.0), Step("a", 7, fails="value", times=1, form="flaky"))),
            Seq((Step("a", 2, key="k"), Sleep(2.0))),
        ),
    ),
    "a call that nobody awaits when the body fails": Asked(
        (
            Step("b", 7, form="flaky", times=1),
            Step("a", 4, form="inline"),
            Step("a", 5, fails="app"),
        )
    ),
}


@pytest.mark.parametrize("latency", [0, 2])
@pytest.mark.parametrize("park_after", [0.0, 1.0])
@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_stays_mended(name, park_after, latency):
    """Each program broke the engine once."""
    check(run(crashed_everywhere(FOUND[name], latency=latency, park_after=park_after)))
