"""The host of a body: outcomes one at a time, with rest between them where there are branches."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest
from tests.actors.tools import HOUSE, turns, turns_until
from tests.events.run.spec import QUEUED, STARTED, step, timed, timer

from agnt5.actors.branch import chain_task_factory
from agnt5.actors.ports import AttemptInfo, Definition, FunctionWork, InlineWork
from agnt5.actors.rest import QUIET_TURNS
from agnt5.actors.script import Script
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.payloads import encode


class Channel:
    """The actor of the run, as its script sees it."""

    def __init__(self) -> None:
        self.commands: list[c.RunCommand] = []
        self.executed: list[tuple[str, int]] = []
        self.reports: list[str] = []
        self.crashes: list[Exception] = []

    def command(self, command):
        self.commands.append(command)

    def execute(self, key, attempt, work):
        self.executed.append((key, attempt))

    def crashed(self, error):
        self.crashes.append(error)

    def diverged(self, report):
        self.reports.append(report)

    def encode(self, value, where):
        return encode(value, where=where)

    def check_size(self, value, where):
        return


class Stage:
    """One script."""

    def __init__(self, body, *facts: f.RunFact) -> None:
        self.channel = Channel()

        async def main(script, run_input, info):
            return await body(self.timer, self.step)

        state = fold("r1", timed([QUEUED, STARTED, *facts]))
        self.script = Script(
            AttemptInfo("r1", "", "order", 0),
            Definition("order", "workflow", "d1", main, "app.py:1"),
            {},
            self.channel,
            state=state,
            history=[QUEUED, STARTED, *facts] if facts else [],
            context=HOUSE,
            stall_limit_s=60,
        )
        self.script.start()

    def timer(self, key):
        """A durable call."""
        return self.script.request(key, lambda: c.RequestTimer(key, 1))

    def step(self, key):
        """A durable call of a function."""
        work = FunctionWork(None, (), {})
        command = c.RequestStep(key, key, key, None, None, "retry")
        return self.script.request(key, lambda: command, work)

    def inline(self, key, work):
        """A durable call that only the body can run."""
        command = c.RequestStep(key, key, None, None, None, "retry")
        return self.script.request(key, lambda: command, work)

    def fire(self, *keys):
        """These timers are over, and that is durable."""
        for key in keys:
            self.script.resolve(f.TimerFired(key=key))


@pytest.fixture
async def stage():
    stages = []
    undo = chain_task_factory(asyncio.get_running_loop())

    def make(body, *facts):
        stages.append(Stage(body, *facts))
        return stages[-1]

    yield make
    for one in stages:
        one.script.close()
        assert one.channel.crashes == []
    await turns(10)
    undo()


def commands(stage) -> list:
    return stage.channel.commands


async def test_a_body_asks_and_is_answered(stage):
    async def body(timer, step):
        await timer("t")
        return {"total": 3}

    one = stage(body)
    await turns(2)
    assert commands(one) == [c.RequestTimer("t", 1)]
    one.fire("t")
    await turns(3)
    assert commands(one)[1:] == [c.CompleteRun({"total": 3})]


async def test_how_a_body_ends(stage):
    async def fails(timer, step):
        raise KeyError("sku")

    async def is_cancelled(timer, step):
        raise asyncio.CancelledError

    async def is_odd(timer, step):
        return object()

    ends = []
    for body in (fails, is_cancelled, is_odd):
        one = stage(body)
        await turns(4)
        ends += commands(one)
    assert [type(command) for command in ends] == [c.FailRun, c.CancelRun, c.FailRun]
    assert ends[0].error["type"] == "builtins:KeyError"
    assert ends[2].error["type"] == "agnt5.exceptions:PayloadError"


async def test_a_single_waiter_needs_no_rest(stage):
    """Two turns of the loop per step: one for the future, one for nobody."""
    seen = []

    async def body(timer, step):
        for n in range(3):
            seen.append(await timer(f"t{n}"))

    one = stage(body)
    await turns(2)
    for n in range(3):
        one.fire(f"t{n}")
        assert await turns_until(lambda n=n: len(seen) == n + 1) <= 1
    assert QUIET_TURNS > 1


async def test_between_outcomes_a_body_with_branches_comes_to_rest(stage):
    """A short continuation must not overtake a long one that was answered before it."""
    seen = []

    async def long(timer):
        await timer("a")
        for _ in range(30):
            await asyncio.sleep(0)
        seen.append("long")

    async def short(timer):
        await timer("b")
        seen.append("short")

    async def body(timer, step):
        await asyncio.gather(long(timer), short(timer))

    one = stage(body)
    await turns(4)
    one.fire("a", "b")
    await turns_until(lambda: len(seen) == 2)
    assert seen == ["long", "short"]


async def test_the_first_outcome_waits_for_rest_too(stage):
    """A body that has just begun its branches still moves."""
    seen = []

    async def branch(timer, key, turn):
        await turns(turn)
        seen.append(f"asked {key}")
        await timer(key)
        seen.append(f"got {key}")

    async def body(timer, step):
        await asyncio.gather(branch(timer, "a", 0), branch(timer, "b", 9))

    one = stage(body)
    await turns_until(lambda: "asked a" in seen)
    one.fire("a")
    await turns_until(lambda: "got a" in seen)
    assert seen == ["asked a", "asked b", "got a"]


async def test_outcomes_are_handed_over_one_at_a_time_and_in_order(stage):
    seen = []

    async def branch(timer, n):
        await timer(f"t{n}")
        seen.append(n)
        await timer(f"u{n}")

    async def body(timer, step):
        await asyncio.gather(*(branch(timer, n) for n in range(5)))

    one = stage(body)
    await turns(5)
    order = [3, 0, 4, 1, 2]
    one.fire(*(f"t{n}" for n in order))
    await turns_until(lambda: len(seen) == 5)
    assert seen == order
    asked = [command.key for command in commands(one)[5:]]
    assert asked == [f"u{n}" for n in order]


async def test_the_live_result_is_the_object_itself(stage):
    """The first run sees what the function returned, not a copy."""
    seen, value = [], {"a": (1, 2)}

    async def body(timer, step):
        seen.append(await step("a"))

    one = stage(body)
    await turns(2)
    one.script.execute("a", 0)
    assert one.channel.executed == [("a", 0)]
    one.script.hold_value("a", value)
    one.script.resolve(f.StepCompleted(key="a", output=encode(value)))
    await turns(3)
    assert seen[0] is value


async def test_without_the_object_the_record_is_read(stage):
    seen = []

    async def body(timer, step):
        seen.append(await step("a"))

    one = stage(body)
    await turns(2)
    one.script.resolve(f.StepCompleted(key="a", output=encode((1, 2))))
    await turns(3)
    assert seen == [(1, 2)]


@pytest.mark.parametrize("same", [True, False])
async def test_the_live_error_is_the_object_itself_if_it_is_the_one_on_record(stage, same):
    """A deadline may have settled the step while its attempt failed with something else."""
    seen, error = [], KeyError("sku")
    record = {"type": "builtins:KeyError", "message": "'sku'", "args": ["sku"]}

    async def body(timer, step):
        try:
            await step("a")
        except KeyError as caught:
            seen.append(caught)

    one = stage(body)
    await turns(2)
    one.script.hold_value("a", (record if same else {"type": "other"}, error))
    one.script.resolve(f.StepFailed(key="a", error=record))
    await turns(3)
    assert (seen[0] is error) is same
    assert repr(seen[0]) == repr(error)


async def test_a_value_that_cannot_be_rebuilt_stops_the_run_and_not_the_body(stage):
    seen = []

    async def body(timer, step):
        try:
            await step("a")
        finally:
            seen.append("moved")

    one = stage(body)
    await turns(2)
    gone = {"$": "dataclass", "c": "no.such.module:Thing", "v": {}}
    one.script.resolve(f.StepCompleted(key="a", output=gone))
    await turns(5)
    assert seen == []
    assert "cannot be rebuilt" in one.channel.reports[0]


async def test_a_wait_that_is_given_up_is_recorded(stage):
    async def body(timer, step):
        call = timer("t")
        call.cancel()
        return 1

    one = stage(body)
    await turns(3)
    assert commands(one) == [c.RequestTimer("t", 1), c.AbandonOperation("t"), c.CompleteRun(1)]


async def test_a_cancellation_reaches_the_body(stage):
    seen = []

    async def body(timer, step):
        try:
            await timer("t")
        except asyncio.CancelledError:
            seen.append("cleaning up")
            await timer("u")
            raise

    one = stage(body)
    await turns(2)
    one.script.resolve(f.RunCancelRequested())
    await turns(3)
    assert seen == ["cleaning up"]
    assert commands(one)[1:] == [c.AbandonOperation("t"), c.RequestTimer("u", 1)]
    one.fire("u")
    await turns(3)
    assert commands(one)[-1] == c.CancelRun()


async def test_a_call_from_elsewhere_is_refused(stage):
    async def body(timer, step):
        await timer("t")

    one = stage(body)
    await turns(2)
    with pytest.raises(RuntimeError, match="outside of its body"):
        one.script.place()


async def test_an_inline_step_runs_when_it_is_told_to(stage):
    seen = []

    async def work():
        seen.append("ran")
        return 5

    async def body(timer, step):
        return await one.inline("i", InlineWork(work, lambda: seen.append("discarded")))

    one = stage(body)
    await turns(2)
    assert seen == []
    one.script.execute("i", 0)
    assert one.script.is_busy
    await turns(3)
    assert seen[0] == "ran"
    report = commands(one)[-1]
    assert isinstance(report, c.ReportSuccess)
    assert (report.key, report.attempt, report.output) == ("i", 0, 5)


async def test_an_inline_step_that_fails_is_not_retried(stage):
    async def work():
        raise SystemExit(3)

    async def body(timer, step):
        return await one.inline("i", InlineWork(work, lambda: None))

    one = stage(body)
    await turns(2)
    one.script.execute("i", 0)
    await turns(3)
    report = commands(one)[-1]
    assert isinstance(report, c.ReportFailure)
    assert not report.retryable
    assert report.error["type"] == "builtins:SystemExit"


class TestReplay:
    async def test_recorded_outcomes_are_handed_out_without_commands(self, stage):
        seen = []

        async def body(timer, step):
            seen.append(await step("a"))
            await timer("t")
            seen.append("live")
            await timer("new")

        one = stage(
            body,
            step("a"),
            f.StepCompleted(key="a", output=4),
            timer("t"),
            f.TimerFired(key="t"),
        )
        assert one.script.replaying
        await turns(6)
        assert seen == [4, "live"]
        assert not one.script.replaying
        assert commands(one) == [c.RequestTimer("new", 1)]
        assert one.channel.executed == []

    async def test_an_open_step_is_owed_until_it_is_asked_for(self, stage):
        async def body(timer, step):
            await step("a")
            await step("b")

        one = stage(body, step("a"), f.StepCompleted(key="a"), step("b"))
        one.script.execute("b", 2)
        assert one.channel.executed == []
        await turns_until(lambda: one.channel.executed)
        assert one.channel.executed == [("b", 2)]
        assert commands(one) == []

    async def test_the_order_of_a_race_is_the_recorded_one(self, stage):
        seen = []

        async def branch(step, key):
            await step(key)
            seen.append(key)

        async def body(timer, step):
            await asyncio.gather(*(branch(step, key) for key in "abc"))

        done = [f.StepCompleted(key=key) for key in "bca"]
        one = stage(body, *map(step, "abc"), *done)
        await turns_until(lambda: len(seen) == 3)
        assert seen == list("bca")
        await turns_until(lambda: commands(one))
        assert commands(one) == [c.CompleteRun(None)]

    async def test_a_body_that_asks_for_something_else_has_diverged(self, stage):
        async def body(timer, step):
            await step("other")

        one = stage(body, step("a"), f.StepCompleted(key="a"))
        await turns(5)
        assert len(one.channel.reports) == 1
        assert "expected: step 'a'" in one.channel.reports[0]
        assert "asked for: 'other'" in one.channel.reports[0]
        assert commands(one) == []

    async def test_a_body_that_ends_too_soon_has_diverged(self, stage):
        async def body(timer, step):
            return 1

        one = stage(body, step("a"))
        await turns(5)
        assert "it ended." in one.channel.reports[0]
        assert commands(one) == []


class TestClosing:
    async def test_a_closed_body_ends_without_effects(self, stage):
        seen = []

        async def body(timer, step):
            try:
                await timer("t")
            finally:
                seen.append("finally")
                await timer("u")
                seen.append("never")

        one = stage(body)
        await turns(2)
        one.script.close()
        one.script.close()
        await turns(5)
        assert seen == ["finally"]
        assert commands(one) == [c.RequestTimer("t", 1)]
        assert one.script.guards == set()

    async def test_work_that_was_not_begun_is_discarded(self, stage):
        seen = []

        async def body(timer, step):
            await one.inline("i", InlineWork(None, lambda: seen.append("discarded")))

        one = stage(body)
        await turns(2)
        one.script.close()
        assert seen == ["discarded"]

    async def test_a_frozen_script_hands_nothing_over_and_starts_nothing(self, stage):
        seen = []

        async def body(timer, step):
            seen.append(await step("a"))

        one = stage(body)
        await turns(2)
        one.script.frozen = True
        one.script.execute("a", 0)
        one.script.resolve(f.StepCompleted(key="a", output=1))
        await turns(5)
        assert seen == []
        assert one.channel.executed == []

    async def test_a_task_that_will_not_end_is_dropped_with_a_warning(self, stage, caplog):
        async def body(timer, step):
            while True:
                with suppress(BaseException):
                    await timer("t")

        one = stage(body)
        await turns(2)
        with caplog.at_level(logging.WARNING, "agnt5.run"):
            one.script.close()
            await turns(5)
        assert "catches BodyClosed for ever" in caplog.text
        assert one.script.guards == set()
