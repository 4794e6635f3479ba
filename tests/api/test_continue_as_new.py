"""``ctx.continue_as_new``: a run that goes on as a new one, in the same moment."""

from __future__ import annotations

import asyncio
import gc
import re

import pytest
from hypothesis import strategies as st
from tests.api.helpers import event_types, until, written

from agnt5 import (
    AsyncClient,
    Queue,
    Runtime,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.exceptions import InvalidInputError
from agnt5.maintenance import rebuild_log_index
from agnt5.responses import RunStatus
from agnt5.testing import crash_everywhere


@pytest.fixture(autouse=True)
def components():
    """A counter that goes on as a new run with each number."""

    @function
    async def plus_one(n: int) -> int:
        return n + 1

    @workflow
    async def count(ctx: WorkflowContext, n: int = 0, most: int = 3) -> int:
        n = await ctx.step(plus_one, n)
        if n >= most:
            return n
        return ctx.continue_as_new(n, most=most)

    return {"plus_one": plus_one, "count": count}


async def chain_of(client: AsyncClient, run_id: str) -> list[str]:
    """The runs of a chain, from this one on."""
    found = [run_id]
    while (row := await client.get_status(found[-1])).successor is not None:
        found.append(row.successor)
    return found


async def test_the_waiter_of_the_first_run_gets_the_result_of_the_last(store):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("count", {}, "workflow", run_id="first", timeout=10)
        assert response.output == 3
        chain = await chain_of(client, "first")
        assert len(chain) == 3
        assert response.run_id == chain[-1]
        again = await client.wait_for_result("first", 10)
        assert (again.run_id, again.output) == (chain[-1], 3)
        assert sorted(chain) == chain
        await written(runtime)
        assert runtime._log.owing() == []


async def test_an_old_run_tells_its_successor_and_is_linked_both_ways(store):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run(
            "count", {"most": 2}, "workflow", run_id="first", session_id="s", metadata={"a": 1}
        )
        first, last = await chain_of(client, "first")
        status, result = await client.get_status(first), await client.get_result(first)
        assert status.status is result.status is RunStatus.CONTINUED
        assert status.successor == result.successor == last
        assert status.is_complete
        assert not result.is_error
        assert result.output is None
        queued = runtime._log.read(last, upto=1)
        assert b'"continues":"first","chain":"first","link":1' in queued[0].state
        ended = await client.get_result(last)
        assert (ended.session_id, ended.metadata) == ("s", {"a": 1})
        types = await event_types(client, first)
        assert types[-2:] == ["workflow.continued", "run.continued"]
        told = list(await client.get_events(first))[-1]
        assert (told.metadata["successor"], told.input_data) == (last, {"n": 1, "most": 2})
        assert [row.run_id for row in await client.list_runs(status="continued")] == [first]
        explained = await client.explain(first)
        assert f"went on as run {last}" in explained.headline


async def test_state_goes_along_and_may_be_cleared(store):
    @workflow
    async def keeps(ctx: WorkflowContext, n: int, clear: bool = False) -> list:
        seen = ctx.state.to_dict()
        ctx.state.set("sum", seen.get("sum", 0) + n)
        if n == 0:
            return [seen, ctx.state.to_dict()]
        if clear:
            ctx.state.clear()
        return ctx.continue_as_new(n - 1, clear=clear)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        kept = await client.run("keeps", {"n": 3}, "workflow", timeout=10)
        assert kept.output == [{"sum": 6}, {"sum": 6}]
        cleared = await client.run("keeps", {"n": 2, "clear": True}, "workflow", timeout=10)
        assert cleared.output == [{}, {"sum": 0}]
        state = await client.state_at(kept.run_id, 1)
        assert state.state == {"sum": 6}


async def test_signals_that_were_not_consumed_come_along_in_order_and_once(store):
    @workflow
    async def inbox(ctx: WorkflowContext, seen: list) -> list:
        if not seen:
            await ctx.wait_for_signal("begin")
        seen = [*seen, await ctx.wait_for_signal("item")]
        if len(seen) == 3:
            return seen
        return ctx.continue_as_new(seen)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("inbox", {"seen": []}, "workflow")).run_id
        for n in (1, 2):
            await client.signal(run_id, "item", n, signal_id=f"s{n}")
        await client.signal(run_id, "begin")
        await until(lambda: (row := runtime._log.run_row(run_id)) and row.continued_to)
        # Whoever knows the first one only still reaches the last one; twice is still once.
        for n in (1, 2, 3, 3):
            await client.signal(run_id, "item", n, signal_id=f"s{n}")
        response = await client.wait_for_result(run_id, 10)
        assert response.output == [1, 2, 3], response.error
        assert len(await chain_of(client, run_id)) == 3


