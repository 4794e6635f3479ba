"""Questions with assignees, time limits and replies; waits for signals that end."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError

import pytest
from tests.api.helpers import event_types, play, turns, twice, until, written

from agnt5 import AsyncClient, InvalidInputError, Runtime, StepTimeoutError, UserReply, workflow
from agnt5.actors.clock import ManualClock

OPTIONS = [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]


@pytest.fixture
async def timed(store):
    """A client, and the clock of its runtime."""
    clock = ManualClock()
    async with Runtime(store, clock=clock) as runtime:
        yield AsyncClient(runtime=runtime), clock


async def refusals(client, *calls):
    """What the body is told about each of these calls."""
    told = []

    @workflow
    async def wrong(ctx):
        for call in calls:
            try:
                call(ctx)
            except ValueError as error:
                told.append(str(error))
        return len(told)

    before = await written(client.runtime)
    response = await client.run("wrong", {}, "workflow")
    assert response.output == len(calls), told
    assert await written(client.runtime) - before <= 3
    return told


# Replies.


async def test_a_reply_says_who_how_and_why(timed):
    """What the client says about the answer reaches the body, and the events."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        reply = await ctx.wait_for_reply("Which?", "select", OPTIONS, assignees=["ada", "bob"])
        with pytest.raises(FrozenInstanceError):
            reply.answer = "x"
        return [reply.answer, reply.actor, reply.channel, reply.reason, reply.timed_out]

    asked = (await client.run("asks", {}, "workflow", run_id="r")).metadata["questions"][0]
    assert asked["assignees"] == ["ada", "bob"]
    assert (asked["due_at"], asked["allow_custom"], asked["skippable"]) == (None, False, False)
    assert isinstance(asked["shown"], str)
    for wrong in ({}, {"actor": "eve"}, {"actor": "ada", "shown": "other"}, {"actor": 5}):
        before = await written(client.runtime)
        with pytest.raises(InvalidInputError):
            await client.resume("r", "a", **wrong)
        assert await written(client.runtime) == before
    about = {"actor": "bob", "channel": "mail", "reason": "why not", "shown": asked["shown"]}
    await client.submit_user_response("r", "b", **about)
    expected = ["b", "bob", "mail", "why not", False]
    assert (await client.wait_for_result("r", 10)).output == expected
    resolved = [e for e in await client.get_events("r") if e.event_type == "approval.resolved"]
    assert resolved[0].metadata.items() >= about.items()


async def test_replies_replay(store):
    """The same reply, with its type."""

    async def body(ctx):
        reply = await ctx.wait_for_reply("Which?", timeout=0.01, on_timeout="none")
        return [reply, await ctx.wait_for_user("And?", timeout=0.01, on_timeout="no")]

    first, second = await twice(store, body)
    assert first == second == [UserReply("none", timed_out=True), "no"]


