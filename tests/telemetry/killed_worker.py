"""A program that is killed: one run, and a step in which the process dies twice.

Called as ``killed_worker.py STORE ENDPOINT LIFE``. It exports each span as it ends, over OTLP.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from agnt5 import AsyncClient, FunctionContext, Runtime, WorkflowContext, function, workflow

LIFE = int(sys.argv[3])


def die() -> None:
    """As a power cut does it."""
    os.kill(os.getpid(), signal.SIGKILL)


@function
async def reserve(ctx: FunctionContext, n: int) -> int:
    """Ends before the process dies."""
    with trace.get_tracer("shop").start_as_current_span("stock"):
        return n


@function
async def charge(ctx: FunctionContext, n: int) -> int:
    """The process dies in its first attempt, and in that of the second life."""
    if LIFE < 2:
        await asyncio.sleep(0.1)  # until the intent, for which a step does not wait, is on record
        die()
    with trace.get_tracer("shop").start_as_current_span("bank"):
        return n * 2


@workflow
async def pack(ctx: WorkflowContext, n: int) -> int:
    """A child."""
    return await ctx.step(reserve, n)


@workflow
async def order(ctx: WorkflowContext) -> int:
    """The run."""
    with trace.get_tracer("shop").start_as_current_span("in the body"):
        reserved = await ctx.step(reserve, 1)
    charged = await ctx.step(charge, reserved)
    packed = await ctx.child(pack, charged)
    await ctx.sleep(0.01)
    return packed


async def main() -> None:
    """Submit the run in the first life, wait for it in the last."""
    async with Runtime(f"sqlite:///{sys.argv[1]}"):
        client = AsyncClient()
        if not LIFE:
            with trace.get_tracer("shop").start_as_current_span("request"):
                await client.submit("order", {}, "workflow", run_id="r1")
        sys.stdout.write(str((await client.wait_for_result("r1")).output))


provider = TracerProvider(resource=Resource.create({"service.name": f"life {LIFE}"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(sys.argv[2])))
trace.set_tracer_provider(provider)
asyncio.run(main())