async def test_cancelling_any_link_cancels_the_live_one(store):
    @workflow
    async def waits(ctx: WorkflowContext, n: int) -> None:
        if n == 2:
            await ctx.wait_for_signal("never")
        return ctx.continue_as_new(n + 1)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("waits", {"n": 0}, "workflow")).run_id
        await until(lambda: len(runtime._log.run_ids()) == 3)
        chain = await chain_of(client, run_id)
        status = await client.cancel(chain[1], "enough")
        assert status.run_id == chain[2]
        response = await client.wait_for_result(run_id, 10)
        assert (response.run_id, response.status) == (chain[2], RunStatus.CANCELLED)
        assert "enough" in str(response.error)


async def test_a_run_that_was_asked_to_stop_does_not_go_on(store):
    @workflow
    async def stubborn(ctx: WorkflowContext) -> None:
        try:
            await ctx.wait_for_signal("never")
        except asyncio.CancelledError:
            ctx.continue_as_new()

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("stubborn", {}, "workflow")).run_id
        await until(lambda: (row := runtime._log.run_row(run_id)) and row.status == "running")
        await client.cancel(run_id)
        response = await client.wait_for_result(run_id, 10)
        assert (response.run_id, response.status) == (run_id, RunStatus.CANCELLED)


async def test_the_idempotency_key_belongs_to_the_chain(store):
    @workflow
    async def at_last(ctx: WorkflowContext, fails: bool, last: bool = False) -> str:
        if not last:
            ctx.continue_as_new(fails, last=True)
        if fails:
            raise ValueError("no")
        return ctx.run_id

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        given = {"fails": False}
        one = await client.run("at_last", given, "workflow", idempotency_key="k", timeout=10)
        two = await client.run("at_last", given, "workflow", idempotency_key="k", timeout=10)
        assert one.run_id == two.run_id == one.output
        # A chain that failed at last may be tried again, as a run that failed may.
        given = {"fails": True}
        lost = await client.run("at_last", given, "workflow", idempotency_key="l", timeout=10)
        more = await client.run("at_last", given, "workflow", idempotency_key="l", timeout=10)
        assert lost.status is more.status is RunStatus.FAILED
        assert lost.run_id != more.run_id


async def test_a_deduplication_id_is_taken_until_the_chain_has_ended(store):
    @workflow(queue="mail")
    async def slow(ctx: WorkflowContext, n: int = 0) -> int:
        if n == 0:
            return ctx.continue_as_new(1)
        await ctx.wait_for_signal("go")
        return n

    async with Runtime(store, queues=[Queue("mail", concurrency=1)]) as runtime:
        client = AsyncClient(runtime=runtime)
        settings = {"queue": "mail", "deduplication_id": "d"}
        one = await client.submit("slow", {}, "workflow", **settings)
        await until(lambda: len(runtime._log.run_ids()) == 2)
        two = await client.submit("slow", {}, "workflow", **settings)
        assert two.run_id == (await chain_of(client, one.run_id))[-1]
        await client.signal(one.run_id, "go")
        assert (await client.wait_for_result(one.run_id, 10)).output == 1
        three = await client.submit("slow", {}, "workflow", **settings)
        assert three.run_id not in {one.run_id, two.run_id}
        await client.cancel(three.run_id)


async def test_the_parent_of_a_child_that_goes_on_gets_the_last_result(store, components):
    @workflow
    async def whole(ctx: WorkflowContext) -> list:
        child = ctx.child("count", most=4)
        return [await child, child.run_id]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("whole", {}, "workflow", timeout=10)
        output, child = response.output
        assert output == 4
        chain = await chain_of(client, child)
        assert len(chain) == 4
        children = await client.list_runs(parent_run_id=response.run_id)
        assert {row.run_id for row in children} == set(chain)
        await written(runtime)
        assert runtime._log.owing() == []


async def test_a_parent_that_gives_up_a_child_cancels_its_live_link(store):
    @workflow
    async def turns(ctx: WorkflowContext, n: int = 0) -> None:
        if n == 3:
            await ctx.wait_for_signal("never")
        return ctx.continue_as_new(n + 1)

    @workflow
    async def whole(ctx: WorkflowContext) -> str:
        child = ctx.child("turns")
        await ctx.wait_for_signal("enough")
        child.cancel()
        return child.run_id

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: len(runtime._log.run_ids()) == 5)
        await client.signal(run_id, "enough")
        child = (await client.wait_for_result(run_id, 10)).output
        last = (await chain_of(client, child))[-1]
        ended = await client.wait_for_result(last, 10)
        assert ended.status is RunStatus.CANCELLED


