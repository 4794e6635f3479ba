"""Replay checks of single histories: what is compatible, what differs, what is needed."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, replace

import pytest
from tests.api.helpers import until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    Entity,
    FunctionRegistry,
    InvalidInputError,
    Runtime,
    Workflow,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.histories import History, write_histories
from agnt5.testing.recording import record_async
from agnt5.testing.replay import Verdict, component_of, replay, replay_async


def anew(body, **options):
    """A workflow of any name, beside others of the same."""
    WorkflowRegistry.clear()
    return workflow(name="order", **options)(body)


async def recorded(body, given=None, **outside) -> History:
    return await record_async(component_of(anew(body)), given or {}, **outside)


async def again(history: History, body, **options):
    return await replay_async(history, anew(body), stall_limit=0.05, **options)


@function
async def pay(amount: int) -> int:
    paid.append(amount)
    if amount < 0:
        raise ValueError("no")
    return amount


paid: list[int] = []


async def test_a_finished_run_is_exact_and_nothing_is_executed():
    async def body(ctx: WorkflowContext) -> list[int]:
        first = await ctx.step(pay, 1)
        await ctx.sleep(3600)
        return [first, *await asyncio.gather(ctx.step(pay, 2), ctx.step(pay, 3))]

    history = await recorded(body)
    paid.clear()
    report = await again(history, body)
    assert report.is_exact, str(report)
    assert (report.reproduced, report.events, report.status) == (11, 11, "completed")
    assert paid == []


async def test_a_failed_a_cancelled_and_a_waiting_run_are_exact():
    async def fails(ctx: WorkflowContext) -> None:
        await ctx.step(pay, -1)

    async def waits(ctx: WorkflowContext) -> None:
        try:
            await ctx.wait_for_signal("never")
        finally:
            await ctx.step(pay, 1)

    assert (await again(await recorded(fails), fails)).status == "failed"
    assert (await again(await recorded(fails), fails)).is_exact
    waiting = await again(await recorded(waits), waits)
    assert (waiting.is_exact, waiting.was_over, waiting.status) == (True, False, "running")
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        run = await client.submit("order", {}, "workflow")
        await until(lambda: runtime._bus.runs[run.run_id].state.open)
        await client.cancel(run.run_id)
        await client.wait_for_result(run.run_id, 10)
        history = await client.history(run.run_id)
    report = await again(history, waits)
    assert (report.is_exact, report.status) == (True, "cancelled"), str(report)


async def test_what_a_changed_body_asks_for_instead():
    async def old(ctx: WorkflowContext) -> int:
        return await ctx.step(pay, 1)

    async def renamed(ctx: WorkflowContext) -> int:
        return await ctx.step("payment", pay, 1)

    async def ends(ctx: WorkflowContext) -> int:
        return 1

    async def sleeps(ctx: WorkflowContext) -> int:
        await asyncio.gather(ctx.sleep(1), ctx.sleep(2))
        return 1

    history = await recorded(old)
    report = await again(history, renamed)
    assert report.verdict is Verdict.NEEDS_PATCHED
    assert report.reproduced == 2
    assert report.divergence.expected.key == ":pay#0"
    assert report.divergence.asked[0][0] == ":payment#0"
    assert "test_replay.py:" in report.divergence.expected.line
    assert "test_replay.py:" in report.divergence.asked[0][1]
    assert (await again(history, ends)).reason == "the code ended"
    assert (await again(history, sleeps)).reason == "the code waits for something else"
    # Before the step was asked for, every one of them is fine.
    for body in (renamed, ends, sleeps):
        assert (await again(history.upto(2), body)).is_compatible


async def test_patched_keeps_the_old_path_and_tells_the_new_one():
    async def old(ctx: WorkflowContext) -> int:
        await ctx.step(pay, 1)
        return await ctx.step(pay, 2)

    async def new(ctx: WorkflowContext) -> int:
        await ctx.step(pay, 1)
        if ctx.patched("check"):
            await ctx.step("check", lambda: None)
        return await ctx.step(pay, 2)

    history = await recorded(old)
    for version in range(1, len(history.events) + 1):
        report = await again(history.upto(version), new)
        assert report.is_compatible, str(report)
        takes_new = [call.key for call in report.next_calls if call.what == "step"]
        assert (":check#0" in takes_new) == (version == 4)
    assert report.is_exact
    newer = await recorded(new)
    assert (await again(newer, old)).verdict is Verdict.NEEDS_PATCHED
    assert (await again(newer, new)).is_exact


async def test_what_differs_and_keeps_nobody_from_going_on():
    async def old(ctx: WorkflowContext) -> object:
        await ctx.step(pay, 1)
        await ctx.sleep(60)
        ctx.state.set("n", 1)
        await ctx.wait_for_signal("go", timeout=5)
        return await ctx.wait_for_user("Well?", timeout=5)

    async def new(ctx: WorkflowContext) -> object:
        await ctx.step(pay, 2)
        await ctx.sleep(61)
        ctx.state.set("n", 2)
        await ctx.wait_for_signal("go", timeout=6)
        await ctx.wait_for_user("Well then?", timeout=5)
        ctx.step("more", lambda: 1)
        return "new"

    history = await recorded(old, signals={"go": 1}, answers={"Well?": "yes"})
    report = await again(history, new)
    assert report.is_compatible
    assert not report.is_exact
    found = {(each.key, each.what): (each.recorded, each.now) for each in report.differences}
    assert found == {
        (":pay#0", "input"): ([1], [2]),
        (":sleep#0", "seconds"): (60.0, 61.0),
        (":state:n#0", "state"): (1, 2),
        (":signal:go#0", "seconds"): (5.0, 6.0),
        (":wait_for_user#0", "question"): ("Well?", "Well then?"),
        ("", "result"): ({"completed": "yes"}, {"completed": "new"}),
    }
    assert [call.key for call in report.next_calls] == [":more#0"]
    with pytest.raises(AssertionError, match="differs: input of ':pay#0'"):
        report.require_exact()
    report.require_compatible()


async def test_an_error_is_the_same_though_it_is_raised_in_another_line():
    async def old(ctx: WorkflowContext) -> None:
        raise ValueError("no")

    async def new(ctx: WorkflowContext) -> None:
        if ctx.run_id:
            raise ValueError("no")

    async def other(ctx: WorkflowContext) -> None:
        raise ValueError("yes")

    history = await recorded(old)
    assert (await again(history, new)).is_exact
    report = await again(history, other)
    assert report.is_compatible
    assert [each.what for each in report.differences] == ["result"]


@pytest.fixture(autouse=True)
def components(registries):
    FunctionRegistry.register(pay)
    paid.clear()


@dataclass
class Money:
    amount: int


async def test_what_cannot_be_given_to_the_code_needs_a_fork(monkeypatch):
    async def old(ctx: WorkflowContext, n: int) -> int:
        money = await ctx.step("money", lambda: Money(n))
        await ctx.step(pay, money.amount)
        return money.amount

    async def other_input(ctx: WorkflowContext, name: str) -> int:
        return 1

    history = await recorded(old, {"n": 3})
    report = await again(history, other_input)
    assert report.verdict is Verdict.NEEDS_FORK
    assert "cannot be given to 'order'" in report.reason
    # Nobody has begun it, and nobody can.
    assert (await again(history.upto(1), other_input)).verdict is Verdict.NEEDS_FORK
    gone = History(
        history.run_id,
        tuple(
            replace(row, state=row.state.replace(b"test_replay:Money", b"test_replay:Gone"))
            for row in history.events
        ),
    )
    assert gone != history
    report = await again(gone, old)
    assert report.verdict is Verdict.NEEDS_FORK
    assert "cannot be rebuilt" in report.reason
    with pytest.raises(AssertionError, match="needs a fork"):
        report.require_compatible()


async def test_a_body_that_waits_for_something_real_is_waited_for():
    async def body(ctx: WorkflowContext) -> int:
        await asyncio.sleep(0.02)
        return await ctx.step(pay, 1)

    async def too_slow(ctx: WorkflowContext) -> int:
        await asyncio.sleep(60)
        return 1

    history = await recorded(body)
    assert (await again(history, body)).is_exact
    report = await again(history, too_slow, patience=0.1)
    assert report.verdict is Verdict.UNDECIDED
    assert "patience" in str(report)
    assert (await again(history.upto(2), too_slow, patience=0.1)).is_compatible


async def test_the_code_of_a_step_that_was_under_way_is_not_entered():
    entered: list[str] = []

    async def body(ctx: WorkflowContext) -> int:
        async def plan() -> int:
            entered.append("plan")
            await ctx.step(pay, 1)
            return await ctx.wait_for_signal("go")

        return await ctx.step("plan", plan())

    history = await recorded(body)
    assert entered == ["plan"]
    report = await again(history, body)
    assert report.is_exact, str(report)
    assert (report.not_entered, report.reproduced) == (3, len(history.events))
    assert entered == ["plan"]


async def test_runs_that_the_engine_has_ended_are_over_where_their_body_was():
    async def body(ctx: WorkflowContext) -> None:
        await ctx.step("long", work)

    async def work() -> None:
        await asyncio.Event().wait()

    anew(body, timeout=5)
    clock = ManualClock()
    async with Runtime("memory://", clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        run = await client.submit("order", {}, "workflow")
        await until(lambda: runtime._bus.runs[run.run_id].state.open)
        clock.advance(6)
        await client.wait_for_result(run.run_id, 10)
        timed_out = await client.history(run.run_id)
    report = await replay_async(timed_out, anew(body, timeout=5))
    assert (report.is_exact, report.was_over, report.status) == (True, False, "failed")


async def test_suspended_runs_are_checked_against_the_mended_code():
    async def old(ctx: WorkflowContext) -> None:
        await ctx.step(pay, 1)
        await ctx.wait_for_signal("go")

    async def wrong(ctx: WorkflowContext) -> None:
        await ctx.step("other", lambda: 1)

    history = await recorded(old)
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        file = io.BytesIO()
        write_histories([history], file)
        file.seek(0)
        anew(wrong)
        await client.import_runs(file, unfinished="start")
        await client.wait_for_result(history.run_id, 10)
        suspended = await client.history(history.run_id)
    assert suspended.state().suspension.reason == "nondeterminism"
    assert (await again(suspended, old)).is_exact
    assert (await again(suspended, wrong)).verdict is Verdict.NEEDS_PATCHED


async def test_updates_children_entities_classes_and_functions():
    class Counter(Entity):
        async def add(self, n: int) -> int:
            self.state.set("n", self.state.get("n", 0) + n)
            return self.state.get("n")

    @workflow
    async def child(ctx: WorkflowContext) -> str:
        return "child"

    class Shop(Workflow):
        async def run(self, n: int) -> object:
            self.seen = await self.step("pay", pay, n)
            return [self.seen, await Counter(key="c").add(1), await child()]

    @workflow
    async def updated(ctx: WorkflowContext) -> int:
        got: list[int] = []

        async def add(n: int) -> int:
            got.append(await ctx.step(pay, n))
            return len(got)

        ctx.set_update_handler("add", add)
        await ctx.wait_for_signal("go")
        return sum(got)

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("Shop", {"n": 1}, "workflow", run_id="s", timeout=10)
        await client.run("pay", {"amount": 1}, run_id="f", timeout=10)
        await client.submit("updated", {}, "workflow", run_id="u")
        assert await client.update("u", "add", 7) == 1
        waiting = await client.history("u")
        await client.signal("u", "go")
        await client.wait_for_result("u", 10)
        for run_id, code in (("s", Shop), ("f", pay), ("u", updated)):
            history = await client.history(run_id)
            # In the loop of a runtime that is open, too.
            report = await replay_async(history, code)
            assert report.is_exact, str(report)
            assert report.status == "completed"
        assert (await replay_async(waiting, updated)).is_exact


async def test_sessions_and_patches_of_chat_workflows():
    @workflow(chat=True)
    async def talk(ctx: WorkflowContext, message: str) -> int:
        turns = ctx.state.get("turns", 0)
        ctx.state.set("turns", turns + 1)
        return turns + 1

    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(2):
            given = {"message": "hi"}
            run = await client.run("talk", given, "workflow", session_id="s", timeout=10)
            assert run.output == n + 1, run
            assert (await replay_async(await client.history(run.run_id), talk)).is_exact


def test_it_reads_files_and_refuses_what_is_no_history_and_no_code(tmp_path):
    async def body(ctx: WorkflowContext) -> None: ...

    history = asyncio.run(recorded(body))
    code = anew(body)
    path = tmp_path / "one.jsonl"
    write_histories([history], path)
    assert replay(path, code).is_exact
    write_histories(
        [history, History("b", tuple(replace(e, stream="b") for e in history.events))], path
    )
    with pytest.raises(InvalidInputError, match="2 runs"):
        replay(path, code)
    with pytest.raises(ConfigurationError, match="is no workflow"):
        replay(history, body)

    async def inside() -> None:
        with pytest.raises(RuntimeError, match="await replay_async"):
            replay(history, code)

    asyncio.run(inside())


async def test_the_report_as_text_and_as_data():
    async def old(ctx: WorkflowContext) -> int:
        return await ctx.step(pay, 1)

    async def new(ctx: WorkflowContext) -> int:
        return await ctx.step("payment", pay, 1)

    report = await again(await recorded(old), new)
    first, *rest = str(report).splitlines()
    assert first.startswith("run generated of 'order' (test_replay.py:")
    assert first.endswith("): needs patched")
    assert [line.split(", at")[0].split(",")[0] for line in rest] == [
        "  reproduced: 2 of 5 events",
        "  why: the code asked for something else",
        "  expected: step ':pay#0'",
        "  asked for: ':payment#0'",
        "  nearest match: ':payment#0' (recorded as ':pay#0')",
        "  way out: keep the old path for runs that are past this place",
    ]
    data = json.loads(json.dumps(report.as_json()))
    assert data["verdict"] == "needs patched"
    assert data["divergence"]["expected"]["key"] == ":pay#0"
    assert data["divergence"]["asked"][0]["key"] == ":payment#0"
    assert data["exact"] is False
