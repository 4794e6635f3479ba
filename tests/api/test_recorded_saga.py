"""``ctx.now``, ``random``, ``uuid4``, ``patched`` and ``saga``, through the public surface."""

from __future__ import annotations

import asyncio
import textwrap
from contextlib import nullcontext

import anyio
import pytest
from tests.api.helpers import python, run_workflow, twice

from agnt5 import AsyncClient, Runtime, SagaError, function, workflow


async def test_recorded_helpers_give_the_same_on_replay(store):
    async def body(ctx):
        before = [ctx.now(), ctx.random(), ctx.uuid4(), ctx.random(), ctx.uuid4()]
        await ctx.sleep(0.01)
        return [*before, ctx.now()]

    live, replayed = await twice(store, body)
    assert live == replayed
    begun, first, one, second, two, later = live
    assert begun.tzinfo is not None
    assert begun < later
    assert first != second
    assert 0 <= first < 1
    assert one != two
    assert one.version == 4


async def test_patched_is_recorded_once(store):
    async def body(ctx):
        return [ctx.patched("a"), ctx.patched("a"), ctx.patched("b")]

    assert await twice(store, body) == ([True] * 3, [True] * 3)

    @workflow
    async def asks(ctx):
        return [ctx.patched("a"), ctx.patched("a")]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("asks", {}, "workflow")
        events = await client.get_events(response.run_id)
    assert [e.step_key for e in events if e.event_type == "marker.recorded"] == ["patch:a"]


async def test_the_id_of_a_patch_is_a_text():
    @workflow
    async def asks(ctx):
        for bad in ("", None, 3):
            with pytest.raises(ValueError, match="id of a patch"):
                ctx.patched(bad)
        return "fine"

    assert (await run_workflow("memory://", "asks")).output == "fine"


@pytest.fixture
def bank():
    class Bank:
        def __init__(self):
            self.calls = []

    found = Bank()

    @function
    async def charge(account, amount=1):
        found.calls.append(("charge", account, amount))
        if amount < 0:
            raise ValueError("negative")
        if amount > 99:
            await asyncio.sleep(60)
        return f"receipt {account}"

    @function
    async def refund(account, amount=1, result=None):
        found.calls.append(("refund", account, amount, result))
        if account == "closed":
            raise OSError("the account is closed")

    found.charge, found.refund = charge, refund
    return found


async def test_what_is_undone_gets_the_arguments_and_the_result(store, bank):
    @workflow
    async def order(ctx):
        async with ctx.saga() as saga:
            await saga.step(bank.charge, "a", amount=2, undo=bank.refund)
            await saga.step("named", bank.charge, "b", undo=bank.refund)
            await saga.step("inline", asyncio.sleep(0, 7), undo=bank.calls.append)
            await saga.step(bank.charge, "c", -1, undo=bank.refund)

    response = await run_workflow(store, "order")
    assert "ValueError: negative" in response.error.message
    assert bank.calls[3:] == [7, ("refund", "b", 1, "receipt b"), ("refund", "a", 2, "receipt a")]


async def test_an_undo_gets_what_the_function_got_however_it_was_given(store):
    """A function may have parameters that are named like those of a step."""
    got = []

    @function
    async def lock(key, timeout=1):
        return None

    @function
    async def unlock(key="none", timeout=0):
        got.append((key, timeout))

    async def drained():
        yield 1

    @workflow
    async def order(ctx):
        async with ctx.saga() as saga:
            await saga.step(lock, key="k1", timeout=7, undo=unlock)
            await saga.step("named", lock, key="k2", undo=unlock)
            await saga.step("lock", key="k3", undo=unlock)
            await saga.step("service", "lock", "k4", undo=unlock)
            await saga.step(lock, input={"key": "k5"}, undo=unlock)
            await saga.step("drain", drained(), undo=unlock)
            raise ValueError("undo it")

    response = await run_workflow(store, "order")
    assert response.error.message == "ValueError: undo it"
    assert got == [("none", 0), ("k5", 0), ("k4", 0), ("k3", 0), ("k2", 0), ("k1", 7)]


async def test_a_saga_that_ends_well_undoes_nothing(store, bank):
    async def body(ctx):
        async with ctx.saga() as saga:
            return await saga.step(bank.charge, "a", undo=bank.refund)

    assert await twice(store, body) == ("receipt a", "receipt a")
    assert bank.calls == [("charge", "a", 1)]


async def test_a_failed_step_is_undone_on_request(bank):
    @workflow
    async def order(ctx):
        async with ctx.saga() as saga:
            await saga.step(bank.charge, "c", -1, undo=bank.refund, undo_failed=True)

    await run_workflow("memory://", "order")
    assert bank.calls[1:] == [("refund", "c", -1, None)]