async def test_a_child_that_went_on_is_found_again_after_a_restart(store):
    @workflow
    async def turns(ctx: WorkflowContext, n: int = 0) -> int:
        if n == 3:
            return await ctx.wait_for_signal("go")
        return ctx.continue_as_new(n + 1)

    @workflow
    async def whole(ctx: WorkflowContext) -> int:
        return await ctx.child("turns")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("whole", {}, "workflow")).run_id
        await until(lambda: len(runtime._log.run_ids()) == 5)
        (live,) = [row.run_id for row in runtime._log.runnable() if row.run_id != run_id]
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(live, "go", 7)
        assert (await client.wait_for_result(run_id, 10)).output == 7


@pytest.mark.parametrize("how", ["open step", "open signal", "task", "step", "arguments", "types"])
async def test_what_would_be_lost_is_refused_with_advice(store, components, how):
    plus_one = components["plus_one"]

    @workflow
    async def wrong(ctx: WorkflowContext, n: int) -> None:
        async def inner() -> None:
            ctx.continue_as_new(n)

        match how:
            case "open step":
                ctx.step(plus_one, n)
                ctx.continue_as_new(n)
            case "open signal":
                waiting = asyncio.ensure_future(ctx.wait_for_signal("go"))
                await asyncio.wait([waiting], timeout=0)
                ctx.continue_as_new(n)
            case "task":
                await asyncio.gather(inner())
            case "step":
                await ctx.step("inner", inner())
            case "arguments":
                ctx.continue_as_new(m=1)
            case _:
                ctx.continue_as_new("many")

    said = {
        "open step": "':plus_one#0'.*await them",
        "open signal": "':signal:go#0'.*would be lost",
        "task": "not from a task",
        "step": "not from a task",
        "arguments": "missing a required argument: 'n'",
        "types": "InvalidInputError",
    }
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("wrong", {"n": 1}, "workflow", timeout=10)
        assert response.status is RunStatus.FAILED
        assert re.search(said[how], str(response.error), re.DOTALL)
        assert runtime._log.run_ids() == [response.run_id]


async def test_an_abandoned_child_may_be_open_and_goes_on(store, components):
    @workflow
    async def leaves(ctx: WorkflowContext, n: int = 0) -> int:
        if n == 1:
            return n
        ctx.child("count", run_id="free", on_parent_end="abandon")
        return ctx.continue_as_new(1)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.run("leaves", {}, "workflow", timeout=10)).output == 1
        await until(lambda: runtime._log.run_row("free"))
        assert (await client.wait_for_result("free", 10)).output == 3


async def test_finally_blocks_make_durable_calls_and_except_exception_does_not_see_it(
    store, components
):
    seen: list[object] = []

    @workflow
    async def tidy(ctx: WorkflowContext, n: int = 0) -> int:
        try:
            if n:
                return n
            return ctx.continue_as_new(1)
        except Exception as error:
            seen.append(error)
            raise
        finally:
            await ctx.step("tidy", lambda: n)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("tidy", {}, "workflow", run_id="r", timeout=10)
        assert (response.output, seen) == (1, [])
        assert "workflow.step.completed" in await event_types(client, "r")


async def test_new_code_takes_over_at_the_continuation(store):
    @workflow(name="job", version="1")
    async def old(ctx: WorkflowContext, n: int = 0) -> str:
        await ctx.wait_for_signal("go")
        return ctx.continue_as_new(n + 1)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("job", {}, "workflow")).run_id
        await until(lambda: (row := runtime._log.run_row(run_id)) and row.status == "running")

    @workflow(name="job", version="2")
    async def new(ctx: WorkflowContext, n: int, extra: str = "x") -> str:
        return f"new {n} {extra}"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(run_id, "go")
        assert (await client.wait_for_result(run_id, 10)).output == "new 1 x"
        labels = [
            runtime._log.run_row(each).version_label for each in await chain_of(client, run_id)
        ]
        assert labels == ["1", "2"]


async def test_an_update_that_the_end_cuts_short_is_handled_by_the_next_run(store):
    @workflow
    async def desk(ctx: WorkflowContext, n: int = 0) -> str:
        async def ask(word: str) -> str:
            if n == 0:
                await ctx.wait_for_signal("never")
            return f"{word} {n}"

        ctx.set_update_handler("ask", ask)
        ctx.set_query_handler("n", lambda: n)
        await ctx.wait_for_signal("turn")
        if n:
            return "over"
        return ctx.continue_as_new(1)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("desk", {}, "workflow")).run_id
        assert await client.query(run_id, "n") == 0
        asked = asyncio.ensure_future(client.update(run_id, "ask", "well", timeout=10))
        await until(lambda: any("UpdateReceived" in f.topic for f in runtime._log.read(run_id)))
        await client.signal(run_id, "turn")
        assert await asked == "well 1"
        assert await client.query(run_id, "n") == 1
        await client.signal(run_id, "turn")
        assert (await client.wait_for_result(run_id, 10)).output == "over"


