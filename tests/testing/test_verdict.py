"""Each rule by itself: what is held against a run, and what is not."""

from __future__ import annotations

import asyncio

import pytest

from agnt5 import UnknownOutcomeError, WorkflowContext, function, workflow
from agnt5.contracts import eventually, never, step
from agnt5.exceptions import ConfigurationError, PayloadError
from agnt5.runtime import open_runtimes
from agnt5.testing import DisprovedError, Effects, Outcome, crash_everywhere

town = Effects("town", any_number=["look"], exactly_once=["strike"])


class Lives:
    """Survives every crash, as an object of a class does."""

    passes = 0


@function(recovery="fail")
async def rule_strike(n: int) -> str:
    town.record("strike", n=n)
    return "struck"


@function(recovery="ask")
async def rule_ask(n: int) -> str:
    town.record("strike", n=n)
    return "struck"


@function
async def rule_look(n: int) -> int:
    town.record("look", n=n)
    return n


@workflow
async def rule_fails(ctx: WorkflowContext) -> str:
    return await ctx.step(rule_strike, 1)


@workflow
async def rule_asks(ctx: WorkflowContext) -> str:
    return await ctx.step(rule_ask, 1)


@workflow
async def rule_third_life(ctx: WorkflowContext) -> int:
    Lives.passes += 1
    await ctx.step(rule_look, 1)
    return min(Lives.passes, 3) // 3


@workflow
async def rule_state(ctx: WorkflowContext) -> None:
    Lives.passes += 1
    ctx.state.set("passes", Lives.passes)
    await ctx.sleep(1)
    ctx.state.set("later", Lives.passes)


@workflow
async def rule_types(ctx: WorkflowContext) -> float:
    Lives.passes += 1
    await ctx.sleep(1)
    return 1 if Lives.passes == 1 else 1.0


@workflow
async def rule_error(ctx: WorkflowContext) -> None:
    Lives.passes += 1
    await ctx.sleep(1)
    raise LookupError(f"pass {Lives.passes}")


@workflow
async def rule_endless(ctx: WorkflowContext) -> None:
    while True:
        await ctx.sleep(1)


@workflow
async def rule_circling(ctx: WorkflowContext) -> None:
    while True:
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def new_lives(monkeypatch):
    """A schedule begins with a calm pass: counted from there."""
    monkeypatch.setattr(Lives, "passes", 0)


def disproof(tested, **options):
    with pytest.raises(DisprovedError) as caught:
        crash_everywhere(tested, **{"regressions": False, "examples": 0, **options})
    return caught.value.found


def reset_at_the_start(outcome: Outcome) -> None:
    """Called after each run: the next one counts anew."""
    Lives.passes = 0


def test_what_a_policy_makes_of_a_hidden_outcome_is_not_compared():
    """It strikes once at most; after a crash it fails, or a person is asked."""
    seen = set()

    def check(outcome: Outcome) -> None:
        assert outcome.status == "completed" or isinstance(outcome.value, UnknownOutcomeError)
        seen.add(outcome.status)

    crash_everywhere(rule_fails, check=check, examples=5, regressions=False)
    assert seen == {"completed", "failed"}
    crash_everywhere(rule_asks, answers={"*": "fail"}, examples=5, regressions=False)


def test_a_person_who_is_asked_must_be_there():
    found = disproof(rule_asks)
    assert "never ended: it waits for step 'rule_ask', an answer to" in str(found)


def test_the_state_is_compared():
    found = disproof(rule_state, check=reset_at_the_start)
    assert [each.rule for each in found.problems] == ["state"]
    assert 'the state of the run is {"later": 2, "passes": 2},' in str(found)
    assert 'calmly {"later": 1, "passes": 1}' in str(found)


def test_types_are_compared():
    found = disproof(rule_types, check=reset_at_the_start)
    assert "completed with 1.0,\n  calmly it completed with 1" in str(found)


def test_exceptions_are_compared():
    found = disproof(rule_error, check=reset_at_the_start)
    assert "failed with LookupError: pass 2,\n  calmly it failed with LookupError: pass 1" in str(
        found
    )


def test_two_crashes_are_found_where_one_does_no_harm():
    """And shrunk to two."""
    found = disproof(rule_third_life, check=reset_at_the_start, examples=100)
    assert len(found.schedule.crashes) == 2
    assert "is disproved by 2 crashes" in str(found)
    assert "---- crash 2" in str(found)


@pytest.mark.parametrize("tested", [rule_endless, rule_circling])
def test_a_run_that_does_not_end_is_given_up(tested, monkeypatch):
    monkeypatch.setattr("agnt5.testing.world.MOST_EVENTS", 200)
    monkeypatch.setattr("agnt5.testing.loop.MOST_TURNS", 2000)
    before = list(open_runtimes)
    assert "the run never ended: it recorded or waited far too often" in str(disproof(tested))
    assert open_runtimes == before


def test_a_check_that_fails_says_so():
    def check(outcome: Outcome) -> None:
        assert outcome.crashes == 0, "it crashed"

    found = disproof(rule_types, check=check, racy=True)
    assert [each.rule for each in found.problems] == ["check"]
    assert "it crashed" in str(found)
    assert "(the run completed with" in str(found)


def test_an_answer_that_does_not_fit_is_a_mistake_of_the_test():
    before = list(open_runtimes)
    with pytest.raises(ConfigurationError, match="the test's answer 'perhaps' does not fit"):
        crash_everywhere(rule_asks, answers={"*": "perhaps"}, regressions=False)
    assert open_runtimes == before


def test_a_payload_that_cannot_be_recorded_is_a_mistake_of_the_test():
    with pytest.raises(PayloadError):
        crash_everywhere(rule_fails, signals={"x": lambda: None}, regressions=False)


@function
async def rule_other(n: int) -> int:
    return n


@workflow
async def rule_looks(ctx: WorkflowContext, n: int) -> None:
    try:
        await ctx.step(rule_look, n)
    except ConnectionError:
        await ctx.step(rule_other, n)
    await ctx.step("after", rule_other, n)


def test_a_contract_holds_of_every_log():
    """Also when it takes a failure to break it; the line is that of the call."""
    none = never(step("rule_other").where(lambda event: event.value == 1)).called("no other")
    given = {"failures": {rule_look: ConnectionError}, "contracts": [none], "examples": 50}
    found = disproof(rule_looks, input={"n": 1}, **given)
    (problem,) = found.problems
    assert (problem.rule, none.name in problem.said) == ("contract", True)
    assert "await ctx.step(rule_other, n)" in str(found)
    kept = [eventually("after"), never(step("rule_look").after("after"))]
    crash_everywhere(rule_looks, {"n": 1}, contracts=kept, regressions=False)


def test_what_is_no_contract_is_a_mistake_of_the_test():
    with pytest.raises(ConfigurationError, match=r"agnt5\.contracts"):
        crash_everywhere(rule_asks, contracts=["once"], regressions=False)
