"""A store with runs of every sort, for commands to look at."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from agnt5 import (
    AsyncClient,
    FunctionRegistry,
    Runtime,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)

NASTY = "\x1b[2Jgone\x07 \x9b31m \u202etxt.exe\u2066 \x7f \r over \u2028"
"""What a terminal obeys, or what makes a text read as another one."""


def workflows() -> None:
    """Register the code of the desk, as often as one likes."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()

    @function(retries={"max_attempts": 3, "initial_interval_ms": 1})
    async def pay(cents: int) -> str:
        if cents == 13 and not tried:
            tried.append(cents)
            raise ConnectionError("the card does not answer")
        return f"paid {cents}"

    @workflow(version="1")
    async def order(ctx: WorkflowContext, cents: int, note: str = "") -> str:
        await ctx.step(pay, cents)
        if cents > 100:
            answer = await ctx.wait_for_user(f"{note}ok?", "approval", assignees=["ann", "bob"])
            if answer != "approve":
                raise ValueError(f"{note}refused")
            told = await ctx.wait_for_signal("go")
            return f"{note}{told}"
        return note

    @workflow
    async def outer(ctx: WorkflowContext) -> str:
        return await ctx.child(order, 1)


tried: list[int] = []


def forget() -> None:
    """As in a process that has none of the code."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()


async def _fill(store: str) -> None:
    async with Runtime(store, park_after=0.01) as runtime:
        client = AsyncClient(runtime=runtime)

        async def start(run_id: str, cents: int, user: str | None = None, note: str = "") -> None:
            given = {"cents": cents, "note": note}
            await client.run(
                "order", given, "workflow", run_id=run_id, user_id=user, session_id=f"s-{user}"
            )

        await start("run-1", 5, "ann")
        await start("run-2", 13, "bob")
        await start("run-22", 200, "ann")
        await start("run-3", 300, "ann", NASTY)
        await client.resume("run-3", "reject", actor="ann", reason=NASTY)
        await client.wait_for_result("run-3")
        await start("run-4", 400, "bob")
        await client.run("outer", {}, "workflow", run_id="run-5")
        await client.run("pay", {"cents": 1}, run_id="other")


def make(path: Path) -> None:
    """Fill a store."""
    workflows()
    tried.clear()
    asyncio.run(_fill(f"sqlite:///{path}"))
    forget()


def copy_of(made: Path, path: Path) -> Path:
    """The same store at another place."""
    shutil.copy(made, path)
    return path
