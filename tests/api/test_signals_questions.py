"""What comes from outside into a run: signals, and answers to questions."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import event_types, until, written

from agnt5 import AsyncClient, InvalidInputError, Runtime, function, workflow

APPROVAL = [{"id": "approve", "label": "Yes"}, {"id": "reject", "label": "No"}]
TOPICS = [{"id": "ai", "label": "AI"}, {"id": "web", "label": "Web"}, {"id": "ml", "label": "ML"}]
MANY = {"input_type": "multiselect", "options": TOPICS}


@pytest.fixture
async def client(store):
    """The client of an open runtime."""
    async with Runtime(store) as runtime:
        yield AsyncClient(runtime=runtime)


async def test_early_signals_are_kept_in_order(client):
    """Signals that come before anybody waits are taken first, the oldest first."""
    gate = asyncio.Event()

    @function
    async def opened():
        await gate.wait()

    @workflow
    async def body(ctx):
        await ctx.step(opened)
        return [await ctx.wait_for_signal("n") for _ in range(4)]

    run_id = (await client.submit("body", {}, "workflow")).run_id
    for n in range(3):
        await client.signal(run_id, "n", n)
    gate.set()
    await client.signal(run_id, "n", 3)
    assert (await client.wait_for_result(run_id, 10)).output == [0, 1, 2, 3]


async def test_the_same_signal_id_is_the_same_signal(client):
    """A repeated ``signal_id`` is accepted and changes nothing, before and after it was taken."""

    @workflow
    async def body(ctx):
        return [await ctx.wait_for_signal("n"), await ctx.wait_for_signal("n")]

    run_id = (await client.submit("body", {}, "workflow")).run_id
    for _ in range(3):
        await client.signal(run_id, "n", "one", signal_id="a")
    await asyncio.gather(*(client.signal(run_id, "n", "two", signal_id="b") for _ in range(5)))
    assert (await client.wait_for_result(run_id, 10)).output == ["one", "two"]
    assert (await event_types(client, run_id)).count("signal.received") == 2


async def test_signals_of_other_names_wait_for_their_own(client):
    """Names are separate queues."""

    @workflow
    async def body(ctx):
        b = await ctx.wait_for_signal("b")
        a = await ctx.wait_for_signal("a")
        return [a, b]

    run_id = (await client.submit("body", {}, "workflow")).run_id
    await client.signal(run_id, "a", 1)
    await client.signal(run_id, "b", 2)
    assert (await client.wait_for_result(run_id, 10)).output == [1, 2]


async def test_waits_side_by_side_take_one_signal_each(client):
    """Two waits for one name: the first signal goes to the first wait."""

    @workflow
    async def body(ctx):
        return await ctx.parallel(ctx.wait_for_signal("n"), ctx.wait_for_signal("n"))

    run_id = (await client.submit("body", {}, "workflow")).run_id
    await client.signal(run_id, "n", "first")
    await client.signal(run_id, "n", "second")
    assert (await client.wait_for_result(run_id, 10)).output == ["first", "second"]


async def test_signals_survive_restarts(store):
    """Sent before a restart, taken after it; waited for before, sent after."""

    @workflow
    async def body(ctx):
        first = await ctx.wait_for_signal("n")
        second = await ctx.wait_for_signal("n")
        third = await ctx.wait_for_signal("n")
        return [first, second, third]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        await client.signal("r", "n", 1)
        await client.signal("r", "n", 2)
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "n", 3)
        assert (await client.wait_for_result("r", 10)).output == [1, 2, 3]


async def test_a_signal_with_no_payload(client):
    """The payload may be left out, and is None then."""

    @workflow
    async def body(ctx):
        return [await ctx.wait_for_signal("go")]

    run_id = (await client.submit("body", {}, "workflow")).run_id
    await client.signal(run_id, "go")
    assert (await client.wait_for_result(run_id, 10)).output == [None]


async def test_no_signal_is_lost_to_a_wait_that_is_being_given_up(store):
    """The timeout has fired, the body is not told yet, a signal comes: the next wait has it."""
    from agnt5.actors.clock import ManualClock

    clock = ManualClock()

    @workflow
    async def body(ctx):
        async def sleeper():
            await ctx.sleep(5)

        nap = asyncio.create_task(sleeper())
        try:
            async with ctx.timeout(5):
                await ctx.wait_for_signal("go")
        except TimeoutError:
            pass
        await nap
        return await ctx.wait_for_signal("go")

    async with Runtime(store, clock=clock, park_after=9999) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        actor = runtime._bus.runs["r"]
        await until(lambda: len(actor.state.open) == 3)
        await written(runtime)
        actor.script.frozen = True
        clock.advance(6)
        await written(runtime)
        await client.signal("r", "go", 7)
        actor.script.frozen = False
        actor.script._pump()
        assert (await client.wait_for_result("r", 2)).output == 7


# Questions.


async def asked(client, **question):
    """A run that has asked; its id, and the response that its caller got."""

    @workflow
    async def asks(ctx):
        return [await ctx.wait_for_user("Which?", **question)]

    response = await client.run("asks", {}, "workflow", timeout=10)
    return response.run_id, response


async def test_run_returns_when_a_person_is_asked(client):
    """``run`` answers paused, with the question; the status is awaiting_user_input."""
    run_id, response = await asked(client, input_type="approval", options=APPROVAL)
    assert (response.status_code, response.status) == (202, "paused")
    assert response.is_pending
    assert not response.is_error
    assert response.metadata["question"] == "Which?"
    assert response.metadata["input_type"] == "approval"
    assert response.metadata["options"] == APPROVAL
    assert (await client.get_status(run_id)).status == "awaiting_user_input"
    assert (await client.get_result(run_id)).status == "paused"
    await client.resume(run_id, "approve")
    assert (await client.wait_for_result(run_id, 10)).output == ["approve"]
    types = await event_types(client, run_id)
    assert types.index("approval.requested") < types.index("workflow.paused")
    assert types.index("approval.resolved") < types.index("workflow.resumed")


ANSWERS = {
    "text": ({}, "anything", "anything"),
    "empty text": ({}, "", ""),
    "custom text": ({}, "__custom__:mine", "mine"),
    "approval": ({"input_type": "approval", "options": APPROVAL}, "reject", "reject"),
    "select": ({"input_type": "select", "options": TOPICS}, "ml", "ml"),
    "custom select": (
        {"input_type": "select", "options": TOPICS, "allow_custom": True},
        "__custom__:rust",
        "rust",
    ),
    "multiselect": ({"input_type": "multiselect", "options": TOPICS}, "ai,web", "ai,web"),
    "multiselect, a list": (MANY, ["ai", "ml"], "ai,ml"),
    "skip": ({"skippable": True}, None, None),
    "skip, as the SDK says it": ({"skippable": True}, "__skip__", None),
    "skipped, as the SDK says it": ({"skippable": True}, "__skipped__", None),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_answers(client, case):
    """Each sort of question takes its answers."""
    question, answer, expected = ANSWERS[case]
    run_id, _ = await asked(client, **question)
    await client.resume(run_id, answer)
    assert (await client.wait_for_result(run_id, 10)).output == [expected]


REFUSED = {
    "no option": ({"input_type": "approval", "options": APPROVAL}, "maybe", "no option"),
    "label for id": ({"input_type": "select", "options": TOPICS}, "AI", "no option"),
    "one of several": (MANY, "ai,x", "'x' is no option"),
    "several of one": ({"input_type": "select", "options": TOPICS}, "ai,web", "no option"),
    "skip": ({}, None, "may not be skipped"),
    "skip, as the SDK says it": ({}, "__skip__", "may not be skipped"),
    "number": ({}, 5, "text"),
    "dict": ({}, {"answer": "x"}, "text"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_invalid_answers_are_refused(client, case):
    """Refused, nothing written, and the run still waits for a good one."""
    question, answer, match = REFUSED[case]
    run_id, _ = await asked(client, **question)
    before = await written(client.runtime)
    with pytest.raises(InvalidInputError, match=match):
        await client.resume(run_id, answer)
    assert await written(client.runtime) == before
    assert (await client.get_status(run_id)).status == "awaiting_user_input"
    good = question.get("options", [{"id": "fine"}])[0]["id"]
    await client.resume(run_id, good)
    assert (await client.wait_for_result(run_id, 10)).output == [good]


async def test_an_answer_counts_once(client):
    """The same answer again changes nothing; another one is refused, and so is one to nothing."""

    @workflow
    async def asks(ctx):
        first = await ctx.wait_for_user("First?")
        second = await ctx.wait_for_user("Second?")
        return [first, second]

    response = await client.run("asks", {}, "workflow", timeout=10)
    key = response.metadata["key"]
    await client.resume(response.run_id, "1", key=key)
    await client.resume(response.run_id, "1", key=key)
    with pytest.raises(InvalidInputError, match="answered before, with '1'"):
        await client.resume(response.run_id, "again", key=key)
    paused = await client.get_result(response.run_id)
    async with asyncio.timeout(10):
        while paused.metadata.get("question") != "Second?":
            paused = await client.get_result(response.run_id)
    await client.resume(response.run_id, "2", key=paused.metadata["key"])
    response = await client.wait_for_result(response.run_id, 10)
    assert response.output == ["1", "2"]
    with pytest.raises(InvalidInputError):
        await client.resume(response.run_id, "3")


async def test_several_questions_at_once_are_answered_by_key(client):
    """Without a key it is not clear which one is meant: refused, with the keys."""

    @workflow
    async def asks(ctx):
        return await ctx.gather(a=ctx.wait_for_user("A?"), b=ctx.wait_for_user("B?"))

    run_id = (await client.submit("asks", {}, "workflow")).run_id
    paused = await client.get_result(run_id)
    async with asyncio.timeout(10):
        while len(paused.metadata.get("questions", ())) < 2:
            paused = await client.get_result(run_id)
    keys = {each["question"]: each["key"] for each in paused.metadata["questions"]}
    with pytest.raises(InvalidInputError, match="several answers"):
        await client.resume(run_id, "x")
    await client.resume(run_id, "b", key=keys["B?"])
    await client.resume(run_id, "a", key=keys["A?"])
    assert (await client.wait_for_result(run_id, 10)).output == {"a": "a", "b": "b"}


async def test_a_question_survives_restarts(store):
    """Asked before a restart, answered after it; the steps before do not run again."""
    prepared = []

    @workflow
    async def asks(ctx):
        await ctx.step("prepare", lambda: prepared.append(1))
        return await ctx.wait_for_user("Fine?", "approval", APPROVAL)

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.run("asks", {}, "workflow", run_id="r")).status == "paused"
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        result = await client.get_result("r")
        assert result.metadata["question"] == "Fine?"
        await client.resume("r", "approve")
        assert (await client.wait_for_result("r", 10)).output == "approve"
    assert prepared == [1]


async def test_answers_replay(store):
    """An answered question gives the same answer on replay, without asking again."""
    seen = []

    @workflow
    async def asks(ctx):
        seen.append(await ctx.wait_for_user("Sure?"))
        await ctx.wait_for_signal("go")
        return "done"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("asks", {}, "workflow", run_id="r")
        await client.resume("r", "yes")
        await until(lambda: seen)
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "go")
        assert (await client.wait_for_result("r", 10)).is_success
        assert (await event_types(client, "r")).count("approval.requested") == 1
    assert seen == ["yes", "yes"]


async def test_cancelling_a_run_that_waits_for_a_person(client):
    """A question does not hold a run that is cancelled."""
    run_id, _ = await asked(client)
    await client.cancel(run_id)
    assert (await client.wait_for_result(run_id, 10)).status == "cancelled"
    with pytest.raises(InvalidInputError):
        await client.resume(run_id, "late")
