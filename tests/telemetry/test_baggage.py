"""What a caller carries beside its span ends up in no run, and a run's in no other."""

from __future__ import annotations

import asyncio

from opentelemetry import baggage, context

from agnt5 import AsyncClient, Client, Runtime, WorkflowContext, function, workflow


def install(seen: list[tuple[str, dict[str, object]]]) -> None:
    """Components that note what they find, and leave something of their own."""

    def note(place: str) -> int:
        seen.append((place, dict(baggage.get_all())))
        context.attach(baggage.set_baggage("of", place))
        return 1

    @function
    async def waits() -> int:
        return note("async step")

    @function
    def blocks() -> int:
        return note("sync step")

    @workflow
    async def packing(ctx: WorkflowContext) -> int:
        return note("child")

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        seen.append(("body", dict(baggage.get_all())))
        await asyncio.gather(ctx.step(waits), ctx.step(blocks), ctx.child(packing))
        return note("end of the body")


PLACES = {"body", "async step", "sync step", "child", "end of the body"}


async def test_baggage_of_a_caller_is_in_no_run(spans):
    seen: list[tuple[str, dict[str, object]]] = []
    install(seen)
    token = context.attach(baggage.set_baggage("secret", "1"))
    try:
        async with Runtime("memory://") as runtime:  # whoever opens it carries some, too
            client = AsyncClient(runtime=runtime)
            for _ in range(2):
                assert (await client.run("order", {}, "workflow")).output == 1
            assert dict(baggage.get_all()) == {"secret": "1"}
    finally:
        context.detach(token)
    assert {place for place, _ in seen} == PLACES
    assert [each for each in seen if each[1]] == []


def test_baggage_does_not_cross_threads_either(spans):
    seen: list[tuple[str, dict[str, object]]] = []
    install(seen)
    token = context.attach(baggage.set_baggage("secret", "1"))
    try:
        client = Client(store="memory://")
        assert client.run("order", {}, "workflow").output == 1
    finally:
        context.detach(token)
    assert {place for place, _ in seen} == PLACES
    assert [each for each in seen if each[1]] == []