async def test_what_was_shown_differs_with_the_question(timed):
    """The digest is of the question, its type and its options, and of nothing else."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        await asyncio.gather(
            ctx.wait_for_user("A?", "select", OPTIONS),
            ctx.wait_for_user("A?", "select", [dict(option) for option in OPTIONS], timeout=9),
            ctx.wait_for_user("B?", "select", OPTIONS),
            ctx.wait_for_user("A?", "select", OPTIONS[:1]),
            ctx.wait_for_user("A?", "multiselect", OPTIONS),
        )

    await client.run("asks", {}, "workflow", run_id="r")
    await written(client.runtime)
    asked = (await client.get_result("r")).metadata["questions"]
    first, same, *others = [each["shown"] for each in asked]
    assert first == same
    assert len({first, *others}) == 4


# Time.


async def test_a_question_expires_while_the_run_is_parked(timed):
    """With the answer that stands then; nobody can answer any more."""
    client, clock = timed

    @workflow
    async def asks(ctx):
        return [await ctx.wait_for_user("Which?", "select", OPTIONS, timeout=100, on_timeout="b")]

    response = await client.run("asks", {}, "workflow", run_id="r")
    key, due_at = response.metadata["key"], response.metadata["due_at"]
    assert due_at.timestamp() * 1e6 == pytest.approx(clock.now() + 100_000_000)
    runs = client.runtime._bus.runs
    await play(client.runtime, clock, lambda: "r" not in runs)
    assert response.is_paused
    assert (await client.get_status("r")).is_paused
    await play(client.runtime, clock, lambda: "r" in runs)
    assert (await client.wait_for_result("r", 10)).output == ["b"]
    with pytest.raises(InvalidInputError, match="has expired"):
        await client.resume("r", "b", key=key)
    assert "approval.expired" in await event_types(client, "r")


async def test_a_question_without_a_standing_answer_raises(timed):
    """StepTimeoutError, which is a TimeoutError."""
    client, clock = timed

    @workflow
    async def asks(ctx):
        try:
            await ctx.wait_for_reply("Which?", timeout=5)
        except TimeoutError as error:
            return type(error).__name__

    await client.run("asks", {}, "workflow", run_id="r")
    clock.advance(5.1)
    assert (await client.wait_for_result("r", 10)).output == "StepTimeoutError"


async def test_an_answer_in_time_ends_the_wait(timed):
    """The deadline has no meaning any more."""
    client, clock = timed

    @workflow
    async def asks(ctx):
        answer = await ctx.wait_for_user("Which?", timeout=5, on_timeout="late")
        await ctx.sleep(50)
        return answer

    await client.run("asks", {}, "workflow", run_id="r")
    await client.resume("r", "early")
    clock.advance(6)
    await play(client.runtime, clock, lambda: "r" not in client.runtime._bus.runs)
    clock.advance(60)
    assert (await client.wait_for_result("r", 10)).output == "early"


async def test_a_wait_for_a_signal_that_ends(store):
    """A signal that comes later is for the next wait."""
    clock = ManualClock()

    @workflow
    async def waits(ctx):
        got = []
        for _ in range(3):
            try:
                got.append(await ctx.wait_for_signal("go", timeout=10))
            except StepTimeoutError:
                got.append("late")
        with pytest.raises(StepTimeoutError):
            await ctx.signal("go", 0)
        return got

    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("waits", {}, "workflow", run_id="r")
        await written(runtime)
        clock.advance(9)
        await client.signal("r", "go", 1)
        await written(runtime)
        clock.advance(9.9)
        await written(runtime)
        clock.advance(0.2)
        await written(runtime)
        await client.signal("r", "go", 2)
        waiting = asyncio.ensure_future(client.wait_for_result("r", 10))
        await play(runtime, clock, waiting.done)
        assert (await waiting).output == [1, "late", 2]
        assert (await event_types(client, "r")).count("signal.timed_out") == 2


async def test_signals_that_time_out_replay(store):
    """A wait that ended ends again, and a zero wait takes what is there."""

    async def body(ctx):
        seen = []
        for name in ("a", "b"):
            try:
                seen.append(await ctx.signal(name, timeout=0.01))
            except StepTimeoutError as error:
                seen.append(str(error))
        return seen

    first, second = await twice(store, body)
    assert first == second
    assert first[0] == "no signal came for ':signal:a#0' in time"


async def test_a_deadline_passes_while_no_process_is_there(store):
    """It has passed when the next one starts."""
    clock = ManualClock()

    @workflow
    async def waits(ctx):
        replies = await asyncio.gather(
            ctx.wait_for_user("Which?", timeout=50, on_timeout="none"),
            ctx.signal("go", timeout=60),
            return_exceptions=True,
        )
        return [str(reply) for reply in replies]

    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("waits", {}, "workflow", run_id="r")
        await written(runtime)
    clock.advance(1000)
    async with Runtime(store, clock=clock) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result("r", 10)
    assert response.output == ["none", "no signal came for ':signal:go#0' in time"]


# Several.


async def test_several_pauses_in_branches_of_one_run(timed):
    """Each question is where it was asked; answers may come in any order, and one at a time."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        async def pair(name):
            first = await ctx.wait_for_user(f"{name}1?")
            return [first, await ctx.wait_for_user(f"{name}2?")]

        return await asyncio.gather(pair("a"), pair("b"))

    await client.run("asks", {}, "workflow", run_id="r")
    answered: set[str] = set()
    for _ in range(4):
        await written(client.runtime)
        asked = (await client.get_result("r")).metadata["questions"]
        assert len(asked) == (2 if len(answered) < 2 else 1)
        each = max((q for q in asked if q["key"] not in answered), key=lambda q: q["question"])
        await client.resume("r", each["question"].lower(), key=each["key"])
        answered.add(each["key"])
        await client.resume("r", each["question"].lower(), key=each["key"])
    assert (await client.wait_for_result("r", 10)).output == [["a1?", "a2?"], ["b1?", "b2?"]]


async def test_a_question_by_its_number(timed):
    """The key as programs for the platform write it."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        return await asyncio.gather(ctx.wait_for_user("A?"), ctx.wait_for_user("B?"))

    await client.run("asks", {}, "workflow", run_id="r")
    await written(client.runtime)
    await client.resume("r", "b", key="user_response:r:1")
    await client.resume("r", "b", key="user_response:r:1")
    await client.resume("r", "a", key="user_response:r:0")
    assert (await client.wait_for_result("r", 10)).output == ["a", "b"]


async def test_a_pause_cannot_be_swallowed(timed):
    """``except Exception`` around a question catches nothing of ours."""
    client, clock = timed
    caught = []

    @workflow
    async def asks(ctx):
        try:
            return await ctx.wait_for_user("Which?")
        except Exception as error:
            caught.append(error)
            raise

    await client.run("asks", {}, "workflow", run_id="r")
    await play(client.runtime, clock, lambda: "r" not in client.runtime._bus.runs)
    await client.resume("r", "it goes on")
    assert (await client.wait_for_result("r", 10)).output == "it goes on"
    assert caught == []


# What may be asked.


async def test_an_approval_has_options_of_its_own(timed):
    """And takes nothing else."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        return await ctx.wait_for_user("Fine?", "approval")

    response = await client.run("asks", {}, "workflow", run_id="r")
    assert [each["id"] for each in response.metadata["options"]] == ["approve", "reject"]
    with pytest.raises(InvalidInputError, match="no option"):
        await client.resume("r", "fine")
    await client.resume("r", "approve")
    assert (await client.wait_for_result("r", 10)).output == "approve"