async def test_runs_in_memory_go_on_in_memory(file_store):
    @workflow(enable_durability=False)
    async def fleeting(ctx: WorkflowContext, n: int = 0) -> int:
        if n == 3:
            return n
        return ctx.continue_as_new(n + 1)

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("fleeting", {}, "workflow", run_id="f", timeout=10)
        assert response.output == 3
        assert len(await chain_of(client, "f")) == 4
        assert runtime._log.run_ids() == []


async def test_the_index_of_a_chain_can_be_built_again(store):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("count", {}, "workflow", idempotency_key="k", timeout=10)
        await written(runtime)
        log = runtime._log
        before = [log.run_row(run_id) for run_id in log.run_ids()]
        rebuild_log_index(log)
        assert [log.run_row(run_id) for run_id in log.run_ids()] == before
        assert log.key_binding("workflow:count:k").run_id == log.run_ids()[0]


async def test_any_run_of_a_chain_is_forked_and_rerun_as_the_first_of_a_new_one(store):
    """Be it the first, one in the middle, or the last."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("count", {"most": 4}, "workflow", run_id="first", timeout=10)
        chain = await chain_of(client, "first")
        for at, run_id in enumerate(chain):
            for begun in (await client.fork(run_id), await client.rerun(run_id)):
                response = await client.wait_for_result(begun.run_id, 10)
                assert (response.status, response.output) == ("completed", 4)
                assert len(await chain_of(client, begun.run_id)) == len(chain) - at
        assert await chain_of(client, "first") == chain


async def test_a_chain_is_paused_by_the_id_of_its_first_run(store):
    @workflow
    async def collect(ctx: WorkflowContext, seen: int = 0) -> int:
        seen += await ctx.wait_for_signal("item")
        return seen if seen > 2 else ctx.continue_as_new(seen)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("collect", {}, "workflow", run_id="first")
        await client.signal("first", "item", 1)
        await until(lambda: runtime._log.run_row("first").continued_to)
        _, last = await chain_of(client, "first")
        paused = await client.pause("first", "to see", children=True)
        assert (paused.run_id, paused.status) == (last, "paused")
        await client.signal("first", "item", 2)
        await client.resume("first")
        assert (await client.wait_for_result("first", 10)).output == 3


async def test_of_a_chain_only_the_last_run_is_tried_again(store):
    broken = True

    @workflow
    async def fails(ctx: WorkflowContext, n: int = 0) -> int:
        if n == 0:
            return ctx.continue_as_new(1)
        if broken:
            raise ValueError
        return n

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        failed = await client.run("fails", {}, "workflow", run_id="first", timeout=10)
        broken = False
        with pytest.raises(InvalidInputError, match=f"went on as run '{failed.run_id}'"):
            await client.retry("first")
        again = await client.retry(failed.run_id)
        assert (await client.wait_for_result(again.run_id, 10)).output == 1


async def test_a_thousand_turns_stay_as_small_as_one(file_store, components):
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("count", {"most": 20}, "workflow", timeout=30)
        gc.collect()
        before = len(gc.get_objects())
        response = await client.run("count", {"most": 1000}, "workflow", run_id="long", timeout=60)
        assert response.output == 1000
        await written(runtime)
        gc.collect()
        assert len(gc.get_objects()) - before < 2000, "something is kept of every turn"
        bus = runtime._bus
        assert not bus.runs
        last = runtime._log.last_of_chain("long")
        assert last is not None and last.run_id == response.run_id
        sizes = {len(runtime._log.read(run_id)) for run_id in ("long", last.run_id)}
        assert max(sizes) <= 5, "a turn's history grows"
        assert (await client.wait_for_result("long", 10)).output == 1000


class TestCrashes:
    """Killed at every event, also between the end of one run and the beginning of the next."""

    def test_a_loop(self, components):
        verdict = crash_everywhere(
            components["count"], {"n": 0, "most": st.integers(1, 4)}, examples=15
        )
        assert verdict.is_exhaustive

    def test_signals_and_state(self):
        @workflow
        async def gather(ctx: WorkflowContext, seen: list) -> list:
            seen = [*seen, await ctx.wait_for_signal("item")]
            ctx.state.set("count", len(seen))
            if len(seen) == 3:
                return [sorted(seen), ctx.state.get("count")]
            return ctx.continue_as_new(seen)

        crash_everywhere(
            gather,
            {"seen": []},
            signals=[("item", 1), ("item", 2), ("item", 3)],
            examples=10,
            check=lambda outcome: outcome.value == [[1, 2, 3], 3] or pytest.fail(str(outcome)),
        )

    def test_a_child(self, components):
        @workflow
        async def whole(ctx: WorkflowContext) -> int:
            return await ctx.child("count", most=3)

        crash_everywhere(whole, {}, examples=5)
