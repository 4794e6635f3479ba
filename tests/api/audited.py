"""Runs of every sort, made by chance through the public API, to try queries and views on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow
from agnt5.exceptions import StepTimeoutError

OPS = (
    "pay",
    "flaky",
    "broken",
    "guarded",
    "inline",
    "sleep",
    "ask",
    "ask_late",
    "signal",
    "signal_late",
    "child",
    "dropped",
    "given_up",
    "note",
)
PEOPLE = ("ada", "bob")


@dataclass(frozen=True)
class Plan:
    """One run: what its body does, who it is for, how it ends."""

    ops: tuple[str, ...]
    end: str
    user: str | None = None
    key: str | None = None
    signals: int = 0
    """More than the body waits for."""


plans = st.lists(
    st.builds(
        Plan,
        st.lists(st.sampled_from(OPS), max_size=5).map(tuple),
        st.sampled_from(["finish", "leave", "cancel", "fail", "go_on"]),
        st.sampled_from([None, *PEOPLE]),
        st.sampled_from([None, "k'1", "k2"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda plan: plan.key or id(plan),
)

_numbers = count()
_failed: set[int] = set()


def components() -> None:
    """Register what the plans need; the registries are emptied between tests."""

    @function
    async def pay(n: int) -> dict[str, float]:
        return {"n": n, "of": 0.1 + 0.2}

    @function(retries={"max_attempts": 3, "initial_interval_ms": 1}, backoff="constant")
    async def flaky(n: int) -> int:
        if n not in _failed:
            _failed.add(n)
            raise ValueError("nön'e")
        return n

    @function(retries=1)
    async def broken() -> None:
        raise KeyError("gone")

    @function(recovery="fail")
    async def guarded() -> str:
        return "ü"

    @function
    async def slow() -> None:
        await asyncio.sleep(60)

    @workflow
    async def leaf(ctx: WorkflowContext, n: int) -> int:
        await ctx.step(pay, n)
        return n

    async def do(ctx: WorkflowContext, op: str, n: int) -> None:
        steps = {"pay": (pay, n), "flaky": (flaky, n), "broken": (broken,), "guarded": (guarded,)}
        match op:
            case "pay" | "flaky" | "broken" | "guarded":
                with suppress(KeyError):
                    await ctx.step(*steps[op])
            case "inline":
                await ctx.step("inline", lambda: n)
            case "sleep":
                await ctx.sleep(0.001)
            case "ask":
                await ctx.wait_for_user("well?", assignees=list(PEOPLE))
            case "ask_late":
                await ctx.wait_for_user("late?", timeout=0.001, on_timeout="no")
            case "signal":
                await ctx.wait_for_signal("go")
            case "signal_late":
                with suppress(StepTimeoutError):
                    await ctx.wait_for_signal("never", timeout=0.001)
            case "child":
                await ctx.child(leaf, n)
            case "note":
                ctx.state.set("n", n)
            case _:
                long = ctx.step(slow) if op == "given_up" else ctx.sleep(60)
                task = asyncio.ensure_future(long)
                await ctx.sleep(0.001)
                task.cancel()

    @workflow
    async def mixed(ctx: WorkflowContext, ops: list[str], numbers: list[int], end: str) -> int:
        for op, n in zip(ops, numbers, strict=True):
            await do(ctx, op, n)
        if end in ("leave", "cancel"):
            await ctx.wait_for_user("last?")
        if end == "go_on":
            return ctx.continue_as_new([], [], "finish")
        if end == "fail":
            raise RuntimeError("no 'more'")
        return len(ops)


async def play(runtime: Runtime, plan: Plan, run_id: str | None = None) -> str:
    """Start the run of a plan and drive it to where it is to be left."""
    client = AsyncClient(runtime=runtime)
    given: dict[str, Any] = {"ops": list(plan.ops), "end": plan.end}
    given["numbers"] = [next(_numbers) for _ in plan.ops]
    accepted = await client.submit(
        "mixed", given, "workflow", user_id=plan.user, idempotency_key=plan.key, run_id=run_id
    )
    run_id = accepted.run_id
    for n in range(plan.ops.count("signal") + plan.signals):
        with suppress(ValueError):
            await client.signal(run_id, "go", {"n": n})
    asked = plan.ops.count("ask")
    while True:
        response = await runtime.runs.result(run_id, 15, pauses=True)
        assert response.status != "timeout", plan
        if response.status in ("completed", "failed", "cancelled"):
            return run_id
        if not response.is_paused:
            continue  # a question expired just after it was seen
        if response.metadata["question"] == "late?":
            await asyncio.sleep(0.002)
        elif response.metadata["question"] == "well?":
            asked -= 1
            await client.resume(
                run_id, "yes", actor=PEOPLE[asked % 2], channel="mail", reason="so it's"
            )
        elif plan.end == "cancel":
            await client.cancel(run_id, "enough")
        else:
            return run_id
