"""What providers, samplers, processors and instruments do wrong touches no run, and is told of."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace.sampling import Sampler
from tests.api.helpers import python
from tests.telemetry.tools import new_spans

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow
from agnt5.telemetry import meters


async def test_a_processor_that_fails_touches_no_run(spans, caplog):
    class Broken:
        def on_start(self, span, parent_context=None):
            raise OSError("collector on fire")

    @function
    async def add() -> int:
        return 1

    spans.provider._active_span_processor._span_processors = (Broken(),)
    async with Runtime("memory://"):
        response = await AsyncClient().run("add", {})
    assert response.output == 1
    assert "span attempt add of run" in caplog.text


async def test_a_provider_whose_ids_cannot_be_chosen_is_told_of_and_left_alone(monkeypatch, caplog):
    class Other(trace.TracerProvider):
        def get_tracer(self, *args, **kwargs):
            return type("OtherTracer", (), {})()

    other = Other()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: other)

    @function
    async def add() -> int:
        return 1

    async with Runtime("memory://"):
        for _ in range(3):
            assert (await AsyncClient().run("add", {})).output == 1
    assert caplog.text.count("whose ids cannot be chosen") == 1


async def test_a_sampler_that_fails_touches_no_run(monkeypatch, caplog):
    class Broken(Sampler):
        def should_sample(self, *args, **kwargs):
            raise ValueError("no idea")

        def get_description(self) -> str:
            return "broken"

    found = new_spans(sampler=Broken())
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)

    @function
    async def add() -> int:
        return 1

    @workflow
    async def part(ctx: WorkflowContext) -> int:
        return await ctx.step("inline", lambda: 1)

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return await ctx.step(add) + await ctx.child(part)

    async with Runtime("memory://", park_after=0):
        assert (await AsyncClient().run("order", {}, "workflow", timeout=5)).output == 2
    assert "no idea" in caplog.text
    assert found.names == []


@pytest.mark.parametrize("module", [trace, metrics])
async def test_a_provider_that_fails_touches_no_run(monkeypatch, caplog, module):
    class Broken:
        def get_tracer(self, *args):
            raise ValueError("no idea")

        get_meter = get_tracer

    name = "get_tracer_provider" if module is trace else "get_meter_provider"
    provider = Broken()
    monkeypatch.setattr(module, name, lambda: provider)

    @function
    async def add() -> int:
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return await ctx.step(add)

    async with Runtime("memory://"):
        assert (await AsyncClient().run("order", {}, "workflow", timeout=5)).output == 1
    assert caplog.text.count("ValueError: no idea") == 1


async def test_an_instrument_that_fails_touches_no_run(reader, spans, monkeypatch, caplog):
    def broken(*args):
        raise ValueError("no idea")

    for name in ("appended", "accepted", "started", "told", "replayed"):
        monkeypatch.setattr(meters.Meters, name, broken)

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return await ctx.wait_for_signal("go")

    async with Runtime("memory://", park_after=0):
        client = AsyncClient()
        run_id = (await client.submit("order", {}, "workflow")).run_id
        while (await client.get_events(run_id)).items[-1].event_type != "run.parked":
            await asyncio.sleep(0.001)
        await client.signal(run_id, "go", 1)
        assert (await client.wait_for_result(run_id, 5)).output == 1
    assert "no idea" in caplog.text
    assert spans.names == ["signal go", "workflow order"], "spans need no instruments"


NAMED = """
import asyncio, logging
logging.basicConfig()
import opentelemetry.metrics, opentelemetry.trace
from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow

@function
async def add() -> int:
    return 1

@workflow
async def order(ctx: WorkflowContext) -> int:
    return await ctx.step(add)

async def main():
    async with Runtime("memory://"):
        for _ in range(2):
            print((await AsyncClient().run("order", {}, "workflow", timeout=5)).output)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["TRACER", "METER"])
def test_a_provider_that_the_environment_names_and_nobody_has_touches_no_run(kind):
    process = python(NAMED, env={f"OTEL_PYTHON_{kind}_PROVIDER": "nonsense"})
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "1\n1\n"), said
    assert said.count("provider cannot be had") == 1
