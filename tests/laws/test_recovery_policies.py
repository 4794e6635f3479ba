"""Law 9: what may happen to an effect, under each policy, wherever the process dies.

The effect is a line in a sink outside of the engine. The process dies before and after every
append, once and twice, and the sink is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.world import RUN, Life, World, boundaries, replay, run

from agnt5 import (
    FunctionContext,
    FunctionRegistry,
    Happened,
    NotHappened,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5 import verify as by
from agnt5.events.run import commands as c
from agnt5.events.run.state import OpKind, fold

SINK: list[str] = []
FOUND: list[bool] = []


def looked_up(ctx: FunctionContext, _amount: int) -> Happened | NotHappened:
    """What a verification asks the service: is there an effect of this key?"""
    FOUND.append(ctx.idempotency_key in SINK)
    return Happened("found") if FOUND[-1] else NotHappened()


def install(recovery: Any) -> None:
    """A workflow whose middle step has an effect."""

    @function(recovery=recovery)
    async def charge(ctx: FunctionContext, amount: int) -> str:
        await asyncio.sleep(0)
        SINK.append(ctx.idempotency_key)
        await asyncio.sleep(0)
        return f"charged {amount}"

    @function
    async def before() -> int:
        return 5

    @workflow
    async def pays(ctx: WorkflowContext) -> str:
        amount = await ctx.step(before)
        return f"{await ctx.step(charge, amount)}, {await ctx.step('after', lambda: 'end')}"


async def lives(
    crashes: Sequence[Crash],
    answer: str | None,
    park_after: float = 1.0,
    latency: int = 0,
    afterlife: int = 3,
) -> World:
    """Live through the crashes; whoever is asked gives this answer."""
    SINK.clear()
    FOUND.clear()
    world = World("pays", name="pays", park_after=park_after, latency=latency, afterlife=afterlife)

    async def person(life: Life) -> None:
        while RUN not in world.disk.ended and not life.log.crashed:
            await asyncio.sleep(0)
            state = fold(RUN, world.disk.history(RUN))
            if any(op.kind is OpKind.INPUT for op in state.open.values()):
                await life.runtime.conversations.answer(RUN, answer, c.SubmitAnswer(None))

    meanwhile = person if answer is not None else None
    for crash in crashes:
        if not (await world.live(crash, meanwhile)).crashed:
            break
    if not world.disk.ended:
        await world.live(None, meanwhile)
    world.check_history()
    effects = list(SINK)
    if not world.problems:
        world.problems += (await replay(world)).problems
    assert effects == SINK, "a replay had an effect"
    assert not world.problems, "\n".join([*world.problems, world.describe()])
    return world


NAMES = {"fail": "fail", "retry": "retry", "ask": "ask", "verify": by(looked_up)}
OK = ("completed", "'charged 5, end'")
UNKNOWN = "agnt5.exceptions.UnknownOutcomeError"


def judge(world: World, policy: str, answer: str | None, crashes: int) -> None:
    """How often the effect may have happened, and how the run may have ended."""
    status, detail = world.outcome()
    effects = len(SINK)
    failed = status == "failed" and detail.startswith(UNKNOWN)
    match policy, answer:
        case "fail", _:
            assert effects <= 1
            assert (status, detail) == OK or failed
        case "ask", "fail":
            assert effects <= 1
            assert (status, detail) == OK or failed
        case "ask", "retry":
            assert 1 <= effects <= 1 + crashes
            assert (status, detail) == OK
        case "ask", done:
            assert effects <= 1
            assert done is not None
            said = ("completed", "'told, end'")
            assert (status, detail) in (OK, said)
        case "verify", _:
            assert effects == 1, "what can be looked up happens once"
            assert (status, detail) in (OK, ("completed", "'found, end'"))
        case _:
            assert effects >= 1
            assert (status, detail) == OK


CASES = [
    ("fail", None),
    ("ask", "fail"),
    ("ask", "retry"),
    ("ask", 'done:"told"'),
    ("verify", None),
    ("retry", None),
]


@pytest.mark.parametrize(("policy", "answer"), CASES)
def test_one_crash_at_every_boundary(policy, answer):
    """Before and after each append of the calm run."""
    install(NAMES[policy])
    calm = run(lives((), answer))
    assert calm.outcome() == OK
    asked = 0
    for crash in boundaries(calm):
        world = run(lives([crash], answer))
        judge(world, policy, answer, 1)
        asked += any("?recovery" in str(fact) for fact in world.disk.facts(RUN))
    assert (asked > 0) is (policy == "ask"), "the case was met"


@pytest.mark.parametrize(("policy", "answer"), CASES)
@given(
    crashes=st.lists(st.builds(Crash, st.integers(0, 9), st.booleans()), min_size=2, max_size=3),
    park_after=st.sampled_from([0.0, 1.0]),
    latency=st.sampled_from([0, 2, 7]),
)
@settings(max_examples=max(8, settings.default.max_examples // 5))
def test_several_crashes(policy, answer, crashes, park_after, latency):
    """Also while a person is asked, while a verification runs, and while the run is parked."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    install(NAMES[policy])
    judge(run(lives(crashes, answer, park_after, latency)), policy, answer, len(crashes))


def test_a_verification_says_both():
    """At the boundaries of one program both verdicts occur."""
    install(NAMES["verify"])
    calm = run(lives((), None))
    seen: set[bool] = set()
    for crash in boundaries(calm):
        for afterlife in range(4):
            run(lives([crash], None, afterlife=afterlife))
            seen.update(FOUND)
    assert seen == {True, False}


def test_a_second_crash_is_a_second_question():
    """The answer to the first one says nothing of the attempt that it let begin."""
    install("ask")
    calm = run(lives((), "retry"))
    most = 0
    for first in boundaries(calm):
        for n in range(4):
            world = run(lives([first, Crash(n, recorded=True)], "retry"))
            judge(world, "ask", "retry", 2)
            asked = {getattr(x, "key", "") for x in world.disk.facts(RUN) if "recovery#" in str(x)}
            most = max(most, len({key for key in asked if key.startswith("?recovery#")}))
    assert most == 2
