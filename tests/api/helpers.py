"""Waiting for conditions, running a body twice, counting what is written."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agnt5 import AsyncClient, Runtime, WorkflowContext, workflow

ROOT = Path(__file__).resolve().parents[2]


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until something is true."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"it did not come true within {seconds:g} s") from None


async def turns(count: int = 50) -> None:
    """Let the loop turn: whatever is ready has happened then."""
    for _ in range(count):
        await asyncio.sleep(0)


async def written(runtime: Runtime) -> int:
    """How many facts are on record, once everything that was handed over is."""
    await turns()
    await runtime._bus.journal.drain(5)
    return runtime._log.events_written


async def event_types(client: AsyncClient, run_id: str) -> list[str]:
    """The public types of a run's events, in order."""
    return [event.event_type for event in await client.get_events(run_id)]


async def run_workflow(store: Any, name: str, given: dict[str, Any] | None = None, **settings: Any):
    """Open a runtime, run a workflow to its end, close."""
    async with Runtime(store, **settings) as runtime:
        return await AsyncClient(runtime=runtime).run(name, given or {}, "workflow", timeout=15)


async def twice(store: Any, body: Callable[[WorkflowContext], Awaitable[Any]]) -> tuple[Any, Any]:
    """What a body sees live, and what it sees when another runtime replays it."""
    seen: list[Any] = []

    @workflow(name="subject")
    async def subject(ctx: WorkflowContext) -> str:
        seen.append(await body(ctx))
        await ctx.wait_for_signal("go")
        return "done"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("subject", {}, "workflow")).run_id
        waiting = asyncio.ensure_future(client.wait_for_result(run_id, 15))
        await until(lambda: seen or waiting.done())
        assert seen, (await waiting).error
        waiting.cancel()
        actor = runtime._bus.runs[run_id]
        await until(lambda: any(":signal:" in key for key in actor.state.open))
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(run_id, "go")
        response = await client.wait_for_result(run_id, 15)
        assert response.is_success, response.error
    assert len(seen) == 2
    return seen[0], seen[1]


def python(
    code: str | Path, *arguments: object, warnings: str = "error", **options: Any
) -> subprocess.Popen[str]:
    """A Python process with this source tree; the code is a text or a file."""
    start = [str(code)] if isinstance(code, Path) else ["-c", code]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(_paths())} | options.pop("env", {})
    environment.pop("AGNT5_STORE", None)
    process = subprocess.Popen(
        [sys.executable, "-W", warnings, *start, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )
    started.append(process)
    return process


started: list[subprocess.Popen[str]] = []


def end_processes() -> None:
    """End whatever a failed test has left running."""
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait()


def _paths() -> list[str]:
    given = os.environ.get("PYTHONPATH")
    return [*([given] if given else []), str(ROOT / "src"), str(ROOT)]


def waits_for_machine(runtime: Runtime) -> bool:
    """Whether a thread, or a few milliseconds of lingering, will bring something."""
    bus = runtime._bus
    return (
        bus._threads._busy > 0
        or bus.journal._in_flight > 0
        or bool(bus.family._errands)
        or bus.entities.is_busy
        or any(not actor._ready and actor.script is None for actor in bus.runs.values())
    )


def _replays(runtime: Runtime) -> bool:
    scripts = [actor.script for actor in runtime._bus.runs.values()]
    return any(script is None or script.replaying for script in scripts)


async def play(runtime: Runtime, clock: Any, over: Callable[[], Any], seconds: float = 20) -> None:
    """Let a manual clock jump from alarm to alarm until something is true."""
    async with asyncio.timeout(seconds):
        while not over():
            # A run that another thread is reading, or that replays, has yet to set its alarms.
            at_rest = not (waits_for_machine(runtime) or _replays(runtime))
            await written(runtime)
            if not over() and not (at_rest and clock.jump()):
                await asyncio.sleep(0.001)
