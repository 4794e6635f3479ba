"""What users may write, and what a type checker must tell them. Never run: only checked."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

from pydantic import BaseModel

from agnt5 import (
    Agent,
    AgentResult,
    AsyncClient,
    BackoffPolicy,
    Client,
    FunctionContext,
    RetryPolicy,
    Runtime,
    Workflow,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.responses import RunResponse, StatusResponse, SubmitResponse
from agnt5.testing import Effects, Simulation, Verdict, crash_everywhere


class Order(BaseModel):
    """A payload."""

    sku: str
    amount: int = 1


@function
async def charge(order: Order) -> str:
    return f"charged {order.sku}"


@function(retries=3, backoff="linear", timeout_ms=500, recovery="fail", concurrency=4)
async def ship(ctx: FunctionContext, order: Order) -> str:
    assert_type(ctx.idempotency_key, str)
    assert_type(ctx.attempt, int)
    ctx.logger.info("shipping")
    return order.sku


@function(retries=RetryPolicy(max_attempts=5), backoff=BackoffPolicy(multiplier=3))
def blocking(amount: int) -> int:
    return 2 * amount


@function(retries={"max_attempts": 2}, backoff={"type": "constant"}, name="renamed")
async def by_dict(amount: int) -> int:
    return amount


@workflow(name="fulfil")
async def fulfil(ctx: WorkflowContext, order: Order, *, urgent: bool = False) -> dict[str, Any]:
    charged: str = await ctx.step(charge, order)
    both = await asyncio.gather(ctx.step(ship, order), ctx.step("twice", lambda: 2))
    many = await ctx.parallel(ctx.step(charge, order), ctx.step(blocking, 2))
    assert_type(many, list[Any])
    assert_type(await ctx.gather(a=ctx.step(charge, order)), dict[str, Any])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(one_more(ctx))
    async with ctx.timeout(5):
        answer = await ctx.wait_for_user("Ship?", "select", [{"id": "yes", "label": "Yes"}])
    assert_type(answer, str | None)
    await ctx.sleep(0.5, name="a moment")
    await ctx.wait_for_signal("go")
    await ctx.step("keyed", charge, order, key=order.sku, timeout=2.5)
    assert_type(ctx.run_id, str)
    return {"charged": charged, "both": both, "more": task.result(), "urgent": urgent}


async def one_more(ctx: WorkflowContext) -> str:
    result: str = await ctx.step(charge, Order(sku="x"))
    return result


def script() -> None:
    with Client(store="memory://") as client:
        assert_type(client.run("charge", {"order": Order(sku="x")}), RunResponse)
        submitted = client.submit("fulfil", {}, "workflow", idempotency_key="k")
        assert_type(submitted, SubmitResponse)
        assert_type(client.get_status(submitted.run_id), StatusResponse)


async def embedded() -> None:
    async with Runtime(store="sqlite:///app.db", grace=5) as runtime:
        assert_type(runtime, Runtime)
        client = AsyncClient(runtime=runtime)
        assert_type(await client.run("charge", {"order": {"sku": "x"}}), RunResponse)


# What is wrong must be said: each of these lines is an error, or the checkers report the comment.


def wrong(ctx: WorkflowContext, client: Client) -> None:
    function(retries="three")  # type: ignore[call-overload]
    function(timeout=3)  # type: ignore[call-overload]
    workflow(retries=3)  # type: ignore[call-overload]
    client.run(charge)  # type: ignore[arg-type]
    client.run("charge", ["order"])  # type: ignore[arg-type]
    ctx.sleep("long")  # type: ignore[arg-type]
    ctx.wait_for_signal(7)  # type: ignore[arg-type]
    Runtime(store=7)  # type: ignore[arg-type]
    RetryPolicy(attempts=3)  # type: ignore[call-arg]
    ctx.unknown()  # type: ignore[attr-defined]


class Batches(Workflow):
    """A workflow with attributes."""

    def __init__(self) -> None:
        super().__init__("batches", timeout=60)
        self.count = 0
        self.writer = Agent("writer", "openai/gpt-4o", "You write.", tools=[charge])

    async def run(self, data: list[str]) -> dict[str, int]:
        sizes = await self.parallel([("size", self.size, each) for each in data])
        assert_type(sizes, list[Any])
        await self.step("size", self.size, "more", key="more", timeout=5)
        await self.call_agent("writer", "Write")
        assert_type(self.ctx, WorkflowContext)
        return {"count": self.count}

    async def size(self, text: str) -> int:
        self.count += 1
        return len(text)


async def with_classes() -> None:
    assert_type(await Batches().run(["a"]), dict[str, int])
    assert_type(await Batches().writer.run("Hello"), AgentResult)
    await Batches().run(3)  # type: ignore[arg-type]


def with_the_proof_kit() -> None:
    bank = Effects(exactly_once=["charge"])
    bank.record("charge", cents=5)
    verdict = crash_everywhere(
        Batches, {"data": ["a"]}, signals={"go": 1}, failures={charge: ConnectionError}, racy=True
    )
    assert_type(verdict, Verdict)
    with Simulation(seed=3) as simulation:
        assert_type(simulation.client.run("charge", {}), RunResponse)
    crash_everywhere(Batches, exmaples=3)  # type: ignore[call-arg]
    crash_everywhere(Batches, signals=3)  # type: ignore[arg-type]
