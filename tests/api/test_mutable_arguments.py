"""What a step makes of its arguments is recorded with it, and is there again after a replay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel
from tests.api.helpers import twice

from agnt5 import AsyncClient, Runtime, function, get_current_context, task, workflow
from agnt5.actors.ports import InlineWork
from agnt5.events.codec import decode_history
from agnt5.events.run import facts as f


@dataclass
class Cart:
    lines: list[str] = field(default_factory=list)


class Order(BaseModel):
    lines: list[str]


async def outcomes(store, run_id):
    """The recorded outcomes of the steps of a run."""
    async with Runtime(store) as runtime:
        history = decode_history(runtime._log.read(run_id))
    return [fact for fact, _ in history if isinstance(fact, f.StepCompleted | f.StepFailed)]


async def test_every_mutable_argument_is_what_it_was_after_the_step(store):
    """Functions on the loop and on threads; the objects of the body keep their identity."""

    @function
    async def change(shared: dict, items: list, seen: set, raw: bytearray, inner: list) -> None:
        shared["count"] += 1
        shared["inner"].append("deep")
        items.insert(0, (1, 2))
        seen.add("x")
        raw[:] = b"changed"
        inner.append("also")

    @task
    def change_objects(cart: Cart, order: Order, *, box: tuple) -> None:
        cart.lines.append("a")
        order.lines = ["b"]
        box[0].append("in a tuple")

    async def body(ctx):
        inner = []
        shared = {"count": 0, "inner": inner}
        items, seen, raw = [3], {"y"}, bytearray(b"raw")
        cart, order, box = Cart(), Order(lines=[]), ([],)
        await ctx.step(change, shared, items, seen, raw, inner=inner)
        await change_objects(cart, order, box=box)
        assert shared["inner"] is inner
        return repr([shared, items, sorted(seen), raw, cart, order, box])

    live, replayed = await twice(store, body)
    assert live == replayed
    assert "'deep', 'also'" in live
    assert "Cart(lines=['a'])" in live


async def test_an_inline_step_and_a_sub_workflow_write_back_too(store):
    def change(shared, *, by):
        shared["n"] += by

    @workflow
    async def sub(shared: dict) -> None:
        shared["sub"] = True

    async def body(ctx):
        shared = {"n": 0}
        await ctx.step("one", change, shared, by=1)
        await ctx.step("two", change, shared, by=10)
        await sub(shared)
        return shared

    live, replayed = await twice(store, body)
    assert live == replayed == {"n": 11, "sub": True}


async def test_a_step_that_fails_writes_back_what_it_did_before(store):
    @task
    def spoil(shared: dict) -> None:
        shared["spoilt"] = True
        raise ValueError("no")

    def spoil_inline(shared):
        shared["inline"] = True
        raise KeyError("no")

    async def body(ctx):
        shared = {}
        for step in (lambda: spoil(shared), lambda: ctx.step("inline", spoil_inline, shared)):
            with pytest.raises((ValueError, KeyError)):
                await step()
        return shared

    live, replayed = await twice(store, body)
    assert live == replayed == {"spoilt": True, "inline": True}


async def test_what_all_attempts_of_a_step_did_is_recorded(store):
    tries = []

    @function(retries={"max_attempts": 3, "initial_interval_ms": 1})
    async def flaky(shared: dict) -> None:
        tries.append(1)
        shared[f"attempt {len(tries)}"] = True
        if len(tries) < 3:
            raise ValueError("again")

    async def body(ctx):
        shared = {}
        await ctx.step(flaky, shared)
        return shared

    live, replayed = await twice(store, body)
    assert live == replayed == {"attempt 1": True, "attempt 2": True, "attempt 3": True}


async def test_branches_that_change_one_object_end_with_all_of_their_changes(store):
    """Written back in the order of the log, each image holds what was there when it was taken."""

    @task
    async def count(shared: dict, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        shared["n"] = shared.get("n", 0) + 1
        shared.setdefault("order", []).append(turns)

    async def body(ctx):
        shared = {}
        await asyncio.gather(*[count(shared, turns) for turns in (5, 1, 3, 0)])
        return shared

    live, replayed = await twice(store, body)
    assert live == replayed
    assert live["n"] == 4


async def test_what_did_not_change_is_not_recorded(store):
    @task
    def look(shared: dict, n: int) -> int:
        return n

    @task
    def change(a: dict, b: dict, n: int) -> None:
        b["n"] = n

    @workflow
    async def body() -> None:
        await look({"a": 1}, 1)
        await look({}, n=2)
        await change({}, {}, 1)

    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).run("body", {}, "workflow", timeout=15)
    first, second, third = await outcomes(store, response.run_id)
    assert (first.after, second.after) == (None, None)
    assert third.after == {"args": {"1": {"n": 1}}}


async def test_what_cannot_be_recorded_is_left_alone(store):
    class Connection:
        used = 0

    @task
    def use(connection: object, log: list) -> str:
        connection.used += 1
        log.append("used")
        return "ok"

    async def body(ctx):
        connection, log = Connection(), []
        await use(connection, log)
        return log

    live, replayed = await twice(store, body)
    assert live == replayed == ["used"]


async def test_what_becomes_unrecordable_is_told(store, caplog):
    """Not silently: the change of that argument is not durable."""

    @task
    def open_it(context: dict, log: list) -> None:
        context["connection"] = object()
        log.append("opened")

    @workflow
    async def body() -> list:
        context, log = {}, []
        await open_it(context, log)
        return [sorted(context), log]

    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).run("body", {}, "workflow", timeout=15)
    assert response.output == [["connection"], ["opened"]]
    assert "step ':open_it#0' has put something into its argument 0" in caplog.text
    (outcome,) = await outcomes(store, response.run_id)
    assert outcome.after == {"args": {"1": ["opened"]}}


async def test_an_after_image_beyond_the_limit_fails_the_step(store):
    @task
    def grow(items: list) -> None:
        items.append("x" * 5000)

    def grow_inline(items):
        items.append("x" * 5000)

    @workflow
    async def body() -> list:
        ctx, said = get_current_context(), []
        for step in (lambda: grow([]), lambda: ctx.step("inline", grow_inline, [])):
            try:
                await step()
            except Exception as error:
                said.append(f"{type(error).__name__}: {error}")
        return said

    async with Runtime(store, max_payload_bytes=4096) as runtime:
        response = await AsyncClient(runtime=runtime).run("body", {}, "workflow", timeout=15)
    for said in response.output:
        assert said.startswith("PayloadTooLargeError")
        assert "changed arguments of step" in said


async def test_a_step_may_watch_more_than_its_arguments(store):
    """The hook of workflows that are classes: any provider of images."""

    class Counter:
        def __init__(self):
            self.n = 0

        def capture(self):
            return {"self": {"n": self.n}}

        def restore(self, after):
            self.n = after["self"]["n"]

    async def body(ctx):
        counter = Counter()

        async def count():
            counter.n += 1

        work = InlineWork(count, lambda: None, counter)
        from agnt5.calls import MISSING, Call

        for _ in range(2):
            await ctx._inline("count", work, Call((), {}, MISSING, MISSING, "here"))
        return counter.n

    live, replayed = await twice(store, body)
    assert live == replayed == 2
