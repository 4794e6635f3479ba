"""What clients may do: start, look, wait, cancel; from wherever they are called."""

from __future__ import annotations

import asyncio
import logging
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from tests.api.helpers import event_types, python, until, written

from agnt5 import (
    AsyncClient,
    Client,
    ConfigurationError,
    Entity,
    EntityRegistry,
    FunctionContext,
    InvalidInputError,
    RunError,
    RunNotFoundError,
    Runtime,
    RuntimeClosedError,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.hosting import close_hosted
from agnt5.runtime import open_runtimes


@pytest.fixture
async def runtime(store):
    """An open runtime on a fresh store."""
    async with Runtime(store) as runtime:
        yield runtime


@pytest.fixture
def client(runtime):
    """Its client."""
    return AsyncClient(runtime=runtime)


@pytest.fixture
def hosted(file_store):
    """The address of a store whose runtime a client will start; closed at the end."""
    yield file_store
    close_hosted()


@pytest.fixture(autouse=True)
def components():
    """What is run here."""
    executed.clear()

    @function
    async def add(a: int, b: int = 1) -> int:
        executed.append((a, b))
        return a + b

    @function
    async def fails(message: str = "no") -> None:
        executed.append(message)
        raise LookupError(message)

    @function
    async def describe(name: str) -> dict:
        return {"name": name, "length": len(name)}

    @workflow
    async def waits(ctx, n: int = 0) -> int:
        executed.append(n)
        return n + await ctx.wait_for_signal("go")


executed: list = []


@pytest.mark.parametrize("how", ["function", "inline"])
async def test_a_step_never_gets_the_client_of_another_store(store, monkeypatch, how):
    """Its runtime closes, and another one is open: the call is refused, and the step is owed."""
    begun, closing = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr("agnt5.hosting.HostedRuntime", None)

    class Till(Entity):
        async def book(self, cents: int) -> int:
            self.state.set("cents", self.state.get("cents", 0) + cents)
            return self.state.get("cents")

    async def book_once(idempotency_key: str) -> int:
        begun.set()
        await closing.wait()
        till = AsyncClient().entity("Till", "shop")
        return (await till.book(cents=5, idempotency_key=idempotency_key)).output

    @function
    async def book(ctx: FunctionContext) -> int:
        return await book_once(ctx.idempotency_key)

    @workflow
    async def books(ctx: WorkflowContext) -> int:
        if how == "function":
            return await ctx.step(book)
        return await ctx.step("book", book_once, "once")

    async with Runtime("memory://") as other:
        runtime = Runtime(store, grace=5)
        await runtime.start()
        await AsyncClient(runtime=runtime).submit("books", {}, "workflow", run_id="r")
        await begun.wait()
        closed = asyncio.create_task(runtime.aclose())
        await until(lambda: runtime not in open_runtimes)
        closing.set()
        await closed
        till = AsyncClient(runtime=other).entity("Till", "shop")
        assert (await till.book(cents=1)).output == 1
    async with Runtime(store) as again:
        response = await AsyncClient(runtime=again).wait_for_result("r", 10)
        assert response.output == 5, response.error
    EntityRegistry.clear()


async def test_metadata_comes_back_as_it_was_given(store):
    """To the body, to its steps, to children, and to clients."""
    given = {"tags": ("a", "b"), "on": date(2026, 1, 2), "$": 1}

    @function
    async def step(ctx: FunctionContext) -> object:
        return ctx.metadata

    @function
    async def inner(ctx: FunctionContext) -> object:
        return ctx.metadata

    @workflow
    async def parent(ctx: WorkflowContext) -> list[object]:
        return [ctx.metadata, await ctx.step(step), await ctx.child(step), await inner(ctx)]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("parent", {}, "workflow", metadata=given)
        assert response.output == [given] * 4
        assert response.metadata == given
    context = FunctionContext(metadata={"$": 1})
    assert context.metadata == {"$": 1}


async def test_the_exact_events_of_a_function(client):
    """A plain function leaves six public events, in this order, and no others."""
    response = await client.run("add", {"a": 1})
    events = await client.get_events(response.run_id)
    assert [event.event_type for event in events] == [
        "run.queued",
        "run.assigned",
        "run.started",
        "function.started",
        "function.completed",
        "run.completed",
    ]
    assert len(events) == events.count == 6
    assert {event.run_id for event in events} == {response.run_id}
    assert events.items[0].input_data == {"a": 1}
    assert events.items[-1].output_data == 2
    assert len({event.id for event in events}) == 6
    times = [event.timestamp_ns for event in events]
    assert times == sorted(times)


async def test_the_response_of_a_run(client):
    """What a finished run says of itself."""
    response = await client.run("add", {"a": 1, "b": 2}, session_id="s", metadata={"k": [1]})
    assert response.is_success
    assert not response.is_error
    assert not response.is_pending
    assert (response.status_code, response.status, response.output) == (200, "completed", 3)
    assert response.component == "add"
    assert response.session_id == "s"
    assert response.metadata["k"] == [1]
    assert response.created_at <= response.started_at <= response.completed_at
    assert response.elapsed == response.duration_ms / 1000 >= 0
    assert response.raise_for_status() is response
    assert await client.get_result(response.run_id) == response


async def test_a_failed_run_does_not_raise_until_asked(client):
    """``run`` answers a failure; ``raise_for_status`` raises RunError."""
    response = await client.run("fails", {"message": "broken"})
    assert response.is_error
    assert (response.status_code, response.status) == (500, "failed")
    assert response.error.code == "EXECUTION_ERROR"
    assert str(response.error) == "EXECUTION_ERROR: LookupError: broken"
    assert response.failed_at is not None
    with pytest.raises(RunError, match="broken") as caught:
        response.raise_for_status()
    assert caught.value.run_id == response.run_id
    assert (await client.get_result(response.run_id)).error == response.error


async def test_a_response_behaves_like_its_output(client):
    """``response["name"]``, ``in``, ``get``, ``keys``, iteration, ``len``, equality."""
    response = await client.run("describe", {"name": "abc"})
    assert response["name"] == "abc"
    assert "length" in response
    assert "other" not in response
    assert response.get("length") == 3
    assert response.get("other", 7) == 7
    assert list(response.keys()) == list(response) == ["name", "length"]
    assert list(response.values()) == ["abc", 3]
    assert dict(response.items()) == response
    assert response == {"name": "abc", "length": 3}
    assert response != {"name": "abc"}
    assert len(response) == 2
    number = await client.run("add", {"a": 1})
    assert number == 2
    assert number
    with pytest.raises(TypeError, match="output is int"):
        number["x"]
    failed = await client.run("fails")
    with pytest.raises(TypeError, match="it is failed"):
        failed["x"]


async def test_submit_and_the_life_of_a_run(client):
    """queued or running: NOT_READY; then completed; the status agrees."""
    submitted = await client.submit("waits", {"n": 1}, "workflow")
    assert submitted.status_code == 202
    assert submitted.component == "waits"
    run_id = submitted.run_id
    result = await client.get_result(run_id)
    assert (result.status_code, result.error.code) == (202, "NOT_READY")
    assert result.is_pending
    await until(lambda: executed)
    status = await client.get_status(run_id)
    assert status.status == "running"
    assert status.is_running
    assert not status.is_complete
    await client.signal(run_id, "go", 5)
    assert (await client.wait_for_result(run_id, 10, poll_interval=0.01)).output == 6
    status = await client.get_status(run_id)
    assert (status.status, status.is_complete, status.is_running) == ("completed", True, False)
    assert status.completed_at >= status.started_at
    assert (await client.get_result(run_id)).output == 6


async def test_an_unknown_run(client):
    """``get_result`` answers NOT_FOUND; everything else raises RunNotFoundError."""
    result = await client.get_result("nobody")
    assert (result.status_code, result.error.code) == (404, "NOT_FOUND")
    for ask in (
        client.get_status("nobody"),
        client.get_events("nobody"),
        client.wait_for_result("nobody", 1),
        client.cancel("nobody"),
        client.signal("nobody", "go"),
        client.resume("nobody"),
        client.resume("nobody", "yes"),
    ):
        with pytest.raises(RunNotFoundError, match="nobody"):
            await ask


async def test_waiting_for_an_unknown_run_leaves_nothing_behind(client, runtime):
    """A wait that fails or runs out is forgotten."""
    for _ in range(3):
        with pytest.raises(RunNotFoundError):
            await client.wait_for_result("nobody", 1)
    run_id = (await client.submit("waits", {}, "workflow")).run_id
    await client.wait_for_result(run_id, 0.001)
    task = asyncio.ensure_future(client.wait_for_result(run_id, 60))
    await until(lambda: runtime.runs._waiters._patient)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not runtime.runs._waiters._patient
    assert not runtime.runs._waiters._impatient
    await client.cancel(run_id)


async def test_a_wait_that_runs_out(client):
    """``timeout``: the answer says so, the run goes on."""
    response = await client.run("waits", {"n": 1}, "workflow", timeout=0.02)
    assert (response.status_code, response.status, response.error.code) == (
        504,
        "timeout",
        "TIMEOUT",
    )
    again = await client.wait_for_result(response.run_id, 0.02)
    assert again.status == "timeout"
    await client.signal(response.run_id, "go", 1)
    assert (await client.wait_for_result(response.run_id)).output == 2


async def test_the_timeout_of_the_client_is_the_default(runtime):
    """``Client(timeout=)`` limits ``run``; ``run(timeout=)`` overrides it."""
    client = AsyncClient(runtime=runtime, timeout=0.02)
    response = await client.run("waits", {}, "workflow")
    assert response.status == "timeout"
    await client.signal(response.run_id, "go", 1)


async def test_list_runs(client):
    """The newest first, by status and component, page by page."""
    ids = [(await client.run("add", {"a": n})).run_id for n in range(5)]
    failed = (await client.run("fails")).run_id
    assert [run.run_id for run in await client.list_runs()] == [failed, *reversed(ids)]
    assert [run.run_id for run in await client.list_runs(status="failed")] == [failed]
    first = await client.list_runs(component="add", limit=2)
    second = await client.list_runs(component="add", limit=2, before=first[-1].run_id)
    assert [run.run_id for run in [*first, *second]] == list(reversed(ids))[:4]


# Cancelling.


async def test_cancel_lets_the_cleanup_run(client):
    """The body is interrupted where it waits; its ``finally`` may still run durable steps."""
    cleaned = []

    @workflow
    async def careful(ctx):
        try:
            executed.append("begun")
            await ctx.wait_for_signal("never")
        finally:
            await ctx.step("clean", lambda: cleaned.append(1))

    run_id = (await client.submit("careful", {}, "workflow")).run_id
    await until(lambda: executed)
    await client.cancel(run_id, "no longer wanted")
    await client.cancel(run_id, "twice is the same as once")
    response = await client.wait_for_result(run_id, 10)
    assert (response.status, response.error.code) == ("cancelled", "CANCELLED")
    assert "no longer wanted" in response.error.message
    assert cleaned == [1]
    types = await event_types(client, run_id)
    assert types.count("run.cancel_requested") == types.count("run.cancelled") == 1
    assert (await client.cancel(run_id)).status == "cancelled"


async def test_cancel_stops_the_attempt_that_runs(client):
    """A running step's attempt is cancelled."""
    ended = []

    @function
    async def slow():
        executed.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    run_id = (await client.submit("slow")).run_id
    await until(lambda: executed)
    await client.cancel(run_id)
    assert (await client.wait_for_result(run_id, 10)).status == "cancelled"
    assert ended == [1]


async def test_a_finished_run_cannot_be_cancelled(client):
    """Cancelling what has ended changes nothing."""
    response = await client.run("add", {"a": 1})
    assert (await client.cancel(response.run_id)).status == "completed"
    assert "run.cancel_requested" not in await event_types(client, response.run_id)


async def test_a_body_may_refuse_to_be_cancelled(client):
    """A body that catches the cancellation and returns has completed."""

    @workflow
    async def stubborn(ctx):
        try:
            executed.append(1)
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            return "I have finished"

    run_id = (await client.submit("stubborn", {}, "workflow")).run_id
    await until(lambda: executed)
    await client.cancel(run_id)
    assert (await client.wait_for_result(run_id, 10)).output == "I have finished"


async def test_a_cancel_survives_a_crash(store):
    """Cancel is an event: the cleanup is repeated after a crash in the middle of it."""
    gate, cleaned = asyncio.Event(), []

    @function
    async def clean():
        cleaned.append(1)
        if len(cleaned) == 1:
            await gate.wait()

    @workflow
    async def careful(ctx):
        try:
            await ctx.wait_for_signal("never")
        finally:
            await ctx.step(clean)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("careful", {}, "workflow", run_id="r")
        await client.cancel("r")
        await until(lambda: cleaned)
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
    assert response.status == "cancelled"
    assert len(cleaned) == 2


# Idempotency.


async def test_the_same_key_is_the_same_run(client, runtime):
    """Completed: the earlier result, nothing executed, nothing written. Another key: fresh."""
    first = await client.run("add", {"a": 1}, idempotency_key="k")
    before = await written(runtime)
    again = await client.run("add", {"a": 1}, idempotency_key="k")
    submitted = await client.submit("add", {"a": 1}, idempotency_key="k")
    assert again.run_id == submitted.run_id == first.run_id
    assert again == first
    assert await written(runtime) == before
    assert len(executed) == 1
    other = await client.run("add", {"a": 1}, idempotency_key="another")
    assert other.run_id != first.run_id
    assert len(executed) == 2


async def test_runs_are_not_deduplicated_by_input(client):
    """Without a key the same input is another run."""
    first = await client.run("add", {"a": 1})
    second = await client.run("add", {"a": 1})
    assert first.run_id != second.run_id
    assert len(executed) == 2


async def test_the_key_of_a_running_run_attaches_to_it(client):
    """Running: the second caller waits for the first run's result."""
    first = asyncio.create_task(client.run("waits", {"n": 1}, "workflow", idempotency_key="k"))
    await until(lambda: executed)
    second = asyncio.create_task(client.run("waits", {"n": 1}, "workflow", idempotency_key="k"))
    run_id = (await client.submit("waits", {"n": 1}, "workflow", idempotency_key="k")).run_id
    await client.signal(run_id, "go", 1)
    assert (await first).run_id == (await second).run_id == run_id
    assert (await second).output == 2
    assert executed == [1]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_the_key_of_a_failed_run_runs_again(client, how):
    """Failed or cancelled: a new run takes the key, and is the one that the key names then."""
    fine = asyncio.Event()

    @workflow
    async def first_time_bad(ctx):
        if fine.is_set():
            return "fine"
        if how == "failed":
            raise LookupError
        executed.append(1)
        return await ctx.wait_for_signal("never")

    name, kind = "first_time_bad", "workflow"
    first = (await client.submit(name, {}, kind, idempotency_key="k")).run_id
    if how == "cancelled":
        await until(lambda: executed)
        await client.cancel(first)
    assert (await client.wait_for_result(first, 10)).status == how
    fine.set()
    second = await client.run(name, {}, kind, idempotency_key="k")
    third = await client.run(name, {}, kind, idempotency_key="k")
    assert second.output == "fine"
    assert second.run_id == third.run_id != first


async def test_a_known_key_with_another_input_warns(client, caplog):
    """By default the earlier result is answered, and a warning says so."""
    first = await client.run("add", {"a": 1}, idempotency_key="k")
    with caplog.at_level(logging.WARNING):
        again = await client.run("add", {"a": 2}, idempotency_key="k")
    assert again.output == first.output == 2
    assert "another input" in caplog.text
    assert len(executed) == 1


async def test_a_known_key_with_another_input_is_refused_when_strict(store):
    """``strict_idempotency=True``: InvalidInputError, nothing executed; the same input is fine."""
    async with Runtime(store, strict_idempotency=True) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("add", {"a": 1}, idempotency_key="k")
        before = await written(runtime)
        with pytest.raises(InvalidInputError, match="another input"):
            await client.run("add", {"a": 2}, idempotency_key="k")
        with pytest.raises(InvalidInputError, match="another input"):
            await client.submit("add", {"a": 2}, idempotency_key="k")
        assert (await client.run("add", {"a": 1}, idempotency_key="k")).output == 2
        assert await written(runtime) == before


async def test_concurrent_duplicates_are_one_run(client):
    """Fifty at once with one key: one execution, one run id, one result."""
    calls = [client.run("add", {"a": 1}, idempotency_key="k") for _ in range(50)]
    responses = await asyncio.gather(*calls)
    assert len({response.run_id for response in responses}) == 1
    assert {response.output for response in responses} == {2}
    assert len(executed) == 1


async def test_a_key_belongs_to_its_component(client):
    """The same key of another function is another key."""
    one = await client.run("add", {"a": 1}, idempotency_key="k")
    two = await client.run("describe", {"name": "x"}, idempotency_key="k")
    assert one.run_id != two.run_id
    assert two["length"] == 1


async def test_keys_survive_a_restart(store):
    """A key used before a restart names the same run after it."""
    async with Runtime(store) as runtime:
        first = await AsyncClient(runtime=runtime).run("add", {"a": 1}, idempotency_key="k")
    async with Runtime(store) as runtime:
        again = await AsyncClient(runtime=runtime).run("add", {"a": 1}, idempotency_key="k")
    assert again == first
    assert len(executed) == 1


async def test_a_run_id_of_your_own(client, runtime):
    """``run_id=``: unique in the store, refused the second time, while running and afterwards."""
    first = await client.run("add", {"a": 1}, run_id="mine")
    assert first.run_id == "mine"
    await client.submit("waits", {}, "workflow", run_id="other")
    before = await written(runtime)
    for run_id in ("mine", "other"):
        with pytest.raises(InvalidInputError, match=run_id):
            await client.submit("add", {"a": 1}, run_id=run_id)
        with pytest.raises(InvalidInputError, match=run_id):
            await client.run("add", {"a": 1}, run_id=run_id)
    assert await written(runtime) == before
    assert (await client.get_result("mine")).output == 2
    await client.cancel("other")


async def test_the_same_run_id_at_the_same_moment(client):
    """Of ten concurrent submits with one id, one is accepted and nine are refused."""
    calls = [client.submit("add", {"a": n}, run_id="mine") for n in range(10)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, InvalidInputError)]
    assert len(refused) == 9
    assert (await client.wait_for_result("mine", 10)).is_success
    assert len(executed) == 1


