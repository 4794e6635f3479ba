"""However a program ends in order, the spans that were ended by then reach its exporter."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from tests.api.helpers import end_processes, python

PROGRAM = """
import asyncio, sys, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from agnt5 import AsyncClient, Client, Runtime, WorkflowContext, function, workflow

@function
async def add() -> int:
    return 1

@function
def slow() -> int:
    print("slow", flush=True)
    time.sleep(0.3)
    return 1

@workflow
async def order(ctx: WorkflowContext) -> int:
    await ctx.step(add)
    await ctx.step(slow)
    await ctx.sleep(3600)
    return 1

show = ConsoleSpanExporter(formatter=lambda span: f"{span.name}\\n")
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(show, schedule_delay_millis=60_000))
trace.set_tracer_provider(provider)
how, store = sys.argv[1:]

async def main() -> None:
    runtime = Runtime(store)
    async with runtime:
        await AsyncClient(runtime=runtime).submit("order", {}, "workflow")
        if how == "serve":
            await runtime.serve()
        await asyncio.sleep(0.1)  # until the second step is under way

if how == "hosted":
    Client(store=store).submit("order", {}, "workflow")
    time.sleep(0.1)
else:
    asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    end_processes()


@pytest.mark.parametrize("how", ["hosted", "closed", "serve"])
def test_what_has_ended_in_the_grace_is_exported(how, tmp_path):
    process = python(PROGRAM, how, f"sqlite:///{tmp_path}/s.db")
    assert process.stdout.readline() == "slow\n"
    if how == "serve":
        process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    names = ["attempt add", "step add", "attempt slow", "step slow"]
    assert Counter(out.split("\n")[:-1]) == Counter(names), said
