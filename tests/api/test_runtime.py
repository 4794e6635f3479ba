"""The runtime in its host: beside other work, alone on its store, opening, closing, signals."""

from __future__ import annotations

import asyncio
import re
import signal
import textwrap
import threading
import time

import pytest
from tests.api.helpers import python, turns, until

from agnt5 import (
    AsyncClient,
    Client,
    Runtime,
    RuntimeClosedError,
    StoreError,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.exceptions import StoreInUseError


@pytest.fixture(autouse=True)
def components():
    """What is run here."""

    @function
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @workflow
    async def waits(ctx, n: int = 0) -> int:
        return n + await ctx.wait_for_signal("go")

    @workflow
    async def steps(ctx, n: int) -> int:
        return sum([await ctx.step("add", i) for i in range(n)])


async def test_beside_other_work(store):
    """Other tasks of the loop run on; tasks they make are not taken for branches of a body."""
    ticks = 0

    async def ticking():
        nonlocal ticks
        while True:
            await asyncio.create_task(asyncio.sleep(0))
            ticks += 1

    before = asyncio.all_tasks()
    async with Runtime(store) as runtime:
        task = asyncio.create_task(ticking())
        client = AsyncClient(runtime=runtime)
        response = await client.run("steps", {"n": 50}, "workflow")
        assert response.output == sum(range(1, 51))
        assert ticks > 50
        task.cancel()
    await turns()
    assert asyncio.all_tasks() == before


async def test_the_task_factory_of_the_host_is_kept(store):
    """A factory that was there before is used inside, and is back after the close."""
    made = []

    def factory(loop, coro, **options):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(factory)
    try:
        async with Runtime(store) as runtime:
            assert (await AsyncClient(runtime=runtime).run("steps", {"n": 2}, "workflow")) == 3
            await asyncio.create_task(asyncio.sleep(0))
        assert made
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(before)


async def test_context_variables_of_the_host_do_not_leak_into_runs(store):
    """A run sees the variables of the moment when the runtime was opened, not of its caller."""
    import contextvars

    variable = contextvars.ContextVar("variable", default="default")
    seen = []

    @function
    async def look():
        seen.append(variable.get())

    variable.set("opened")
    async with Runtime(store) as runtime:
        variable.set("called")
        await AsyncClient(runtime=runtime).run("look")
    assert seen == ["opened"]


async def test_a_client_finds_the_runtime_of_its_process(store):
    """``AsyncClient()`` without arguments uses the runtime that is open."""
    async with Runtime(store) as runtime:
        client = AsyncClient()
        assert client.runtime is runtime
        assert (await client.run("add", {"a": 1})).output == 2


async def test_two_runtimes_with_two_stores(tmp_path):
    """Two in one loop: each has its own runs; closing one leaves the other."""
    one = Runtime(f"sqlite:///{tmp_path}/one.db")
    two = Runtime("memory://")
    async with two:
        async with one:
            await AsyncClient(runtime=one).run("add", {"a": 1}, run_id="r")
            assert (await AsyncClient(runtime=two).get_result("r")).status_code == 404
        assert (await AsyncClient(runtime=two).run("steps", {"n": 3}, "workflow")).output == 6


async def test_a_second_runtime_on_the_same_store_is_refused(tmp_path):
    """In this process: refused whatever the spelling of the path, and again after it is free."""
    (tmp_path / "sub").mkdir()
    address = f"sqlite:///{tmp_path}/a.db"
    async with Runtime(address) as first:
        for other in (address, f"sqlite:///{tmp_path}/sub/../a.db"):
            with pytest.raises(StoreInUseError, match="in use by this process"):
                async with Runtime(other):
                    pass
        assert (await AsyncClient(runtime=first).run("add", {"a": 1})).is_success
    async with Runtime(address) as second:
        assert (await AsyncClient(runtime=second).run("add", {"a": 1})).is_success


def test_a_second_process_on_the_same_store_is_refused(tmp_path):
    """Another process: a clear error with the owner's pid; free again when the owner is killed."""
    holder = python(WORKER, tmp_path / "a.db", "never", cwd=tmp_path)
    try:
        assert holder.stdout.readline() == "ready\n"
        other = python(WORKER, tmp_path / "a.db", "never", cwd=tmp_path)
        _, err = other.communicate(timeout=20)
        assert other.returncode == 1
        assert f"StoreInUseError: {tmp_path}/a.db is in use by another process" in err
        assert f"pid {holder.pid}" in err
    finally:
        holder.kill()
        holder.communicate()
    third = python(WORKER, tmp_path / "a.db", "never", cwd=tmp_path)
    assert third.stdout.readline() == "ready\n"
    third.terminate()
    third.communicate(timeout=20)
    assert third.returncode == 0


async def test_more_runs_than_may_be_active(store):
    """Beyond ``max_active_runs`` runs are accepted durably and begin when there is room."""
    active, most = 0, 0
    gate = asyncio.Event()

    @function
    async def slow(n):
        nonlocal active, most
        active += 1
        most = max(most, active)
        await gate.wait()
        active -= 1
        return n

    async with Runtime(store, max_active_runs=3) as runtime:
        client = AsyncClient(runtime=runtime)
        ids = [(await client.submit("slow", {"n": n})).run_id for n in range(12)]
        await until(lambda: active == 3)
        await turns()
        assert len(runtime._bus.runs) <= 3
        statuses = [(await client.get_status(run_id)).status for run_id in ids]
        assert statuses.count("queued") == 9
        gate.set()
        responses = await asyncio.gather(*(client.wait_for_result(r, 15) for r in ids))
    assert [response.output for response in responses] == list(range(12))
    assert most == 3


async def test_the_backlog_survives_a_restart(store):
    """Accepted and not begun, then closed: they all run at the next start, few at a time."""
    done = []

    @function
    async def note(n):
        done.append(n)
        return n

    gate = asyncio.Event()

    @function
    async def blocks():
        await gate.wait()

    async with Runtime(store, max_active_runs=1) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("blocks")
        for n in range(8):
            await client.submit("note", {"n": n}, run_id=f"n{n}")
        assert not done
        await runtime.aclose(grace=0)
    gate.set()
    async with Runtime(store, max_active_runs=2) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(8):
            assert (await client.wait_for_result(f"n{n}", 15)).output == n
    assert sorted(done) == list(range(8))


async def test_a_letter_to_a_queued_run(store):
    """Signals and cancels reach runs that have not begun yet."""
    gate = asyncio.Event()

    @function
    async def blocks():
        await gate.wait()

    async with Runtime(store, max_active_runs=1) as runtime:
        client = AsyncClient(runtime=runtime)
        first = (await client.submit("blocks")).run_id
        signalled = (await client.submit("waits", {"n": 1}, "workflow")).run_id
        cancelled = (await client.submit("waits", {"n": 1}, "workflow")).run_id
        await client.signal(signalled, "go", 5)
        await client.cancel(cancelled)
        gate.set()
        assert (await client.wait_for_result(first, 10)).is_success
        assert (await client.wait_for_result(signalled, 10)).output == 6
        assert (await client.wait_for_result(cancelled, 10)).status == "cancelled"


# Closing.


async def test_running_attempts_get_the_grace(store):
    """On close an attempt may end and is recorded; it does not run again."""
    begun, gate = [], asyncio.Event()

    @function
    async def slow():
        begun.append(1)
        await gate.wait()
        return "slow"

    @workflow
    async def body(ctx):
        first = await ctx.step(slow)
        return [first, await ctx.step("second", lambda: begun.append("second"))]

    async with Runtime(store, grace=10) as runtime:
        await AsyncClient(runtime=runtime).submit("body", {}, "workflow", run_id="r")
        await until(lambda: begun)
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert begun == [1]
    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
    assert response.output == ["slow", None]
    assert begun == [1, "second"]


@pytest.mark.parametrize("form", ["async", "blocking", "named"])
async def test_an_attempt_that_ends_at_any_moment_of_the_grace_is_recorded(store, form):
    """Whenever it ends, and however the close looks for that: it never runs again."""
    begun = []

    @function(name="async")
    async def slow(seconds):
        begun.append(1)
        await asyncio.sleep(seconds)

    @function(name="blocking")
    def blocks(seconds):
        begun.append(1)
        time.sleep(seconds)

    @workflow
    async def body(ctx, seconds: float):
        if form == "named":
            return await ctx.step("named", slow(seconds))
        return await ctx.step(form, seconds)

    runs = 15
    for n in range(runs):
        async with Runtime(store, grace=10) as runtime:
            client = AsyncClient(runtime=runtime)
            given = {"seconds": 0.01 + n / 5000}
            await client.submit("body", given, "workflow", run_id=f"{n}")
            await until(lambda n=n: len(begun) > n)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(runs):
            assert (await client.wait_for_result(f"{n}", 10)).is_success
    assert len(begun) == runs


@pytest.mark.parametrize("form", ["async", "blocking", "named"])
async def test_attempts_that_outlast_the_grace_run_again(store, form):
    """What did not end in time is owed; the close does not wait for it."""
    begun, gate, held = [], asyncio.Event(), threading.Event()

    @function(name="async")
    async def slow():
        begun.append(1)
        if len(begun) == 1:
            await gate.wait()
        return "ok"

    @function(name="blocking")
    def blocks():
        begun.append(1)
        if len(begun) == 1:
            held.wait(20)
        return "ok"

    @workflow
    async def body(ctx):
        if form == "named":
            return await ctx.step("named", slow())
        return await ctx.step(form)

    async with Runtime(store, grace=0.05) as runtime:
        await AsyncClient(runtime=runtime).submit("body", {}, "workflow", run_id="r")
        await until(lambda: begun)
        closing = time.monotonic()
    assert time.monotonic() - closing < 2
    async with Runtime(store) as runtime:
        assert (await AsyncClient(runtime=runtime).wait_for_result("r", 10)).output == "ok"
    assert len(begun) == 2
    held.set()


async def test_whoever_waits_is_told_of_the_close(store):
    """A client that waits while the runtime closes gets a clear error, and the run goes on."""
    from agnt5 import RuntimeClosedError

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        waiting = asyncio.create_task(client.run("waits", {"n": 1}, "workflow", run_id="r"))
        await until(lambda: "r" in runtime._bus.runs and runtime._bus.runs["r"].state.open)
    with pytest.raises(RuntimeClosedError, match="goes on when it starts again"):
        await waiting
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "go", 1)
        assert (await client.wait_for_result("r", 10)).output == 2


