"""Random workflows without ctx, whose steps change what they share: equal under every crash."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.test_crash import LATENCIES, PARK_AFTER, check, examples
from tests.laws.world import boundaries, current, run, some, verdict

from agnt5 import (
    FunctionContext,
    FunctionRegistry,
    WorkflowRegistry,
    function,
    step_calls,
    task,
    tool,
    workflow,
)
from agnt5.actors.images import Arguments
from agnt5.events.run import steps

NAME = "laws_implicit"


@dataclass(frozen=True)
class Call:
    """A direct call; it changes the shared dict and, if it is to, fails."""

    form: str = "task"
    turns: int = 0
    fails: bool = False


@dataclass(frozen=True)
class Seq:
    kids: tuple[Any, ...]


@dataclass(frozen=True)
class Gather:
    kids: tuple[Any, ...]


@dataclass(frozen=True)
class Catch:
    kid: Any


@dataclass(frozen=True)
class Sub:
    """A workflow called by the workflow, given the dict that all share."""

    kid: Any


FORMS = st.sampled_from(["task", "task", "function", "tool", "blocking"])
CALLS = st.builds(Call, FORMS, st.integers(0, 3), st.sampled_from([False] * 4 + [True]))


def _nodes(inner: Any) -> Any:
    few = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Seq, few) | st.builds(Gather, few) | st.builds(Catch, inner)


def size(node: Any) -> int:
    match node:
        case Call():
            return 1
        case Seq(kids) | Gather(kids):
            return sum(map(size, kids))
        case Catch(kid) | Sub(kid):
            return size(kid)
    raise AssertionError(node)


PROGRAMS = (
    st.recursive(CALLS, lambda inner: _nodes(inner | st.builds(Sub, inner)), max_leaves=7)
    .map(lambda node: Seq((node, Call())))
    .filter(lambda node: size(node) <= 8)
)


def change(shared: dict[str, Any], spec: dict[str, Any]) -> None:
    """Nothing else runs between this and the picture of it, so that even a counter is exact."""
    shared["done"][spec["label"]] = [spec["form"]]
    if spec["form"] != "blocking":
        shared["count"] += 1
    if spec["fails"]:
        raise ValueError(spec["label"])


async def act(ctx: FunctionContext, shared: dict[str, Any], spec: dict[str, Any]) -> str:
    life = current().begins(ctx.idempotency_key, spec["label"])
    life.active += 1
    try:
        for _ in range(spec["turns"]):
            await asyncio.sleep(0)
    finally:
        life.active -= 1
    change(shared, spec)
    return spec["label"]


@task
async def shared_task(ctx: FunctionContext, shared: dict[str, Any], spec: dict[str, Any]) -> str:
    return await act(ctx, shared, spec)


@function
async def shared_function(ctx: FunctionContext, shared: dict[str, Any], *, spec: dict) -> str:
    return await act(ctx, shared, spec)


@tool(recovery_policy="idempotent_retry")
async def shared_tool(ctx: FunctionContext, shared: dict[str, Any], spec: dict[str, Any]) -> str:
    return await act(ctx, shared, spec)


@task
def shared_blocking(ctx: FunctionContext, shared: dict[str, Any], spec: dict[str, Any]) -> str:
    current().begins(ctx.idempotency_key, spec["label"])
    change(shared, spec)
    return spec["label"]


@workflow
async def shared_sub(shared: dict[str, Any], at: str, box: list) -> str:
    return repr(await Interpreter(shared, []).run(box[0], at))


@workflow(name=NAME)
async def program() -> Any:
    world = current()
    seen: list[tuple[object, ...]] = []
    world.passes.append(seen)
    shared = {"count": 0, "done": {}}
    done = shared["done"]
    try:
        result = await Interpreter(shared, seen).run(world.program, "r")
    except ValueError as error:
        result = f"failed: {error}"
    assert shared["done"] is done
    return [result, shared["count"], sorted(done.items())]


class Interpreter:
    def __init__(self, shared: dict[str, Any], seen: list[tuple[object, ...]]) -> None:
        self.shared = shared
        self.seen = seen

    async def run(self, node: Any, at: str) -> Any:
        match node:
            case Call():
                return await self.call(node, at)
            case Seq(kids):
                return [await self.run(kid, f"{at}.{i}") for i, kid in enumerate(kids)]
            case Gather(kids):
                runs = [self.run(kid, f"{at}.{i}") for i, kid in enumerate(kids)]
                ends = await asyncio.gather(*runs, return_exceptions=True)
                return [repr(end) for end in ends]
            case Catch(kid):
                try:
                    return await self.run(kid, f"{at}.t")
                except ValueError as error:
                    return f"caught {error}"
            case Sub(kid):
                return await shared_sub(self.shared, f"{at}.s", Opaque([kid]))
        raise AssertionError(node)

    async def call(self, node: Call, at: str) -> str:
        spec = {"label": at, "turns": node.turns, "fails": node.fails, "form": node.form}
        match node.form:
            case "function":
                called = shared_function(self.shared, spec=spec)
            case "tool":
                called = shared_tool(self.shared, spec)
            case "blocking":
                called = shared_blocking(self.shared, spec=spec)
            case _:
                called = shared_task(self.shared, spec)
        try:
            await called
        except ValueError as error:
            self.note(at, str(error))
            raise
        self.note(at, "ok")
        return at

    def note(self, at: str, how: str) -> None:
        """What a step did to the shared dict is there when its outcome is, live and replayed."""
        if at not in self.shared["done"]:
            current().wrong(f"{at} has its outcome, but its change is not there")
        self.seen.append((at, how))


class Opaque(list):
    """Not recorded: part of a program."""


@pytest.fixture(autouse=True)
def components(registries):
    for each in (shared_task, shared_function, shared_blocking):
        FunctionRegistry.register(each)
    for each in (program, shared_sub):
        WorkflowRegistry.register(each)


async def everywhere(node: Any, most: int = 60, **options: Any) -> Any:
    """Calm, and a crash at every boundary of the calm run; the first that differs."""
    calm = await verdict(node, name=NAME, **options)
    if calm.problems:
        return calm
    for crash in some(boundaries(calm), most):
        world = await verdict(node, [crash], calm.outcome(), name=NAME, **options)
        if world.problems:
            world.problems.append(str(crash))
            return world
    return calm


@given(PROGRAMS, LATENCIES, PARK_AFTER)
@examples(0.25)
def test_one_crash_changes_neither_results_nor_shared_objects(node, latency, park_after):
    """Whatever was caught, gathered or counted before the crash is so after it."""
    check(run(everywhere(node, latency=latency, park_after=park_after)))


@given(
    PROGRAMS,
    LATENCIES,
    st.lists(st.builds(Crash, st.integers(0, 9), st.booleans()), min_size=2, max_size=3),
)
@examples(0.4)
def test_several_crashes_change_nothing(node, latency, crashes):
    async def several() -> Any:
        calm = await verdict(node, name=NAME, latency=latency)
        if calm.problems:
            return calm
        return await verdict(node, crashes, calm.outcome(), name=NAME, latency=latency)

    check(run(several()))


# ------------------------------------------------------- the law sees when the engine is broken

SEEN = Seq(
    (Gather((Call(turns=2), Call("function"))), Catch(Call(fails=True)), Sub(Call()), Call())
)


def broken_restore(patch):
    """Nothing is written back."""
    patch.setattr(Arguments, "restore", lambda *_: None)


def broken_failures(patch):
    """What a failed step changed is forgotten."""
    report = steps.report_failure

    def forgetful(state, command, now):
        return report(state, replace(command, after=None), now)

    patch.setattr(steps, "report_failure", forgetful)


def broken_subs(patch):
    """The arguments of a workflow that is called are not watched."""

    class Blind:
        @staticmethod
        def of(args, kwargs):
            return None if len(args) == 3 else Arguments.of(args, kwargs)

    patch.setattr(step_calls, "Arguments", Blind)


@pytest.mark.parametrize("breakage", [None, broken_restore, broken_failures, broken_subs])
def test_a_broken_engine_is_noticed(breakage, monkeypatch):
    if breakage is not None:
        breakage(monkeypatch)
    world = run(everywhere(SEEN))
    assert bool(world.problems) is (breakage is not None), world.describe()
