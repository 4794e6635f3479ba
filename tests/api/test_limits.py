"""What grows too large is warned of, and stopped with a reason; it can go on, and be cancelled."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.api.helpers import until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    Entity,
    InvalidInputError,
    Limits,
    Runtime,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.events.keys import LONGEST_KEY, operation_key


@pytest.fixture
def counting():
    """A workflow of so many steps."""

    @function
    async def one(text: str = "") -> str:
        return text

    @workflow
    async def count(ctx: WorkflowContext, n: int, text: str = "", wait: bool = False) -> int:
        for _ in range(n):
            await ctx.step(one, text)
            if wait:
                await ctx.wait_for_signal("go")
        return n

    @workflow
    async def many(ctx: WorkflowContext, n: int) -> int:
        await asyncio.gather(*(ctx.wait_for_signal(f"s{k}") for k in range(n)))
        return n


async def suspended(store, component, given, **limits):
    """Run it until it is suspended; its explanation."""
    async with Runtime(store, limits=Limits(**limits)) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run(component, given, "workflow", run_id="r")
        assert response.status == "suspended"
        return await client.explain("r")


@pytest.mark.parametrize(
    ("component", "given", "limits", "said"),
    [
        ("count", {"n": 50}, {"events": 20}, "events=20"),
        ("count", {"n": 50, "text": "x" * 1000}, {"size": 20_000}, "size=20000"),
        ("many", {"n": 50}, {"open_calls": 30}, "open_calls=30"),
    ],
)
async def test_a_run_stops_at_a_limit(counting, store, component, given, limits, said):
    why = await suspended(store, component, given, **limits)
    assert said in why.report
    assert "continue_as_new" in why.report
    assert "client.cancel('r')" in why.report
    assert "larger limit" in str(why.waits[0])
    # What is too large is so after a restart, and has not grown by more than was under way.
    why = None
    async with Runtime(store, limits=Limits(**limits)) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.resume("r")
        await until(lambda: runtime._log.run_row("r").status == "suspended")
        assert len(await client.get_events("r")) < 150
    if component == "count":
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.resume("r")
            assert (await client.wait_for_result("r")).output == 50


async def test_a_run_that_is_too_large_can_be_cancelled(counting, store):
    await suspended(store, "count", {"n": 50}, events=20)
    async with Runtime(store, limits=Limits(events=20)) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.cancel("r", "too large")).status == "cancelled"


async def test_a_run_that_cleans_up_may_grow_on(store):
    """Asked to stop, it may do what its cleanup needs, whatever the limit."""

    @function
    async def tidy() -> int:
        return 1

    @workflow
    async def careful(ctx: WorkflowContext) -> None:
        try:
            await ctx.wait_for_signal("never")
        finally:
            for _ in range(10):
                await ctx.step(tidy)

    async with Runtime(store, limits=Limits(events=8)) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("careful", {}, "workflow", run_id="r")
        await until(lambda: "SignalAwaited" in [row.topic for row in runtime._log.read("r")])
        await client.cancel("r")
        assert (await client.wait_for_result("r")).status == "cancelled"
        topics = [row.topic for row in runtime._log.read("r")]
        assert topics.count("StepCompleted") == 10


async def test_a_warning_comes_at_half_and_once(counting, store, caplog):
    async with Runtime(store, limits=Limits(events=200)) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("count", {"n": 60}, "workflow", run_id="r")
    said = [each for each in caplog.records if "continue_as_new" in each.getMessage()]
    assert len(said) == 1
    assert said[0].levelno == logging.WARNING
    assert "of 200 events" in said[0].getMessage()


async def test_size_is_counted_on_after_a_restart(counting, store):
    """A run that comes back is as large as it was."""
    given = {"n": 50, "text": "x" * 1000, "wait": True}
    async with Runtime(store, limits=Limits(size=12_000)) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("count", given, "workflow", run_id="r")
        for _ in range(3):
            await client.signal("r", "go")
        await until(lambda: len(runtime._log.read("r")) > 14)
    async with Runtime(store, limits=Limits(size=12_000)) as runtime:
        client = AsyncClient(runtime=runtime)
        for _ in range(3):
            await client.signal("r", "go")
        await until(lambda: runtime._log.run_row("r").status == "suspended")
        size = sum(len(row.state) for row in runtime._log.read("r"))
        assert 12_000 <= size < 20_000


async def test_without_limits_there_are_none(counting, store):
    async with Runtime(store, limits=Limits(None, None, None, None)) as runtime:
        response = await AsyncClient(runtime=runtime).run("count", {"n": 30}, "workflow")
        assert response.output == 30


async def test_a_large_value_is_warned_of(store, caplog):
    @function
    async def large(size: int) -> str:
        return "x" * size

    async with Runtime(store, max_payload_bytes=1000) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("large", {"size": 450})
        assert caplog.records == []
        await client.run("large", {"size": 800})
        assert "takes 802 bytes; at 1000 it is refused" in caplog.text


async def test_the_line_of_an_entity_has_an_end(store):
    opened = asyncio.Event()

    class Door(Entity):
        async def go(self) -> int:
            await opened.wait()
            self.state.set("n", self.state.get("n", 0) + 1)
            return self.state.get("n")

    async with Runtime(store, limits=Limits(waiting_calls=3)) as runtime:
        door = AsyncClient(runtime=runtime).entity("Door", "d")
        calls = [asyncio.create_task(door.go()) for _ in range(8)]
        await until(lambda: sum(call.done() for call in calls) == 4)
        opened.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in ended if isinstance(each, BaseException)]
    assert len(refused) == 4
    assert {getattr(each, "code", None) for each in refused} == {"OVERLOADED"}
    assert "Limits(waiting_calls=...)" in str(refused[0])
    assert sorted(each.output for each in ended if each not in refused) == [1, 2, 3, 4]


async def test_names_have_a_length(store):
    long, seen = "n" * 513, []

    @workflow
    async def names(ctx: WorkflowContext) -> list[str]:
        for call in (
            lambda: ctx.step("s", len, [], key=long),
            lambda: ctx.step(long, len, []),
            lambda: ctx.wait_for_signal(long),
            lambda: ctx.sleep(1, name=long),
            lambda: ctx.patched(long),
        ):
            with pytest.raises(InvalidInputError, match="at most 512 characters") as caught:
                call()
            seen.append(str(caught.value)[:20])
        await ctx.wait_for_signal("n" * 512)
        return seen

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("names", {}, "workflow", run_id="r")
        with pytest.raises(InvalidInputError, match="at most 512"):
            await client.signal("r", long)
        with pytest.raises(InvalidInputError, match="at most 512"):
            await client.signal("r", "s", signal_id=long)
        with pytest.raises(InvalidInputError, match="at most 128"):
            await client.submit("names", {}, "workflow", run_id="r" * 129)
        await client.signal("r", "n" * 512)
        assert len((await client.wait_for_result("r")).output) == 5


def test_a_place_has_a_length():
    assert operation_key("b" * (LONGEST_KEY - 4), "n", 0)
    with pytest.raises(InvalidInputError, match="nest less"):
        operation_key("b" * (LONGEST_KEY - 3), "n", 0)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "many"])
def test_limits_are_numbers(wrong):
    with pytest.raises(ConfigurationError, match="at least 1"):
        Limits(events=wrong)


def test_limits_are_limits():
    with pytest.raises(ConfigurationError, match=r"agnt5\.Limits"):
        Runtime("memory://", limits={"events": 3})
