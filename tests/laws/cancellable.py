"""Bodies that clean up in every way: what a cancellation may meet."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel

from agnt5 import FunctionContext, FunctionRegistry, WorkflowContext, WorkflowRegistry
from agnt5.function import function
from agnt5.workflow import workflow


@function(name="cancel_work")
async def work(ctx: FunctionContext, label: str, turns: int = 2) -> str:
    """A step of a few turns, which cleans up itself."""
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.sleep(0)
    return label


@function(name="cancel_scoped")
async def scoped(ctx: FunctionContext, label: str) -> str:
    """A step with scopes and tasks of anyio's own."""
    with anyio.move_on_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(asyncio.sleep, 0)
            await anyio.lowlevel.checkpoint()
    return label


@function(name="cancel_stubborn", timeout_ms=60_000)
async def stubborn(ctx: FunctionContext, label: str) -> str:
    """A step under a deadline that does not stop when it is told to."""
    for _ in range(3):
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
    return label


@function(name="cancel_thread")
def blocking(label: str) -> str:
    """A step on a thread."""
    return label


async def cleanup(ctx: WorkflowContext, *labels: str) -> None:
    """Durable cleanup."""
    for label in labels:
        await ctx.step(work, f"cleanup {label}")


@workflow(name="cancel_child")
async def child(ctx: WorkflowContext, label: str) -> str:
    """A child that cleans up."""
    await ctx.step(work, f"begin {label}")
    try:
        await ctx.step(work, f"inside {label}")
        await ctx.sleep(5)
    except asyncio.CancelledError:
        await cleanup(ctx, label)
        raise
    return label


SPARED: list[str] = []
"""Calls that ended although the scope around them was cancelled."""

# Strict: cleanup runs only because of the cancellation, so that nothing may interrupt it.


async def plain(ctx: WorkflowContext) -> Any:
    await ctx.step(scoped, "inside")
    await ctx.step(stubborn, "inside")
    await ctx.step(blocking, "inside")
    return await ctx.sleep(1)


async def grouped(ctx: WorkflowContext) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ctx.step(work, "inside", n)) for n in range(3)]
        group.create_task(ctx.sleep(1))
    return [task.result() for task in tasks]


async def gathered(ctx: WorkflowContext) -> Any:
    return await asyncio.gather(ctx.step(work, "inside"), ctx.sleep(1), later(ctx))


async def later(ctx: WorkflowContext) -> Any:
    await ctx.step(work, "inside")
    return await ctx.step(work, "inside")


async def waited(ctx: WorkflowContext) -> Any:
    steps = [ctx.step(work, "inside", n) for n in (1, 4)]
    done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
    return len(done) + len(await ctx.parallel(*steps))


async def inlined(ctx: WorkflowContext) -> Any:
    return await ctx.step("inside", later(ctx))


async def with_children(ctx: WorkflowContext) -> Any:
    ctx.child(child, "left")
    return await asyncio.gather(ctx.child(child, "one"), ctx.child(child, "two"))


async def signalled(ctx: WorkflowContext) -> Any:
    waiting = ctx.wait_for_signal("never")
    await ctx.step(work, "inside")
    waiting.cancel()
    return await ctx.step(work, "inside")


async def anyio_grouped(ctx: WorkflowContext) -> Any:
    async with anyio.create_task_group() as group:
        group.start_soon(later, ctx)
        await ctx.step(work, "inside")
    return "grouped"


STRICT = {
    "plain": plain,
    "grouped": grouped,
    "gathered": gathered,
    "waited": waited,
    "inlined": inlined,
    "children": with_children,
    "signalled": signalled,
    "anyio grouped": anyio_grouped,
}


# Free: cleanup may be interrupted, by a timeout or because it is on the way in any case.


async def finally_many(ctx: WorkflowContext) -> Any:
    try:
        await ctx.sleep(1)
    finally:
        await asyncio.gather(ctx.step(work, "f1"), ctx.step(work, "f2"), ctx.sleep(1))


async def timed(ctx: WorkflowContext) -> Any:
    try:
        async with ctx.timeout(0.5):
            try:
                await ctx.sleep(10)
            finally:
                await ctx.step(work, "f")
    except TimeoutError:
        await ctx.step(work, "late")
    return "timed"


async def shielded(ctx: WorkflowContext) -> Any:
    step = ctx.step(work, "kept", 6)
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await step
        with anyio.CancelScope(shield=True):
            await ctx.step(work, "shielded")
        raise


async def moved_on(ctx: WorkflowContext) -> Any:
    with anyio.move_on_after(0.001):
        try:
            await ctx.sleep(10)
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.step(work, "f")
    return await ctx.step(work, "after")


