"""What a provider is told of whole runs: which spans, inside which others, with what about them."""

from __future__ import annotations

import asyncio
import threading

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode
from tests.telemetry.tools import new_spans, repeated

from agnt5 import AsyncClient, Client, FunctionContext, Runtime, WorkflowContext, function, workflow
from agnt5.events.traces import span_id_of, trace_id_of
from agnt5.exceptions import ConfigurationError
from agnt5.telemetry.current import NOBODY, calling

pytestmark = pytest.mark.usefixtures("spans")


def tracer():
    return trace.get_tracer_provider().get_tracer("user")


def hex_ids(span) -> tuple[str, str]:
    return trace.format_trace_id(span.context.trace_id), trace.format_span_id(span.context.span_id)


async def test_a_run_is_a_trace_of_its_own_and_its_ids_are_derived(spans):
    @function
    async def add(a: int, b: int) -> int:
        return a + b

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return await ctx.step(add, 1, 2)

    async with Runtime("memory://"):
        response = await AsyncClient().run("order", {}, "workflow", session_id="s1", run_id="r1")
    assert spans.tree() == [("workflow order", [("step add", ["attempt add"])])]
    assert response.trace_id == trace_id_of("r1", None)
    run, attempt = spans.one("workflow order"), spans.one("attempt add")
    assert hex_ids(run) == (response.trace_id, span_id_of("r1"))
    assert hex_ids(attempt) == (response.trace_id, span_id_of("r1", ":add#0", 0))
    assert dict(run.attributes) == {
        "agnt5.run.id": "r1",
        "agnt5.component": "order",
        "agnt5.component.kind": "workflow",
        "agnt5.outcome": "completed",
        "session.id": "s1",
    }
    assert [event.name for event in run.events] == ["started"]
    assert attempt.attributes["agnt5.step.function"] == "add"
    assert attempt.attributes["agnt5.attempt"] == 0
    assert run.status.status_code is StatusCode.UNSET
    assert all(span.instrumentation_scope.name == "agnt5" for span in spans)


async def test_a_run_belongs_to_the_trace_of_its_caller(spans):
    @workflow
    async def order(ctx: WorkflowContext) -> str:
        return "done"

    async with Runtime("memory://") as runtime:
        with tracer().start_as_current_span("request") as request:
            response = await AsyncClient().run("order", {}, "workflow")
        trace_id = trace.format_trace_id(request.get_span_context().trace_id)
        client = AsyncClient(runtime=runtime)
        submitted = await client.submit("order", {}, "workflow")
        assert submitted.trace_id == trace_id_of(submitted.run_id, None)
        assert (await client.wait_for_result(submitted.run_id)).trace_id == submitted.trace_id
        assert (await client.get_status(response.run_id)).trace_id == trace_id
        assert {run.trace_id for run in await client.list_runs()} == {trace_id, submitted.trace_id}
        assert {e.trace_id for e in await client.get_events(response.run_id)} == {trace_id}
    assert response.trace_id == trace_id
    assert ("request", ["workflow order"]) in spans.tree()


