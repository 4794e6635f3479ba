"""Workflows that want no durability: they do all that others do, and leave nothing on the disk."""

from __future__ import annotations

import os
import signal
import sqlite3

import pytest
from tests.api.helpers import play, python

from agnt5 import (
    AsyncClient,
    InvalidInputError,
    RunNotFoundError,
    Runtime,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock


@pytest.fixture(autouse=True)
def components():
    """Two workflows that do the same, one of them in memory only."""

    @function
    async def plus_one(n: int) -> int:
        return n + 1

    async def work(ctx, n: int) -> list[object]:
        seen: list[object] = []
        ctx.set_query_handler("seen", lambda: list(seen))
        ctx.set_update_handler("add", lambda item: seen.append(item) or len(seen))
        seen.append(await ctx.step(plus_one, n))
        await ctx.sleep(3600)
        seen.append(await ctx.wait_for_signal("go"))
        return seen

    workflow(name="kept", default=True)(work)
    workflow(name="fleeting", enable_durability=False)(work)

    @workflow(enable_durability=False)
    async def quick(ctx, n: int) -> int:
        return await ctx.step(plus_one, n)

    yield
    WorkflowRegistry.clear()


def rows_of(url: str) -> dict[str, int]:
    """How many rows each table of the file has."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = [row[0] for row in tables]
        return {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names
        }


async def test_it_does_what_others_do_and_writes_nothing(file_store):
    """A step, a sleep in which it is parked, a query, an update, a signal, its events."""
    clock, seen = ManualClock(), {}
    async with Runtime(file_store, clock=clock, park_after=0.01) as runtime:
        client = AsyncClient(runtime=runtime)
        before = rows_of(file_store)
        for name in ("fleeting", "kept"):
            await client.submit(name, {"n": 1}, "workflow", run_id=name)
            await play(runtime, clock, lambda name=name: is_waiting_for_signal(runtime, name))
            assert await client.query(name, "seen") == [2]
            assert await client.update(name, "add", "fig") == 2
            await client.signal(name, "go", "now")
            await play(
                runtime,
                clock,
                lambda name=name: runtime._bus.log.run_row(name).finished_at is not None,
            )
            response = await client.wait_for_result(name, 10)
            types = [each.event_type for each in await client.get_events(name)]
            seen[name] = (response.output, str((await client.get_status(name)).status), types)
            if name == "fleeting":
                assert rows_of(file_store) == before
        assert [each.run_id for each in await client.list_runs()] == ["kept", "fleeting"]
        assert rows_of(file_store) != before
    assert seen["fleeting"] == seen["kept"]
    assert seen["kept"][0] == [2, "fig", "now"]


def is_waiting_for_signal(runtime, run_id) -> bool:
    """Whether its last fact but a parking is that it waits for a signal."""
    return any(fact.topic.startswith("SignalAwaited") for fact in runtime._bus.log.read(run_id))


async def test_after_a_restart_it_was_never_there(store):
    """Unknown, its idempotency key free, its id too."""
    keys = {"idempotency_key": "k", "run_id": "r"}
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("quick", {"n": 1}, "workflow", **keys)
        assert (await client.wait_for_result("r", 10)).output == 2
        again = await client.submit("quick", {"n": 1}, "workflow", idempotency_key="k")
        assert again.run_id == "r"
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(RunNotFoundError):
            await client.get_status("r")
        assert await client.list_runs() == []
        await client.submit("quick", {"n": 4}, "workflow", **keys)
        assert (await client.wait_for_result("r", 10)).output == 5


async def test_ids_are_unique_over_both(store):
    """A durable run cannot have the id of one in memory, nor the other way round."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("quick", {"n": 1}, "workflow", run_id="a", timeout=10)
        await client.run("plus_one", {"n": 1}, "function", run_id="b", timeout=10)
        for run_id in ("a", "b"):
            for name, kind in (("quick", "workflow"), ("plus_one", "function")):
                with pytest.raises(InvalidInputError, match="already"):
                    await client.submit(name, {"n": 1}, kind, run_id=run_id)


async def test_a_deduplication_id_that_both_use(store):
    """Durable, in memory, durable again: each takes it from the finished one before."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for number, (name, kind) in enumerate(
            [("plus_one", "function"), ("quick", "workflow")] * 2 + [("plus_one", "function")]
        ):
            response = await client.submit(
                name, {"n": number}, kind, run_id=f"r{number}", deduplication_id="d"
            )
            assert response.run_id == f"r{number}"
            assert (await client.wait_for_result(response.run_id, 10)).output == number + 1


@pytest.mark.parametrize("outer", [True, False])
async def test_parents_and_children(store, outer):
    """A durable parent of a volatile child, and the other way round."""

    @workflow(name="inner", enable_durability=not outer)
    async def inner(ctx, n: int) -> int:
        return n * 2

    @workflow(name="outer", enable_durability=outer)
    async def parent(ctx) -> int:
        return await ctx.child(inner, n=4) + await ctx.child(inner, n=5)

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("outer", {}, "workflow", timeout=15)
        assert response.output == 18, response.error
        assert len(await client.list_runs(component="inner")) == 2


CHILD_LOST = """
import asyncio, sys
from agnt5 import AsyncClient, Runtime, workflow

@workflow(enable_durability=False)
async def inner(ctx):
    print("inner", flush=True)
    if sys.argv[1] == "first":
        await ctx.wait_for_signal("never")
    return "done"

@workflow
async def outer(ctx):
    return await ctx.child(inner, run_id="c")

async def main():
    async with Runtime("sqlite:///store.db") as runtime:
        client = AsyncClient(runtime=runtime)
        if sys.argv[1] == "first":
            await client.submit("outer", {}, "workflow", run_id="p")
            await asyncio.Event().wait()
        print((await client.wait_for_result("p", 20)).output, flush=True)

asyncio.run(main())
"""


def test_kill_9_takes_a_volatile_child_and_its_parent_starts_it_again(tmp_path):
    """Under the same id."""
    first = python(CHILD_LOST, "first", cwd=tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline().strip() == "inner"
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=20)
    out, err = python(CHILD_LOST, "second", cwd=tmp_path).communicate(timeout=50)
    assert (out.split(), err) == (["inner", "done"], "")