async def test_closing_twice_and_opening_again(file_store):
    """``aclose`` is idempotent, and a closed runtime can be opened again."""
    runtime = Runtime(file_store)
    for n in range(3):
        await runtime.start()
        response = await AsyncClient(runtime=runtime).run("add", {"a": n})
        assert response.output == n + 1
        await runtime.aclose()
        await runtime.aclose()


async def test_a_failed_start_can_be_repeated(file_store):
    """A start that was refused leaves nothing behind: it works when the cause is gone."""
    runtime = Runtime(file_store)
    async with Runtime(file_store):
        with pytest.raises(StoreError):
            await runtime.start()
    async with runtime:
        assert (await AsyncClient(runtime=runtime).run("add", {"a": 1})).output == 2


async def test_a_start_without_a_component_suspends_its_runs(store):
    """Code that is gone does not lose a run: suspended, with what there is instead; resumed."""
    async with Runtime(store) as runtime:
        await AsyncClient(runtime=runtime).submit("waits", {"n": 1}, "workflow", run_id="r")
        await runtime.aclose(grace=0)
    known = WorkflowRegistry.all()
    WorkflowRegistry.clear()
    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
        assert response.status == "suspended"
        assert "no workflow named 'waits'" in response.error.message
    for each in known.values():
        WorkflowRegistry.register(each)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        async with asyncio.timeout(10):
            while (await client.get_status("r")).status == "suspended":
                await asyncio.sleep(0.005)
        await client.signal("r", "go", 1)
        assert (await client.wait_for_result("r", 10)).output == 2