async def test_an_undo_that_fails_does_not_stop_the_others(store, bank):
    caught = []

    @workflow
    async def order(ctx):
        try:
            async with ctx.saga() as saga:
                for account in ("a", "closed", "b"):
                    await saga.step(bank.charge, account, undo=bank.refund)
                raise KeyError("no stock")
        except SagaError as error:
            caught.append(error)
            raise

    response = await run_workflow(store, "order")
    assert response.error.code == "SAGA_NOT_UNDONE"
    assert [call[1] for call in bank.calls[3:]] == ["b", "closed", "a"]
    (error,) = caught
    assert isinstance(error.__cause__, KeyError)
    assert [(name, type(e)) for name, e in error.failures] == [("refund", OSError)]


async def test_cancelling_a_run_undoes_its_saga_even_when_the_outcome_is_unknown(store, bank):
    @workflow
    async def order(ctx):
        async with ctx.saga() as saga:
            await saga.step(bank.charge, "a", undo=bank.refund)
            await saga.step(bank.charge, "b", 100, undo=bank.refund)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("order", {}, "workflow")).run_id
        while len(bank.calls) < 2:
            await asyncio.sleep(0.001)
        await client.cancel(run_id)
        await client.cancel(run_id)
        response = await client.wait_for_result(run_id, 15)
    assert response.status == "cancelled"
    assert bank.calls[2:] == [("refund", "b", 100, None), ("refund", "a", 1, "receipt a")]


async def test_bad_undo_is_refused_before_anything_begins(bank):
    @function
    async def other(completely, different, arguments):
        return None

    @workflow
    async def order(ctx):
        async with ctx.saga() as saga:
            with pytest.raises(ValueError, match="undo= takes"):
                saga.step(bank.charge, "a", undo="refund")
            with pytest.raises(TypeError, match="undo=other is called with the arguments"):
                saga.step(bank.charge, "a", undo=other)
        with pytest.raises(ValueError, match="has ended"):
            saga.step(bank.charge, "a", undo=bank.refund)
        return "fine"

    response = await run_workflow("memory://", "order")
    assert response.output == "fine", response.error
    assert bank.calls == []


PROGRAM = """
    import os, signal, sys
    from agnt5 import Client, function, workflow

    def note(line):
        with open(sys.argv[2], "a") as file:
            file.write(line + "\\n")

    @function
    async def take(n):
        note(f"take {n}")

    @function
    async def give_back(n):
        note(f"give back {n}")
        if n == 1 and not os.path.exists(sys.argv[2] + ".killed"):
            open(sys.argv[2] + ".killed", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)

    @function
    async def work(n):
        if n == 3:
            raise ValueError("three")
        note(f"work {n}")
        if n == 1 and sys.argv[3] == "batch":
            if not os.path.exists(sys.argv[2] + ".killed"):
                open(sys.argv[2] + ".killed", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
        return n

    @workflow
    async def trip(ctx):
        async with ctx.saga() as saga:
            for n in range(3):
                await saga.step(take, n, undo=give_back)
            raise ValueError("no")

    @workflow
    async def many(ctx):
        result = await ctx.batch(work, range(5), max_concurrency=1)
        return [result.status, result.outputs]

    client = Client(store="sqlite:///" + sys.argv[1])
    name = "many" if sys.argv[3] == "batch" else "trip"
    key = {"component_type": "workflow", "idempotency_key": "once"}
    response = client.run(name, {}, **key)
    print(response.output, response.error)
"""


@pytest.mark.parametrize(
    ("kind", "wanted", "said"),
    [
        (
            "saga",
            ["take 0", "take 1", "take 2", *(f"give back {n}" for n in (2, 1, 1, 0))],
            "ValueError: no",
        ),
        (
            "batch",
            ["work 0", "work 1", "work 1", "work 2", "work 4"],
            "['partial_failure', [0, 1, 2, None, 4]]",
        ),
    ],
)
def test_killed_in_the_middle_it_goes_on(tmp_path, kind, wanted, said):
    """SIGKILL within an undo, and within an item: only what was under way runs again."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    effects = tmp_path / "effects"
    first = python(program, tmp_path / "s.db", effects, kind)
    first.communicate(timeout=30)
    assert first.returncode == -9
    second = python(program, tmp_path / "s.db", effects, kind)
    out, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert said in out
    assert effects.read_text().split("\n")[:-1] == wanted


@pytest.mark.parametrize("scope", ["anyio", "durable"])
async def test_a_saga_in_a_block_that_is_cancelled_is_undone_without_spinning(bank, scope):
    """anyio cancels again at every await; the undos are shielded from that."""

    @workflow
    async def order(ctx):
        limit = anyio.move_on_after(0.05) if scope == "anyio" else ctx.timeout(0.05)
        manager = nullcontext() if scope == "anyio" else limit
        try:
            async with manager:
                with limit if scope == "anyio" else nullcontext():
                    async with ctx.saga() as saga:
                        await saga.step(bank.charge, "a", undo=bank.refund)
                        await saga.step(bank.charge, "b", 100, undo=bank.refund)
        except TimeoutError:
            return "late"
        return "moved on"

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("order", {}, "workflow", timeout=10)
    assert response.output == ("moved on" if scope == "anyio" else "late"), response.error
    assert [call[:2] for call in bank.calls[2:]] == [("refund", "b"), ("refund", "a")]
