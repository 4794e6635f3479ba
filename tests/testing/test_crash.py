"""``crash_everywhere``: what it tries, what it refuses, what it keeps."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agnt5 import Workflow, WorkflowContext, function, workflow
from agnt5.exceptions import ConfigurationError, InvalidInputError, UnknownComponentError
from agnt5.testing import DisprovedError, Effects, crash_everywhere

world = Effects("world", any_number=["log"])


class Basket(BaseModel):
    items: list[str] = Field(min_length=1, max_length=3)
    cents: int = Field(gt=0, le=1000)


@function
async def kit_add(a: int, b: int) -> int:
    world.record("log", what="add")
    return a + b


@function
def kit_blocking(n: int) -> int:
    world.record("block", n=n)
    return n * 2


@workflow
async def kit_basket(ctx: WorkflowContext, basket: Basket) -> int:
    total = 0
    for item in basket.items:
        total = await ctx.step(kit_add, total, len(item))
    return total + basket.cents


@workflow
async def kit_child(ctx: WorkflowContext, n: int) -> int:
    await ctx.sleep(5)
    return await ctx.step(kit_blocking, n)


@workflow
async def kit_family(ctx: WorkflowContext, n: int) -> list[int]:
    futures = [ctx.child(kit_child, n=n + each) for each in range(2)]
    return [await each for each in futures]


@workflow
async def kit_closure(ctx: WorkflowContext, n: int) -> int:
    seen: list[int] = []
    await ctx.step("see", lambda: seen.append(n))
    return len(seen)


@workflow
async def kit_signalled(ctx: WorkflowContext) -> str:
    return await ctx.wait_for_signal("go")


class KitClass(Workflow):
    async def run(self, n: int) -> int:
        self.total = n
        await self.step(kit_add, 1, 2)
        self.total += 1
        return self.total


def test_inputs_are_drawn_from_annotations_and_fit_their_constraints():
    verdict = crash_everywhere(kit_basket, examples=20, regressions=False)
    assert verdict.is_exhaustive
    assert verdict.tried > verdict.singles > 10
    assert "is not disproved by" in str(verdict)
    assert "proved by" not in str(verdict).replace("not disproved by", "")


@pytest.mark.parametrize("tested", [kit_family, "kit_child", KitClass, kit_blocking])
def test_what_can_be_tested(tested):
    crash_everywhere(tested, {"n": 3}, examples=5, regressions=False)


def test_one_seed_is_one_search():
    def report():
        with pytest.raises(DisprovedError) as caught:
            crash_everywhere(kit_closure, regressions=False)
        return str(caught.value)

    assert report() == report()


async def test_it_works_where_a_loop_runs():
    crash_everywhere(kit_closure, {"n": 1}, same=lambda _: None, examples=0, regressions=False)


@given(st.integers())
@settings(max_examples=3)
def test_it_works_within_a_property(n):
    crash_everywhere(kit_basket, {"basket": Basket(items=["a"], cents=1)}, examples=2)


def test_a_run_that_waits_for_nobody_is_refused_with_advice():
    with pytest.raises(ConfigurationError, match="it waits for signal.*signals="):
        crash_everywhere(kit_signalled, regressions=False)


def test_a_signal_that_comes_is_enough():
    crash_everywhere(kit_signalled, signals={"go": st.text()}, examples=10, regressions=False)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"tested": "kit_nobody"}, UnknownComponentError, "kit_nobody"),
        ({"tested": 3}, ConfigurationError, "takes a workflow"),
        ({"tested": kit_closure, "wrong": 1}, ConfigurationError, "wrong"),
        ({"tested": kit_closure, "examples": -1}, ConfigurationError, "examples"),
        ({"tested": kit_closure, "input": {"n": "x"}}, InvalidInputError, "'x'"),
        ({"tested": kit_closure, "input": {"m": 1}}, InvalidInputError, "unknown"),
        ({"tested": kit_closure, "signals": [1]}, ConfigurationError, "signals"),
        ({"tested": kit_closure, "failures": {kit_add: 3}}, ConfigurationError, "failures"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, said):
    with pytest.raises(error, match=said):
        crash_everywhere(arguments.pop("tested"), **{"regressions": False, **arguments})


def test_what_was_found_is_kept_and_tried_first(tmp_path):
    path = tmp_path / "found.jsonl"
    for expected in (None, 2):
        with pytest.raises(DisprovedError) as caught:
            crash_everywhere(kit_closure, {"n": st.integers(5)}, regressions=path)
        assert f"Kept in {path}" in str(caught.value)
        assert expected in {None, caught.value.found.tried}
    (line,) = path.read_text().splitlines()
    kept = json.loads(line)
    assert kept["workflow"] == "kit_closure"
    assert kept["crashes"] == [{"number": 2, "when": "after"}]


@pytest.mark.parametrize(
    "line",
    ["no json", '{"workflow": "kit_closure", "input": {"$": "nobody.knows"}, "crashes": []}', "{}"],
)
def test_a_line_that_is_no_schedule_is_passed_over(tmp_path, line):
    path = tmp_path / "found.jsonl"
    path.write_text(line + "\n")
    crash_everywhere(kit_basket, examples=0, regressions=path)


def test_a_schedule_that_fails_no_more_stays_for_the_next_time(tmp_path):
    path = tmp_path / "found.jsonl"
    with pytest.raises(DisprovedError):
        crash_everywhere(kit_closure, {"n": 1}, regressions=path)
    before = path.read_text()
    verdict = crash_everywhere(
        kit_closure, {"n": 1}, same=lambda _: 0, examples=0, regressions=path
    )
    assert path.read_text() == before
    assert verdict.tried > verdict.singles + 1


def test_registered_failures_are_drawn():
    outcomes = set()

    @workflow
    async def kit_failing(ctx: WorkflowContext) -> str:
        try:
            await ctx.step(kit_add, 1, 2)
        except ConnectionError as error:
            return f"failed: {error}"
        return "worked"

    crash_everywhere(
        kit_failing,
        failures={kit_add: [ConnectionError]},
        check=lambda outcome: outcomes.add(outcome.value),
        regressions=False,
        examples=30,
    )
    assert outcomes == {"worked", "failed: simulated"}


def test_somebody_may_cancel():
    seen = set()
    crash_everywhere(
        kit_child,
        {"n": 1},
        cancels=True,
        check=lambda outcome: seen.add(outcome.status),
        regressions=False,
        racy=True,
        examples=30,
    )
    assert seen == {"completed", "cancelled"}


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    for name in ("agnt5.testing.draws", "agnt5.testing.search"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ConfigurationError, match=r"agnt5-actors\[testing\]"):
        crash_everywhere(kit_closure, {"n": 1}, examples=0, regressions=False)


def test_a_workflow_of_no_module_cannot_be_replayed_elsewhere():
    @workflow
    async def kit_local(ctx: WorkflowContext) -> int:
        return 1

    with pytest.raises(ConfigurationError, match="is not defined by a module"):
        crash_everywhere(kit_local, elsewhere=True, examples=0, regressions=False)
