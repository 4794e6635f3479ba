"""Run timeouts, versions, retry conditions, defaults, recovery by asking and verifying."""

from __future__ import annotations

import asyncio
import signal

import pytest
from tests.api.helpers import event_types, play, python, turns, until

from agnt5 import (
    AsyncClient,
    BackoffPolicy,
    ConfigurationError,
    FunctionContext,
    FunctionRegistry,
    RetryPolicy,
    Runtime,
    UnknownComponentError,
    UnknownOutcomeError,
    WorkflowContext,
    WorkflowRegistry,
    function,
    verify,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.codec import decode_history
from agnt5.events.run import facts as f
from agnt5.events.stores.memory import MemoryLog


def facts(log: MemoryLog, run_id: str) -> list[f.RunFact]:
    return [fact for fact, _ in decode_history(log.read(run_id))]


class TestRunTimeout:
    """Time under way counts, time of waiting does not."""

    async def test_a_step_that_takes_too_long(self, store):
        ended = []

        @function
        async def hang() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        @workflow(timeout=0.05)
        async def slow(ctx: WorkflowContext) -> None:
            await ctx.step(hang)

        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            response = await client.run("slow", {}, "workflow", timeout=15)
            assert response.status == "failed"
            assert response.error.code == "TIMEOUT"
            assert response.run_id in response.error.message
            assert "'slow'" in response.error.message
            await until(lambda: ended)

    async def test_waiting_is_not_counted_and_the_rest_is_across_restarts(self):
        log, clock = MemoryLog(), ManualClock()

        @function
        async def takes() -> None:
            woken = asyncio.get_running_loop().create_future()
            due_at = clock.now() + 4_000_000
            alarm = clock.call_at(due_at, lambda: woken.done() or woken.set_result(None))
            try:
                await woken
            finally:
                alarm.cancel()

        @workflow(timeout=10)
        async def patient(ctx: WorkflowContext, rounds: int) -> str:
            for _ in range(rounds):
                await ctx.step(takes)
                await ctx.sleep(1000)
                await ctx.wait_for_signal("go")
            return "done"

        async def rounds(run_id: str, count: int) -> str:
            sent = 0
            while True:
                # A new process for each round: the count goes on.
                async with Runtime(log, clock=clock, park_after=0, grace=0) as runtime:
                    client = AsyncClient(runtime=runtime)
                    if not sent:
                        given = {"rounds": count}
                        await client.submit("patient", given, "workflow", run_id=run_id)

                    def parked() -> bool:
                        row = log.run_row(run_id)
                        awaits = isinstance(facts(log, run_id)[-1], f.RunParked)
                        waiting = any(
                            isinstance(x, f.SignalAwaited) for x in facts(log, run_id)[-3:]
                        )
                        return row.finished_at is not None or (awaits and waiting)

                    await play(runtime, clock, parked)
                    row = log.run_row(run_id)
                    if row.finished_at is not None:
                        return row.status
                    sent += 1
                    await client.signal(run_id, "go")
                    await turns(200)
                    if log.run_row(run_id).finished_at is not None:
                        return log.run_row(run_id).status

        assert await rounds("two", 2) == "completed"
        assert await rounds("three", 3) == "failed"
        last = facts(log, "three")[-1]
        assert last.error["type"] == "agnt5.exceptions:RunTimeoutError"

    async def test_the_time_that_nobody_was_there_counts_when_a_step_was_under_way(self):
        log, clock = MemoryLog(), ManualClock()

        @function
        async def hang() -> None:
            await asyncio.sleep(60)

        @workflow(timeout=100)
        async def slow(ctx: WorkflowContext) -> None:
            await ctx.step(hang)

        async with Runtime(log, clock=clock, grace=0) as runtime:
            await AsyncClient(runtime=runtime).submit("slow", {}, "workflow", run_id="r")
            await turns()
        clock.advance(101)
        async with Runtime(log, clock=clock, grace=0) as runtime:
            response = await AsyncClient(runtime=runtime).wait_for_result("r", 15)
            assert response.error.code == "TIMEOUT"

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True])
    def test_out_of_range(self, timeout):
        with pytest.raises(ConfigurationError, match="timeout"):

            @workflow(timeout=timeout)
            async def never(ctx: WorkflowContext) -> None:
                pass


