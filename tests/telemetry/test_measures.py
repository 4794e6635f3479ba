"""What is counted and measured, and what can be looked up; and what log records say."""

from __future__ import annotations

import asyncio
import logging

import pytest
from opentelemetry import trace
from tests.telemetry.tools import metric

from agnt5 import AsyncClient, FunctionContext, Queue, Runtime, WorkflowContext, function, workflow
from agnt5.events.run.state import RunState
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StoreError
from agnt5.telemetry import gauges


async def test_runs_steps_and_waits_are_counted_by_how_they_ended(reader):
    @function(retries={"max_attempts": 2, "initial_interval_ms": 1})
    async def fails() -> None:
        raise ValueError("no")

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        await ctx.sleep(0.001)
        await ctx.step(fails)

    async with Runtime("memory://"):
        await AsyncClient().run("order", {}, "workflow")
    assert metric(reader, "agnt5.runs.accepted") == {("order", "workflow"): 1}
    assert metric(reader, "agnt5.run.queue_time") == {("order", "workflow"): 1}
    assert metric(reader, "agnt5.run.duration") == {("order", "workflow", "failed"): 1}
    assert metric(reader, "agnt5.step.duration") == {("failed", "fails"): 1}
    assert metric(reader, "agnt5.attempt.duration") == {
        ("retried", "fails"): 1,
        ("failed", "fails"): 1,
    }
    assert metric(reader, "agnt5.wait.duration") == {("completed", "sleep"): 1}
    assert metric(reader, "agnt5.wake.lag") == {("completed", "sleep"): 1}
    (groups,) = metric(reader, "agnt5.append.batch_size").values()
    (appends,) = metric(reader, "agnt5.append.duration").values()
    assert 0 < groups <= appends
    assert metric(reader, "agnt5.append.failures") == {}


async def test_a_replay_is_measured_and_counts_nothing_again(reader, tmp_path):
    store = f"sqlite:///{tmp_path}/x.db"

    @function
    async def add() -> int:
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        await ctx.step(add)
        return await ctx.wait_for_signal("go")

    async with Runtime(store):
        run_id = (await AsyncClient().submit("order", {}, "workflow")).run_id
        while len(await AsyncClient().get_events(run_id)) < 5:
            await asyncio.sleep(0.001)
    assert metric(reader, "agnt5.replay.duration") == {}
    async with Runtime(store):
        await AsyncClient().signal(run_id, "go", 1)
        await AsyncClient().wait_for_result(run_id)
    assert metric(reader, "agnt5.replay.duration") == {(): 1}
    assert metric(reader, "agnt5.step.duration") == {("completed", "add"): 1}
    assert metric(reader, "agnt5.runs.accepted") == {("order", "workflow"): 1}
    assert metric(reader, "agnt5.run.duration") == {("order", "workflow", "completed"): 1}


async def test_what_is_there_can_be_looked_up_from_another_thread(reader):
    begun, end = asyncio.Event(), asyncio.Event()

    @function(concurrency=1)
    async def slow() -> None:
        begun.set()
        await end.wait()

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        await ctx.step(slow)

    @workflow
    async def waits(ctx: WorkflowContext) -> None:
        await ctx.wait_for_signal("go")

    async with Runtime("memory://", queues=[Queue("mail", concurrency=2)]):
        client = AsyncClient()
        runs = [await client.submit("order", {}, "workflow", queue="mail") for _ in range(5)]
        waiting = await client.submit("waits", {}, "workflow")
        await begun.wait()
        while len(await client.get_events(waiting.run_id)) < 3:
            await asyncio.sleep(0.001)

        def look(name: str):
            return asyncio.to_thread(metric, reader, name)

        assert await look("agnt5.runs.active") == {("running",): 2, ("waiting",): 1, ("queued",): 0}
        assert (await look("agnt5.queue.depth"))["mail",] == 3
        assert await look("agnt5.attempts") == {("running", "slow"): 1, ("waiting", "slow"): 1}
        while await look("agnt5.append.pending") != {(): 0}:
            await asyncio.sleep(0.001)
        end.set()
        for run in runs:
            await client.wait_for_result(run.run_id)
        await client.cancel(waiting.run_id)
    assert metric(reader, "agnt5.runs.active") == {}
    assert list(gauges.open_houses) == []


async def test_an_inline_step_whose_own_calls_wait_is_waiting(reader):
    @workflow
    async def order(ctx: WorkflowContext) -> None:
        async def outer() -> None:
            await ctx.wait_for_signal("go")

        await ctx.step("outer", outer)

    async with Runtime("memory://", park_after=60):
        client = AsyncClient()
        run_id = (await client.submit("order", {}, "workflow")).run_id
        while (await client.get_status(run_id)).status == "queued":
            await asyncio.sleep(0.001)
        waiting = {("running",): 0, ("waiting",): 1, ("queued",): 0}
        for _ in range(1000):
            if metric(reader, "agnt5.runs.active") == waiting:
                break
            await asyncio.sleep(0.001)
        assert metric(reader, "agnt5.runs.active") == waiting
        await client.signal(run_id, "go")
        assert (await client.wait_for_result(run_id)).status == "completed"


def test_a_run_that_changes_while_it_is_looked_at_is_running():
    class Changes(dict):
        def values(self):
            raise RuntimeError("dictionary changed size during iteration")

    state = RunState("r")
    state.open["k"] = None
    state.busy = Changes(k=None)
    assert not gauges._waits(state)


async def test_appends_that_the_store_refuses_are_counted(reader):
    class Full(MemoryLog):
        def start(self, sink) -> None:
            self.tell = sink
            super().start(sink)

        def append(self, requests) -> None:
            for request in requests:
                request.error = StoreError("the disk is away")
            self.tell(requests)

    @function
    async def add() -> int:
        return 1

    async with Runtime(Full()):
        with pytest.raises(StoreError):
            await AsyncClient().run("add", {})
    assert metric(reader, "agnt5.append.failures") == {("DURABILITY_UNAVAILABLE",): 1}


async def test_a_log_record_says_of_which_run_step_attempt_and_trace_it_is(caplog, spans):
    caplog.set_level("INFO", "agnt5")
    current = []

    class Look(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            current.append(trace.get_current_span().get_span_context().span_id)
            return True

    caplog.handler.addFilter(Look())

    @function
    async def add(ctx: FunctionContext) -> int:
        ctx.logger.info("in the step", amount=5)
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        ctx.logger.info("in the body")
        return await ctx.step(add)

    async with Runtime("memory://"):
        response = await AsyncClient().run("order", {}, "workflow")
    body, step = [r for r in caplog.records if r.getMessage().startswith("in the")]
    assert step.agnt5 == {
        "run_id": response.run_id,
        "attempt": 0,
        "trace_id": response.trace_id,
        "step": ":add#0",
        "amount": 5,
    }
    flat = {name: value for name, value in vars(step).items() if name.startswith("agnt5.")}
    assert flat == {
        "agnt5.run.id": response.run_id,
        "agnt5.attempt": 0,
        "agnt5.trace.id": response.trace_id,
        "agnt5.step.key": ":add#0",
    }
    assert "agnt5.step.key" not in vars(body)
    assert vars(body)["agnt5.trace.id"] == response.trace_id
    places = [spans.one("workflow order"), spans.one("attempt add")]
    assert current == [place.context.span_id for place in places]
