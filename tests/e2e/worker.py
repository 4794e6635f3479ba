"""A worker program that is killed: its workflows, the runs of a round, and what they must give.

Called as ``worker.py MODE STORE WITNESS SEED COUNT``. Every attempt of a step appends a line to the
witness file, which no store knows of: ``run_id key idempotency_key attempt wall_clock_ns``.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agnt5 import (
    AsyncClient,
    Client,
    FunctionContext,
    FunctionRegistry,
    Runtime,
    UnknownOutcomeError,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)

PAD = "x" * 2000
"""Makes the log grow, so that the write-ahead file is folded into the database now and then."""
QUICK = {"max_attempts": 3, "initial_interval_ms": 15, "max_interval_ms": 40}


def witness_to(path: str | Path) -> Callable[[str, str, str, int], None]:
    """What a step calls first: one line, in one write, that survives the death of the process."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(run_id: str, key: str, idempotency_key: str, attempt: int) -> None:
        os.write(fd, f"{run_id} {key} {idempotency_key} {attempt} {time.time_ns()}\n".encode())

    return note


def install(witness: str | Path) -> None:
    """Register the workflows of this file, and nothing else."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    note = witness_to(witness)

    def of(ctx: FunctionContext) -> None:
        assert ctx._info is not None
        note(ctx.run_id, ctx._info.key, ctx.idempotency_key, ctx.attempt)

    @function
    async def add(ctx: FunctionContext, a: int, b: int) -> int:
        of(ctx)
        await asyncio.sleep(0.002 * (b % 4))
        return a + b

    @function
    def on_thread(ctx: FunctionContext, n: int) -> int:
        of(ctx)
        time.sleep(0.005)
        return n * 2

    @function(retries=QUICK)
    async def flaky(ctx: FunctionContext, n: int) -> int:
        of(ctx)
        if ctx.attempt == 0:
            raise OSError("the first attempt fails")
        return n + 7

    @function(retries=QUICK)
    async def hopeless(ctx: FunctionContext) -> int:
        of(ctx)
        raise OSError("every attempt fails")

    @function(recovery="fail")
    async def at_most_once(ctx: FunctionContext, n: int) -> int:
        of(ctx)
        await asyncio.sleep(0.01)
        return n

    @function
    async def slow(ctx: FunctionContext, seconds: float) -> str:
        of(ctx)
        say("BEGUN")
        await asyncio.sleep(seconds)
        return "slow"

    @function
    def slow_on_thread(ctx: FunctionContext, seconds: float) -> str:
        of(ctx)
        say("BEGUN")
        time.sleep(seconds)
        return "slow"

    @function
    async def padded(ctx: FunctionContext, n: int) -> str:
        of(ctx)
        return PAD + str(n)

    def inline(run_id: str, key: str, value: Any) -> Any:
        note(run_id, key, "-", 0)
        return value

    @workflow
    async def chain(ctx: WorkflowContext, n: int) -> list[int]:
        total, seen = n, []
        for i in range(6):
            total = await ctx.step(add, total, i)
            seen.append(total)
        total = await ctx.step("square", lambda: inline(ctx.run_id, ":square#0", total**2))
        await ctx.sleep(0.05)
        total = await ctx.step(on_thread, total)
        total = await ctx.step(flaky, total)
        return [*seen, total, len(await ctx.step(padded, n))]

    @workflow
    async def fan(ctx: WorkflowContext, n: int) -> list[Any]:
        async def sequence(start: int, pause: float) -> int:
            value = await ctx.step(add, start, 1)
            await ctx.sleep(pause)
            value = await ctx.step(on_thread, value)
            return await ctx.step(add, value, 2)

        async def nested(start: int) -> int:
            return sum(
                await asyncio.gather(
                    sequence(start, 0.05 + 0.01 * (n % 5)),
                    sequence(start + 1, 0.1),
                    ctx.step(flaky, start),
                )
            )

        # Raw coroutines become inline steps with steps inside.
        first = await ctx.parallel(ctx.step(add, n, 3), nested(n), sequence(n, 0.3))
        second = await asyncio.gather(nested(n + 1), nested(n + 2), ctx.sleep(0.15))
        return [*first, *second]

    @workflow
    async def hard(ctx: WorkflowContext, n: int) -> list[Any]:
        async def once(k: int) -> int | str:
            try:
                return await ctx.step(at_most_once, k)
            except UnknownOutcomeError:
                return "unknown"

        async def without_hope() -> str:
            try:
                return str(await ctx.step(hopeless))
            except OSError as error:
                return str(error)

        race = [ctx.step(add, n, 1), ctx.step(on_thread, n)]
        order = [await each for each in asyncio.as_completed(race)]
        async with ctx.timeout(60):
            together = await asyncio.gather(once(n), without_hope(), once(n + 1))
        return [sorted(order), *together, await once(n + 2)]

    @workflow
    async def outlasts(ctx: WorkflowContext, name: str, seconds: float) -> list[str]:
        first = await ctx.step(name, seconds)
        return [first, await ctx.step("second", lambda: inline(ctx.run_id, ":second#0", "second"))]


def _sequence(start: int) -> int:
    return (start + 1) * 2 + 2


def _nested(start: int) -> int:
    return _sequence(start) + _sequence(start + 1) + start + 7


def is_right(component: str, n: int, output: Any) -> bool:
    """Whether a run has the output that it must have, whatever happened on the way."""
    match component:
        case "chain":
            sums = [n + sum(range(i + 1)) for i in range(6)]
            return output == [*sums, sums[-1] ** 2 * 2 + 7, len(PAD) + len(str(n))]
        case "fan":
            tail = [_nested(n + 1), _nested(n + 2), None]
            return output == [n + 3, _nested(n), _sequence(n), *tail]
        case "hard":
            order, first, hopeless, second, third = output
            return (
                order == sorted([n + 1, n * 2])
                and first in {n, "unknown"}
                and hopeless == "every attempt fails"
                and second in {n + 1, "unknown"}
                and third in {n + 2, "unknown"}
            )
        case "flaky":
            return output == n + 7
        case _:
            return False


def run_of(index: int) -> tuple[str, str, str, int]:
    """Run number ``index`` of a round: its id, its component, its kind and its input."""
    component = ("chain", "fan", "hard", "fan", "chain", "flaky")[index % 6]
    kind = "function" if component == "flaky" else "workflow"
    return f"{component}-{index}", component, kind, index


def say(word: str) -> None:
    """One line on stdout, whole or not at all."""
    os.write(1, f"{word}\n".encode())


async def work(store: str, seed: int, count: int) -> None:
    """Submit the first ``count`` runs, in a random order, and wait until all have ended."""
    indexes = list(range(count))
    random.Random(seed).shuffle(indexes)

    async with Runtime(store, park_after=0.2) as runtime:
        say("READY")
        client = AsyncClient(runtime=runtime)

        async def one(index: int) -> None:
            run_id, component, kind, n = run_of(index)
            accepted = await client.submit(
                component, {"n": n}, kind, run_id=run_id, idempotency_key=run_id
            )
            assert accepted.run_id == run_id
            say(f"ACK {run_id}")

        await asyncio.gather(*map(one, indexes))
        for index in indexes:
            run_id, component, _, n = run_of(index)
            response = await client.wait_for_result(run_id, 120)
            assert response.is_success, f"{run_id}: {response.status} {response.error}"
            assert is_right(component, n, response.output), f"{run_id}: {response.output}"
    say("DONE")


OUTLASTING = [("slow", "outlasts-slow"), ("slow_on_thread", "outlasts-thread")]


async def serve(store: str, count: int) -> None:
    """Submit runs with an attempt of half a second and others, and serve until a signal."""
    runtime = Runtime(store, park_after=0.2)
    await runtime.start()
    client = AsyncClient(runtime=runtime)
    for name, run_id in OUTLASTING:
        given = {"name": name, "seconds": 0.5}
        await client.submit("outlasts", given, "workflow", run_id=run_id, idempotency_key=run_id)
        say(f"ACK {run_id}")
    for run_id, component, kind, n in map(run_of, range(count)):
        await client.submit(component, {"n": n}, kind, run_id=run_id, idempotency_key=run_id)
        say(f"ACK {run_id}")
    asyncio.get_running_loop().call_soon(say, "READY")
    await runtime.serve()
    say("CLOSED")


def script(store: str, count: int) -> None:
    """A plain program: submit with a client, then wait for everything."""
    client = Client(store=store)
    for name, run_id in OUTLASTING:
        given = {"name": name, "seconds": 0.5}
        client.submit("outlasts", given, "workflow", run_id=run_id, idempotency_key=run_id)
        say(f"ACK {run_id}")
    for run_id, component, kind, n in map(run_of, range(count)):
        client.submit(component, {"n": n}, kind, run_id=run_id, idempotency_key=run_id)
        say(f"ACK {run_id}")
    say("READY")
    for run_id in [*(i for _, i in OUTLASTING), *(run_of(i)[0] for i in range(count))]:
        assert client.wait_for_result(run_id, 60).is_success, run_id
    say("DONE")


def main() -> None:
    """See the module."""
    mode, path, witness, seed, count = sys.argv[1:]
    store = f"sqlite:///{path}"
    install(witness)
    match mode:
        case "work":
            asyncio.run(work(store, int(seed), int(count)))
        case "serve":
            asyncio.run(serve(store, int(count)))
        case "script":
            script(store, int(count))
        case _:
            raise SystemExit(f"unknown mode {mode!r}")


if __name__ == "__main__":
    main()