def versions(*labels: str | None, default: str | None = None) -> None:
    """Several versions of one workflow, in this order."""
    WorkflowRegistry.clear()
    for label in labels:

        @workflow(name="order", version=label, default=label == default and label is not None)
        async def order(ctx: WorkflowContext, label: str | None = label) -> str:
            before = await ctx.step("before", lambda: f"began with {label}")
            await ctx.wait_for_signal("go")
            if label == "2":
                await ctx.step("new in two", lambda: None)
            return f"{before}, ended with {label}"


class TestVersions:
    """A run keeps the version that it was accepted with."""

    async def test_side_by_side(self, store):
        versions(None, "1", "2")
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            ids = {}
            for label in ("1", "2", None):
                accepted = await client.submit("order", {}, "workflow", version=label)
                ids[accepted.run_id] = label or "2"
            for run_id, label in ids.items():
                await client.signal(run_id, "go")
                response = await client.wait_for_result(run_id, 15)
                assert response.output == f"began with {label}, ended with {label}"

    async def test_the_chosen_default(self, store):
        versions("1", "2", default="1")
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            run_id = (await client.submit("order", {}, "workflow")).run_id
            await client.signal(run_id, "go")
            assert "ended with 1" in (await client.wait_for_result(run_id, 15)).output

    async def test_a_pinned_run_waits_for_its_version(self, store):
        versions("1")
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.submit("order", {}, "workflow", run_id="r")
            await until(lambda: runtime._log.last("r").topic == "SignalAwaited")
        versions("2")
        for _ in range(2):
            async with Runtime(store) as runtime:
                client = AsyncClient(runtime=runtime)
                response = await client.wait_for_result("r", 15)
                assert response.status == "suspended"
                assert response.error.code == "VERSION"
                assert "version '1' of the workflow 'order'" in response.error.message
                assert "'2'" in response.error.message
        versions("2", "1")
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.signal("r", "go")
            await until(lambda: runtime._log.last("r").topic == "RunCompleted")
            assert (await client.get_result("r")).output == "began with 1, ended with 1"
            types = await event_types(client, "r")
            assert "completed" in types[-1]

    async def test_an_unlabelled_run_goes_on_with_what_there_is(self, store):
        versions(None)
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.submit("order", {}, "workflow", run_id="r")
            await until(lambda: runtime._log.last("r").topic == "SignalAwaited")
        versions("1")
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.signal("r", "go")
            assert "ended with 1" in (await client.wait_for_result("r", 15)).output

    async def test_a_version_that_is_not_here(self, store):
        versions("1", "2")
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            with pytest.raises(UnknownComponentError, match=r"version '3'.*'1', '2'"):
                await client.submit("order", {}, "workflow", version="3")
            assert await client.list_runs() == []

    def test_collisions(self):
        versions("1")
        with pytest.raises(ValueError, match="of version '1' is already registered"):

            @workflow(name="order", version="1")
            async def again(ctx: WorkflowContext) -> None:
                pass

        versions("1", default="1")
        with pytest.raises(ValueError, match="default=True"):

            @workflow(name="order", version="2", default=True)
            async def other(ctx: WorkflowContext) -> None:
                pass

    def test_the_registry_without_versions_is_as_it_was(self):
        versions("1", "2")
        assert WorkflowRegistry.list_names() == ["order"]
        assert WorkflowRegistry.get("order").version == "2"
        assert list(WorkflowRegistry.all()) == ["order"]
        WorkflowRegistry.clear()
        assert WorkflowRegistry.get("order") is None


class OutOfStock(Exception):
    """Another attempt would be of no use."""