# Where it is called from.


SCRIPT = """
    import os, sys
    from agnt5 import Client, function, workflow

    @function
    async def add(a: int, b: int) -> int:
        return a + b

    @workflow
    async def twice(ctx, n: int) -> int:
        return await ctx.step(add, n, n)
"""


def script(body):
    """A program with a function and a workflow."""
    return textwrap.dedent(SCRIPT) + textwrap.dedent(body)


def finished(process, seconds=30):
    """What a program printed; it ended well and said nothing on stderr."""
    out, err = process.communicate(timeout=seconds)
    assert (process.returncode, err) == (0, ""), err
    return out.split()


def test_from_a_script(tmp_path):
    """Client() in a plain program: runs, and the program ends by itself with code 0."""
    body = """
        client = Client()
        print(client.run("add", {"a": 2, "b": 3}).output)
        with Client() as other:
            print(other.run("twice", {"n": 4}, component_type="workflow").output)
        print(client.submit("add", {"a": 1, "b": 1}).status_code)
    """
    assert finished(python(script(body), cwd=tmp_path)) == ["5", "8", "202"]
    assert (tmp_path / ".agnt5" / "agnt5.db").exists()


def test_from_a_running_loop(tmp_path):
    """The blocking client inside ``asyncio.run``, without a runtime there: works."""
    body = """
        import asyncio
        async def main():
            print(Client().run("add", {"a": 2, "b": 3}).output)
            print(await asyncio.to_thread(lambda: Client().run("add", {"a": 1, "b": 1}).output))
        asyncio.run(main())
    """
    assert finished(python(script(body), cwd=tmp_path)) == ["5", "2"]


