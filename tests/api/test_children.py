"""Children: runs of their own that a workflow starts and waits for."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from pydantic import BaseModel
from tests.api.helpers import event_types, play, run_workflow, twice, until, written

from agnt5 import AsyncClient, Runtime, WorkflowContext, WorkflowRegistry, function, workflow
from agnt5.actors.clock import ManualClock
from agnt5.events.run import facts as f
from agnt5.events.stores import sqlite_schema
from agnt5.exceptions import (
    ChildCancelledError,
    InvalidInputError,
    PayloadError,
    UnknownComponentError,
)


class Order(BaseModel):
    """An input with a shape."""

    sku: str


@pytest.fixture(autouse=True)
def family():
    """The children of these tests."""

    @function
    async def double(n: int) -> int:
        return 2 * n

    @workflow
    async def part(ctx: WorkflowContext, n: int, plus: int = 0) -> int:
        return await ctx.step(double, n) + plus

    @workflow
    async def fails(ctx: WorkflowContext) -> None:
        raise KeyError("sku")

    @workflow
    async def waits(ctx: WorkflowContext, order: Order | None = None) -> object:
        try:
            return await ctx.wait_for_signal("go")
        except asyncio.CancelledError:
            await ctx.step(double, 1)
            raise

    return {"double": double, "part": part, "fails": fails, "waits": waits}


async def test_a_child_is_a_run_of_its_own(store, family):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        one = ctx.child(family["part"], 3)
        two = ctx.child("part", n=4, plus=1)
        three = ctx.child(family["double"], 5)
        return [await one, await two, await three, one.run_id, two.run_id, three.run_id]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("whole", {}, "workflow", timeout=10, session_id="s1")
        assert response.output[:3] == [6, 9, 10], response.error
        for child, output in zip(response.output[3:], (6, 9, 10), strict=True):
            result = await client.get_result(child)
            assert result.output == output
            assert result.session_id == "s1"
        children = await client.list_runs(parent_run_id=response.run_id)
        assert {row.run_id for row in children} == set(response.output[3:])
        kinds = await event_types(client, response.run_id)
        assert kinds.count("child.started") == kinds.count("child.finished") == 3
        await written(runtime)
        assert runtime._log.owing() == []


async def test_a_replay_sees_the_same_and_starts_nothing(store, family):
    async def body(ctx: WorkflowContext) -> list:
        ends = await asyncio.gather(
            ctx.child("part", 1), ctx.child("fails"), return_exceptions=True
        )
        return [repr(end) for end in ends]

    live, again = await twice(store, body)
    assert live == again == ["2", "KeyError('sku')"]


async def test_a_failed_child_raises_its_own_exception(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        child = ctx.child("fails")
        try:
            await child
        except KeyError as error:
            return [error.args, error.__notes__, child.run_id]

    response = await run_workflow(store, "whole")
    args, notes, child = response.output
    assert args == ("sku",)
    assert notes == [f"raised by child run {child}"]


async def test_a_cancelled_child_raises_an_error_that_says_so(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        try:
            await ctx.child("waits", run_id="mine")
        except ChildCancelledError as error:
            return [error.run_id, error.reason, str(error)]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: runtime._log.run_row("mine"))
        for _ in range(2):
            await client.cancel("mine", "not needed")
        response = await client.wait_for_result(run_id, 10)
        said = "child run mine was cancelled: not needed"
        assert response.output == ["mine", "not needed", said]


async def test_a_child_may_be_chosen_by_a_key(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        one, two = ctx.child("part", 1, key="k"), ctx.child("part", 2, key="k")
        return [await one, await two, one.run_id == two.run_id]

    assert (await run_workflow(store, "whole")).output == [2, 2, True]


async def test_cancelling_the_parent_cancels_the_children_it_waits_for(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> None:
        await asyncio.gather(
            ctx.child("waits", run_id="mine"),
            ctx.child("waits", run_id="free", on_parent_end="abandon"),
        )

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: runtime._log.run_row("mine") and runtime._log.run_row("free"))
        await client.cancel(run_id)
        assert (await client.wait_for_result(run_id, 10)).status == "cancelled"
        assert (await client.wait_for_result("mine", 10)).status == "cancelled"
        assert "workflow.step.completed" in await event_types(client, "mine")
        await client.signal("free", "go", 7)
        assert (await client.wait_for_result("free", 10)).output == 7


async def test_a_child_that_nobody_waits_for_ends_with_its_parent(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> str:
        ctx.child("waits", run_id="mine")
        ctx.child("waits", run_id="free", on_parent_end="abandon")
        await ctx.wait_for_signal("end")
        return "done"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: runtime._log.run_row("mine") and runtime._log.run_row("free"))
        await client.signal(run_id, "end")
        assert (await client.wait_for_result(run_id, 10)).output == "done"
        assert (await client.wait_for_result("mine", 10)).status == "cancelled"
        await client.signal("free", "go")
        assert (await client.wait_for_result("free", 10)).status == "completed"


async def test_a_parent_parks_while_its_child_waits_and_hears_after_a_restart(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> object:
        return await ctx.child("waits", run_id="mine")

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: runtime._log.run_row("mine") and not runtime._bus.runs)
        assert (await client.get_status(run_id)).status == "running"
    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        assert not runtime._bus.runs
        await client.signal("mine", "go", 3)
        assert (await client.wait_for_result(run_id, 10)).output == 3


async def test_waking_a_parent_brings_no_child_into_memory(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> object:
        first = ctx.child("waits", run_id="first")
        await asyncio.gather(*(ctx.child("waits") for _ in range(5)), first)

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        rows = runtime._log.list_runs
        await until(lambda: len(rows(parent_run_id=run_id)) == 6 and not runtime._bus.runs)
        loaded: list[str] = []
        runtime._bus._load, load = (lambda r: (loaded.append(r), load(r))[1]), runtime._bus._load
        await client.signal("first", "go")
        await client.wait_for_result("first", 10)
        await until(lambda: run_id in loaded and not runtime._bus.runs)
        assert set(loaded) == {"first", run_id}


async def test_a_suspended_child_leaves_its_parent_waiting(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> object:
        return await ctx.child("waits", run_id="mine")

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: runtime._log.run_row("mine") and not runtime._bus.runs)
    known, kept = WorkflowRegistry.get("waits"), WorkflowRegistry.get("whole")
    WorkflowRegistry.clear()
    WorkflowRegistry.register(kept)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("mine", "go", 1)
        await until(lambda: runtime._log.run_row("mine").status == "suspended")
        assert (await client.get_status(run_id)).status == "running"
        WorkflowRegistry.register(known)
        await client.resume("mine")
        assert (await client.wait_for_result(run_id, 10)).output == 1


async def test_an_id_that_another_run_has_is_refused(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        said = []
        for number in range(2):
            try:
                said.append(await ctx.child("part", number, run_id="mine"))
            except InvalidInputError as error:
                said.append("taken by another run" in str(error))
        return said

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.run("whole", {}, "workflow", timeout=10)).output == [0, True]
        assert (await client.run("whole", {}, "workflow", timeout=10)).output == [True, True]


async def test_children_beyond_the_room_begin_later(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        return list(await asyncio.gather(*(ctx.child("part", n) for n in range(12))))

    response = await run_workflow(store, "whole", max_active_runs=3)
    assert response.output == [2 * n for n in range(12)]


BAD = {
    "unknown name": (lambda ctx: ctx.child("part2"), UnknownComponentError, "Did you mean 'part'"),
    "no component": (lambda ctx: ctx.child(len), ValueError, "takes a @workflow"),
    "missing argument": (lambda ctx: ctx.child("part"), TypeError, "missing"),
    "too many": (lambda ctx: ctx.child("part", 1, 2, 3), TypeError, "too many"),
    "wrong type": (lambda ctx: ctx.child("part", "x"), InvalidInputError, "n: "),
    "wrong model": (lambda ctx: ctx.child("waits", {}), InvalidInputError, "order"),
    "end": (lambda ctx: ctx.child("part", 1, on_parent_end="stop"), ValueError, "'abandon'"),
    "key": (lambda ctx: ctx.child("part", 1, key=""), ValueError, "not empty"),
    "id": (lambda ctx: ctx.child("part", 1, run_id="$x"), InvalidInputError, "must not begin"),
    "own id": (lambda ctx: ctx.child("part", 1, run_id="whole"), InvalidInputError, "own child"),
    "payload": (lambda ctx: ctx.child("anything", object()), PayloadError, "anything"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_child_is_refused_and_nothing_is_written(case):
    call, kind, text = BAD[case]

    @workflow
    async def anything(ctx: WorkflowContext, what) -> None:
        return None

    @workflow
    async def whole(ctx: WorkflowContext) -> str:
        with pytest.raises(kind, match=text):
            await call(ctx)
        return "refused"

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("whole", {}, "workflow", timeout=10, run_id="whole")
        assert response.output == "refused", response.error
        assert runtime._log.run_ids() == ["whole"]
        assert len(runtime._log.read("whole")) == 3


async def test_a_store_in_trouble_is_asked_again(store, monkeypatch, caplog):
    from agnt5.actors import family
    from agnt5.exceptions import StoreFullError

    monkeypatch.setattr(family, "_AGAIN_S", 0.01)

    @workflow
    async def whole(ctx: WorkflowContext) -> object:
        return await ctx.child("part", 2)

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        bus, tries = runtime._bus, []
        start = bus.start

        def refuse(run_id, command, reply):
            tries.append(run_id)
            if command.parent_run_id and len(tries) < 4:
                # Nobody reads a parked run at the next start: it would wait for ever.
                assert not runtime._log.run_row(command.parent_run_id).parked
                reply(StoreFullError("the disk is full"))
            else:
                start(run_id, command, reply)

        monkeypatch.setattr(bus, "start", refuse)
        assert (await client.run("whole", {}, "workflow", timeout=10)).output == 4
    assert "cannot begin yet: the disk is full" in caplog.text


async def test_a_parent_that_ended_long_ago_costs_a_start_nothing(store):
    """The index knows who may owe something, and those are none."""

    @workflow
    async def whole(ctx: WorkflowContext) -> object:
        return await ctx.child("part", 2)

    await run_workflow(store, "whole")
    async with Runtime(store) as runtime:
        assert runtime._log.owing() == []
        assert not runtime._bus.family._errands


async def test_an_older_store_learns_who_owes(tmp_path):
    """A file of schema version 1 is brought to the present one when it is opened."""
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
    for statement in sqlite_schema.MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("INSERT INTO schema_version VALUES (1)")
    connection.commit()
    connection.close()

    @workflow
    async def whole(ctx: WorkflowContext) -> object:
        return await ctx.child("part", 2)

    assert (await run_workflow(f"sqlite:///{path}", "whole")).output == 4


async def test_a_child_that_is_late_is_cancelled(store):
    @workflow
    async def whole(ctx: WorkflowContext) -> str:
        try:
            async with ctx.timeout(3600):
                await ctx.child("waits", run_id="mine")
        except TimeoutError:
            return "late"

    clock = ManualClock(1_700_000_000_000_000)
    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        waiting = asyncio.ensure_future(client.run("whole", {}, "workflow"))
        await until(lambda: runtime._log.run_row("mine"))
        await play(runtime, clock, waiting.done)
        assert waiting.result().output == "late"
        await play(runtime, clock, lambda: runtime._log.run_row("mine").status == "cancelled")
        facts = [row.topic for row in runtime._log.read(waiting.result().run_id)]
        assert f.OperationCancelled.topic in facts
