"""Chat workflows: every run is a turn, ``ctx.state`` is what its session knows."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3

import pytest
from tests.api.helpers import event_types, python, until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    FunctionContext,
    Runtime,
    WorkflowRegistry,
    function,
    rebuild_index,
    workflow,
)


@pytest.fixture(autouse=True)
def nothing_registered():
    yield
    WorkflowRegistry.clear()


def talk():
    """A workflow that remembers what it was told, in its body and in a step."""

    @function
    async def count(ctx: FunctionContext) -> int:
        turns = ctx.state.get("turns", 0) + 1
        ctx.state.set("turns", turns)
        return turns

    @workflow(chat=True)
    async def chat(ctx, message: str) -> dict[str, object]:
        before = ctx.state.to_dict()
        ctx.state.set("heard", [*ctx.state.get("heard", []), message])
        await ctx.step(count)
        if message == "forget":
            ctx.state.clear()
        if message == "wait":
            await ctx.wait_for_signal("go")
        if message == "fail":
            raise ValueError("as asked")
        return before


async def say(client, message, session="s", **more):
    return await client.run(
        "chat", {"message": message}, "workflow", session_id=session, timeout=15, **more
    )


async def test_the_next_turn_knows_what_the_turn_before_has_set(store):
    """In the same runtime and in the next one; another session knows nothing of it."""
    talk()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await say(client, "one")).output == {}
        assert (await say(client, "two")).output == {"heard": ["one"], "turns": 1}
        assert (await say(client, "other", "t")).output == {}
    if str(store).startswith("sqlite"):
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            known = {"heard": ["one", "two"], "turns": 2}
            assert (await say(client, "forget")).output == known
            assert (await say(client, "new")).output == {}


async def test_values_that_are_equal_in_python_alone_are_changes(store):
    """1 == True == 1.0, and yet a turn that sets one of them in place of another has changed it."""

    @workflow(chat=True)
    async def chat(ctx, message: object) -> object:
        before = ctx.state.get("said")
        ctx.state.set("said", message)
        return before

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        said = [(await say(client, message)).output for message in (1, True, 1.0, [1], [True], 0)]
    assert list(map(repr, said)) == ["None", "1", "True", "1.0", "[1]", "[True]"]


async def test_a_turn_that_fails_leaves_the_session_as_it_was(store):
    talk()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await say(client, "one")
        assert not (await say(client, "fail")).is_success
        assert (await say(client, "two")).output == {"heard": ["one"], "turns": 1}


async def test_of_two_turns_at_once_the_one_that_ends_first_counts(store):
    """The other one fails with StateConflictError, and has written nothing."""
    talk()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        slow = asyncio.ensure_future(say(client, "wait", run_id="slow"))
        await until(
            lambda: any(
                fact.topic.startswith("SignalAwaited") for fact in runtime._bus.log.read("slow")
            )
        )
        assert (await say(client, "quick")).is_success
        await client.signal("slow", "go")
        response = await slow
        assert not response.is_success
        assert "was changed by somebody else" in str(response.error)
        assert (await say(client, "next")).output == {"heard": ["quick"], "turns": 1}


async def test_without_a_session_the_state_is_that_of_the_run(store):
    talk()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for _ in range(2):
            response = await client.run("chat", {"message": "one"}, "workflow", timeout=15)
            assert response.output == {}
        types = await event_types(client, response.run_id)
        assert types.count("workflow.step.completed") == 1


async def test_a_turn_that_only_reads_writes_nothing(store):
    @workflow(chat=True)
    async def chat(ctx, message: str) -> list[str]:
        return ctx.state.keys()

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await say(client, "one")
        assert response.output == []
        types = await event_types(client, response.run_id)
        assert types.count("workflow.step.completed") == 1


async def test_other_workflows_read_it_as_the_state_of_the_session(store):
    talk()

    @workflow
    async def look(ctx) -> object:
        return await ctx.session.state.get("heard")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await say(client, "one")
        response = await client.run("look", {}, "workflow", session_id="s", timeout=15)
        assert response.output == ["one"]


def test_chat_is_yes_or_no():
    with pytest.raises(ConfigurationError, match="chat takes True or False"):

        @workflow(chat="yes")
        async def body(ctx) -> None: ...


async def test_a_crash_between_the_session_and_the_run_writes_once(file_store):
    """The session has the turn, the run does not know it yet: it asks again and is answered."""
    talk()
    async with Runtime(file_store) as runtime:
        await say(AsyncClient(runtime=runtime), "one", run_id="r")
        facts = runtime._log.read("r")
        asked = next(
            each.version
            for each in facts
            if each.topic.startswith("StepScheduled") and b"session.save" in each.state
        )
        session = [s for s in runtime._log.other_streams() if "session" in s]
        before = [runtime._log.read(stream) for stream in session]
    with sqlite3.connect(file_store.removeprefix("sqlite:///")) as database:
        gone = database.execute(
            "DELETE FROM stored_events WHERE originator_id = 'r' AND originator_version > ?",
            (asked,),
        )
        assert gone.rowcount == facts[-1].version - asked > 0
    database.close()
    rebuild_index(file_store)
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert (await client.wait_for_result("r", 15)).output == {}
        assert [runtime._log.read(stream) for stream in session] == before != [[]]
        assert (await say(client, "two")).output == {"heard": ["one"], "turns": 1}


KILLED = """
import asyncio, sys
from agnt5 import AsyncClient, Runtime, workflow

@workflow(chat=True)
async def chat(ctx, message):
    known = ctx.state.get("heard", [])
    ctx.state.set("heard", [*known, message])
    if message == "two" and sys.argv[1] == "first":
        print("waits", flush=True)
    if message == "two":
        await ctx.wait_for_signal("go")
    return ctx.state.get("heard")

async def main():
    async with Runtime("sqlite:///store.db") as runtime:
        client = AsyncClient(runtime=runtime)
        say = lambda text, **more: client.run(
            "chat", {"message": text}, "workflow", session_id="s", **more
        )
        if sys.argv[1] == "first":
            await say("one")
            await say("two", run_id="r")
        await client.signal("r", "go")
        print((await client.wait_for_result("r", 20)).output)
        print((await say("three")).output)

asyncio.run(main())
"""


def test_kill_9_in_a_turn_loses_nothing_and_writes_nothing_twice(tmp_path):
    """The turn goes on with what the session knew when it began."""
    first = python(KILLED, "first", cwd=tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline().strip() == "waits"
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=20)
    out, err = python(KILLED, "second", cwd=tmp_path).communicate(timeout=50)
    assert out.splitlines() == ["['one', 'two']", "['one', 'two', 'three']"], err
    assert err == ""
