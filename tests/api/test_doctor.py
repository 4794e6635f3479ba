"""What the doctor finds in stores that need looking after, and what a vacuum gives back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.api import healthy_store
from tests.api.helpers import until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    InvalidInputError,
    Keyring,
    Limits,
    Runtime,
    StoreError,
    WorkflowContext,
    function,
    vacuum_store,
    verify_store,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.stores import sqlite_care
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import StoreFullError, StoreInUseError
from agnt5.operating import Onlooker


async def looked_at(store, clock=None, **options):
    """What an onlooker is told."""
    runtime = Onlooker(store)
    runtime._clock = clock or runtime._clock
    async with runtime:
        return await AsyncClient(runtime=runtime).doctor(**options)


async def test_there_is_nothing_to_look_after(store):
    healthy_store.install()
    clock = ManualClock(healthy_store.BEGIN_US)
    await healthy_store.fill(store, clock)
    async with Runtime(store, clock=clock, park_after=0) as runtime:
        found = await AsyncClient(runtime=runtime).doctor()
        assert found.counts == {}
        assert found.ok
        assert str(found).endswith("nothing to look after")
        assert found.runs["completed"] == 12
        assert found.runs["failed"] == found.runs["cancelled"] == 1
        assert found.events["day"] > 100
        assert found.biggest[0].stream == "$entity/Cart/c1"
        if found.store is not None:
            assert found.store.ownership.pid == os.getpid()
            assert found.store.schema_version == found.store.newest_schema
            assert found.store.size > 0
        assert found.as_json()["ok"] is True


async def test_what_does_not_move_is_told(file_store):
    """A suspended run with its reason, an overdue timer, a run that nobody executes."""
    clock = ManualClock(healthy_store.BEGIN_US)

    @workflow
    async def sleeper(ctx: WorkflowContext) -> None:
        await ctx.sleep(60)

    @workflow
    async def looper(ctx: WorkflowContext) -> None:
        for _ in range(100):
            await ctx.step(one)

    @function
    async def one() -> int:
        return 1

    limits = Limits(events=20)
    async with Runtime(file_store, clock=clock, park_after=0, limits=limits) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("sleeper", {}, "workflow", run_id="sleeps")
        assert (await client.run("looper", {}, "workflow", run_id="loops")).status == "suspended"
        await until(lambda: runtime._log.run_row("sleeps").parked)
        found = await client.doctor()
        assert found.counts == {"suspended": 1, "large": 1}
        assert "limit: run loops" in str(found)
        assert "continue_as_new" in str(found)
    log = SqliteLog(file_store.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.execute("UPDATE runs SET parked=0, wake_at=NULL WHERE run_id='sleeps'")
    log.close()
    clock.advance(3600)
    found = await looked_at(file_store, clock)
    assert found.counts == {"suspended": 1, "stuck": 1, "no owner": 1}
    assert found.store.ownership.is_open is False
    assert (await looked_at(file_store, clock, stuck_after=timedelta(hours=2))).counts["stuck"] == 0
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.execute(
            "UPDATE runs SET parked=1, wake_at=? WHERE run_id='sleeps'", (healthy_store.BEGIN_US,)
        )
    found = await looked_at(file_store, clock)
    assert "it should have gone on at" in str(found)
    assert found.counts["overdue"] == 1


async def test_a_run_that_stands_still_for_long_is_told(store):
    clock = ManualClock(healthy_store.BEGIN_US)

    @workflow
    async def waits(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    async with Runtime(store, clock=clock, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("waits", {}, "workflow", run_id="w")
        await until(lambda: (row := runtime._log.run_row("w")) and row.parked)
        await client.pause("w")
        clock.advance(60)
        for n in range(120):  # what is looked for lies behind more than a page
            await client.signal("w", "go", n)
        assert (await client.doctor()).counts == {}
        clock.advance(600)
        found = await client.doctor()
        assert found.counts == {"paused": 1}
        assert "paused: w: it stands still since 2025-10-09 08:53:20 UTC" in str(found)
        assert "resume it" in found.complaints[0].advice


async def test_an_encrypted_store_tells_how_it_is(file_store):
    async with Runtime(file_store, encryption=Keyring({"k": bytes(32)})) as runtime:
        found = await AsyncClient(runtime=runtime).doctor()
        assert found.store is not None
        assert found.store.ownership.pid == os.getpid()


async def test_who_waits_for_a_child_that_is_over_is_told(file_store):
    @workflow
    async def child(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        return await ctx.child(child, run_id="kid")

    async with Runtime(file_store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("parent", {}, "workflow", run_id="p")
        await until(lambda: (row := runtime._log.run_row("p")) and row.parked)
        await until(lambda: (row := runtime._log.run_row("kid")) and row.parked)
    assert (await looked_at(file_store)).counts["forsaken"] == 0
    with closing(sqlite3.connect(file_store.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE runs SET finished_at=1, owes=0 WHERE run_id='kid'")
    found = await looked_at(file_store)
    assert found.counts["forsaken"] == 1
    assert "it waits for kid" in str(found)


async def test_who_waits_for_a_child_that_went_on_as_another_run_is_not_forsaken(store):
    @workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        if n < 2:
            return ctx.continue_as_new(n + 1)
        return await ctx.wait_for_signal("go")

    @workflow
    async def parent(ctx: WorkflowContext) -> int:
        return await ctx.child(child, 0, run_id="kid")

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("parent", {}, "workflow", run_id="p")
        await until(lambda: len(runtime._log.run_ids()) == 4)
        await until(lambda: not runtime._bus.runs and not runtime._log.owing())
        assert (await client.doctor()).counts == {}
        await client.signal("kid", "go", 7)
        assert (await client.wait_for_result("p")).output == 7


async def test_bad_questions_are_refused(store):
    async with Runtime(store) as runtime:
        with pytest.raises(InvalidInputError, match="stuck_after"):
            await AsyncClient(runtime=runtime).doctor(10)


# Vacuum.


async def emptied(file_store, runs=30):
    """A store from which much was deleted; its path."""

    @function
    async def big(n: int) -> str:
        return "x" * 20_000

    clock = ManualClock(healthy_store.BEGIN_US)
    async with Runtime(file_store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(runs):
            await client.run("big", {"n": n})
        await until(lambda: not runtime._bus.runs)
        clock.advance(60)
        await client.prune(timedelta(seconds=1), archive=None)
        await client.run("big", {"n": -1})
    return file_store.removeprefix("sqlite:///")


def size_of(path):
    return Path(path).stat().st_size


def positions(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT rowid, event_id FROM stored_events").fetchall()


async def test_a_vacuum_gives_room_back_and_moves_nothing(file_store):
    path = await emptied(file_store)
    before, size = positions(path), size_of(path)
    assert before[0][0] > 100
    done = vacuum_store(file_store)
    assert size_of(path) < size / 3
    assert done.after < done.before / 3
    assert positions(path) == before
    assert verify_store(file_store).findings == []
    log = SqliteLog(path)
    assert log.position() == before[-1][0]
    log.close()
    async with Runtime(file_store) as runtime:
        await AsyncClient(runtime=runtime).run("big", {"n": 1})
    assert positions(path)[len(before)][0] == before[-1][0] + 1


async def test_a_vacuum_needs_no_keys(file_store):
    async with Runtime(file_store, encryption=Keyring({"k": bytes(32)})):
        pass
    assert vacuum_store(file_store).after > 0


async def test_a_vacuum_is_refused_beside_an_owner(file_store):
    async with Runtime(file_store):
        with pytest.raises(StoreInUseError):
            await asyncio.to_thread(vacuum_store, file_store)


async def test_a_vacuum_needs_room(file_store, monkeypatch):
    path = await emptied(file_store, runs=3)
    before = size_of(path)
    monkeypatch.setattr(sqlite_care, "_SPARE", 10**18)
    with pytest.raises(StoreFullError, match="Nothing was done"):
        vacuum_store(file_store)
    assert size_of(path) == before


def test_what_is_not_there_is_not_made(tmp_path):
    with pytest.raises(StoreError):
        vacuum_store(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigurationError):
        vacuum_store("memory://")