async def test_an_exception_in_the_host_closes_the_runtime(store):
    """``async with Runtime()``: an error of the host passes through, everything is recorded."""
    with pytest.raises(LookupError, match="host"):
        async with Runtime(store) as runtime:
            await AsyncClient(runtime=runtime).submit("waits", {"n": 1}, "workflow", run_id="r")
            raise LookupError("host")
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "go", 1)
        assert (await client.wait_for_result("r", 10)).output == 2


# Signals of the operating system.

WORKER = textwrap.dedent("""
    import asyncio, sys, time
    from agnt5 import AsyncClient, Runtime, function, workflow

    path, how = sys.argv[1], sys.argv[2]

    @function
    async def slow():
        sys.stdout.write("begun\\n")
        sys.stdout.flush()
        await asyncio.sleep({"short": 0.3, "long": 30}.get(how, 0))
        return "slow"

    @function
    def blocking():
        time.sleep(0.01)
        sys.stdout.write("begun\\n")
        sys.stdout.flush()
        time.sleep({"short": 0.3, "long": 30}.get(how, 0))
        return "slow"

    @workflow
    async def body(ctx, which: str) -> list:
        first = await ctx.step(which)
        return [first, await ctx.step("second", lambda: "second")]

    async def main():
        runtime = Runtime(f"sqlite:///{path}", grace=1)
        await runtime.start()
        client = AsyncClient(runtime=runtime)
        if how in {"short", "long"}:
            for which in ("slow", "blocking"):
                await client.submit("body", {"which": which}, "workflow", run_id=which)
        if how == "finish":
            for which in ("slow", "blocking"):
                print((await client.wait_for_result(which, 10)).output, flush=True)
        asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
        await runtime.serve()
        print("closed", flush=True)

    asyncio.run(main())
""")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("how", ["short", "long", "idle"])
def test_serve_ends_well_on_a_signal(tmp_path, number, how):
    """Exit code 0, no traceback, attempts get the grace, and no run is lost."""
    worker = python(WORKER, tmp_path / "a.db", how, cwd=tmp_path)
    expected = {"ready\n", "begun\n"} if how != "idle" else {"ready\n"}
    lines = [worker.stdout.readline() for _ in range(3 if how != "idle" else 1)]
    assert set(lines) == expected
    sent = time.monotonic()
    worker.send_signal(number)
    out, err = worker.communicate(timeout=20)
    assert (worker.returncode, out, err) == (0, "closed\n", "")
    assert time.monotonic() - sent < 5
    if how == "idle":
        return
    again = python(WORKER, tmp_path / "a.db", "finish", cwd=tmp_path)
    lines = []
    while not lines or lines[-1] != "ready\n":
        lines.append(again.stdout.readline())
        assert lines[-1], again.communicate()
    again.send_signal(number)
    again.communicate(timeout=20)
    assert again.returncode == 0
    # Two threads print at once: lines may run into one another.
    said = "".join(lines)
    assert said.count("['slow', 'second']") == 2
    assert said.count("begun") == (0 if how == "short" else 2)