def test_from_a_fork(tmp_path):
    """A forked child is told why not; with a store of its own it works; the parent goes on."""
    body = """
        client = Client(store="sqlite:///a.db")
        given = Client(runtime=client.runtime)
        print(client.run("add", {"a": 2, "b": 3}).output, flush=True)
        child = os.fork()
        if not child:
            for each in (client, given):
                try:
                    each.run("add", {"a": 1, "b": 1})
                except Exception as error:
                    print(type(error).__name__, flush=True)
            print(Client(store="sqlite:///b.db").run("add", {"a": 7, "b": 1}).output, flush=True)
            sys.exit(0)
        print(os.waitpid(child, 0)[1], flush=True)
        print(client.run("add", {"a": 2, "b": 4}).output, flush=True)
    """
    process = python(script(body), cwd=tmp_path, warnings="ignore")
    assert finished(process) == ["5", "StoreInUseError", "RuntimeClosedError", "8", "0", "6"]


def test_from_a_multiprocessing_child(tmp_path):
    """A spawned process has nothing of its parent: with its own store it works."""
    body = """
        import multiprocessing
        def child(queue):
            queue.put(Client(store="sqlite:///b.db").run("add", {"a": 1, "b": 1}).output)
        if __name__ == "__main__":
            print(Client(store="sqlite:///a.db").run("add", {"a": 2, "b": 3}).output, flush=True)
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=child, args=(queue,))
            process.start()
            print(queue.get())
            process.join()
    """
    file = tmp_path / "program.py"
    file.write_text(script(body))
    assert finished(python(file, cwd=tmp_path)) == ["5", "2"]


