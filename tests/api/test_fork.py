"""Forks, retries, reruns and what-ifs, as a client asks for them."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import event_types, until

from agnt5 import (
    AsyncClient,
    FunctionContext,
    Runtime,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.codec import decode_history
from agnt5.events.run import facts as f
from agnt5.exceptions import InvalidInputError, RunNotFoundError, UnknownComponentError


class Shop:
    """Functions that count their calls and see their keys; the second one may fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: dict[str, list[str]] = {}
        self.broken = False

        @function
        async def reserve(ctx: FunctionContext, item: str) -> str:
            self.note(ctx, "reserve")
            return f"{item} reserved"

        @function
        async def charge(ctx: FunctionContext, item: str) -> str:
            self.note(ctx, "charge")
            if self.broken:
                raise ValueError("the card was declined")
            return f"{item} paid"

        @function
        async def ship(ctx: FunctionContext, item: str) -> str:
            self.note(ctx, "ship")
            return f"{item} sent"

        @workflow
        async def order(ctx: WorkflowContext, item: str) -> list[str]:
            number = str(ctx.uuid4())
            first = await ctx.step(reserve, item)
            second = await ctx.step(charge, item)
            return [number, first, second, await ctx.step(ship, item), str(ctx.random())]

    def note(self, ctx: FunctionContext, name: str) -> None:
        self.calls.append(name)
        self.keys.setdefault(name, []).append(ctx.idempotency_key)


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def version_of(client: AsyncClient, run_id: str, kind: str, key: str) -> int:
    """The version of the first event of a type and step."""
    events = await client.get_events(run_id)
    return next(e.metadata["version"] for e in events if e.event_type == kind and e.step_key == key)


async def facts_of(runtime: Runtime, run_id: str) -> list[f.RunFact]:
    return [fact for fact, _ in decode_history(runtime._log.read(run_id))]


async def test_a_fork_keeps_what_lies_before_it_and_does_the_rest_again(store, shop):
    """Same input: the same identity, so the same keys, ids and chance."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow", idempotency_key="k")
        at = await version_of(client, first.run_id, "function.completed", ":charge#0")
        preview = await client.preview_fork(first.run_id, at)
        assert shop.calls == ["reserve", "charge", "ship"]
        again = await client.fork(first.run_id, at, new_run_id="second", reason="to see")
        response = await client.wait_for_result("second", 10)
        assert (again.run_id, again.trace_id) == ("second", response.trace_id)
        assert response.output == first.output
        assert shop.calls == ["reserve", "charge", "ship", "ship"]
        assert shop.keys["ship"][0] == shop.keys["ship"][1]
        assert preview.again == (":ship#0",)
        assert preview.kept == (":reserve#0", ":charge#0")
        assert preview.verdict == "compatible"
        assert "asks first for step ':ship#0'" in str(preview)
        assert preview.redo[0].is_recognised
        kinds = await event_types(client, "second")
        assert kinds.count("run.forked") == 1
        forked = next(x for x in await facts_of(runtime, "second") if isinstance(x, f.RunForked))
        assert (forked.origin, forked.at, forked.reason) == (first.run_id, at, "to see")
        assert (await client.get_status(first.run_id)).status == "completed"
        # Its key still names the origin.
        known = await client.run("order", {"item": "lamp"}, "workflow", idempotency_key="k")
        assert known.run_id == first.run_id


async def test_another_input_means_an_identity_of_its_own(store, shop):
    """So that nobody takes its effects for those of the origin; chance before it stays."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow")
        at = await version_of(client, first.run_id, "function.completed", ":reserve#0")
        preview = await client.preview_fork(first.run_id, at, input_data={"item": "pen"})
        assert (preview.identity, preview.input_changed) == ("own", True)
        assert not any(each.is_recognised for each in preview.redo)
        run_id = (await client.fork(first.run_id, at, input_data={"item": "pen"})).run_id
        output = (await client.wait_for_result(run_id, 10)).output
        assert output[:4] == [first.output[0], "lamp reserved", "pen paid", "pen sent"]
        assert output[4] != first.output[4]
        assert len(set(shop.keys["charge"])) == 2
        # A fork of the fork remembers which chance came from where.
        second = (await client.fork(run_id, identity="origin")).run_id
        assert (await client.wait_for_result(second, 10)).output == output
        same = (await client.fork(first.run_id, at, input_data={"item": "lamp"})).run_id
        assert (await client.wait_for_result(same, 10)).output == first.output
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for fork in (run_id, second):
            report = await client.what_if(fork)
            assert report.is_compatible
            assert {each.what for each in report.differences} == {"input"}  # of what was kept