class TestRetry:
    """What is retried, and what holds for functions that say nothing."""

    @pytest.mark.parametrize(
        ("policy", "attempts"),
        [
            (RetryPolicy(4, 0), 4),
            (RetryPolicy(4, 0, non_retryable=OutOfStock), 1),
            ({"max_attempts": 4, "initial_interval_ms": 0, "non_retryable": ["OutOfStock"]}, 1),
            (RetryPolicy(4, 0, retry_if=lambda error: "maybe" in str(error)), 4),
            (RetryPolicy(4, 0, retry_if=lambda error: "never" in str(error)), 1),
        ],
    )
    async def test_conditions(self, store, policy, attempts):
        seen = []

        @function(retries=policy)
        async def reserve() -> None:
            seen.append(1)
            raise OutOfStock("maybe later")

        async with Runtime(store) as runtime:
            response = await AsyncClient(runtime=runtime).run("reserve", timeout=15)
            assert response.error.message.endswith("maybe later")
            assert response.metadata["attempts"] == attempts
        assert len(seen) == attempts

    async def test_defaults_are_recorded_at_the_request(self):
        log, seen = MemoryLog(), []

        @function
        async def plain(ctx: FunctionContext) -> None:
            seen.append(ctx.attempt)
            raise OSError("down")

        @function(retries=2, backoff="constant")
        async def own(ctx: FunctionContext) -> None:
            raise OSError("down")

        default = RetryPolicy(3, 7, jitter=0.5)
        async with Runtime(log, default_retries=default, default_backoff="linear") as runtime:
            client = AsyncClient(runtime=runtime)
            await client.run("plain", run_id="p", timeout=15)
            await client.submit("own", run_id="o")
            await until(lambda: len(log.read("o")) > 2)
        plan = next(x.retry for x in facts(log, "p") if isinstance(x, f.StepScheduled))
        assert (plan.max_attempts, plan.backoff, plan.jitter) == (3, "linear", 0.5)
        assert seen == [0, 1, 2]
        plan = next(x.retry for x in facts(log, "o") if isinstance(x, f.StepScheduled))
        assert (plan.max_attempts, plan.backoff, plan.jitter) == (2, "constant", 0.0)

    async def test_a_default_timeout(self, store):
        @function
        async def hang() -> None:
            await asyncio.sleep(60)

        async with Runtime(store, default_timeout_ms=10) as runtime:
            response = await AsyncClient(runtime=runtime).run("hang", timeout=15)
            assert response.error.code == "TIMEOUT"

    @pytest.mark.parametrize(
        "fields",
        [
            {"jitter": -0.1},
            {"jitter": 1.1},
            {"jitter": float("nan")},
            {"retry_if": 5},
            {"non_retryable": 5},
            {"non_retryable": [int]},
        ],
    )
    def test_out_of_range(self, fields):
        with pytest.raises((ValueError, TypeError)):
            RetryPolicy(**fields)

    def test_settings(self):
        with pytest.raises(ConfigurationError, match="default_timeout_ms"):
            Runtime("memory://", default_timeout_ms=0)
        with pytest.raises(ValueError, match="max_attempts"):
            Runtime("memory://", default_retries=0)
        assert Runtime("memory://", default_backoff=BackoffPolicy())._defaults is not None

    @pytest.mark.parametrize("recovery", ["verify", "maybe", ""])
    def test_unknown_recovery(self, recovery):
        with pytest.raises(ConfigurationError, match="agnt5.verify"):
            function(recovery=recovery)(OutOfStock.__str__)

    def test_verify_takes_a_function(self):
        with pytest.raises(ConfigurationError, match="takes a function"):
            verify(5)


