"""The main law, put as a user would put it: no program without races is disproved.

A program is the input of a workflow that interprets it, so that hypothesis draws and shrinks it as
any other input. It reaches what the worlds of ``tests/laws`` do not: takeovers with the old
runtime alive, reports that come twice, evictions, and crashes right after an effect.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import Effects, crash_everywhere

world = Effects("world")


@function
async def kit_work(n: int) -> int:
    world.record("work", n=n)
    await asyncio.sleep(0)
    return n + 1


@function
def kit_work_on_thread(n: int) -> int:
    world.record("thread", n=n)
    return n + 1


@function(retries={"max_attempts": 2, "initial_interval_ms": 5})
async def kit_flaky(ctx, n: int) -> int:
    if ctx.attempt == 0:
        raise ConnectionError("once")
    return n + 1


@function
async def kit_broken(n: int) -> int:
    raise LookupError(f"no {n}")


@workflow
async def kit_part(ctx: WorkflowContext, program: list[Any]) -> Any:
    return await interpreted(ctx, program)


@workflow
async def kit_program(ctx: WorkflowContext, program: list[Any]) -> Any:
    return await interpreted(ctx, program)


async def interpreted(ctx: WorkflowContext, program: list[Any]) -> Any:
    kind, *rest = program
    match kind:
        case "step":
            function = {"a": kit_work, "t": kit_work_on_thread, "f": kit_flaky}[rest[0]]
            return await ctx.step(function, rest[1])
        case "inline":
            return await ctx.step("inline", lambda: world.record("inline"))
        case "broken":
            try:
                await ctx.step(kit_broken, rest[0])
            except LookupError as error:
                return str(error)
        case "sleep":
            return await ctx.sleep(rest[0])
        case "state":
            ctx.state.set(rest[0], rest[1])
            return ctx.state.get(rest[0])
        case "time":
            return ctx.now().isoformat(), ctx.random()
        case "signal":
            try:
                return await ctx.wait_for_signal("go", timeout=rest[0])
            except TimeoutError:
                return "too late"
        case "ask":
            return await ctx.wait_for_user("Sure?", timeout=rest[0], on_timeout="nobody")
        case "part":
            return await ctx.step(kit_part, rest[0])
        case "child":
            return await ctx.child(kit_part, program=rest[0])
        case "seq":
            return [await interpreted(ctx, each) for each in rest]
        case "all":
            return await asyncio.gather(*[interpreted(ctx, each) for each in rest])
    return None


small = st.integers(0, 2)
leaves = (
    st.tuples(st.just("step"), st.sampled_from("atf"), small)
    | st.tuples(st.just("broken"), small)
    | st.tuples(st.just("sleep"), st.sampled_from([0, 1, 60]))
    | st.just(("inline",))
    | st.just(("time",))
)
waits = st.tuples(st.sampled_from(["signal", "ask"]), st.sampled_from([1, 60, 7200]))
parallel = st.lists(leaves, min_size=1, max_size=3).map(lambda each: ("all", *each))
parts = st.lists(leaves | parallel, min_size=1, max_size=3).map(lambda each: ("seq", *each))
nested = st.tuples(st.sampled_from(["part", "child"]), parts)
states = st.tuples(st.just("state"), st.sampled_from("xy"), small)
programs = st.lists(leaves | waits | parallel | nested | states, min_size=1, max_size=4).map(
    lambda each: ["seq", *each]
)


def plain(program: Any) -> Any:
    """As an input is written: lists all the way down."""
    return [plain(each) for each in program] if isinstance(program, list | tuple) else program


def test_no_program_without_races_is_disproved():
    crash_everywhere(
        kit_program,
        {"program": programs.map(plain)},
        signals=[("go", st.integers(0, 9)), ("go", "again")],
        answers={"Sure?": st.sampled_from(["yes", "no"])},
        examples=max(10, settings.default.max_examples // 4),
        regressions=False,
    )


def test_no_program_that_is_cancelled_goes_wrong_by_itself():
    """A race with whoever cancels: held to what holds for any run."""
    crash_everywhere(
        kit_program,
        {"program": programs.map(plain)},
        cancels=True,
        racy=True,
        examples=max(10, settings.default.max_examples // 6),
        regressions=False,
    )