async def test_every_event_is_a_place_to_fork_at(store, shop):
    """Whatever was kept, the end is the same, and only what was not kept is done."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow")
        events = len(runtime._log.read(first.run_id))
        for at in range(1, events + 1):
            shop.calls.clear()
            preview = await client.preview_fork(first.run_id, at)
            run_id = (await client.fork(first.run_id, at)).run_id
            assert (await client.wait_for_result(run_id, 10)).output == first.output
            assert [f":{name}#0" for name in shop.calls] == list(preview.again)
        for at in (0, events + 1, -1, True):
            with pytest.raises(InvalidInputError, match="there is none at"):
                await client.fork(first.run_id, at)


async def test_a_failed_run_is_tried_again_from_its_failure(store, shop):
    """With fresh attempts and the same key; what came before is kept."""
    shop.broken = True
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow")
        assert first.is_error
        shop.broken = False
        preview = await client.preview_retry(first.run_id)
        assert preview.again == (":charge#0",)
        run_id = (await client.retry(first.run_id)).run_id
        response = await client.wait_for_result(run_id, 10)
        assert response.output[1:4] == ["lamp reserved", "lamp paid", "lamp sent"]
        assert shop.calls == ["reserve", "charge", "charge", "ship"]
        assert len(set(shop.keys["charge"])) == 1
        with pytest.raises(InvalidInputError, match="completed"):
            await client.retry(run_id)


async def test_an_inline_step_goes_on_at_the_call_that_failed_in_it(store, shop):
    """What it had done is kept, also when it had used up its attempts."""
    shop.broken = True
    calls = shop.calls

    @workflow
    async def nested(ctx: WorkflowContext) -> str:
        async def plan() -> str:
            await ctx.step("reserve", "lamp")
            return await ctx.step("charge", "lamp")

        return await ctx.step("plan", plan())

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("nested", {}, "workflow")
        assert first.is_error
        shop.broken = False
        preview = await client.preview_retry(first.run_id)
        assert preview.again == (":plan#0", ":plan#0>:charge#0")
        run_id = (await client.retry(first.run_id)).run_id
        assert (await client.wait_for_result(run_id, 10)).output == "lamp paid"
        assert calls == ["reserve", "charge", "charge"]


async def test_cleanup_after_a_failure_must_be_seen(store, shop):
    """Its effects are gone, and the new run would count on them."""
    shop.broken = True

    @workflow
    async def careful(ctx: WorkflowContext) -> str:
        await ctx.step("reserve", "lamp")
        try:
            return await ctx.step("charge", "lamp")
        except ValueError:
            await ctx.step("ship", "back")
            raise

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("careful", {}, "workflow")
        with pytest.raises(InvalidInputError, match="after_cleanup"):
            await client.retry(first.run_id)
        assert (await client.preview_retry(first.run_id)).cleanup == (":ship#0",)
        shop.broken = False
        run_id = (await client.retry(first.run_id, after_cleanup=True)).run_id
        assert (await client.wait_for_result(run_id, 10)).output == "lamp paid"


async def test_a_cancelled_run_and_a_failed_body_go_on_where_they_stood(store):
    """The one before it was asked to stop, the other at its last event, with the code of now."""
    broken = [True]

    @workflow
    async def waits(ctx: WorkflowContext) -> str:
        told = await ctx.wait_for_signal("go")
        if broken[0]:
            raise RuntimeError(told)
        return told

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = (await client.submit("waits", {}, "workflow")).run_id
        await until(lambda: first in runtime._bus.runs and runtime._bus.runs[first].state.open)
        await client.cancel(first)
        await client.wait_for_result(first, 10)
        second = (await client.retry(first)).run_id
        await client.signal(second, "go", "now")
        assert (await client.wait_for_result(second, 10)).is_error
        broken[0] = False
        third = (await client.retry(second)).run_id
        assert (await client.wait_for_result(third, 10)).output == "now"


async def test_a_functions_run_is_tried_again_from_its_start(store, shop):
    """With the key that it had."""
    shop.broken = True
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("charge", {"item": "lamp"})
        shop.broken = False
        run_id = (await client.retry(first.run_id)).run_id
        assert (await client.wait_for_result(run_id, 10)).output == "lamp paid"
        assert len(set(shop.keys["charge"])) == 1


async def test_a_fork_has_children_of_its_own(store):
    """Those that were over are kept; one that was open is started anew, chosen id or not."""
    gate, begun = asyncio.Event(), []

    @workflow
    async def child(ctx: WorkflowContext, name: str) -> str:
        begun.append(ctx.run_id)
        if name == "slow":
            await ctx.step("gate", gate.wait())
        return f"{name} of {ctx.run_id}"

    @workflow
    async def parent(ctx: WorkflowContext) -> list[str]:
        quick = ctx.child(child, "quick", run_id="the-quick")
        slow = ctx.child(child, "slow", run_id="the-slow")
        return [quick.run_id, slow.run_id, await quick, await slow]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        origin = (await client.submit("parent", {}, "workflow")).run_id
        while "child.finished" not in await event_types(client, origin):
            await asyncio.sleep(0.002)
        run_id = (await client.fork(origin)).run_id
        await until(lambda: len(begun) == 3)
        gate.set()
        response = await client.wait_for_result(run_id, 10)
        quick, slow, first, second = response.output
        assert (quick, first) == ("the-quick", "quick of the-quick")
        assert slow.startswith(run_id)
        assert second == f"slow of {slow}"
        assert (await client.wait_for_result(origin, 10)).output[1] == "the-slow"
        children = [row.run_id for row in await client.list_runs(parent_run_id=run_id)]
        assert children == [slow]
        assert (await client.what_if(run_id)).is_exact


async def test_a_rerun_begins_anew_and_names_the_first(store, shop):
    """The same input, or another; checked as for any new run."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run(
            "order", {"item": "lamp"}, "workflow", user_id="ada", metadata={"team": "x"}
        )
        again = (await client.rerun(first.run_id)).run_id
        output = (await client.wait_for_result(again, 10)).output
        assert output[1:4] == first.output[1:4]
        assert output[0] != first.output[0]
        other = (await client.rerun(first.run_id, input_data={"item": "pen"})).run_id
        assert (await client.wait_for_result(other, 10)).output[1] == "pen reserved"
        queued = (await facts_of(runtime, other))[0]
        assert queued.origin == {"type": "rerun", "run_id": first.run_id}
        assert (queued.user_id, queued.metadata) == ("ada", {"team": "x"})
        with pytest.raises(InvalidInputError):
            await client.rerun(first.run_id, input_data={"thing": "pen"})
        with pytest.raises(RunNotFoundError):
            await client.rerun("nobody")