def test_from_several_threads(hosted):
    """Eight threads with a client each, forty runs: one runtime, all answers right."""
    barrier = threading.Barrier(8)

    def work(thread):
        client = Client(store=hosted)
        barrier.wait(10)
        return [client.run("add", {"a": thread, "b": n}, timeout=20).output for n in range(5)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [[thread + n for n in range(5)] for thread in range(8)]


def test_the_runtime_of_the_process_is_shared(hosted):
    """Two clients of one store have one runtime; the store named differently is another."""
    assert Client(store=hosted).runtime is Client(store=hosted).runtime
    assert Client(store="memory://").runtime is not Client(store=hosted).runtime


@pytest.mark.parametrize("where", ["is_of_this_process", "call"])
def test_ctrl_c_anywhere_in_a_client(hosted, monkeypatch, capsys, where):
    """Also while it only looks for its runtime, it ends the program quietly, with status 130."""

    def pressed(*_):
        raise KeyboardInterrupt

    Client(store=hosted).list_runs()
    with monkeypatch.context() as patch:
        pressed_there = property(pressed) if where == "is_of_this_process" else pressed
        patch.setattr(Runtime, where, pressed_there)
        with pytest.raises(KeyboardInterrupt) as interrupt:
            Client(store=hosted).list_runs()
    assert isinstance(interrupt.value, SystemExit)
    assert interrupt.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted;")


async def test_the_blocking_client_on_the_runtimes_own_loop(runtime):
    """It would wait for itself for ever: it says so, and what to use instead."""
    with pytest.raises(RuntimeClosedError, match="Use AsyncClient"):
        Client(runtime=runtime).run("add", {"a": 1})


async def test_the_blocking_client_from_another_thread(runtime):
    """Beside an embedded runtime: any other thread may block."""
    client = Client(runtime=runtime)
    response = await asyncio.to_thread(lambda: client.run("add", {"a": 1}, timeout=10))
    assert response.output == 2


async def test_the_blocking_client_inside_a_blocking_function(runtime, client):
    """A ``def`` function runs on a thread, so it may start other runs and wait for them."""

    @function
    def starts() -> int:
        return Client(runtime=runtime).run("add", {"a": 5}, timeout=10).output

    assert (await client.run("starts", timeout=10)).output == 6


def test_the_async_client_from_another_loop(hosted):
    """AsyncClient works in any event loop, not only in that of the runtime."""

    async def main():
        client = AsyncClient(store=hosted)
        return await asyncio.gather(*(client.run("add", {"a": n}) for n in range(5)))

    assert [response.output for response in asyncio.run(main())] == [1, 2, 3, 4, 5]


async def test_every_method_of_the_blocking_client(runtime):
    """The blocking client has the same methods with the same answers."""
    client = Client(runtime=runtime)

    def use():
        run_id = client.submit("waits", {"n": 1}, "workflow").run_id
        assert client.get_result(run_id).error.code == "NOT_READY"
        client.signal(run_id, "go", 5, signal_id="one")
        response = client.wait_for_result(run_id, timeout=10, poll_interval=0.1)
        assert response.output == 6
        assert client.get_status(run_id).is_complete
        assert len(client.get_events(run_id)) > 4
        assert client.list_runs(limit=1)[0].run_id == run_id
        other = client.submit("waits", {"n": 1}, "workflow").run_id
        client.cancel(other, "enough")
        assert client.wait_for_result(other, 10).status == "cancelled"
        return True

    assert await asyncio.to_thread(use)


def test_construction():
    """What an embedded client refuses, and what it remembers."""
    with pytest.raises(ValueError, match="agnt5_sk_"):
        Client(api_key="secret")
    with pytest.raises(ConfigurationError, match="gateway"):
        Client("http://gateway.test")
    client = Client(api_key="agnt5_sk_x", tenant_id="t", deployment_id="d", timeout=3)
    assert (client.api_key, client.tenant_id, client.deployment_id) == ("agnt5_sk_x", "t", "d")
    assert client.timeout == 3


async def test_a_closed_runtime_says_so(store):
    """Clients of a runtime that was closed, or never opened, get a clear error."""
    runtime = Runtime(store)
    client = AsyncClient(runtime=runtime)
    with pytest.raises(RuntimeClosedError):
        await client.run("add", {"a": 1})
    async with runtime:
        await client.run("add", {"a": 1})
        with pytest.raises(RuntimeClosedError, match="open already"):
            await runtime.start()
    with pytest.raises(RuntimeClosedError):
        await client.run("add", {"a": 1})
    with pytest.raises(RuntimeClosedError):
        Client(runtime=runtime).get_status("x")
