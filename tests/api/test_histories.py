"""Histories out of a store and into another one: nothing is lost, and nothing begins unasked."""

from __future__ import annotations

import io

import pytest
from tests.api.helpers import python, until

from agnt5 import (
    AsyncClient,
    Client,
    InvalidInputError,
    RunNotFoundError,
    Runtime,
    WorkflowContext,
    export_runs,
    function,
    import_runs,
    rebuild_index,
    workflow,
)
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StoreInUseError
from agnt5.histories import read_histories


def define() -> list[str]:
    """The workflow of these tests; what its steps have done."""
    done: list[str] = []

    @function
    async def pay(item: str) -> str:
        done.append(item)
        return f"paid {item}"

    @workflow
    async def order(ctx: WorkflowContext, item: str, waits: bool = False) -> str:
        paid = await ctx.step(pay, item)
        if waits:
            await ctx.wait_for_signal("go")
        return f"{paid} {await ctx.step(pay, item + '!')}"

    return done


async def exported(client: AsyncClient, *args, **filters) -> bytes:
    file = io.BytesIO()
    await client.export_runs(file, *args, **filters)
    return file.getvalue()


async def run(client: AsyncClient, run_id: str, **given) -> str:
    await client.run("order", {"item": run_id} | given, "workflow", run_id=run_id, timeout=15)
    return run_id


async def waiting(client: AsyncClient, run_id: str) -> str:
    """Start a run and let it wait for its signal."""
    given = {"item": run_id, "waits": True}
    await client.submit("order", given, "workflow", run_id=run_id)
    while "signal.awaited" not in [e.event_type for e in await client.get_events(run_id)]:
        await until(lambda: True)
    return run_id


async def test_export_import_export_is_the_identity(store):
    define()
    async with Runtime("memory://") as one, Runtime(store) as other:
        here, there = AsyncClient(runtime=one), AsyncClient(runtime=other)
        for run_id in ("b", "a"):
            await run(here, run_id)
        await here.cancel(await waiting(here, "c"))
        await here.wait_for_result("c", 15)
        content = await exported(here)
        done = await there.import_runs(io.BytesIO(content))
        assert (done.runs, done.events, done.skipped, done.suspended) == (3, 22, (), ())
        assert await exported(there) == content
        assert [each.run_id for each in read_histories(io.BytesIO(content))] == ["a", "b", "c"]
        for run_id in "abc":
            assert await there.history(run_id) == await here.history(run_id)
            result, original = await there.get_result(run_id), await here.get_result(run_id)
            assert (result.status, result.output) == (original.status, original.output)
        listed = [(each.run_id, each.status) for each in await there.list_runs()]
        assert listed == [(each.run_id, each.status) for each in await here.list_runs()]
        again = await there.import_runs(io.BytesIO(content))
        assert (again.runs, again.skipped) == (0, ("b", "a", "c"))


async def test_filters_choose_what_is_exported(store):
    define()

    @workflow
    async def other(ctx: WorkflowContext) -> None: ...

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for run_id in ("r1", "r2"):
            await run(client, run_id)
        await client.run("other", {}, "workflow", run_id="o1")
        await waiting(client, "w1")

        async def ids(*args, **filters) -> list[str]:
            content = await exported(client, *args, **filters)
            return [each.run_id for each in read_histories(io.BytesIO(content))]

        assert await ids() == ["o1", "r1", "r2", "w1"]
        assert await ids("r2") == ["r2"]
        assert await ids(["r2", "o1", "r2"]) == ["r2", "o1"]
        assert await ids([]) == []
        assert await ids(component="order", status="completed") == ["r1", "r2"]
        assert await ids(parent_run_id="nobody") == []
        with pytest.raises(RunNotFoundError, match="'r9'"):
            await ids(["r1", "r9"])
        with pytest.raises(RunNotFoundError, match="'r9'"):
            await client.history("r9")
        for args, filters in (
            ((["r1"],), {"status": "failed"}),
            (([""],), {}),
            ((), {"status": 7}),
        ):
            with pytest.raises(InvalidInputError):
                await ids(*args, **filters)


async def test_an_unfinished_run_waits_until_somebody_resumes_it(store):
    done = define()
    async with Runtime("memory://") as runtime:
        content = await exported(
            AsyncClient(runtime=runtime), await waiting(AsyncClient(runtime=runtime), "w1")
        )
    assert done == ["w1"]
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        imported = await client.import_runs(io.BytesIO(content))
        assert imported.suspended == ("w1",)
        assert (await client.get_status("w1")).status == "suspended"
    # Code that has changed since mends other suspended runs when a runtime opens, but not this one.
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("w1", "go")
        assert (await client.get_status("w1")).status == "suspended"
        response = await client.get_result("w1")
        assert response.error.code == "IMPORTED"
        assert "Resume it" in response.error.message
        assert done == ["w1"]
        await client.resume("w1")
        response = await client.wait_for_result("w1", 15)
        assert response.output == "paid w1 paid w1!"
        assert done == ["w1", "w1!"]
        # It has gone on since: what the file holds is still how it began.
        assert (await client.import_runs(io.BytesIO(content))).skipped == ("w1",)


