"""Retries: how many, how long between them, and what a crash during the wait does: nothing."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from pydantic import ValidationError
from tests.api.helpers import play, run_workflow, until, written

from agnt5 import (
    AsyncClient,
    BackoffPolicy,
    BackoffType,
    ConfigurationError,
    FunctionContext,
    RetryPolicy,
    RunError,
    Runtime,
    StepTimeoutError,
    UnknownOutcomeError,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock

START = 1_700_000_000_000_000


class Flaky(Exception):
    """What fails."""


async def attempts_of(store, **policy):
    """Run a function that always fails; its delays in ms, and the contexts of its attempts."""
    contexts = []
    clock = ManualClock(START)

    @function(**policy)
    async def fails(ctx: FunctionContext):
        contexts.append((ctx.attempt, ctx.idempotency_key, clock.now()))
        raise Flaky(f"attempt {ctx.attempt}")

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        running = asyncio.create_task(client.run("fails"))
        await play(runtime, clock, running.done)
        response = await running
        events = await client.get_events(response.run_id)
    assert response.is_error
    delays = [
        (event.metadata["retry_at"] - event.timestamp_ns // 1000) / 1000
        for event in events
        if "retry_at" in event.metadata
    ]
    starts = [event.timestamp_ns // 1000 for event in events if event.event_type.endswith("failed")]
    for (_, _, begun), planned in zip(
        contexts[1:],
        [e.metadata["retry_at"] for e in events if "retry_at" in e.metadata],
        strict=True,
    ):
        assert begun >= planned
    assert len(starts) >= len(contexts)
    return delays, contexts, response


EXPONENTIAL = BackoffPolicy(type=BackoffType.EXPONENTIAL, multiplier=2.0)
POLICIES = {
    "exponential by default": ({"retries": 5}, [1000, 2000, 4000, 8000]),
    "exponential by name": ({"retries": 5, "backoff": "exponential"}, [1000, 2000, 4000, 8000]),
    "exponential by policy": ({"retries": 5, "backoff": EXPONENTIAL}, [1000, 2000, 4000, 8000]),
    "times three": ({"retries": 4, "backoff": BackoffPolicy(multiplier=3)}, [1000, 3000, 9000]),
    "linear": ({"retries": 5, "backoff": "LINEAR"}, [1000, 2000, 3000, 4000]),
    "linear by type": ({"retries": 3, "backoff": {"type": "linear"}}, [1000, 2000]),
    "constant": ({"retries": 5, "backoff": "Constant"}, [1000, 1000, 1000, 1000]),
    "own interval": (
        {"retries": RetryPolicy(max_attempts=4, initial_interval_ms=250)},
        [250, 500, 1000],
    ),
    "capped": (
        {"retries": {"max_attempts": 5, "max_interval_ms": 3000}},
        [1000, 2000, 3000, 3000],
    ),
    "no delay": ({"retries": RetryPolicy(3, 0)}, [0, 0]),
    "two": ({"retries": 2}, [1000]),
    "one": ({"retries": 1}, []),
    "none": ({}, []),
    "backoff alone": ({"backoff": "constant"}, []),
}


@pytest.mark.parametrize("name", POLICIES)
async def test_the_total_of_attempts_and_the_delays_between_them(store, name):
    """``retries`` counts all attempts; each delay is on record as the time of the next attempt."""
    policy, expected = POLICIES[name]
    delays, contexts, response = await attempts_of(store, **policy)
    assert delays == expected
    assert [attempt for attempt, _, _ in contexts] == list(range(len(expected) + 1))
    assert len({key for _, key, _ in contexts}) == 1
    assert f"attempt {len(expected)}" in response.error.message


async def test_a_step_is_retried_until_it_succeeds(store):
    """A function that fails twice is a step that succeeds; the body sees only the result."""
    seen = []

    @function(retries=RetryPolicy(max_attempts=5, initial_interval_ms=0))
    async def flaky(ctx):
        seen.append(ctx.attempt)
        if ctx.attempt < 2:
            raise Flaky
        return ctx.attempt

    @workflow
    async def body(ctx):
        return await ctx.step(flaky)

    response = await run_workflow(store, "body")
    assert response.output == 2
    assert seen == [0, 1, 2]


async def test_blocking_functions_are_retried_too(store):
    """``def`` functions: the same policy, the same context."""
    seen = []

    @function(retries=RetryPolicy(max_attempts=3, initial_interval_ms=0))
    def flaky(ctx):
        seen.append((ctx.attempt, ctx.idempotency_key))
        if ctx.attempt < 2:
            raise Flaky
        return "ok"

    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).run("flaky", timeout=10)
    assert response.output == "ok"
    assert [attempt for attempt, _ in seen] == [0, 1, 2]
    assert len({key for _, key in seen}) == 1


async def test_a_direct_call_is_not_retried():
    """Retries are the runtime's business: a direct call runs the function once."""
    seen = []

    @function(retries=3)
    async def fails():
        seen.append(1)
        raise Flaky

    with pytest.raises(Flaky):
        await fails()
    assert seen == [1]


