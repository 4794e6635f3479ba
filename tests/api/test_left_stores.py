"""What an onlooker is told of a store that somebody has open, has closed, or has died over."""

from __future__ import annotations

import asyncio
import json
import signal

from tests.api.helpers import python, until

from agnt5 import AsyncClient, Runtime, WorkflowContext, workflow
from agnt5.actors.clock import ManualClock
from agnt5.cli import main
from agnt5.operating import Onlooker, Operator

BEGIN_US = 1_760_000_000_000_000

OWNER = """
import asyncio, sys
from agnt5 import AsyncClient, Runtime, WorkflowContext, workflow
@workflow
async def sleeper(ctx: WorkflowContext) -> None:
    await ctx.sleep(0.05)
    await ctx.wait_for_signal("go")
    await ctx.sleep(3600)
async def main():
    async with Runtime(sys.argv[1], park_after=0, max_active_runs=1):
        client = AsyncClient()
        await client.submit("sleeper", {}, "workflow", run_id="asleep")
        print("open", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def told(store, run_id=None, clock=None, kind=Onlooker):
    """The doctor's report, or why a run is where it is."""
    runtime = kind(store)
    runtime._clock = clock or runtime._clock
    async with runtime:
        client = AsyncClient(runtime=runtime)
        return await (client.doctor() if run_id is None else client.explain(run_id))


async def test_a_store_whose_owner_was_killed(file_store, capsys):
    """The owner is told while it lives, and missed when it was killed; then it is taken over."""
    process = python(OWNER, file_store)
    assert process.stdout.readline() == "open\n"
    alive = await told(file_store)
    assert alive.store.ownership.pid == process.pid
    assert f"owner: process {process.pid} (" in str(alive)
    assert alive.counts == {}
    explained = await told(file_store, "asleep")
    assert f"The store: process {process.pid} (" in explained.notes[-1]
    assert "start the program" not in explained.notes[-1]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert await asyncio.to_thread(main, ["doctor", "--store", file_store, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["counts"]["expired"] == said["counts"]["no owner"] == 1
    assert said["store"]["ownership"]["is_open"] is False
    assert said["store"]["ownership"]["epoch"] == 1
    assert await asyncio.to_thread(main, ["doctor", "--store", file_store]) == 1
    out = capsys.readouterr().out
    assert f":{process.pid} had it since 2" in out
    assert "no owner: nobody has it open, and 1 runs could go on" in out
    assert "Nothing is lost: who opens the store next takes over" in out
    assert await asyncio.to_thread(main, ["explain", "asleep", "--store", file_store]) == 0
    out = capsys.readouterr().out
    assert "ended without releasing it. Nothing of the run is lost: start the program" in out
    workflow(name="sleeper")(_sleeper)
    async with Runtime(file_store):
        found = await AsyncClient().doctor()
        assert found.counts == {}
        assert found.store.ownership.epoch == 2
    assert (await told(file_store)).counts["expired"] == 0


async def _sleeper(ctx: WorkflowContext) -> None:
    await ctx.sleep(0.05)
    await ctx.wait_for_signal("go")
    await ctx.sleep(3600)


async def test_runs_of_a_closed_store_wait_for_somebody_to_open_it(file_store):
    clock = ManualClock(BEGIN_US)

    @workflow
    async def sleeper(ctx: WorkflowContext) -> None:
        await ctx.sleep(60)

    async with Runtime(file_store, clock=clock, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("sleeper", {}, "workflow", run_id="asleep")
        await until(lambda: (row := runtime._log.run_row("asleep")) and row.parked)
    async with Operator(file_store) as operator:
        await AsyncClient(runtime=operator).submit("sleeper", {}, "workflow", run_id="new")
    clock.advance(30)
    before = await told(file_store, "asleep", clock)
    assert "it is due at 2025-10-09 08:54:20 UTC, once a program that executes" in str(before)
    found = await told(file_store, clock=clock)
    assert found.counts == {"no owner": 1}
    assert "2 runs could go on, 1 of them now" in str(found)
    assert "owner: nobody has it open, epoch 2" in str(found)
    clock.advance(60)
    for kind in (Onlooker, Operator):  # who has it open only to write down does not execute it
        asleep, new = [str(await told(file_store, n, clock, kind)) for n in ("asleep", "new")]
        assert "it is due since 2025-10-09 08:54:20 UTC, once a program that executes" in asleep
        assert "it begins once a program that executes the run opens the store" in new
        for each in (asleep, new):
            assert "The store: nobody has it open. Nothing of the run is lost" in each
            assert "itself" not in each
    assert "2 runs could go on, 2 of them now" in str(await told(file_store, clock=clock))
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.wait_for_result("asleep")).status == "completed"
        await client.pause("new")
        beside = await asyncio.gather(told(file_store, "asleep"), told(file_store, "new"))
        assert [each.notes for each in beside] == [(), ()]
