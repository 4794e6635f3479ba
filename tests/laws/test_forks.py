"""A fork at any event ends as its origin, doing again just what its preview says, crash or not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash, disk_of
from tests.laws.programs import (
    Asked,
    Catch,
    Inline,
    Saga,
    Seq,
    Sleep,
    State,
    Step,
    Together,
    Turns,
    can_fail,
    is_racy,
    small_programs,
)
from tests.laws.test_crash import LATENCIES, check, examples
from tests.laws.test_pausing import HARD
from tests.laws.world import RUN, World, run, some, verdict

from agnt5.events.keys import idempotency_key
from agnt5.events.run.failures import retry_point
from agnt5.events.run.forking import Fork, ForkWish, fork
from agnt5.events.run.state import OpKind, fold
from agnt5.exceptions import InvalidInputError
from agnt5.fork_previews import ForkPreview, preview_of

ORIGIN = "origin"


def forked(calm: World, at: int, later: float = 0.0, **wish: Any) -> tuple[Fork, ForkPreview]:
    """A fork of a run that has ended, under the name of the run that a world plays."""
    history = calm.disk.history(RUN)
    calm.now += int(later * 1e6)
    made = fork(ORIGIN, history, ForkWish(RUN, at, "own", None, **wish), calm.now)
    return made, preview_of(ORIGIN, history, made, asked_at=at)


async def play(calm: World, made: Fork, crash: Crash | None, **options: Any) -> World:
    """Let the fork go on to its end."""
    world = World(calm.program, disk=disk_of(RUN, made.facts), now=calm.now, **options)
    if (await world.live(crash)).crashed and not world.disk.ended:
        await world.live()
    world.check_history()
    world.check_passes()
    if world.outcome()[0] == "suspended":
        world.wrong(f"the fork was suspended: {world.outcome()[1]}")
    return world


def check_redone(world: World, calm: World, preview: ForkPreview) -> None:
    """What runs is what the preview says: all of it, if no failure lets the body end before."""
    ran = {key for life in world.lives for key in life.executed}
    said = {each.idempotency_key for each in preview.redo if each.kind == "step"}
    if ran - said:
        world.wrong(f"{len(ran - said)} steps ran of which the preview does not know")
    if can_fail(calm.program):
        return
    functions = {
        op
        for fact in calm.disk.facts(RUN)
        if (op := getattr(fact, "key", None)) and getattr(fact, "function", None)
    }
    ended = {
        each.idempotency_key
        for each in preview.redo
        if each.key in functions and each.outcome in {"completed", "failed"}
    }
    if ended - ran:
        world.wrong(f"{len(ended - ran)} steps did not run again though the preview says so")


async def forked_everywhere(
    program: Any, crash: Crash | None, most: int, later: float = 0.0, **options: Any
) -> World:
    """The first fork with a problem among: one at every event of the calm run."""
    calm = await verdict(program, **options)
    if calm.problems:
        calm.problems.clear()  # what is wrong without it is another law's
        return calm
    for at in some(range(1, len(calm.disk.facts(RUN)) + 1), most):
        made, preview = forked(calm, at, later)
        world = await play(calm, made, crash, **options)
        if not is_racy(program):
            if world.outcome() != calm.outcome():
                world.wrong(f"ended with {world.outcome()}, its origin with {calm.outcome()}")
            check_redone(world, calm, preview)
        if world.problems:
            world.problems.append(f"forked at event {at} (kept {made.kept}), {crash}")
            return world
    return calm


CRASHES = st.none() | st.builds(Crash, st.integers(0, 8), st.booleans())


@given(small_programs(8), LATENCIES, CRASHES, st.sampled_from([0.0, 1000.0]))
@examples(0.3)
def test_a_fork_at_any_event_ends_as_its_origin(program, latency, crash, later):
    """At once or later, it does again what the preview says, be the process killed or not."""
    check(run(forked_everywhere(program, crash, 10, later, latency=latency)))


@pytest.mark.parametrize("program", HARD.values(), ids=HARD)
def test_what_is_hard_to_cut(program):
    """At every single event."""
    check(run(forked_everywhere(program, None, 100)))


def broken(step: Step, number: int, around: str) -> Any:
    """A program in which one step fails, whatever there is around it."""
    before = tuple(Step("b") for _ in range(number))
    tail = (*before, step)
    match around:
        case "inline":
            return Seq((Step("a"), Inline("plan", Seq(tail))))
        case "branches":
            return Seq((Step("a"), Together("gather", (Seq(tail), Seq((Turns(2), Sleep(0.5)))))))
        case "state":
            return Seq((State(in_step=True), *tail))
        case "after a rescue":
            return Seq((Catch(Step("a", fails="key"), Step("b")), *tail))
        case "asked before":
            return Seq((Asked((Step("a", 1), *tail)),))
        case _:
            return Seq(tail)


@given(
    st.builds(
        Step,
        st.sampled_from("ab"),
        st.integers(0, 3),
        fails=st.sampled_from(["value", "app", "os"]),
        form=st.sampled_from(["function", "flaky", "inline", "callable", "blocking"]),
    ),
    st.integers(0, 2),
    st.sampled_from(["nothing", "inline", "branches", "state", "after a rescue", "asked before"]),
    LATENCIES,
)
@examples(0.5)
def test_a_failed_run_is_tried_again_at_its_failure(step, number, around, latency):
    """The new run fails as the first one did, with all attempts of the failed step made anew.

    What was completed before is kept.
    """

    async def again() -> World:
        calm = await verdict(broken(step, number, around), latency=latency)
        assert calm.outcome()[0] == "failed"
        history = calm.disk.history(RUN)
        point = retry_point(ORIGIN, history)
        assert not point.cleanup
        made, preview = forked(calm, point.at, left_out=point.left_out, fresh=point.fresh)
        world = await play(calm, made, None, latency=latency)
        if world.outcome() != calm.outcome():
            world.wrong(f"ended with {world.outcome()}, its origin with {calm.outcome()}")
        check_redone(world, calm, preview)
        ran = [key for life in world.lives for key in life.executed]
        if step.form == "flaky" and len(ran) < 4:
            world.wrong(f"{len(ran)} attempts were made, not four")
        done = set(fold(ORIGIN, history[:-1]).settled) - set(preview.again)
        if not done <= set(made.state.settled):
            world.wrong(f"{done - set(made.state.settled)} is asked for again")
        return world

    check(run(again()))


def test_a_saga_that_was_undone_is_not_tried_again_by_accident():
    """Its undo steps are cleanup."""
    program = Saga((Step("a"), Step("b")), at_once=False, kid=Step("a", fails="app"))
    calm = run(verdict(program))
    assert calm.outcome()[0] == "failed"
    point = retry_point(ORIGIN, calm.disk.history(RUN))
    assert len(point.cleanup) == 2


def test_what_has_ended_well_is_not_tried_again():
    """There is no failure to go back to."""
    calm = run(verdict(Step("a")))
    with pytest.raises(InvalidInputError, match="completed"):
        retry_point(ORIGIN, calm.disk.history(RUN))


def test_keys_of_the_origin_are_shown_again_if_that_is_asked_for():
    """The default for a fork with the same input."""
    calm = run(verdict(Seq((Step("a"), Step("b")))))
    history = calm.disk.history(RUN)
    made = fork(ORIGIN, history, ForkWish(RUN, 3, "origin", None), calm.now)
    world = run(play(calm, made, None))
    ran = [key for life in world.lives for key in life.executed]
    assert ran
    keys = [op.key for op in made.state.open.values() if op.kind is OpKind.STEP]
    assert idempotency_key(ORIGIN, keys[0]) in ran