async def test_steps_have_keys_of_their_own(store):
    """Two steps of one function are two effects: two idempotency keys, each stable."""

    @function
    async def key(ctx):
        return ctx.idempotency_key

    @workflow
    async def body(ctx):
        return [await ctx.step(key), await ctx.step(key), await ctx.step(key, key="k")]

    one = await run_workflow(store, "body")
    two = await run_workflow(store, "body")
    assert len({*one.output, *two.output}) == 6
    assert all(len(k) == 32 and int(k, 16) >= 0 for k in one.output)


@pytest.mark.parametrize("park_after", [60, 0.01], ids=["in memory", "parked"])
async def test_a_crash_during_backoff_neither_loses_nor_shortens_nor_repeats(store, park_after):
    """The process dies three times while it waits: the same attempts, at the recorded times."""
    seen = []
    clock = ManualClock(START)

    @function(retries=4, backoff="constant")
    async def flaky(ctx):
        seen.append((ctx.attempt, ctx.idempotency_key, clock.now()))
        if ctx.attempt < 3:
            raise Flaky(f"attempt {ctx.attempt}")
        return "ok"

    run_id = "the-run"
    for crash in range(3):
        async with Runtime(store, clock=clock, park_after=park_after) as runtime:
            client = AsyncClient(runtime=runtime)
            if not crash:
                await client.submit("flaky", run_id=run_id)
            else:
                clock.advance(0.6)
                await written(runtime)
                assert len(seen) == crash, "the delay was shortened by the restart"
                clock.advance(0.4)
            await until(lambda: len(seen) == crash + 1)
            await written(runtime)
            await runtime.aclose(grace=0)
    async with Runtime(store, clock=clock, park_after=park_after) as runtime:
        client = AsyncClient(runtime=runtime)
        waiting = asyncio.create_task(client.wait_for_result(run_id, 10))
        await play(runtime, clock, waiting.done)
        response = await waiting
    assert response.output == "ok", response.error
    assert [attempt for attempt, _, _ in seen] == [0, 1, 2, 3]
    assert len({key for _, key, _ in seen}) == 1
    times = [at for _, _, at in seen]
    assert all(b - a >= 1_000_000 for a, b in itertools.pairwise(times))


async def test_a_backoff_that_ended_while_nobody_was_there(store):
    """The time of the next attempt passed while the process was down: it runs at once."""
    seen = []
    clock = ManualClock(START)

    @function(retries=2)
    async def flaky(ctx):
        seen.append(ctx.attempt)
        if not ctx.attempt:
            raise Flaky
        return "ok"

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("flaky", run_id="r")
        await until(lambda: seen)
        await written(runtime)
        await runtime.aclose(grace=0)
    clock._now += 3_600_000_000
    async with Runtime(store, clock=clock) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
    assert response.output == "ok"
    assert seen == [0, 1]


async def test_an_attempt_that_a_crash_cut_short_runs_again_with_the_same_number_and_key(store):
    """A crash mid-attempt is no failed attempt: it is the same attempt once more."""
    seen = []
    gate = asyncio.Event()

    @function(retries=2)
    async def slow(ctx):
        seen.append((ctx.attempt, ctx.idempotency_key))
        if len(seen) == 1:
            await gate.wait()
        return "ok"

    async with Runtime(store) as runtime:
        await AsyncClient(runtime=runtime).submit("slow", run_id="r")
        await until(lambda: seen)
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
    assert response.output == "ok"
    assert seen[0] == seen[1]
    assert seen[0][0] == 0


async def test_recovery_fail_never_runs_an_attempt_twice(store):
    """``recovery="fail"``: a crash mid-attempt fails the step with UnknownOutcomeError."""
    seen = []
    gate = asyncio.Event()

    @function(recovery="fail", retries=3)
    async def charge():
        seen.append(1)
        await gate.wait()

    @workflow
    async def body(ctx):
        try:
            await ctx.step(charge)
        except UnknownOutcomeError as error:
            return str(error)
        return "charged"

    async with Runtime(store) as runtime:
        await AsyncClient(runtime=runtime).submit("body", {}, "workflow", run_id="r")
        await until(lambda: seen)
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
    assert "not known whether" in response.output
    assert seen == [1]


