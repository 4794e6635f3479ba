"""Workers that stand still: on the loop, in a simulation, in a schedule and its report."""

from __future__ import annotations

import asyncio
import json
from contextvars import Context, copy_context

import pytest
from tests.testing.mutants.letter_sent_again_by_retry import mended_letter

from agnt5 import Client, WorkflowContext, function, workflow
from agnt5.exceptions import ConfigurationError, StaleEpochError, StoreFullError
from agnt5.testing import DisprovedError, Effects, Simulation, crash_everywhere
from agnt5.testing.loop import WORKER, VirtualLoop

dock = Effects("dock")


@function
async def dock_unload(n: int) -> int:
    await asyncio.sleep(10)
    dock.record("unload", n=n)
    return n


@workflow
async def dock_day(ctx: WorkflowContext) -> int:
    first = await ctx.step(dock_unload, 1)
    await ctx.sleep(60)
    return first + await ctx.step(dock_unload, 2)


# On the loop.


def context_of(worker: object) -> Context:
    context = copy_context()
    context.run(WORKER.set, worker)
    return context


def test_what_belongs_to_a_frozen_worker_waits_and_nothing_else_does():
    loop, seen = VirtualLoop(), []
    mine, other = context_of("mine"), context_of("other")

    async def play():
        loop.call_soon(seen.append, "mine, ready", context=mine)
        loop.call_later(1, seen.append, "mine, due meanwhile", context=mine)
        loop.call_later(50, seen.append, "mine, due later", context=mine)
        loop.call_soon(seen.append, "mine, cancelled", context=mine).cancel()
        loop.call_later(2, seen.append, "other, due", context=other)
        loop.freeze("mine")
        loop.freeze("mine")
        loop.call_soon(seen.append, "mine, called while frozen", context=mine)
        loop.call_later(3, seen.append, "mine, cancelled while frozen", context=mine).cancel()
        await asyncio.sleep(10)
        assert seen == ["other, due"]
        loop.thaw("mine")
        await asyncio.sleep(0)
        assert seen[1:] == ["mine, ready", "mine, called while frozen"]
        await asyncio.sleep(0.1)
        assert seen[3:] == ["mine, due meanwhile"]
        await asyncio.sleep(100)
        loop.thaw("mine")
        return seen[4:]

    try:
        assert loop.run_until_complete(play()) == ["mine, due later"]
    finally:
        loop.close()


# In a simulation.


def test_a_frozen_runtime_goes_on_where_it_was():
    dock.clear()
    with Simulation() as simulation:
        run_id = simulation.client.submit("dock_day", {}, "workflow").run_id
        simulation.advance(1)  # the first step is under way
        simulation.freeze()
        simulation.freeze()
        simulation.advance(3600)
        assert [fact.topic for fact in simulation.history(run_id)][-1] == "StepScheduled"
        simulation.thaw()
        assert simulation.client.wait_for_result(run_id).output == 3
        assert dock.count("unload") == 2


def test_who_thaws_without_the_store_is_refused_and_does_nothing_more():
    dock.clear()
    with Simulation() as simulation:
        old = simulation.runtime
        run_id = simulation.client.submit("dock_day", {}, "workflow").run_id
        simulation.advance(1)
        simulation.freeze()
        simulation.advance(30)
        simulation.take_over()
        simulation.advance(20)  # the first step is done again, and recorded
        known = simulation.history(run_id)
        assert "TimerScheduled" in [fact.topic for fact in known]
        simulation.thaw()
        simulation.advance(15)  # the attempt of old ends as well; its report is refused
        assert simulation.history(run_id) == known
        with pytest.raises(StaleEpochError):
            Client(runtime=old).submit("dock_day", {}, "workflow")
        assert simulation.client.wait_for_result(run_id).output == 3
        assert [effect.details for effect in dock.all] == ["n=1", "n=1", "n=2"]


def test_what_is_sent_while_nobody_has_the_store_is_caught_up():
    with Simulation() as simulation:
        run_id = simulation.client.submit("dock_day", {}, "workflow").run_id
        simulation.advance(20)
        simulation.freeze()
        simulation.advance(86_400)  # the timer is due meanwhile, and rings for nobody
        simulation.take_over()
        assert simulation.client.wait_for_result(run_id).output == 3


def test_a_disk_that_stalls_takes_time_and_a_full_one_refuses_what_is_new():
    with Simulation() as simulation:
        run_id = simulation.client.submit("dock_day", {}, "workflow").run_id
        simulation.advance(1)
        simulation.stall_disk(100, full=True)
        with pytest.raises(StoreFullError):
            simulation.client.submit("dock_day", {}, "workflow")
        before = simulation.now
        simulation.advance(99)
        assert [fact.topic for fact in simulation.history(run_id)][-1] == "StepScheduled"
        assert simulation.client.wait_for_result(run_id).output == 3
        assert (simulation.now - before).total_seconds() == pytest.approx(170, abs=1)
        assert simulation.client.run("dock_unload", {"n": 4}).output == 4
        with pytest.raises(ConfigurationError):
            simulation.stall_disk(-1)


# In a schedule.


def test_what_a_frozen_worker_still_does_may_count_and_is_told(tmp_path):
    """No policy can prevent it: the worker asked, went to sleep, and did it when it woke."""
    crash_everywhere(mended_letter, {"to": "Ada"}, examples=40, regressions=False)
    path = tmp_path / "found.jsonl"
    with pytest.raises(DisprovedError) as caught:
        crash_everywhere(mended_letter, {"to": "Ada"}, late_effects=True, regressions=path)
    said = str(caught.value)
    assert "send(to='Ada') may be done once, and was done 2 times" in said
    assert "the worker freezes after event" in said
    assert "another takes the store over, and it goes on" in said
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["crashes"][0]["when"].startswith("frozen")
    with pytest.raises(DisprovedError) as again:
        crash_everywhere(mended_letter, {"to": "Ada"}, late_effects=True, regressions=path)
    assert again.value.found.tried <= 2
    assert again.value.found.schedule == caught.value.found.schedule


def test_a_trouble_is_kept_and_told(tmp_path):
    """A body that is in a hurry by the clock of the machine's loop."""

    @workflow
    async def dock_hasty(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(20):
                await ctx.step(dock_unload, 1)
        except TimeoutError:
            return "too late"
        return "in time"

    def in_time(outcome):
        assert outcome.value == "in time"

    path = tmp_path / "found.jsonl"
    for tries in (None, 1):
        with pytest.raises(DisprovedError) as caught:
            crash_everywhere(dock_hasty, {}, check=in_time, racy=True, regressions=path)
        assert "Trouble   append" in str(caught.value)
        assert caught.value.found.tried == tries or tries is None
    assert json.loads(path.read_text())["troubles"][0]["seconds"] > 20
