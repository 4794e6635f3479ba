"""A store in which much has happened, and everything is as it should be."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from agnt5 import (
    AsyncClient,
    Entity,
    Queue,
    Runtime,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock

BEGIN_US = 1_760_000_000_000_000


def install() -> None:
    """What is run; the registries must be empty."""

    @function
    async def work(n: int) -> int:
        if n < 0:
            raise ValueError("less than nothing")
        return n

    @workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        return await ctx.step(work, n)

    @workflow
    async def parent(ctx: WorkflowContext, n: int) -> int:
        ctx.state.set("n", n)
        with suppress(ValueError):
            await ctx.step(work, -1)
        ctx.child(child, n=n, on_parent_end="abandon")
        return await ctx.step(work, await ctx.child(child, n=n))

    @workflow
    async def patient(ctx: WorkflowContext, what: str) -> object:
        if what == "signal":
            return await ctx.wait_for_signal("go")
        if what == "person":
            return await ctx.wait_for_user("well?")
        await ctx.sleep(3600)
        return what

    class Cart(Entity):
        async def add(self, n: int) -> int:
            total = self.state.get("total", 0) + n
            self.state.set("total", total)
            return total


async def fill(store: object, clock: ManualClock | None = None) -> None:
    """Let much happen in an empty store."""
    clock = clock or ManualClock(BEGIN_US)
    async with Runtime(store, clock=clock, park_after=0, queues=[Queue("mail")]) as runtime:  # type: ignore[arg-type]
        client = AsyncClient(runtime=runtime)
        for n in range(3):
            await client.run("parent", {"n": n}, "workflow", idempotency_key=f"p{n}")
            clock.advance(1)
        failed = await client.run("work", {"n": -1}, idempotency_key="again")
        assert failed.status == "failed"
        await client.run("work", {"n": 1}, idempotency_key="again")
        await client.submit("child", {"n": 7}, "workflow", queue="mail", deduplication_id="once")
        waits = {}
        for what in ("signal", "person", "time"):
            clock.advance(1)
            waits[what] = (await client.submit("patient", {"what": what}, "workflow")).run_id
        answered = (await client.submit("patient", {"what": "person"}, "workflow")).run_id
        await _until(client, answered, "awaiting_user_input")
        await client.resume(answered, "yes", actor="ada")
        await client.wait_for_result(answered)
        gone = (await client.submit("patient", {"what": "signal"}, "workflow")).run_id
        await _until(client, gone, "running")
        await client.cancel(gone, "enough")
        await client.wait_for_result(gone)
        for n in range(70):
            once = {} if n % 10 else {"idempotency_key": f"call-{n}"}
            await client.entity("Cart", "c1").add(n=1, **once)
        while any(row.status == "queued" or row.owes for row in runtime._log.list_runs()):  # type: ignore[union-attr]
            await asyncio.sleep(0.001)
        for run_id in waits.values():
            await _parked(runtime, run_id)


async def _until(client: AsyncClient, run_id: str, status: str) -> None:
    while (await client.get_status(run_id)).status != status:
        await asyncio.sleep(0.001)


async def _parked(runtime: Runtime, run_id: str) -> None:
    while not runtime._log.run_row(run_id).parked:  # type: ignore[union-attr]
        await asyncio.sleep(0.001)
