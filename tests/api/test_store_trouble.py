"""A store in trouble: clear errors, nothing lost, and it goes on once the cause is gone."""

import asyncio
import logging
import sqlite3

import pytest

from agnt5 import (
    AsyncClient,
    FunctionRegistry,
    OverloadedError,
    Runtime,
    StoreError,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.events.log import Append, Chain, RawFact
from agnt5.exceptions import StoreCorruptError, StoreFullError, StoreInUseError, StoreSchemaError


@pytest.fixture(autouse=True)
def components():
    """Fresh registries, and the functions under test."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    executed.clear()

    @function
    async def blob(n: int) -> str:
        executed.append(n)
        return "x" * 50_000

    @workflow
    async def blobs(ctx, n: int) -> int:
        return sum([len(await ctx.step(blob, i)) for i in range(n)])

    @workflow
    async def patient(ctx) -> str:
        return await ctx.wait_for_signal("go")

    yield
    FunctionRegistry.clear()
    WorkflowRegistry.clear()


executed: list[int] = []


def limit_pages(runtime, pages):
    runtime._log._writer.call(
        lambda: runtime._log._committer.connection.execute(f"PRAGMA max_page_count={pages}")
    )


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_full_disk_refuses_new_runs_and_the_others_go_on_when_there_is_room(
    tmp_path, caplog
):
    """SQLITE_FULL: a submit fails at once and clearly; a run under way waits and completes."""
    caplog.set_level(logging.INFO)
    async with Runtime(f"sqlite:///{tmp_path}/a.db") as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("blob", {"n": 0})
        limit_pages(runtime, 40)
        running = asyncio.create_task(client.run("blobs", {"n": 30}, "workflow"))
        await until(lambda: "Appends wait" in caplog.text)
        with pytest.raises(StoreFullError, match="full"):
            await client.submit("blob", {"n": 1}, metadata={"note": "y" * 400_000})
        done_before = len(executed)
        limit_pages(runtime, 1_000_000)
        response = await running
        assert response.output == 30 * 50_000
        assert sorted(executed[1:]) == list(range(30))
        assert done_before < 31
        assert (await client.run("blob", {"n": 2})).is_success


async def test_a_foreign_append_makes_the_owner_read_again_and_touches_nobody_else(
    tmp_path, caplog
):
    """A version conflict in one run: it begins again from the log, its neighbour never notices."""
    async with Runtime(f"sqlite:///{tmp_path}/a.db", park_after=60) as runtime:
        client = AsyncClient(runtime=runtime)
        mine = (await client.submit("patient", {}, "workflow")).run_id
        other = (await client.submit("patient", {}, "workflow")).run_id
        await until(lambda: runtime._bus.runs[mine].state.open)
        await until(lambda: runtime._bus.runs[mine].is_quiet)
        incarnation = runtime._bus.runs[mine]
        version = incarnation.state.version
        done = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        fact = RawFact("SignalReceived", b'{"signal_id":"s","name":"x"}', 1, "foreign")
        append = Append(
            mine, version, [fact], (), Chain(), lambda a: loop.call_soon(done.set_result, a.error)
        )
        runtime._bus.journal._in_flight += 1
        runtime._log.append([append])
        assert await done is None
        caplog.set_level(logging.WARNING)
        with pytest.raises(StoreError):
            await client.signal(mine, "go", "lost to the conflict")
        await until(lambda: runtime._bus.runs.get(mine) not in {None, incarnation})
        await client.signal(mine, "go", "again")
        await client.signal(other, "go", "there")
        assert (await client.wait_for_result(mine, timeout=10)).output == "again"
        assert (await client.wait_for_result(other, timeout=10)).output == "there"


async def test_a_full_mailbox_refuses_the_edge(tmp_path):
    """Letters from outside are refused when a run's mailbox is full; nothing is written."""
    async with Runtime(f"sqlite:///{tmp_path}/a.db", park_after=60) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("patient", {}, "workflow")).run_id
        await until(lambda: runtime._bus.runs[run_id].state.open)
        runtime._bus.runs[run_id]._mailbox.capacity = 5
        calls = [client.signal(run_id, "other", n) for n in range(8)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [a for a in answers if isinstance(a, OverloadedError)]
        assert len(refused) == 3
        events = [e.event_type for e in await client.get_events(run_id)]
        assert events.count("signal.received") == 5
        await client.cancel(run_id)


async def test_a_failing_executor_leaves_other_runs_alone(tmp_path, monkeypatch):
    """A defect in one actor is isolated, reported, and its run begins again from the log."""
    async with Runtime(f"sqlite:///{tmp_path}/a.db") as runtime:
        client = AsyncClient(runtime=runtime)
        send = runtime._bus.send_attempt
        failures = []

        def broken(handler, command):
            if len(failures) < 2:
                failures.append(command)
                raise RuntimeError("a defect")
            send(handler, command)

        monkeypatch.setattr(runtime._bus, "send_attempt", broken)
        response = await client.run("blob", {"n": 7}, timeout=20)
        assert response.is_success
        assert len(failures) == 2


async def test_a_run_that_makes_the_engine_fail_again_and_again_is_suspended(tmp_path, monkeypatch):
    """A defect of the engine never loses a run and never retries for ever."""
    async with Runtime(f"sqlite:///{tmp_path}/a.db") as runtime:
        client = AsyncClient(runtime=runtime)

        def broken(handler, command):
            raise RuntimeError("a defect that stays")

        monkeypatch.setattr(runtime._bus, "send_attempt", broken)
        response = await client.run("blob", {"n": 7}, timeout=30)
        assert response.status == "suspended"
        assert "a defect that stays" in response.error.message
        monkeypatch.undo()
        await client.resume(response.run_id)
        assert (await client.wait_for_result(response.run_id, timeout=10)).is_success


async def test_a_store_is_used_by_one_runtime(tmp_path):
    """A second owner is refused with a clear error, and the first goes on."""
    async with Runtime(f"sqlite:///{tmp_path}/a.db") as runtime:
        with pytest.raises(StoreInUseError, match="this process"):
            await Runtime(f"sqlite:///{tmp_path}/a.db").start()
        assert (await AsyncClient(runtime=runtime).run("blob", {"n": 1})).is_success


async def test_a_newer_schema_is_left_alone(tmp_path):
    """A database of a newer agnt5 is refused, unchanged; with the old schema back it opens."""
    path = tmp_path / "a.db"
    async with Runtime(f"sqlite:///{path}") as runtime:
        await AsyncClient(runtime=runtime).run("blob", {"n": 1})
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = version + 1000")
    connection.close()
    with pytest.raises(StoreSchemaError):
        await Runtime(f"sqlite:///{path}").start()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = version - 1000")
    connection.close()
    async with Runtime(f"sqlite:///{path}") as runtime:
        assert (await AsyncClient(runtime=runtime).run("blob", {"n": 1})).is_success


async def test_a_damaged_fact_stops_its_run_and_no_other(tmp_path, caplog):
    """A fact that cannot be read: its run is left alone with a clear error, the others run."""
    path = tmp_path / "a.db"
    async with Runtime(f"sqlite:///{path}") as runtime:
        client = AsyncClient(runtime=runtime)
        bad = (await client.submit("patient", {}, "workflow")).run_id
        good = (await client.submit("patient", {}, "workflow")).run_id
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE stored_events SET state = ? WHERE originator_id = ? AND originator_version = 1",
            (b"{not json", bad),
        )
    connection.close()
    async with Runtime(f"sqlite:///{path}") as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(good, "go", 1)
        assert (await client.wait_for_result(good, timeout=10)).output == 1
        with pytest.raises(StoreCorruptError, match="cannot be read"):
            await client.signal(bad, "go", 1)
    assert "cannot be read" in caplog.text
