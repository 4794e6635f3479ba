"""Take orders by webhook, ask about the dear ones, undo what fails; the books balance in the end.

    python examples/order_desk.py

A shop delivers every order twice, as senders of webhooks do when an answer is late. Each order is
a run: it reserves goods, asks a person if it is dear, charges the card, and starts a child run for
the parcel. The desk closes while people still think, and opens again. In the end the program counts
what is on the shelf and in the till, and its exit status says whether that fits the orders.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import tempfile
import time

from agnt5 import (
    AsyncClient,
    Entity,
    FunctionContext,
    Queue,
    Runtime,
    WorkflowContext,
    function,
    query,
    webhook,
    workflow,
)

SECRET = "whsec_b25seSBhbiBleGFtcGxl"
STOCK = 12
DEAR_FROM, LIMIT = 20_000, 22_000
"""Cents from which a person is asked, and above which that person says no."""
ORDERS = [(n, "mars" if n % 4 == 3 else "bonn", 9_000 + 4_000 * (n % 5)) for n in range(10)]
"""Number, destination, cents. No parcel service drives to Mars."""

# ---------------------------------------------------------------------------- what must not be lost


class Shelf(Entity):
    """Lamps. One call at a time, so that none is sold twice."""

    async def take(self, order: int) -> int:
        taken = self.state.get("taken", [])
        if len(taken) >= STOCK:
            raise ValueError("no lamp left")
        self.state.set("taken", [*taken, order])
        return len(taken) + 1

    async def put_back(self, order: int) -> None:
        self.state.set("taken", [each for each in self.state.get("taken", []) if each != order])

    @query
    async def taken(self) -> list[int]:
        return sorted(self.state.get("taken", []))


class Till(Entity):
    """Cents."""

    async def book(self, cents: int) -> int:
        self.state.set("cents", self.state.get("cents", 0) + cents)
        return self.state.get("cents")

    @query
    async def balance(self) -> int:
        return self.state.get("cents", 0)


# ----------------------------------------------------------------------------------------- the work


async def once(ctx, entity, method, **arguments):
    """Call an entity so that an attempt which runs again after a crash changes nothing more."""
    called = getattr(AsyncClient().entity(entity, "shop"), method)
    response = await called(**arguments, idempotency_key=ctx.idempotency_key)
    response.raise_for_status()
    return response.output


@function(retries=3)
async def reserve(ctx: FunctionContext, order: int) -> int:
    return await once(ctx, "Shelf", "take", order=order)


@function(retries=3)
async def put_back(ctx: FunctionContext, order: int) -> None:
    await once(ctx, "Shelf", "put_back", order=order)


@function(retries=3, rate_limit="50/s")
async def charge(ctx: FunctionContext, cents: int) -> int:
    return await once(ctx, "Till", "book", cents=cents)


@function(retries=3)
async def refund(ctx: FunctionContext, cents: int) -> int:
    return await once(ctx, "Till", "book", cents=-cents)


@function
async def hand_over(order: int, city: str) -> str:
    if city == "mars":
        raise LookupError("nobody drives to mars")
    return f"parcel {order} to {city}"


# ---------------------------------------------------------------------------------------- the plans


class RefusedError(Exception):
    """A person has said no."""


@workflow
async def parcel(ctx: WorkflowContext, order: int, city: str) -> str:
    await ctx.sleep(0.05)  # the van comes
    return await ctx.step(hand_over, order, city)


@workflow(triggers=[webhook("shop", event="order.placed")], queue="orders")
async def handle_order(ctx: WorkflowContext, order: int, city: str, cents: int) -> str:
    ctx.set_query_handler("look", lambda: {"phase": ctx.state.get("phase"), "cents": cents})
    ctx.state.set("phase", "reserving")
    async with ctx.saga() as saga:
        await saga.step(reserve, order, undo=put_back)
        if cents >= DEAR_FROM:
            ctx.state.set("phase", "asking")
            reply = await ctx.wait_for_reply(
                f"Order {order}: sell for {cents} cents?",
                input_type="approval",
                assignees=["ada", "bob"],
                timeout=3 * 24 * 3600,
                on_timeout="reject",
            )
            if reply.answer != "approve":
                raise RefusedError(f"{reply.actor}: {reply.reason}")
        ctx.state.set("phase", "charging")
        await saga.step(charge, cents, undo=refund)
        ctx.state.set("phase", "delivering")
        return await ctx.child(parcel, order, city, run_id=f"parcel-{order}")


# -------------------------------------------------------------------------------------- the program


def signed(body: bytes, delivery: str) -> dict[str, str]:
    """What a sender of Standard Webhooks does."""
    now = str(int(time.time()))
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(secret, f"{delivery}.{now}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(mac).decode()
    return {"webhook-id": delivery, "webhook-timestamp": now, "webhook-signature": signature}


def desk(store: str) -> Runtime:
    return Runtime(
        store=store,
        queues=[Queue("orders", concurrency=3)],
        webhook_secrets={"shop": SECRET},
        park_after=0.05,
    )


async def until_asked(client: AsyncClient, expected: int) -> list[str]:
    """The runs that wait for a person, once they are as many as there will be."""
    while True:
        asked = await client.list_runs(status="awaiting_user_input")
        if len(asked) == expected:
            return [run.run_id for run in asked]
        await asyncio.sleep(0.02)


async def first_day(store: str) -> list[str]:
    """Take every order, twice; leave when only questions are left."""
    runs: dict[str, None] = {}
    async with desk(store):
        client = AsyncClient()
        for order, city, cents in ORDERS:
            data = {"order": order, "city": city, "cents": cents}
            body = json.dumps({"type": "order.placed", "data": data}).encode()
            for _ in range(2):
                answer = await client.deliver_webhook("shop", signed(body, f"msg_{order}"), body)
                runs.update(dict.fromkeys(run.run_id for run in answer.runs))
        asked = await until_asked(client, sum(cents >= DEAR_FROM for _, _, cents in ORDERS))
        print(f"{len(runs)} runs of {2 * len(ORDERS)} deliveries; {len(asked)} wait for a person")
        print("one of them says:", await client.query(asked[0], "look"))
    return list(runs)


async def second_day(store: str, runs: list[str]) -> tuple[list[int], int]:
    """Answer what is open, wait for the rest; what is in the till and gone from the shelf."""
    async with desk(store):
        client = AsyncClient()
        for run in await client.list_runs(status="awaiting_user_input"):
            cents = (await client.query(run.run_id, "look"))["cents"]
            answer, reason = ("reject", "too dear") if cents > LIMIT else ("approve", "our friend")
            await client.resume(run.run_id, answer, actor="ada", reason=reason)
        for run_id in runs:
            ended = await client.wait_for_result(run_id, 30)
            print(f"  {ended.status:<10}", ended.output or ended.error.message)
        taken = (await client.entity("Shelf", "shop").taken()).output
        return taken, (await client.entity("Till", "shop").balance()).output


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/orders.db"
        runs = asyncio.run(first_day(store))
        print("the desk was closed, and is opened again")
        taken, cents = asyncio.run(second_day(store, runs))
    sold = [(n, c) for n, city, c in ORDERS if city != "mars" and c <= LIMIT]
    balanced = taken == [n for n, _ in sold] and cents == sum(c for _, c in sold)
    print(f"{len(taken)} lamps gone, {cents} cents in the till:", "ok" if balanced else "BROKEN")
    return 0 if balanced else 1


if __name__ == "__main__":
    sys.exit(main())