SCRIPT = textwrap.dedent("""
    import asyncio, sys
    from agnt5 import Client, function

    @function
    async def slow():
        print("begun", flush=True)
        await asyncio.sleep(0.3 if sys.argv[1] == "first" else 0)
        return "slow"

    client = Client(store="sqlite:///a.db")
    if sys.argv[1] == "first":
        client.run("slow", run_id="r")
        print("not reached", flush=True)
    else:
        print(client.wait_for_result("r", 10).output, flush=True)
""")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_script_that_waits_ends_well_on_a_signal(tmp_path, number, code):
    """A program with a Client: the usual exit code, no traceback, and the run goes on."""
    program = python(SCRIPT, "first", cwd=tmp_path)
    assert program.stdout.readline() == "begun\n"
    program.send_signal(number)
    out, err = program.communicate(timeout=20)
    assert (program.returncode, out) == (code, "")
    assert "Traceback" not in err
    again = python(SCRIPT, "second", cwd=tmp_path)
    out, err = again.communicate(timeout=20)
    assert (again.returncode, err) == (0, "")
    assert re.fullmatch(r"(begun\n)?slow\n", out)


async def test_a_run_that_has_not_begun_when_the_close_begins_does_not_begin(store):
    """Accepted in the moment of the close: it is on record, and begins at the next start."""
    begun = []

    @function
    async def blocker():
        begun.append("blocker")
        await asyncio.sleep(0.05)

    @function
    async def note():
        begun.append("note")

    @workflow
    async def body(ctx):
        await ctx.step(note)

    async with Runtime(store, grace=10) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("blocker")
        await until(lambda: begun)
        accepting = asyncio.create_task(client.submit("body", {}, "workflow", run_id="r"))
        while "r" not in runtime._bus.runs:
            await asyncio.sleep(0)
        await runtime.aclose()
        assert (await accepting).run_id == "r"
    assert begun == ["blocker"]
    async with Runtime(store) as runtime:
        assert (await AsyncClient(runtime=runtime).wait_for_result("r", 10)).is_success
    assert begun == ["blocker", "note"]


async def test_a_close_does_not_wait_for_what_only_waits(store):
    """A workflow that is a step and waits for a signal is no attempt that needs the grace."""

    @workflow
    async def outer(ctx):
        return await ctx.step(WorkflowRegistry.get("waits"), n=1)

    async with Runtime(store, grace=30) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("outer", {}, "workflow", run_id="r")
        await until(lambda: len(runtime._bus.runs["r"].state.open) == 2)
        closing = time.monotonic()
    assert time.monotonic() - closing < 5
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "go", 1)
        assert (await client.wait_for_result("r", 10)).output == 2


async def test_a_runtime_that_was_never_opened_says_so() -> None:
    runtime = Runtime("memory://")
    with pytest.raises(RuntimeClosedError, match=r"has not been opened.*async with"):
        await AsyncClient(runtime=runtime).list_runs()
    with pytest.raises(RuntimeClosedError, match="has not been opened"):
        Client(runtime=runtime).list_runs()
    async with runtime:
        pass
    with pytest.raises(RuntimeClosedError, match="shutting down"):
        await AsyncClient(runtime=runtime).list_runs()