async def test_an_attempt_has_a_timeout(store):
    """``timeout_ms`` is for one attempt: it fails with TIMEOUT, names function and time."""
    seen = []

    @function(timeout_ms=20, retries=RetryPolicy(2, 0))
    async def slow(ctx):
        seen.append(ctx.attempt)
        await asyncio.Event().wait()

    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).run("slow", timeout=10)
    assert seen == [0, 1]
    assert response.error.code == "TIMEOUT"
    assert "'slow'" in response.error.message
    assert "20 ms" in response.error.message


async def test_a_timeout_of_a_step_covers_its_attempts(store):
    """``ctx.step(..., timeout=)`` ends the step, whatever attempts its policy still allows."""
    seen = []
    clock = ManualClock(START)

    @function(retries=100, backoff="constant")
    async def fails(ctx):
        seen.append(ctx.attempt)
        raise Flaky

    @workflow
    async def body(ctx):
        try:
            await ctx.step(fails, timeout=3.5)
        except StepTimeoutError:
            return "timeout"
        return None

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        running = asyncio.create_task(client.run("body", {}, "workflow"))
        await play(runtime, clock, running.done)
        assert (await running).output == "timeout"
    assert seen == [0, 1, 2, 3]


async def test_cancellation_and_exit_are_not_swallowed(store):
    """A function that raises CancelledError or SystemExit itself fails; the runtime lives on."""

    @function
    async def cancels():
        raise asyncio.CancelledError

    @function
    async def exits():
        raise SystemExit(3)

    @workflow
    async def quits(ctx):
        raise SystemExit(4)

    @function
    async def works():
        return 1

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.run("cancels", timeout=10)).is_error
        assert "SystemExit(3)" in (await client.run("exits", timeout=10)).error.message
        assert "SystemExit(4)" in (await client.run("quits", {}, "workflow")).error.message
        assert (await client.run("works", timeout=10)).output == 1


async def test_run_error_counts_attempts_from_one(store):
    """``raise_for_status`` says how many attempts were made, counted from 1."""

    @function(retries=RetryPolicy(3, 0))
    async def fails():
        raise Flaky("no")

    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).run("fails", timeout=10)
    with pytest.raises(RunError, match="no") as caught:
        response.raise_for_status()
    assert caught.value.run_id == response.run_id
    assert (caught.value.attempts, caught.value.max_attempts) == (3, 3)
    assert caught.value.was_retried
    assert caught.value.exhausted_retries


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        ({"retries": 0}, ValueError),
        ({"retries": -1}, ValueError),
        ({"retries": True}, TypeError),
        ({"retries": "3"}, TypeError),
        ({"retries": 2.5}, TypeError),
        ({"retries": {"attempts": 3}}, TypeError),
        ({"retries": {"max_attempts": 2, "initial_interval_ms": -1}}, ValueError),
        ({"retries": {"initial_interval_ms": 10, "max_interval_ms": 5}}, ValueError),
        ({"retries": {"max_attempts": 2.5}}, ValueError),
        ({"retries": {"max_attempts": float("nan")}}, ValueError),
        ({"retries": {"initial_interval_ms": float("nan")}}, ValueError),
        ({"retries": {"max_interval_ms": float("inf")}}, ValueError),
        ({"backoff": "quadratic"}, ValueError),
        ({"backoff": {"multiplier": 0}}, ValueError),
        ({"backoff": {"multiplier": float("nan")}}, ValueError),
        ({"backoff": {"multiplier": float("inf")}}, ValueError),
        ({"backoff": {"factor": 2}}, TypeError),
        ({"backoff": 3}, TypeError),
        ({"timeout_ms": 0}, ConfigurationError),
        ({"timeout_ms": 1.5}, ConfigurationError),
        ({"timeout_ms": True}, ConfigurationError),
        ({"recovery": "maybe"}, ConfigurationError),
        ({"concurrency": 0}, ConfigurationError),
    ],
    ids=str,
)
def test_a_wrong_policy_is_refused_at_the_decorator(policy, error):
    """Policies are checked when the module is imported, not when the first run fails."""
    with pytest.raises(error) as caught:
        function(**policy)(lambda: None)
    assert not isinstance(caught.value, ValidationError)


def test_a_backoff_is_of_a_known_type():
    assert BackoffPolicy("linear").type is BackoffType.LINEAR
    with pytest.raises(ValueError, match="unknown backoff 'weird'"):
        BackoffPolicy("weird")