async def test_what_if_writes_nothing_and_says_what_would_be(store, shop):
    """New code over an old history, up to its first new call."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow")
        before = runtime._log.position()

        @function
        async def weigh(item: str) -> str:
            shop.calls.append("weigh")
            return item

        @workflow(name="other")
        async def other(ctx: WorkflowContext, item: str) -> str:
            await ctx.step("reserve", item)
            return await ctx.step("weigh", item)

        report = await client.what_if(first.run_id, other)
        assert (report.verdict, report.divergence.asked[0][0]) == ("needs patched", ":weigh#0")
        at = await version_of(client, first.run_id, "function.completed", ":reserve#0")
        report = await client.what_if(first.run_id, other, at=at)
        assert report.is_compatible
        assert [call.key for call in report.next_calls] == [":weigh#0"]
        assert (await client.what_if(first.run_id)).is_exact
        begins = await client.what_if(first.run_id, at=1)
        assert [call.key for call in begins.next_calls] == [":reserve#0"]
        assert runtime._log.position() == before
        assert shop.calls == ["reserve", "charge", "ship"]
        WorkflowRegistry.clear()
        with pytest.raises(UnknownComponentError):
            await client.what_if(first.run_id)


async def test_the_same_answers_give_the_same_result_however_late_the_fork_is_made(store):
    """At every event: whatever had to come within a minute has a minute again."""
    clock = ManualClock()

    @function
    async def double(n: int) -> int:
        return 2 * n

    @workflow
    async def collect(ctx: WorkflowContext) -> list:
        first = await ctx.wait_for_signal("one", timeout=60)
        return [first, await ctx.step(double, first, timeout=60)]

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        origin = (await client.submit("collect", {}, "workflow")).run_id
        await client.signal(origin, "one", 4, signal_id="1")
        assert (await client.wait_for_result(origin, 10)).output == [4, 8]
        clock.advance(3600)
        for at in range(1, len(await facts_of(runtime, origin)) + 1):
            fork = (await client.fork(origin, at)).run_id
            await client.signal(fork, "one", 4, signal_id="1")
            response = await client.wait_for_result(fork, 10)
            assert response.output == [4, 8], (at, response.error)


async def test_what_if_says_what_a_paused_run_would_do(store):
    """As if it were resumed."""

    @workflow
    async def two_signals(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("one")
        await ctx.wait_for_signal("two")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("two_signals", {}, "workflow")).run_id
        await until(lambda: runtime._bus.runs[run_id].state.open)
        await client.pause(run_id)
        await client.signal(run_id, "one")
        report = await client.what_if(run_id)
        assert [call.key for call in report.next_calls] == [":signal:two#0"]


async def test_new_code_that_does_not_ask_for_what_was_kept_is_told_before_and_suspends(
    store, shop
):
    """Law 6 holds for forks: the preview says so, and the fork is suspended with the report."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow")
        WorkflowRegistry.clear()

        @workflow
        async def order(ctx: WorkflowContext, item: str) -> str:
            return await ctx.step("ship", item)

        at = await version_of(client, first.run_id, "function.completed", ":charge#0")
        preview = await client.preview_fork(first.run_id, at)
        assert preview.verdict == "needs patched"
        run_id = (await client.fork(first.run_id, at)).run_id
        response = await client.wait_for_result(run_id, 10)
        assert (response.status, response.error.code) == ("suspended", "NON_DETERMINISTIC_REPLAY")
        fresh = (await client.fork(first.run_id, 1)).run_id
        assert (await client.wait_for_result(fresh, 10)).output == "lamp sent"


async def test_what_cannot_be_meant_is_refused_before_anything_is_written(store, shop):
    """Each with what is wrong."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("order", {"item": "lamp"}, "workflow")
        before = runtime._log.position()
        with pytest.raises(RunNotFoundError):
            await client.fork("nobody")
        with pytest.raises(InvalidInputError, match="already"):
            await client.fork(first.run_id, new_run_id=first.run_id)
        with pytest.raises(InvalidInputError, match="identity"):
            await client.fork(first.run_id, identity="mine")
        with pytest.raises(InvalidInputError, match="object"):
            await client.fork(first.run_id, input_data=[1])
        with pytest.raises(InvalidInputError):
            await client.fork(first.run_id, input_data={"item": 7})
        with pytest.raises(UnknownComponentError):
            await client.fork(first.run_id, version="2")
        with pytest.raises(InvalidInputError, match="completed"):
            await client.preview_retry(first.run_id)
        assert runtime._log.position() == before