async def moved_on_level(ctx: WorkflowContext) -> Any:
    """Level-triggered: whatever the cleanup awaits is cancelled as well."""
    with anyio.move_on_after(0.001) as scope:
        try:
            await ctx.sleep(10)
        finally:
            for n in range(3):
                is_cancelled = scope.cancel_called
                try:
                    await ctx.step(work, f"f{n}")
                except asyncio.CancelledError:
                    continue
                if is_cancelled:
                    SPARED.append(f"f{n}")
            await ctx.step(work, "last")
    return await ctx.step(work, "after")


async def scope_cancelled(ctx: WorkflowContext) -> Any:
    with anyio.CancelScope() as scope:
        await ctx.step(work, "one")
        scope.cancel()
        try:
            await ctx.step(work, "two")
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.step(work, "three")
    return scope.cancelled_caught


async def struck(ctx: WorkflowContext, label: str) -> None:
    """A call of a cancelled scope is given up, whatever it is."""
    calls = {
        "step": lambda: ctx.step(work, label),
        "inline": lambda: ctx.step(label, later(ctx)),
        "sleep": lambda: ctx.sleep(0.001),
        "signal": lambda: ctx.wait_for_signal(label, timeout=0),
        "child": lambda: ctx.child(child, label),
        "both": lambda: asyncio.gather(ctx.step(work, label), ctx.sleep(0.001)),
    }
    for kind, call in calls.items():
        try:
            await call()
        except asyncio.CancelledError:
            continue
        SPARED.append(f"{kind} {label}")


async def level(ctx: WorkflowContext) -> Any:
    """Level-triggered: every wait is struck until the scope is left, however often it goes on."""
    with anyio.CancelScope() as scope:
        await ctx.step(work, "one")
        scope.cancel()
        await struck(ctx, "in scope")
    return await ctx.step(work, "after")


async def level_in_tasks(ctx: WorkflowContext) -> Any:
    """The same in the tasks of a group, of which one has failed."""
    caught = False
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(struck_when_cancelled, ctx, "first")
            group.start_soon(struck_when_cancelled, ctx, "second")
            await ctx.step(work, "one")
            raise KeyError("no")
    except* KeyError:
        caught = True
    return caught, await ctx.step(work, "after")


async def struck_when_cancelled(ctx: WorkflowContext, label: str) -> None:
    try:
        await ctx.sleep(10)
    finally:
        await struck(ctx, label)


async def group_failed(ctx: WorkflowContext) -> Any:
    async def fails() -> None:
        await ctx.step(work, "short", 1)
        raise KeyError("no")

    async def cleans() -> None:
        try:
            await ctx.sleep(10)
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.step(work, "f")

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(cleans)
            group.start_soon(fails)
    except* KeyError:
        pass
    return await ctx.step(work, "after")


async def swallowed(ctx: WorkflowContext) -> Any:
    for n in range(3):
        try:
            await ctx.step(work, f"s{n}", 3)
        except asyncio.CancelledError:
            continue
    return "kept"


async def nested(ctx: WorkflowContext) -> Any:
    async def inner() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.sleep(10))
                group.create_task(ctx.child(child, "inner"))
        finally:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step(work, "f1"))
                group.create_task(ctx.step("inline", later(ctx)))

    await asyncio.gather(inner(), ctx.step("outer", later(ctx)))


SCOPES: list[anyio.CancelScope] = []


async def scoped_sleep(ctx: WorkflowContext) -> Any:
    with anyio.CancelScope() as scope:
        SCOPES.append(scope)
        await ctx.sleep(10)
    return await ctx.step(work, "after")


FREE = {
    "scoped sleep": scoped_sleep,
    "finally": finally_many,
    "timeout": timed,
    "shielded": shielded,
    "move_on_after": moved_on,
    "move_on_after without a shield": moved_on_level,
    "scope cancelled": scope_cancelled,
    "level": level,
    "level in tasks": level_in_tasks,
    "group failed": group_failed,
    "swallowed": swallowed,
    "nested": nested,
}

REAL_TIME = {"move_on_after", "move_on_after without a shield"}
"""Their scopes race with the clock of the machine: a replay may diverge, and is suspended then."""

PROGRAMS = {**STRICT, **FREE}
CURRENT: list[str] = []


@workflow(name="cancel_program")
async def program(ctx: WorkflowContext) -> Any:
    """The program of now."""
    name = CURRENT[-1]
    if name in FREE:
        return repr(await FREE[name](ctx))
    await ctx.step(work, "begin")
    try:
        return repr(await STRICT[name](ctx))
    except asyncio.CancelledError:
        await cleanup(ctx, "one", "two")
        await asyncio.gather(ctx.step(work, "cleanup three"), ctx.step(work, "cleanup four"))
        await ctx.sleep(0.5)
        raise


def install() -> None:
    """Register the components, beside others."""
    for each in (work, scoped, stubborn, blocking):
        FunctionRegistry.register(each)
    for one in (program, child):
        WorkflowRegistry.register(one)
