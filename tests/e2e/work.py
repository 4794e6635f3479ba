"""What the killed workers execute: every step leaves a line in the witness file when it begins."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from agnt5 import RetryPolicy, function, workflow

NAMES = ("sequential", "parallel", "retrying", "sleeping", "nested", "racing", "mixed")
_witness = -1


def open_witness(path: Path | str) -> None:
    """Where steps are noted from now on."""
    global _witness
    _witness = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(kind: str, *fields: object) -> None:
    """One line, in one write, so that no kill can tear it and no other process can mix into it."""
    at = time.time_ns() // 1000
    os.write(_witness, (" ".join(map(str, (at, os.getpid(), kind, *fields))) + "\n").encode())


def expected(name: str, n: int) -> object:
    """What a run returns."""
    match name:
        case "sequential":
            return sum(n + i for i in range(6))
        case "parallel":
            return [[n + b, n + b + 10] for b in range(4)]
        case "retrying":
            return [n, 2]
        case "sleeping":
            return [n, n + 1]
        case "nested":
            return [n, n + 1, n + 2]
        case "racing":
            return n
        case "mixed":
            return [n, n + 1, n + 2]
        case _:
            raise AssertionError(name)


@function
async def step(ctx, value: int, ms: int = 2) -> int:
    """Note that it ran, and take a while."""
    note("step", ctx.run_id, ctx.idempotency_key, ctx.attempt)
    await asyncio.sleep(ms / 1000)
    return value


@function
def blocking(ctx, value: int) -> int:
    """The same on a thread."""
    note("step", ctx.run_id, ctx.idempotency_key, ctx.attempt)
    time.sleep(0.002)
    return value


@function(retries=RetryPolicy(max_attempts=4, initial_interval_ms=20), backoff="constant")
async def flaky(ctx, value: int) -> list[int]:
    """Fails twice, then succeeds."""
    note("step", ctx.run_id, ctx.idempotency_key, ctx.attempt)
    await asyncio.sleep(0.001)
    if ctx.attempt < 2:
        raise ConnectionError(f"attempt {ctx.attempt}")
    return [value, ctx.attempt]


@workflow
async def sequential(ctx, n: int) -> int:
    """Six steps, one after the other."""
    return sum([await ctx.step(step, n + i) for i in range(6)])


@workflow
async def parallel(ctx, n: int) -> list[list[int]]:
    """Four branches of two steps of different length."""

    async def branch(b: int) -> list[int]:
        return [await ctx.step(step, n + b, 1 + b), await ctx.step(step, n + b + 10, 4 - b)]

    return await asyncio.gather(*(branch(b) for b in range(4)))


@workflow
async def retrying(ctx, n: int) -> list[int]:
    """One step that is retried."""
    return await ctx.step(flaky, n)


@workflow
async def sleeping(ctx, n: int) -> list[int]:
    """A durable sleep between two steps."""
    first = await ctx.step(step, n)
    await ctx.sleep(0.1)
    return [first, await ctx.step(step, n + 1)]


@workflow
async def inner(ctx, n: int) -> int:
    """Part of another workflow."""
    return await ctx.step(step, n) + await ctx.step(step, 1)


@workflow
async def nested(ctx, n: int) -> list[int]:
    """A workflow as a step, between others."""
    first = await ctx.step(step, n)
    second = await ctx.step(inner, n)
    return [first, second, await ctx.step(step, n + 2)]


@workflow
async def racing(ctx, n: int) -> int:
    """Whoever wins, the loser is cancelled; then one more step."""
    steps = [ctx.step(step, n, 1), ctx.step(step, n, 3)]
    done, pending = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
    for loser in pending:
        loser.cancel()
    return await ctx.step(step, done.pop().result())


@workflow
async def mixed(ctx, n: int) -> list[int]:
    """A thread, a raw coroutine, a task group."""

    async def raw(value: int) -> int:
        note("raw", ctx.run_id)
        await asyncio.sleep(0.001)
        return value

    first = await ctx.step(blocking, n)
    second = await ctx.step("raw", raw(n + 1))
    async with asyncio.TaskGroup() as group:
        third = group.create_task(ctx.step(step, n + 2))
        group.create_task(ctx.step(blocking, n))
    return [first, second, third.result()]
