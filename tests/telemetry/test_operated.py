"""What is told of runs that somebody forks or pauses, and of those that go on as another run."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from opentelemetry import trace
from tests.telemetry.tools import metric, repeated

from agnt5 import AsyncClient, Client, FunctionContext, Runtime, WorkflowContext, function, workflow
from agnt5.events.traces import span_id_of, trace_id_of

pytestmark = pytest.mark.usefixtures("spans")


def spans_of(spans, run_id: str) -> list:
    return [span for span in spans if span.attributes.get("agnt5.run.id") == run_id]


def run_span(spans, run_id: str):
    (found,) = [s for s in spans_of(spans, run_id) if "agnt5.step.key" not in s.attributes]
    return found


def trace_of(span) -> str:
    return trace.format_trace_id(span.context.trace_id)


def links_of(span) -> list[tuple[str, str, str]]:
    return [
        (
            link.attributes["agnt5.link"],
            trace.format_trace_id(link.context.trace_id),
            trace.format_span_id(link.context.span_id),
        )
        for link in span.links
    ]


def in_span(name: str):
    return trace.get_tracer_provider().get_tracer("user").start_as_current_span(name)


def hex_id(span) -> str:
    return trace.format_trace_id(span.get_span_context().trace_id)


@pytest.mark.parametrize("origin_is_called", [True, False])
@pytest.mark.parametrize("fork_is_called", [True, False])
async def test_a_fork_is_in_the_trace_of_whoever_forks_and_linked_to_its_origin(
    spans, origin_is_called, fork_is_called
):
    @function
    async def add() -> int:
        return 1

    @workflow
    async def part(ctx: WorkflowContext) -> int:
        return await ctx.step(add)

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        await ctx.step(add)
        return await ctx.child(part)

    traces = {"origin": trace_id_of("origin", None), "copy": trace_id_of("copy", None)}
    async with Runtime("memory://"):
        client = AsyncClient()
        if origin_is_called:
            with in_span("request") as request:
                await client.run("order", {}, "workflow", run_id="origin")
            traces["origin"] = hex_id(request)
        else:
            await client.run("order", {}, "workflow", run_id="origin")
        at = 4  # the step has ended
        if fork_is_called:
            with in_span("operating") as operating:
                forked = await client.fork("origin", at, new_run_id="copy")
            traces["copy"] = hex_id(operating)
        else:
            forked = await client.fork("origin", at, new_run_id="copy")
        await client.wait_for_result("copy")
        (child,) = await client.list_runs(parent_run_id="copy")
        status = await client.get_status("copy")
    run = run_span(spans, "copy")
    assert forked.trace_id == status.trace_id == trace_of(run) == traces["copy"]
    assert links_of(run) == [("fork", traces["origin"], span_id_of("origin"))]
    assert trace_of(run_span(spans, child.run_id)) == traces["copy"]
    # The step was told where it happened, and only there.
    assert sorted(s.name for s in spans_of(spans, "copy")) == ["child part", "workflow order"]
    assert not repeated(spans)


def order_that_waits():
    """Register a workflow with one step; set when the step has begun, and what lets it end."""
    begun, end = asyncio.Event(), asyncio.Event()

    @function
    async def slow() -> int:
        begun.set()
        await end.wait()
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return await ctx.step(slow)

    return begun, end


async def test_the_span_of_a_fork_begins_when_it_is_forked(spans, reader):
    begun, end = order_that_waits()

    async with Runtime("memory://"):
        client = AsyncClient()
        await client.submit("order", {}, "workflow", run_id="origin")
        await begun.wait()
        await asyncio.sleep(0.02)
        await client.fork("origin", new_run_id="copy")
        end.set()
        await client.wait_for_result("copy")
        await client.wait_for_result("origin")
    origin, copy = run_span(spans, "origin"), run_span(spans, "copy")
    step, attempt = spans_of(spans, "copy")[1::-1]
    assert (step.name, attempt.name) == ("step slow", "attempt slow")
    assert origin.start_time + 20_000_000 < copy.start_time <= step.start_time
    assert step.start_time <= attempt.start_time
    assert [event.name for event in copy.events] == []
    # It is no other process that has begun it.
    assert "agnt5.attempt.began_again" not in attempt.attributes
    assert metric(reader, "agnt5.runs.accepted") == {("order", "workflow"): 2}


async def test_a_retry_is_linked_to_the_run_that_has_failed(spans):
    broken = [True]

    @function
    async def pay() -> int:
        if broken.pop() if broken else False:
            raise ValueError("no")
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return await ctx.step(pay)

    async with Runtime("memory://"):
        client = AsyncClient()
        with in_span("request") as request:
            failed = await client.submit("order", {}, "workflow")
        assert (await client.wait_for_result(failed.run_id)).error is not None
        again = await client.retry(failed.run_id)
        await client.wait_for_result(again.run_id)
    run = run_span(spans, again.run_id)
    assert trace_of(run) == again.trace_id == trace_id_of(again.run_id, None)
    assert links_of(run) == [("fork", hex_id(request), span_id_of(failed.run_id))]


def test_a_fork_by_a_client_of_another_thread_is_the_callers_too(spans):
    @function
    async def add() -> int:
        return 1

    client = Client(store="memory://")
    client.run("add", {}, run_id="origin-of-thread")
    with in_span("operating") as operating:
        made = client.rerun("origin-of-thread")
        forked = client.fork("origin-of-thread")
    for each in (made, forked):
        client.wait_for_result(each.run_id)
        assert each.trace_id == hex_id(operating)


@pytest.mark.parametrize("is_called", [True, False])
async def test_a_run_that_goes_on_as_another_stays_in_the_span_of_its_caller(
    spans, reader, is_called
):
    @workflow
    async def count(ctx: WorkflowContext, n: int = 0) -> int:
        if n == 2:
            return n
        return ctx.continue_as_new(n + 1)

    async with Runtime("memory://"):
        client = AsyncClient()
        if is_called:
            with in_span("request") as request:
                await client.run("count", {}, "workflow", run_id="chain")
        else:
            await client.run("count", {}, "workflow", run_id="chain")
        rows = [row.run_id for row in await client.list_runs()][::-1]
    assert len(rows) == 3
    runs = [run_span(spans, run_id) for run_id in rows]
    if is_called:
        parent = request.get_span_context()
        assert [(run.parent.span_id, trace_of(run)) for run in runs] == [
            (parent.span_id, hex_id(request))
        ] * 3
    else:
        assert [(run.parent, trace_of(run)) for run in runs] == [
            (None, trace_id_of(run_id, None)) for run_id in rows
        ]
    assert [links_of(run) for run in runs] == [
        [],
        *(
            [("continues", trace_of(run), span_id_of(run_id))]
            for run, run_id in zip(runs, rows[:2], strict=False)
        ),
    ]
    assert metric(reader, "agnt5.runs.accepted") == {("count", "workflow"): 3}
    assert metric(reader, "agnt5.run.duration") == {("count", "workflow", "completed"): 3}


async def test_a_run_that_is_paused_says_so_and_what_is_under_way_is_told(spans, reader):
    begun, end = order_that_waits()

    async with Runtime("memory://"):
        client = AsyncClient()
        await client.submit("order", {}, "workflow", run_id="r1")
        await begun.wait()
        await client.pause("r1", "lunch")
        active = await asyncio.to_thread(metric, reader, "agnt5.runs.active")
        assert active == {("running",): 0, ("waiting",): 0, ("queued",): 0}
        end.set()
        while not spans_of(spans, "r1"):
            await asyncio.sleep(0.001)
        await client.resume("r1")
        await client.wait_for_result("r1")
    run = run_span(spans, "r1")
    assert [event.name for event in run.events] == ["started", "paused", "resumed"]
    assert "lunch" not in str([dict(event.attributes) for event in run.events])
    attempt = spans.one("attempt slow")
    assert "agnt5.attempt.began_again" not in attempt.attributes
    assert not repeated(spans)


async def test_a_line_is_logged_once_whatever_is_paused_parked_forked_or_goes_on(caplog):
    caplog.set_level("INFO", "agnt5")

    @function
    async def add(ctx: FunctionContext) -> int:
        ctx.logger.info("in the step")
        return 1

    @workflow
    async def order(ctx: WorkflowContext, n: int = 0) -> int:
        ctx.logger.info("begins")
        await ctx.step(add)
        ctx.logger.info("waits")
        await ctx.wait_for_signal("go")
        ctx.logger.info("goes on")
        return n or ctx.continue_as_new(1)

    async with Runtime("memory://", park_after=0):
        client = AsyncClient()
        await client.submit("order", {}, "workflow", run_id="r1")
        while (await client.get_events("r1")).items[-1].event_type != "run.parked":
            await asyncio.sleep(0.001)
        await client.pause("r1")
        await client.resume("r1")
        with in_span("operating"):
            forked = await client.fork("r1", new_run_id="copy")
        await client.signal("r1", "go")
        await client.signal("copy", "go")
        ends = []
        for run_id in ("r1", "copy"):
            while (await client.get_status(run_id)).successor is None:
                await asyncio.sleep(0.001)
            ends.append((await client.get_status(run_id)).successor)
        for run_id in ends:
            await client.signal(run_id, "go")
            assert (await client.wait_for_result(run_id)).output == 1
        statuses = [await client.get_status(run_id) for run_id in ("r1", "copy", *ends)]
    lines = Counter(
        (r.getMessage(), r.agnt5["run_id"]) for r in caplog.records if "agnt5" in vars(r)
    )
    whole = ("begins", "in the step", "waits", "goes on")
    assert lines == Counter(
        [(line, run_id) for run_id in ("r1", *ends) for line in whole] + [("goes on", "copy")]
    )
    traces = {
        (r.agnt5["run_id"], r.agnt5["trace_id"]) for r in caplog.records if "agnt5" in vars(r)
    }
    assert traces == {(status.run_id, status.trace_id) for status in statuses}
    assert statuses[1].trace_id == statuses[3].trace_id == forked.trace_id
