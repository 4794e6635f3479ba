"""A runtime that tests talk to: virtual time, crashes, takeovers, one seed is one run."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from agnt5 import Client, WorkflowContext, function, workflow
from agnt5.exceptions import ConfigurationError, RuntimeClosedError, RunTimeoutError
from agnt5.testing import Effects, Simulation

calls = Effects("calls")


@function
async def sim_double(n: int) -> int:
    calls.record("double", n=n)
    return 2 * n


@function
def sim_blocking(n: int) -> int:
    return asyncio.run(_add(n))


async def _add(n: int) -> int:
    return n + 1


@workflow
async def sim_patient(ctx: WorkflowContext, n: int) -> int:
    doubled = await ctx.step(sim_double, n)
    await ctx.sleep(30 * 86_400)
    more = await ctx.wait_for_signal("more", timeout=86_400)
    return doubled + more


@workflow
async def sim_parallel(ctx: WorkflowContext) -> list[int]:
    return await ctx.parallel(*[ctx.step(sim_double, n) for n in range(5)])


@workflow
async def sim_threads(ctx: WorkflowContext) -> int:
    return await ctx.step(sim_blocking, 1)


@workflow
async def sim_waiting(ctx: WorkflowContext) -> int:
    return await ctx.wait_for_signal("more")


def start(simulation):
    return simulation.client.submit("sim_patient", {"n": 3}, "workflow").run_id


def test_time_passes_when_the_test_says_so():
    with Simulation() as simulation:
        run_id, before = start(simulation), simulation.now
        simulation.advance(29 * 86_400)
        assert simulation.now - before == timedelta(days=29)
        assert [fact.topic for fact in simulation.history(run_id)][-1] == "RunParked"
        simulation.advance(86_400 + 5)
        assert "signal 'more'" in simulation.waits_for()
        simulation.client.signal(run_id, "more", 1)
        assert simulation.client.wait_for_result(run_id).output == 7


def test_time_passes_while_a_client_waits():
    with Simulation() as simulation:
        run_id = start(simulation)
        assert simulation.client.wait_for_result(run_id, timeout=None).status == "failed"
        assert simulation.client.get_result(run_id).error.code == "TIMEOUT"


def test_a_run_goes_on_after_crashes_and_takeovers():
    calls.clear()
    with Simulation() as simulation:
        run_id = start(simulation)
        simulation.crash()
        simulation.advance(86_400)
        simulation.take_over()
        simulation.advance(30 * 86_400 - 86_400 + 1)
        simulation.crash()
        simulation.client.signal(run_id, "more", 2)
        assert simulation.client.wait_for_result(run_id).output == 8
        assert calls.count("double") == 1


def test_who_lost_the_store_records_nothing_any_more():
    with Simulation() as simulation:
        old = simulation.runtime
        run_id = start(simulation)
        simulation.take_over()
        before = len(simulation.history(run_id))
        with pytest.raises(Exception, match="taken the store over"):
            Client(runtime=old).signal(run_id, "more", 3)
        assert len(simulation.history(run_id)) == before
        assert simulation.runtime is not old


def test_a_wait_in_vain_says_so(monkeypatch):
    monkeypatch.setattr("agnt5.testing.simulation.PATIENCE_S", 0.01)
    with Simulation() as simulation:
        with pytest.raises(RunTimeoutError, match="sim_waiting.*it waits for signal 'more'"):
            simulation.client.run("sim_waiting", {}, "workflow")
        run_id = simulation.client.submit("sim_waiting", {}, "workflow").run_id
        simulation.client.signal(run_id, "more", 5)
        assert simulation.client.wait_for_result(run_id).output == 5


def test_another_thread_may_bring_what_is_waited_for():
    with Simulation() as simulation:
        run_id = simulation.client.submit("sim_waiting", {}, "workflow").run_id
        bring = threading.Timer(0.05, simulation.client.signal, (run_id, "more", 6))
        bring.start()
        assert simulation.client.run("sim_double", {"n": 1}).output == 2
        assert simulation.client.wait_for_result(run_id, timeout=None).output == 6
        bring.join()


def test_blocking_functions_run_inline_and_may_have_a_loop_of_their_own():
    with Simulation() as simulation:
        assert simulation.client.run("sim_threads", {}, "workflow").output == 2
        assert threading.active_count() < 50


@pytest.mark.parametrize("seed", range(6))
def test_one_seed_is_one_run(seed):
    """To the letter, but for the time that steps took on this machine."""

    def history():
        with Simulation(seed=seed) as simulation:
            run_id = simulation.client.run("sim_parallel", {}, "workflow").run_id
            facts = simulation.history(run_id)
        return [fact.model_dump(exclude={"duration_us"}) for fact in facts]

    assert history() == history()


def test_seeds_differ():
    def order(seed):
        with Simulation(seed=seed) as simulation:
            run_id = simulation.client.run("sim_parallel", {}, "workflow").run_id
            return tuple(f.key for f in simulation.history(run_id) if f.topic == "StepCompleted")

    assert len({order(seed) for seed in range(8)}) > 3


async def test_it_serves_async_tests():
    with Simulation() as simulation:
        run_id = (await simulation.async_client.submit("sim_patient", {"n": 1}, "workflow")).run_id
        simulation.advance(30 * 86_400 + 1)
        await simulation.async_client.signal(run_id, "more", 1)
        assert (await simulation.async_client.wait_for_result(run_id)).output == 3


def test_what_is_its_own_cannot_be_given():
    with pytest.raises(ConfigurationError, match="clock"):
        Simulation(clock=None)


def test_it_is_open_or_closed():
    simulation = Simulation()
    with pytest.raises(RuntimeClosedError):
        simulation.advance(1)
    with simulation, pytest.raises(RuntimeClosedError):
        simulation.start()
    simulation.close()
    with pytest.raises(RuntimeClosedError):
        simulation.client.list_runs()
    with Simulation() as open_one, pytest.raises(ConfigurationError):
        open_one.advance(-1)
