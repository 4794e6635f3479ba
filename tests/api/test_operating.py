"""Stores seen by those who execute nothing: onlookers beside an owner, and operators."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.helpers import event_types, python, until

from agnt5 import (
    AsyncClient,
    FunctionRegistry,
    Runtime,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.quiet import QuietBus
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import (
    ConfigurationError,
    InvalidInputError,
    RunNotFoundError,
    StoreError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreSchemaError,
)
from agnt5.operating import Onlooker, Operator
from agnt5.runtime import open_runtimes

done: list[str] = []
ONE, TWO = ":wait_for_user#0", ":wait_for_user#1"


def workflows() -> None:
    @function
    async def work(name: str) -> str:
        done.append(name)
        return name

    @workflow
    async def desk(ctx: WorkflowContext, name: str) -> str:
        await ctx.step(work, name)
        first = ctx.wait_for_user("first?")
        second = ctx.wait_for_user("second?")
        signals = [ctx.wait_for_signal("go"), ctx.wait_for_signal("go")]
        said = [await first, await second, *[await each for each in signals]]
        await ctx.step(work, f"{name} again")
        return " ".join(map(str, said))

    @workflow
    async def outer(ctx: WorkflowContext) -> str:
        return await ctx.child(desk, "inner")

    @workflow
    async def nap(ctx: WorkflowContext) -> str:
        await ctx.sleep(0.05)
        return "slept"


def forget_code() -> None:
    FunctionRegistry.clear()
    WorkflowRegistry.clear()


async def parked(client: AsyncClient, run_id: str) -> None:
    async with asyncio.timeout(10):
        while (await event_types(client, run_id))[-1:] != ["run.parked"]:
            await asyncio.sleep(0.002)


async def prepared(store: str, *run_ids: str) -> None:
    """Runs that wait, in a store that nobody has open any more."""
    workflows()
    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        for run_id in run_ids:
            await client.submit("desk", {"name": run_id}, "workflow", run_id=run_id)
            await parked(client, run_id)
    forget_code()


def file_of(store: str) -> str:
    return store.removeprefix("sqlite:///")


def bytes_of(store: str, end: str = "") -> bytes:
    return Path(file_of(store) + end).read_bytes()


def rows(store: str) -> list[tuple]:
    with closing(sqlite3.connect(file_of(store))) as connection:
        facts = connection.execute("SELECT * FROM stored_events ORDER BY rowid").fetchall()
        return facts + connection.execute("SELECT * FROM runs ORDER BY 1").fetchall()


# Onlookers


async def test_an_onlooker_looks_beside_the_owner_and_hears_what_it_writes(file_store):
    workflows()
    async with Runtime(file_store, park_after=0) as runtime, Onlooker(file_store) as onlooker:
        owner, client = AsyncClient(runtime=runtime), AsyncClient(runtime=onlooker)
        assert await client.list_runs() == []
        heard = []

        async def follow():
            async for event in client.events(follow=True):
                heard.append(event.event_type)

        following = asyncio.create_task(follow())
        await owner.submit("desk", {"name": "a"}, "workflow", run_id="r-1")
        await until(lambda: "run.parked" in heard)
        await owner.signal("r-1", "go", 1)
        await until(lambda: "signal.received" in heard)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        assert (await client.state_at("r-1")) == (await owner.state_at("r-1"))
        assert len((await client.explain("r-1")).waits) == 3
        assert AsyncClient().runtime is runtime


async def test_an_onlooker_writes_nothing(file_store, tmp_path):
    await prepared(file_store, "r-1")
    before = bytes_of(file_store)
    async with Onlooker(file_store) as onlooker:
        client = AsyncClient(runtime=onlooker)
        await client.export_runs(tmp_path / "runs.jsonl")
        asked = [
            client.cancel("r-1"),
            client.signal("r-1", "go"),
            client.resume("r-1", "yes", key=ONE),
        ]
        for each in asked:
            with pytest.raises(StoreReadOnlyError, match="'r-1' was left alone"):
                await each
    workflows()
    async with Onlooker(file_store) as onlooker:
        with pytest.raises(StoreReadOnlyError, match="'r-2' was left alone"):
            await AsyncClient(runtime=onlooker).submit("nap", {}, "workflow", run_id="r-2")
    assert bytes_of(file_store) == before
    other = f"sqlite:///{tmp_path}/other.db"
    SqliteLog(file_of(other)).close()
    async with Onlooker(other) as onlooker:
        with pytest.raises(StoreReadOnlyError, match="left alone"):
            await AsyncClient(runtime=onlooker).import_runs(tmp_path / "runs.jsonl")


async def test_an_onlooker_reads_what_a_killed_owner_has_left(file_store):
    owner = python(
        "import sys, time; from agnt5 import *\n"
        "@function\n"
        "async def work(n: int) -> int: return n\n"
        "client = Client(store=sys.argv[1])\n"
        "for n in range(20): client.run('work', {'n': n})\n"
        "print('ready', flush=True); time.sleep(60)",
        file_store,
    )
    assert owner.stdout.readline() == "ready\n"
    with pytest.raises(StoreInUseError, match=rf"pid {owner.pid}\b.*through its client"):
        async with Operator(file_store):
            pass
    async with Onlooker(file_store) as onlooker:
        assert len(await AsyncClient(runtime=onlooker).list_runs()) == 20
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    async with Onlooker(file_store) as onlooker:
        client = AsyncClient(runtime=onlooker)
        assert {str(run.status) for run in await client.list_runs()} == {"completed"}


@pytest.mark.parametrize("kind", [Onlooker, Operator])
async def test_a_store_that_is_not_there_is_not_made(kind, tmp_path):
    for path in (tmp_path / "a.db", tmp_path / "folder" / "a.db"):
        with pytest.raises(StoreError, match="does not exist"):
            async with kind(f"sqlite:///{path}"):
                pass
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="holds no log"):
        async with kind(f"sqlite:///{tmp_path}/empty.db"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]
    with pytest.raises(ConfigurationError, match="one that lasts"):
        kind("memory://")


async def test_a_store_of_an_older_version_is_left_for_who_may_change_it(file_store):
    SqliteLog(file_of(file_store)).close()
    with closing(sqlite3.connect(file_of(file_store))) as connection:
        newest = connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]
        connection.execute("UPDATE schema_version SET version = version - 1")
        connection.commit()
    shutil.copy(file_of(file_store), file_of(file_store) + ".old")
    with pytest.raises(StoreSchemaError, match=f"reads {newest}.*brings it up to date"):
        async with Onlooker(file_store):
            pass
    before, after = (bytes_of(file_store, end) for end in (".old", ""))
    assert before == after


# Operators


async def test_what_an_operator_writes_down_takes_effect_when_somebody_executes(file_store):
    await prepared(file_store, "r-1", "r-2")
    async with Operator(file_store) as operator:
        client = AsyncClient(runtime=operator)
        await client.resume("r-1", "yes", key=ONE, actor="ann")
        await client.resume("r-1", "no", key=TWO)
        await client.signal("r-1", "go", 1)
        await client.signal("r-1", "go", 2)
        assert not (await client.cancel("r-2", "enough")).is_complete
        with pytest.raises(InvalidInputError):
            await client.resume("r-1", "perhaps", key=ONE)
        with pytest.raises(RunNotFoundError):
            await client.cancel("r-3")
        for ask in (client.query("r-1", "x"), client.update("r-1", "x")):
            with pytest.raises(InvalidInputError, match="not executed here"):
                await ask
        assert operator not in open_runtimes
    workflows()
    done.clear()
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.wait_for_result("r-1", 15)).output == "yes no 1 2"
        assert (await client.wait_for_result("r-2", 15)).error.message.endswith("enough")
    assert done == ["r-1 again"]


async def test_an_operator_leaves_everybody_else_alone(file_store):
    """No run is suspended for want of its code, no timer fires, no child is told."""
    workflows()
    async with Runtime(file_store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("outer", {}, "workflow", run_id="r-1")
        await client.submit("nap", {}, "workflow", run_id="r-2")
        await client.submit("desk", {"name": "x"}, "workflow", run_id="r-3")
        await parked(client, "r-3")
        await parked(client, "r-1")
    forget_code()
    await asyncio.sleep(0.06)
    before = rows(file_store)
    async with Operator(file_store) as operator:
        client = AsyncClient(runtime=operator)
        await asyncio.sleep(0.05)
        assert rows(file_store) == before
        await client.cancel("r-1")
        await asyncio.sleep(0.05)
    new = [row for row in rows(file_store) if row not in before]
    assert {row[1] if len(row) == 10 else row[0] for row in new} == {"r-1"}
    assert [row[3] for row in new if len(row) == 10] == ["RunCancelRequested"]
    workflows()
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.wait_for_result("r-2", 15)).output == "slept"
        assert (await client.wait_for_result("r-1", 15)).error.code == "CANCELLED"
        runs = await client.list_runs(parent_run_id="r-1")
        await client.wait_for_result(runs[0].run_id, 15)
        assert (await client.get_status(runs[0].run_id)).status == "cancelled"


async def test_what_an_ended_run_owes_is_left_for_who_executes(file_store):
    """A child that is suspended ends at once when it is cancelled; its parent is told later."""
    workflows()
    async with Runtime(file_store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("outer", {}, "workflow", run_id="r-1")
        await parked(client, "r-1")
        (child,) = [run.run_id for run in await client.list_runs(parent_run_id="r-1")]
        await parked(client, child)
    forget_code()
    async with Operator(file_store) as operator:
        await AsyncClient(runtime=operator).signal(child, "go", 1)
    async with Runtime(file_store) as runtime:  # it has none of the code
        await until(lambda: child in runtime._log.suspended())
    before = rows(file_store)
    async with Operator(file_store) as operator:
        assert str((await AsyncClient(runtime=operator).cancel(child)).status) == "cancelled"
        await asyncio.sleep(0.05)
    cancelled = rows(file_store)
    assert {row[1] if len(row) == 10 else row[0] for row in cancelled if row not in before} == {
        child
    }
    workflows()
    async with Operator(file_store):
        await asyncio.sleep(0.05)
        assert rows(file_store) == cancelled
    async with Runtime(file_store) as runtime:
        ended = await AsyncClient(runtime=runtime).wait_for_result("r-1", 15)
        assert not ended.is_success


async def test_a_suspended_run_is_resumed_by_an_operator_and_goes_on_later(file_store):
    await prepared(file_store, "r-1")
    async with Operator(file_store) as operator:
        await AsyncClient(runtime=operator).signal("r-1", "go", 1)
    async with Runtime(file_store) as runtime:  # it has none of the code
        client = AsyncClient(runtime=runtime)
        await until(lambda: "r-1" in runtime._log.suspended())
    async with Operator(file_store) as operator:
        client = AsyncClient(runtime=operator)
        await client.resume("r-1")
        assert str((await client.get_status("r-1")).status) == "awaiting_user_input"
        assert (await event_types(client, "r-1"))[-1] == "run.resumed"
    workflows()
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.resume("r-1", "yes", key=ONE)
        await client.resume("r-1", "no", key=TWO)
        await client.signal("r-1", "go", 2)
        assert (await client.wait_for_result("r-1", 15)).output == "yes no 1 2"


class OperatorOfMemory(Runtime):
    bus_class = QuietBus


MESSAGES = ("one", "two", "go", "go")


@settings(deadline=None, max_examples=12)
@given(
    order=st.permutations(range(len(MESSAGES))),
    cuts=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=4),
)
def test_who_takes_the_messages_down_makes_no_difference(order, cuts):
    """Messages in any order, some to an operator and some to a runtime: the same end."""
    forget_code()
    workflows()
    bounds = sorted(cuts)
    spans = pairwise([(0, False), *bounds, (len(MESSAGES), False)])
    told = [number + 1 for number in order if MESSAGES[number] == "go"]

    async def send(client, number):
        if MESSAGES[number] == "go":
            await client.signal("r-1", "go", number + 1)
        else:
            key = ONE if MESSAGES[number] == "one" else TWO
            await client.resume("r-1", f"to {MESSAGES[number]}", key=key)

    async def play():
        log = MemoryLog()
        async with Runtime(log, park_after=0) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.submit("desk", {"name": "a"}, "workflow", run_id="r-1")
            await parked(client, "r-1")
        for (begin, _), (end, is_operated) in spans:
            house = OperatorOfMemory(log) if is_operated else Runtime(log, park_after=0)
            async with house:
                for number in order[begin:end]:
                    await send(AsyncClient(runtime=house), number)
        async with Runtime(log) as runtime:
            return await AsyncClient(runtime=runtime).wait_for_result("r-1", 15)

    done.clear()
    assert asyncio.run(play()).output == f"to one to two {told[0]} {told[1]}"
    assert done == ["a", "a again"]