async def test_an_unfinished_run_goes_on_at_once_when_that_is_asked_for(store):
    done = define()
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        content = await exported(client, await waiting(client, "w1"))
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        imported = await client.import_runs(io.BytesIO(content), unfinished="start")
        assert imported.suspended == ()
        await client.signal("w1", "go")
        assert (await client.wait_for_result("w1", 15)).output == "paid w1 paid w1!"
    assert done == ["w1", "w1!"]


async def test_an_imported_run_that_is_exported_again_is_imported_as_it_is(store):
    define()
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        content = await exported(client, await waiting(client, "w1"))
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        await client.import_runs(io.BytesIO(content))
        content = await exported(client)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.import_runs(io.BytesIO(content))).suspended == ("w1",)
        assert await exported(client) == content


async def test_what_does_not_fit_into_the_store_is_refused_and_nothing_is_written(store):
    define()
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        await run(client, "a")
        await run(client, "b")
        first = await exported(client)
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        given = {"item": "z"}
        await client.run("order", given, "workflow", run_id="k1", idempotency_key="k")
        keyed = await exported(client)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("order", {"item": "x"}, "workflow", run_id="b")
        with pytest.raises(InvalidInputError, match="'b' is in this store already, with other"):
            await client.import_runs(io.BytesIO(first))
        await client.run("order", given, "workflow", run_id="k2", idempotency_key="k")
        with pytest.raises(InvalidInputError, match="which names run 'k2' in this store"):
            await client.import_runs(io.BytesIO(keyed))
        with pytest.raises(InvalidInputError, match="'suspend' or 'start'"):
            await client.import_runs(io.BytesIO(first), unfinished="maybe")
        with pytest.raises(InvalidInputError, match="line 3"):
            await client.import_runs(io.BytesIO(b"\n".join(first.split(b"\n")[:2])))
        assert {each.run_id for each in await client.list_runs()} == {"b", "k2"}


async def test_keys_come_along_even_when_a_run_between_is_left_out(store):
    fails = True

    @workflow
    async def job(ctx: WorkflowContext) -> None:
        if fails:
            raise ValueError("no")

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        for run_id in ("j1", "j2", "j3"):
            fails = run_id != "j3"
            await client.run("job", {}, "workflow", run_id=run_id, idempotency_key="k")
        content = await exported(client, ["j3", "j1"])
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.import_runs(io.BytesIO(content))).runs == 2
        same = await client.run("job", {}, "workflow", idempotency_key="k")
        assert same.run_id == "j3"


async def test_a_closed_store_is_exported_and_imported(file_store, tmp_path):
    done = define()
    path, other = tmp_path / "runs.jsonl", f"sqlite:///{tmp_path}/other.db"
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        await run(client, "a")
        await waiting(client, "w")
        # Looking needs no lock: a runtime may be at work.
        assert export_runs(path, "a", store=file_store).runs == 1
        with pytest.raises(StoreInUseError):
            import_runs(path, store=file_store)
    assert export_runs(path, store=file_store, component="order").runs == 2
    imported = import_runs(path, store=other)
    assert (imported.runs, imported.suspended) == (2, ("w",))
    assert import_runs(path, store=other).skipped == ("a", "w")
    assert rebuild_index(other) == 2
    async with Runtime(other) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.get_result("a")).output == "paid a paid a!"
        assert (await client.get_status("w")).status == "suspended"
        assert done == ["a", "a!", "w"]


async def test_a_closed_store_takes_up_what_was_imported_to_be_started(file_store, tmp_path):
    done = define()
    path = tmp_path / "runs.jsonl"
    log = MemoryLog()
    async with Runtime(log) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.export_runs(path, await waiting(client, "w"))
    import_runs(path, store=file_store, unfinished="start")
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("w", "go")
        assert (await client.wait_for_result("w", 15)).is_success
    assert done == ["w", "w!"]


def test_the_blocking_client_does_the_same(file_store, tmp_path):
    define()
    path = tmp_path / "runs.jsonl"
    with Client(store="memory://") as client:
        client.run("order", {"item": "a"}, "workflow", run_id="once")
        assert client.export_runs(path, "once").events == 7
        assert client.history("once").queued.input == {"item": "a"}
        assert client.import_runs(path).skipped == ("once",)
    import_runs(path, store=file_store)


def test_what_an_import_has_acknowledged_survives_a_kill(file_store, tmp_path):
    define()
    path = tmp_path / "runs.jsonl"
    with Client(store="memory://") as client:
        client.run("order", {"item": "a"}, "workflow", run_id="kept")
        client.export_runs(path, "kept")
    code = (
        "import os, sys\nfrom agnt5 import import_runs\n"
        "import_runs(sys.argv[1], store=sys.argv[2])\nos.kill(os.getpid(), 9)\n"
    )
    process = python(code, path, file_store)
    assert process.wait(30) == -9, process.stderr.read()
    again = tmp_path / "again.jsonl"
    export_runs(again, store=file_store)
    assert again.read_bytes() == path.read_bytes()