@pytest.mark.parametrize(("old", "new"), [("selection", "select"), ("choice", "multiselect")])
async def test_older_names_of_types(timed, old, new):
    """Work, with a warning at the line that calls; recorded under the newer name."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        with pytest.warns(DeprecationWarning, match=f"is called '{new}' now") as warned:
            future = ctx.wait_for_user("Which?", old, OPTIONS)
        assert warned[0].filename == __file__
        return await future

    response = await client.run("asks", {}, "workflow", run_id="r")
    assert response.metadata["input_type"] == new
    await client.resume("r", ["a"])
    assert (await client.wait_for_result("r", 10)).output == "a"


async def test_custom_answers_need_leave(timed):
    """``__custom__:`` is no way around the options."""
    client, _ = timed

    @workflow
    async def asks(ctx):
        first = await ctx.wait_for_user("Which?", "select", OPTIONS)
        return [first, await ctx.wait_for_user("Which?", "select", OPTIONS, True, True)]

    await client.run("asks", {}, "workflow", run_id="r")
    with pytest.raises(InvalidInputError, match="no option"):
        await client.resume("r", "__custom__:a")
    await client.resume("r", "a")
    await until(lambda: client.runtime._bus.runs["r"].state.open)
    await client.resume("r", "__custom__:mine")
    assert (await client.wait_for_result("r", 10)).output == ["a", "mine"]


async def test_questions_that_cannot_be_answered(timed):
    """Refused at the call, and nothing is recorded."""
    client, _ = timed
    told = await refusals(
        client,
        lambda ctx: ctx.wait_for_user(5),
        lambda ctx: ctx.wait_for_user("?", "essay"),
        lambda ctx: ctx.wait_for_user("?", "select"),
        lambda ctx: ctx.wait_for_user("?", "multiselect", []),
        lambda ctx: ctx.wait_for_user("?", "approval", []),
        lambda ctx: ctx.wait_for_user("?", "select", "ab"),
        lambda ctx: ctx.wait_for_user("?", "select", ["a"]),
        lambda ctx: ctx.wait_for_user("?", "select", [{"label": "A"}]),
        lambda ctx: ctx.wait_for_user("?", "select", [{"id": 7}]),
        lambda ctx: ctx.wait_for_user("?", "select", [{"id": " "}]),
        lambda ctx: ctx.wait_for_user("?", "select", [*OPTIONS, {"id": "a"}]),
        lambda ctx: ctx.wait_for_user("?", "multiselect", [{"id": "a,b"}]),
        lambda ctx: ctx.wait_for_user("?", "select", [{"id": "a", "x": object()}]),
        lambda ctx: ctx.wait_for_user("?", assignees="ada"),
        lambda ctx: ctx.wait_for_user("?", assignees=[]),
        lambda ctx: ctx.wait_for_user("?", assignees=[7]),
        lambda ctx: ctx.wait_for_user("?", timeout=-1),
        lambda ctx: ctx.wait_for_user("?", timeout=float("nan")),
        lambda ctx: ctx.wait_for_user("?", on_timeout="x"),
        lambda ctx: ctx.wait_for_user("?", timeout=1, on_timeout=7),
        lambda ctx: ctx.wait_for_reply("?", "select", OPTIONS, timeout=1, on_timeout="c"),
        lambda ctx: ctx.wait_for_signal(""),
        lambda ctx: ctx.wait_for_signal("go", timeout="soon"),
        lambda ctx: ctx.signal("go", -3),
    )
    assert "the options are 'a', 'b'" in told[20]


async def test_a_run_that_goes_on_meanwhile_is_waited_for(store, monkeypatch):
    """Between the look whether it waits for a person and the look at what it says."""
    may_end = asyncio.Event()

    @workflow
    async def asks(ctx):
        await ctx.wait_for_user("?")
        await ctx.step("work", may_end.wait)
        return "done"

    async with Runtime(store) as runtime:
        client, runs = AsyncClient(runtime=runtime), runtime.runs
        paused = await client.run("asks", {}, "workflow", idempotency_key="k")
        assert paused.is_paused
        stale, now = await runs.row(paused.run_id), runs.row
        await client.resume(paused.run_id, "yes")
        await until(
            lambda: (row := runs.bus.log.run_row(paused.run_id)) and row.status == "running"
        )
        looks = [stale]
        monkeypatch.setattr(runs, "row", lambda run_id: _first(looks) or now(run_id))
        again = asyncio.ensure_future(client.run("asks", {}, "workflow", idempotency_key="k"))
        await until(lambda: not looks)
        await turns(100)
        assert not again.done()
        may_end.set()
        assert (await again).output == "done"


def _first(rows):
    async def row():
        return rows.pop()

    return row() if rows else None
