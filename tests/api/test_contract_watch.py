"""Contracts in production: told once, after the fact is durable, and of no consequence for runs."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.api.helpers import until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    Queue,
    Runtime,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.contract_watch import ContractWatch
from agnt5.contracts import at_most_once, eventually, named, never, step
from agnt5.events.stores.memory import MemoryLog

PAID_TWICE = at_most_once(step("pay"))
REFUNDED = eventually("refund").after("cancel").called("cancelled orders are refunded")


def define() -> None:
    @function
    async def pay(n: int) -> int:
        return n

    @workflow
    async def order(ctx: WorkflowContext, times: int = 1, waits: bool = False) -> int:
        for n in range(times):
            if waits and n:
                await ctx.wait_for_signal("go")
            await ctx.step(pay, n)
        return times


async def test_a_violation_is_told_once_counted_and_logged(store, caplog):
    define()
    told = []
    async with Runtime(store, contracts=[PAID_TWICE], on_violation=told.append) as runtime:
        client = AsyncClient(runtime=runtime)
        with caplog.at_level(logging.ERROR, "agnt5.contracts"):
            for times, run_id in ((1, "r1"), (3, "r3"), (1, "r2")):
                given = {"times": times}
                run = await client.run("order", given, "workflow", run_id=run_id, timeout=10)
                assert run.output == times
        # What is told is on record: its event is the one that the log has.
        (violation,) = told
        assert (violation.run_id, violation.event.version) == ("r3", 6)
        history = await client.history("r3")
        assert history.events[5].topic == "StepCompleted"
        assert runtime.contracts.counts == {PAID_TWICE.name: 1}
        assert caplog.messages == [
            "run r3 violates at_most_once(step('pay')): event 6, StepCompleted 'pay' (:pay#1)"
        ]
        assert runtime.contracts._runs == {}


async def test_what_must_come_before_the_end_is_missed_at_the_end(store):
    told = []

    @workflow
    async def order(ctx: WorkflowContext, refunds: bool) -> None:
        await ctx.step("cancel", lambda: None)
        if refunds:
            await ctx.step("refund", lambda: None)

    async with Runtime(store, contracts=[REFUNDED], on_violation=told.append) as runtime:
        client = AsyncClient(runtime=runtime)
        for refunds in (True, False):
            given = {"refunds": refunds}
            await client.run("order", given, "workflow", run_id=str(refunds), timeout=10)
        assert [str(each) for each in told] == [
            "run False violates cancelled orders are refunded: at its end, event 5, RunCompleted"
        ]


@pytest.mark.parametrize("park_after", [0.0, 100.0])
async def test_a_run_that_comes_back_is_watched_from_its_beginning(store, park_after):
    """Parked and read again, or taken up by another runtime: what was told is not told again."""
    define()
    told = []
    settings = {"contracts": [PAID_TWICE], "on_violation": told.append, "park_after": park_after}
    async with Runtime(store, **settings) as runtime:
        client = AsyncClient(runtime=runtime)
        given = {"times": 4, "waits": True}
        await client.submit("order", given, "workflow", run_id="r")
        await client.signal("r", "go")
        await until(lambda: told)
        if not park_after:
            await until(lambda: not runtime._bus.runs)
            assert runtime.contracts._runs == {}
    async with Runtime(store, **settings) as runtime:
        client = AsyncClient(runtime=runtime)
        for _ in range(2):
            await client.signal("r", "go")
        assert (await client.wait_for_result("r", 10)).output == 4
        assert len(told) == 1
        assert runtime.contracts.counts == {}
    # One of which only the last event breaks the contract needs all that came before.
    late = never(named("go").again & named("go").after(step("pay").again))
    async with Runtime(store, contracts=[late], on_violation=told.append) as runtime:
        client = AsyncClient(runtime=runtime)
        given = {"times": 3, "waits": True}
        await client.submit("order", given, "workflow", run_id="s")
        await client.signal("s", "go")
        while (await client.history("s")).state().settled.get(":pay#1") is None:
            await asyncio.sleep(0.002)
    async with Runtime(store, contracts=[late], on_violation=told.append) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("s", "go")
        await client.wait_for_result("s", 10)
        await until(lambda: len(told) == 2)


async def test_runs_in_line_are_watched_as_the_others(store):
    define()
    told = []
    settings = {"queues": [Queue("q", concurrency=1)], "contracts": [PAID_TWICE]}
    async with Runtime(store, **settings, on_violation=told.append) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(5):
            await client.submit("order", {"times": 2}, "workflow", run_id=f"r{n}", queue="q")
        for n in range(5):
            assert (await client.wait_for_result(f"r{n}", 10)).is_success
        await until(lambda: len(told) == 5)
        assert [each.run_id for each in told] == [f"r{n}" for n in range(5)]


async def test_whatever_goes_wrong_there_breaks_no_run(store, caplog):
    define()

    def wrong(event) -> bool:
        raise ZeroDivisionError

    def complain(violation) -> None:
        raise OSError

    contracts = [never(step("pay").where(wrong)).called("wrong"), PAID_TWICE]
    with caplog.at_level(logging.ERROR, "agnt5.contracts"):
        async with Runtime(store, contracts=contracts, on_violation=complain) as runtime:
            client = AsyncClient(runtime=runtime)
            run = await client.run("order", {"times": 3}, "workflow", timeout=10)
            assert run.output == 3
            assert runtime.contracts.counts == {PAID_TWICE.name: 1}
    failed, violated, told = caplog.messages
    assert "contract wrong failed at event 4" in failed
    assert "violates" in violated
    assert "on_violation failed" in told


async def test_a_store_that_cannot_be_read_leaves_a_run_unwatched_but_not_untouched(
    caplog, monkeypatch
):
    define()
    log = MemoryLog()
    async with Runtime(log) as runtime:
        client = AsyncClient(runtime=runtime)
        given = {"times": 3, "waits": True}
        await client.submit("order", given, "workflow", run_id="r")
        await until(lambda: len(log.read("r")) > 3)

    class Broken:
        def read(self, *args, **options):
            raise OSError("gone")

    def opened(watch, log):
        watch._log = Broken()
        return log

    monkeypatch.setattr(ContractWatch, "open", opened)
    async with Runtime(log, contracts=[PAID_TWICE]) as runtime:
        client = AsyncClient(runtime=runtime)
        with caplog.at_level(logging.ERROR, "agnt5.contracts"):
            for _ in range(2):
                await client.signal("r", "go")
            assert (await client.wait_for_result("r", 10)).output == 3
        await until(lambda: caplog.messages)  # from the thread that reads
        assert "the contracts of run r cannot be checked just now" in caplog.messages[0]


async def test_nothing_is_told_before_it_is_durable():
    """Of a run whose append fails, nothing is told."""
    define()
    told = []

    class Refusing(MemoryLog):
        def append(self, requests):
            for each in requests:
                if any(raw.topic == "StepCompleted" and raw.step == ":pay#1" for raw in each.facts):
                    seen.append(list(told))
            super().append(requests)

    seen: list[list] = []
    async with Runtime(Refusing(), contracts=[PAID_TWICE], on_violation=told.append) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("order", {"times": 2}, "workflow", timeout=10)
    assert seen == [[]]
    assert len(told) == 1


async def test_without_contracts_nobody_listens(store):
    async with Runtime(store) as runtime:
        assert runtime._bus.journal._listeners == (runtime.telemetry.hear,)
    with pytest.raises(ConfigurationError, match="such as never"):
        Runtime(store, contracts=["never"])
    assert asyncio.get_running_loop()
