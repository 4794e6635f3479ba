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


_witness = -1


def note(run_id: str, key: str, idempotency_key: str, attempt: int) -> None:
    """What a step does first: one line, in one write, that survives the death of the process."""
    line = f"{run_id} {key} {idempotency_key} {attempt} {time.time_ns()}\n"
    os.write(_witness, line.encode())


def note_attempt(ctx: FunctionContext) -> None:
    """The same, for a function."""
    assert ctx._info is not None
    note(ctx.run_id, ctx._info.key, ctx.idempotency_key, ctx.attempt)


def note_inline(run_id: str, key: str, value: Any) -> Any:
    """The same, as an inline step: it has no idempotency key of its own."""
    note(run_id, key, "-", 0)
    return value


# Steps.


async def add(ctx: FunctionContext, a: int, b: int) -> int:
    note_attempt(ctx)
    await asyncio.sleep(0.002 * (b % 4))
    return a + b


def on_thread(ctx: FunctionContext, n: int) -> int:
    note_attempt(ctx)
    time.sleep(0.005)
    return n * 2


async def flaky(ctx: FunctionContext, n: int) -> int:
    note_attempt(ctx)
    if ctx.attempt == 0:
        raise OSError("the first attempt fails")
    return n + 7


async def hopeless(ctx: FunctionContext) -> int:
    note_attempt(ctx)
    raise OSError("every attempt fails")


async def at_most_once(ctx: FunctionContext, n: int) -> int:
    note_attempt(ctx)
    await asyncio.sleep(0.01)
    return n


async def slow(ctx: FunctionContext, seconds: float) -> str:
    note_attempt(ctx)
    say("BEGUN")
    await asyncio.sleep(seconds)
    return "slow"


def slow_on_thread(ctx: FunctionContext, seconds: float) -> str:
    note_attempt(ctx)
    say("BEGUN")
    time.sleep(seconds)
    return "slow"


async def padded(ctx: FunctionContext, n: int) -> str:
    note_attempt(ctx)
    return PAD + str(n)


# Workflows.


async def chain(ctx: WorkflowContext, n: int) -> list[int]:
    """One step after the other."""
    total, seen = n, []
    for i in range(6):
        total = await ctx.step("add", total, i)
        seen.append(total)
    total = await ctx.step("square", lambda: note_inline(ctx.run_id, ":square#0", total**2))
    await ctx.sleep(0.05)
    total = await ctx.step("on_thread", total)
    total = await ctx.step("flaky", total)
    return [*seen, total, len(await ctx.step("padded", n))]


async def sequence(ctx: WorkflowContext, start: int, pause: float) -> int:
    """A branch: steps and a sleep."""
    value = await ctx.step("add", start, 1)
    await ctx.sleep(pause)
    value = await ctx.step("on_thread", value)
    return await ctx.step("add", value, 2)


async def nested(ctx: WorkflowContext, start: int) -> int:
    """A branch of branches."""
    pause = 0.05 + 0.01 * (start % 5)
    return sum(
        await asyncio.gather(
            sequence(ctx, start, pause),
            sequence(ctx, start + 1, 0.1),
            ctx.step("flaky", start),
        )
    )


async def fan(ctx: WorkflowContext, n: int) -> list[Any]:
    """Branches; the raw coroutines given to ``parallel`` become inline steps with steps inside."""
    first = await ctx.parallel(ctx.step("add", n, 3), nested(ctx, n), sequence(ctx, n, 0.3))
    second = await asyncio.gather(nested(ctx, n + 1), nested(ctx, n + 2), ctx.sleep(0.15))
    return [*first, *second]


async def hard(ctx: WorkflowContext, n: int) -> list[Any]:
    """Races, failures that are caught, and steps that must not run twice."""

    async def once(k: int) -> int | str:
        try:
            return await ctx.step("at_most_once", k)
        except UnknownOutcomeError:
            return "unknown"

    async def without_hope() -> str:
        try:
            return str(await ctx.step("hopeless"))
        except OSError as error:
            return str(error)

    race = [ctx.step("add", n, 1), ctx.step("on_thread", n)]
    order = [await each for each in asyncio.as_completed(race)]
    async with ctx.timeout(60):
        together = await asyncio.gather(once(n), without_hope(), once(n + 1))
    return [sorted(order), *together, await once(n + 2)]


async def outlasts(ctx: WorkflowContext, name: str, seconds: float) -> list[str]:
    """A step that takes its time, and one after it."""
    first = await ctx.step(name, seconds)
    return [first, await ctx.step("second", lambda: note_inline(ctx.run_id, ":second#0", "second"))]


def install(witness: str | Path) -> None:
    """Register what is in this file, and nothing else."""
    global _witness
    if _witness != -1:
        os.close(_witness)
    _witness = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    for handler in (add, on_thread, slow, slow_on_thread, padded):
        function(handler)
    for handler in (flaky, hopeless):
        function(retries=QUICK)(handler)
    function(recovery="fail")(at_most_once)
    for body in (chain, fan, hard, outlasts):
        workflow(body)


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


async def work(store: str, seed: int, count: int, *, linger: bool = False) -> None:
    """Submit the first ``count`` runs, in a random order, and wait until all have ended.

    One that lingers keeps the store open after that, until it is killed.
    """
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
        if linger:
            await asyncio.Event().wait()
    say("DONE")


OUTLASTING = [("slow", "outlasts-slow"), ("slow_on_thread", "outlasts-thread")]
OUTLASTS_S = 2.0
"""Well above the time from its start to a signal, well below the grace."""
Submission = tuple[str, str, str, dict[str, Any]]


def submissions(count: int) -> list[Submission]:
    """Runs, and two more with an attempt that takes its time: id, component, kind, input."""
    long: list[Submission] = [
        (run_id, "outlasts", "workflow", {"name": name, "seconds": OUTLASTS_S})
        for name, run_id in OUTLASTING
    ]
    return [*((i, c, kind, {"n": n}) for i, c, kind, n in map(run_of, range(count))), *long]


async def serve(store: str, count: int) -> None:
    """Submit runs and serve until a signal."""
    runtime = Runtime(store, park_after=0.2)
    await runtime.start()
    client = AsyncClient(runtime=runtime)
    for run_id, component, kind, given in submissions(count):
        await client.submit(component, given, kind, run_id=run_id, idempotency_key=run_id)
        say(f"ACK {run_id}")
    asyncio.get_running_loop().call_soon(say, "READY")
    await runtime.serve()
    say("CLOSED")


def script(store: str, count: int) -> None:
    """A plain program: submit with a client, then wait for everything."""
    client = Client(store=store)
    everything = submissions(count)
    for run_id, component, kind, given in everything:
        client.submit(component, given, kind, run_id=run_id, idempotency_key=run_id)
        say(f"ACK {run_id}")
    say("READY")
    # The long ones first: a signal must come while the client waits, not between two of its calls.
    for run_id, *_ in reversed(everything):
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
        case "linger":
            asyncio.run(work(store, int(seed), int(count), linger=True))
        case "serve":
            asyncio.run(serve(store, int(count)))
        case "script":
            script(store, int(count))
        case _:
            raise SystemExit(f"unknown mode {mode!r}")


if __name__ == "__main__":
    main()