CUT_SHORT = """
import asyncio, sys
from pathlib import Path
from agnt5 import (Client, FunctionContext, Happened, NotHappened, WorkflowContext, function,
                   verify, workflow)

folder, policy = Path(sys.argv[1]), sys.argv[2]

def look(ctx: FunctionContext, cents: int):
    paid = folder / ctx.idempotency_key
    return Happened(int(paid.read_text())) if paid.exists() else NotHappened()

@function(recovery=verify(look) if policy == "verify" else policy)
async def charge(ctx: FunctionContext, cents: int) -> int:
    with (folder / "attempts").open("a") as out:
        out.write("x")
    if not (folder / "second").exists():
        if (folder / "early").exists():
            print("ready", flush=True)
            await asyncio.sleep(60)
        (folder / ctx.idempotency_key).write_text(str(cents))
        print("ready", flush=True)
        await asyncio.sleep(60)
    (folder / ctx.idempotency_key).write_text(str(cents))
    return cents

@workflow
async def pays(ctx: WorkflowContext) -> int:
    return await ctx.step(charge, 500)

client = Client(store=f"sqlite:///{folder}/store.db")
if not (folder / "second").exists():
    client.run("pays", {}, "workflow", run_id="r")
if policy == "ask":
    while client.get_result("r").status != "paused":
        pass
    asked = client.get_result("r").metadata["questions"][0]
    print(asked["key"], *[option["id"] for option in asked["options"]], flush=True)
    client.resume("r", sys.argv[3], key=asked["key"])
response = client.wait_for_result("r", 30)
print(response.status, response.output, response.error and response.error.code, flush=True)
"""


@pytest.mark.parametrize(
    ("policy", "answer", "early", "ends", "attempts"),
    [
        ("fail", "", False, "failed None UNKNOWN_OUTCOME", 1),
        ("ask", "retry", False, "completed 500 None", 2),
        ("ask", "fail", False, "failed None UNKNOWN_OUTCOME", 1),
        ("ask", "done:500", False, "completed 500 None", 1),
        ("verify", "", False, "completed 500 None", 1),
        ("verify", "", True, "completed 500 None", 2),
    ],
)
def test_a_process_that_is_killed_in_the_middle_of_an_effect(
    tmp_path, policy, answer, early, ends, attempts
):
    """SIGKILL after the effect, or before it, and before anything of it was recorded."""
    if early:
        (tmp_path / "early").touch()
    first = python(CUT_SHORT, tmp_path, policy, answer)
    assert first.stdout.readline().strip() == "ready", first.stderr.read()
    first.send_signal(signal.SIGKILL)
    first.wait()
    (tmp_path / "second").touch()
    second = python(CUT_SHORT, tmp_path, policy, answer)
    out, err = second.communicate(timeout=60)
    lines = out.splitlines()
    assert lines, err
    if policy == "ask":
        assert lines[0] == "?recovery#0:charge#0 retry fail done"
    assert lines[-1] == ends, err
    assert len((tmp_path / "attempts").read_text()) == attempts


async def test_a_verification_that_fails_or_says_nonsense(store):
    """The step fails, and says why."""
    verdicts = iter([ValueError("no such account"), "yes"])

    async def look() -> object:
        verdict = next(verdicts)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    started = asyncio.Event()

    @function(recovery=verify(look))
    async def charge() -> None:
        started.set()
        await asyncio.sleep(60)

    @workflow
    async def pays(ctx: WorkflowContext) -> str:
        try:
            await ctx.step(charge)
        except UnknownOutcomeError as error:
            return str(error)
        return "?"

    for run_id, text in (("a", "ValueError: no such account"), ("b", "must return Happened")):
        started.clear()
        async with Runtime(store, grace=0) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.submit("pays", {}, "workflow", run_id=run_id)
            await started.wait()
        async with Runtime(store, grace=0) as runtime:
            client = AsyncClient(runtime=runtime)
            assert text in (await client.wait_for_result(run_id, 15)).output


async def test_a_function_that_lost_its_verification(store):
    """Code that has changed since may not know any more how to find out."""
    started = asyncio.Event()

    def declare(recovery) -> None:
        FunctionRegistry.clear()

        @function(recovery=recovery, name="charge")
        async def charge() -> None:
            started.set()
            await asyncio.sleep(60)

    declare(verify(lambda: None))
    async with Runtime(store, grace=0) as runtime:
        await AsyncClient(runtime=runtime).submit("charge", run_id="r")
        await started.wait()
    declare("retry")
    async with Runtime(store, grace=0) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 15)
        assert response.error.code == "UNKNOWN_OUTCOME"
        assert "no longer says" in response.error.message