def test_a_caller_on_another_thread_is_the_caller_too(spans, tmp_path):
    @workflow
    async def order(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    opened, closing = threading.Event(), threading.Event()
    runtimes: list[Runtime] = []

    async def serve() -> None:
        async with Runtime("memory://") as runtime:
            runtimes.append(runtime)
            opened.set()
            await asyncio.to_thread(closing.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    opened.wait()
    client = Client(runtime=runtimes[0])
    with tracer().start_as_current_span("script"):
        run_id = client.submit("order", {}, "workflow").run_id
    with tracer().start_as_current_span("sender"):
        client.signal(run_id, "go", "x")
    assert client.wait_for_result(run_id).output == "x"
    closing.set()
    thread.join()
    sender = spans.one("sender")
    assert spans.tree() == [("script", [("workflow order", ["signal go"])]), "sender"]
    (link,) = spans.one("signal go").links
    assert link.context.span_id == sender.context.span_id
    assert dict(link.attributes) == {"agnt5.link": "sender"}


async def test_what_the_user_begins_inside_is_inside(spans):
    @function
    async def fetch() -> int:
        with tracer().start_as_current_span("http"):
            return 1

    @function
    def blocking() -> int:
        with tracer().start_as_current_span("file"):
            return 2

    async def work() -> int:
        with tracer().start_as_current_span("inline work"):
            return 3

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        async def outer() -> int:
            return await ctx.step(fetch) + await work()

        async def update(n: int) -> int:
            with tracer().start_as_current_span("handling"):
                return await ctx.step("inside", work()) + n

        ctx.set_update_handler("add", update)
        with tracer().start_as_current_span("in the body"):
            await ctx.step(blocking)
        await ctx.step("outer", outer())
        return await ctx.wait_for_signal("end")

    async with Runtime("memory://"):
        client = AsyncClient()
        run_id = (await client.submit("order", {}, "workflow")).run_id
        await client.update(run_id, "add", 1)
        await client.signal(run_id, "end", 0)
        await client.wait_for_result(run_id)
    (whole,) = spans.tree()
    assert whole[0] == "workflow order"
    assert sorted(whole[1], key=str) == sorted(
        [
            "in the body",
            "signal end",
            ("step blocking", [("attempt blocking", ["file"])]),
            (
                "step outer",
                [("attempt outer", [("step fetch", [("attempt fetch", ["http"])]), "inline work"])],
            ),
            ("update add", ["handling", ("step inside", [("attempt inside", ["inline work"])])]),
        ],
        key=str,
    )


async def test_every_attempt_is_told_with_its_error_and_linked_to_the_one_before(spans):
    tries = []

    @function(retries={"max_attempts": 3, "initial_interval_ms": 1})
    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConfigurationError(f"no {len(tries)}")
        return 1

    async with Runtime("memory://"):
        await AsyncClient().run("flaky", {})
    attempts = sorted(
        (s for s in spans if s.name == "attempt flaky"), key=lambda s: s.attributes["agnt5.attempt"]
    )
    assert [s.attributes["agnt5.outcome"] for s in attempts] == ["retried", "retried", "completed"]
    assert [len(s.links) for s in attempts] == [0, 1, 1]
    assert attempts[2].links[0].context.span_id == attempts[1].context.span_id
    first = attempts[0]
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "agnt5.exceptions.ConfigurationError: no 1"
    assert first.attributes["error.type"] == "agnt5.exceptions.ConfigurationError"
    (event,) = first.events
    assert event.name == "exception"
    assert event.attributes["exception.message"] == "no 1"
    assert spans.one("step flaky").status.status_code is StatusCode.UNSET


async def test_how_a_run_ended_is_its_status(spans):
    @workflow
    async def fails(ctx: WorkflowContext) -> None:
        raise ValueError("broken")

    @workflow
    async def waits(ctx: WorkflowContext) -> None:
        await ctx.sleep(3600)

    async with Runtime("memory://"):
        client = AsyncClient()
        await client.run("fails", {}, "workflow")
        run_id = (await client.submit("waits", {}, "workflow")).run_id
        with tracer().start_as_current_span("operator"):
            await client.cancel(run_id, "enough")
        await client.wait_for_result(run_id)
    failed, cancelled = spans.one("workflow fails"), spans.one("workflow waits")
    assert failed.status.description == "ValueError: broken"
    assert failed.attributes["agnt5.outcome"] == "failed"
    assert cancelled.attributes["agnt5.outcome"] == "cancelled"
    assert cancelled.status.status_code is StatusCode.UNSET
    (link,) = cancelled.links
    assert link.context.span_id == spans.one("operator").context.span_id
    assert spans.one("sleep").attributes["agnt5.outcome"] == "abandoned"


async def test_a_child_is_a_part_of_its_parents_trace(spans):
    @workflow
    async def packing(ctx: WorkflowContext) -> str:
        return "packed"

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        return await ctx.child(packing)

    async with Runtime("memory://"):
        response = await AsyncClient().run("order", {}, "workflow")
    assert spans.tree() == [("workflow order", [("child packing", ["workflow packing"])])]
    child = spans.one("workflow packing")
    assert hex_ids(child)[0] == response.trace_id
    assert child.attributes["agnt5.parent.run.id"] == response.run_id


async def test_what_a_person_answers_is_linked_to_where_they_answered(spans):
    @workflow
    async def order(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_user("Ship it, Ada?")

    async with Runtime("memory://"):
        client = AsyncClient()
        run_id = (await client.run("order", {}, "workflow")).run_id
        with tracer().start_as_current_span("form"):
            await client.resume(run_id, "yes")
        await client.wait_for_result(run_id)
    asked = spans.one("question wait_for_user")
    assert [link.context.span_id for link in asked.links] == [spans.one("form").context.span_id]
    assert "Ada" not in str(dict(asked.attributes)), "what people are asked is theirs"


async def test_a_run_that_a_step_starts_is_inside_of_its_attempt(spans):
    @function
    async def small() -> int:
        return 1

    @function
    async def starts() -> int:
        return (await AsyncClient().run("small", {})).output

    async with Runtime("memory://"):
        await AsyncClient().run("starts", {})
    inner = ("function small", [("step small", ["attempt small"])])
    assert spans.tree() == [("function starts", [("step starts", [("attempt starts", [inner])])])]


async def test_a_house_that_is_opened_in_a_span_does_not_work_in_it(spans):
    @function
    async def add() -> int:
        return 1

    with tracer().start_as_current_span("main"):
        async with Runtime("memory://") as runtime:
            inside = [runtime._bus.context, runtime.schedules._context]
            assert [each.run(calling) for each in inside] == [NOBODY, NOBODY]
            assert not inside[0].run(trace.get_current_span).get_span_context().is_valid
            token = context.attach(context.Context())
            await AsyncClient(runtime=runtime).run("add", {})
            context.detach(token)
    assert [each if isinstance(each, str) else each[0] for each in spans.tree()] == [
        "main",
        "function add",
    ]


async def test_a_replay_tells_nothing_and_what_comes_after_it_is_told(spans, tmp_path):
    store, lines = f"sqlite:///{tmp_path}/x.db", []

    @function
    async def add(ctx: FunctionContext) -> int:
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        with tracer().start_as_current_span("in the body"):
            lines.append(1)
        await ctx.step(add)
        await ctx.wait_for_signal("go")
        with tracer().start_as_current_span("later in the body"):
            pass
        return await ctx.step(add)

    async with Runtime(store, park_after=0):
        run_id = (await AsyncClient().submit("order", {}, "workflow")).run_id
        while (await AsyncClient().get_events(run_id)).items[-1].event_type != "run.parked":
            await asyncio.sleep(0.01)
    before = spans.names
    assert before == ["attempt add", "in the body", "step add"]
    async with Runtime(store):
        await AsyncClient().signal(run_id, "go")
        await AsyncClient().wait_for_result(run_id)
    assert len(lines) == 2, "the body ran again"
    after = ["attempt add", "later in the body", "signal go", "step add", "workflow order"]
    assert spans.names == sorted([*before, *after])
    assert not repeated(spans)
    assert spans.tree()[0][0] == "workflow order"
    assert len(spans.tree()) == 1


async def test_a_sampler_that_wants_nothing_gets_nothing_also_of_children_and_users(monkeypatch):
    found = new_spans(sampler=ParentBased(ALWAYS_OFF))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)

    @workflow
    async def packing(ctx: WorkflowContext) -> str:
        with tracer().start_as_current_span("mine"):
            return "packed"

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        return await ctx.child(packing)

    async with Runtime("memory://"):
        response = await AsyncClient().run("order", {}, "workflow")
    assert response.output == "packed"
    assert list(found) == []


async def test_a_sampler_of_a_share_takes_traces_whole(monkeypatch):
    found = new_spans(sampler=ParentBased(TraceIdRatioBased(0.5)))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)

    @workflow
    async def packing(ctx: WorkflowContext) -> str:
        with tracer().start_as_current_span("mine"):
            return "packed"

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        return await ctx.child(packing)

    async with Runtime("memory://"):
        for _ in range(30):
            await AsyncClient().run("order", {}, "workflow")
    trees = found.tree()
    assert trees == [
        ("workflow order", [("child packing", [("workflow packing", ["mine"])])])
    ] * len(trees)
    assert 0 < len(trees) < 30


async def test_a_provider_that_is_set_later_is_told_from_then_on(monkeypatch):
    monkeypatch.undo()

    @function
    async def add() -> int:
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        await ctx.step(add)
        await ctx.wait_for_signal("go")
        return await ctx.step(add)

    async with Runtime("memory://"):
        client = AsyncClient()
        run_id = (await client.submit("order", {}, "workflow")).run_id
        while len(await client.get_events(run_id)) < 5:
            await asyncio.sleep(0.001)
        found = new_spans()
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)
        await client.signal(run_id, "go")
        await client.wait_for_result(run_id)
    assert found.names == ["attempt add", "signal go", "step add", "workflow order"]
    assert "agnt5.attempt.began_again" not in found.one("attempt add").attributes


async def test_a_run_that_is_imported_was_told_of_where_it_ran(spans, tmp_path):
    @function
    async def add() -> int:
        return 1

    path = tmp_path / "runs.jsonl"
    async with Runtime("memory://"):
        await AsyncClient().run("add", {}, run_id="r1")
        await AsyncClient().export_runs(path)
    assert len(list(spans)) == 3
    async with Runtime("memory://"):
        await AsyncClient().import_runs(path)
        assert (await AsyncClient().get_status("r1")).is_complete
    assert len(list(spans)) == 3
