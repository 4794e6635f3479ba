"""A fake outside world knows by whom something was done."""

from __future__ import annotations

import pytest

from agnt5 import WorkflowContext, function, workflow
from agnt5.exceptions import ConfigurationError, PayloadError
from agnt5.testing import Effects, Simulation

sink = Effects("sink")


@function
async def effect_plain(n: int) -> None:
    sink.record("plain", n=n)


@function
def effect_blocking(n: int) -> None:
    sink.record("blocking", n=n)


@workflow
async def effect_workflow(ctx: WorkflowContext) -> None:
    async def inline() -> None:
        sink.record("inline")

    await ctx.step(effect_plain, 1)
    await ctx.step(effect_blocking, 2)
    await ctx.step("in", inline)
    await ctx.step("lambda", lambda: sink.record("lambda"))
    sink.record("body")
    await ctx.step(effect_part, 3)
    await effect_direct(4)


@workflow
async def effect_part(ctx: WorkflowContext, n: int) -> None:
    sink.record("part", n=n)
    await ctx.step("in part", lambda: sink.record("in part"))


@function
async def effect_direct(n: int) -> None:
    sink.record("direct", n=n)


def test_it_knows_the_step_that_is_under_way():
    """Of functions without a context, of blocking ones, and of what runs within the body."""
    sink.clear()
    with Simulation() as simulation:
        run_id = simulation.client.run("effect_workflow", {}, "workflow").run_id
    seen = {each.name: (each.place and each.place[1], each.in_body) for each in sink.all}
    assert seen == {
        "plain": (":effect_plain#0", False),
        "blocking": (":effect_blocking#0", False),
        "inline": (":in#0", False),
        "lambda": (":lambda#0", False),
        "body": (None, True),
        "part": (None, True),
        "in part": (":effect_part#0>:in part#0", False),
        "direct": (None, True),
    }
    assert {each.place[0] for each in sink.all if each.place} == {run_id}


def test_outside_of_any_run_it_just_counts():
    own = Effects()
    own.record("seen", by="me")
    assert own.count("seen") == 1
    assert not own.all[0].in_body
    assert own.all[0].line.rpartition(":")[0] == __file__
    assert own.happened("seen")
    own.clear()
    assert own.all == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"exactly_once": "charge"}, ConfigurationError),
        ({"exactly_once": ["a"], "any_number": ["a"]}, ConfigurationError),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, error):
    with pytest.raises(error):
        Effects(**arguments)


def test_a_detail_is_a_value_that_could_be_recorded():
    with pytest.raises(PayloadError):
        Effects().record("call", what=lambda: None)
