"""What a run answers while it is under way: queries, which write nothing, and updates."""

from __future__ import annotations

import asyncio
import signal

import orjson
import pytest
from tests.api.helpers import event_types, play, python, until, written

from agnt5 import (
    AsyncClient,
    InvalidInputError,
    QueryError,
    Queue,
    RunNotFoundError,
    Runtime,
    RuntimeClosedError,
    StepTimeoutError,
    UpdateError,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock


@pytest.fixture
async def client(store):
    """The client of an open runtime."""
    async with Runtime(store, park_after=0.01) as runtime:
        yield AsyncClient(runtime=runtime)


def define():
    """A basket: asked and changed from outside until somebody says that it is full."""

    @function
    async def price_of(item: str) -> int:
        return len(item)

    @workflow
    async def basket(ctx):
        items = {}
        ctx.set_query_handler("items", lambda: dict(items))
        ctx.set_query_handler("price", lambda item, *, times=1: items[item] * times)
        ctx.set_query_handler("meddle", lambda: ctx.step(price_of, "pear"))
        ctx.set_query_handler("later", lambda: asyncio.sleep(0))
        ctx.set_query_handler("itself", lambda: ctx)

        def known(item):
            if item == "":
                raise KeyError("nothing")
            return item != "no"

        async def add(item):
            if item == "bad":
                raise LookupError("no such item", 7)
            items[item] = await ctx.step(price_of, item)
            return sum(items.values())

        ctx.set_update_handler("add", add, validator=known)
        ctx.set_update_handler("clear", lambda _: items.clear())
        return [await ctx.wait_for_signal("full"), items]


async def begun(client, name="basket"):
    """A run that waits."""
    define()
    run_id = (await client.submit(name, {}, "workflow", run_id="r")).run_id
    await until(lambda: run_id not in client.runtime._bus.runs)
    return run_id


# Queries.


async def test_a_query_brings_a_parked_run_back_and_writes_nothing(client):
    """It is answered from what the body has after its replay, and the run parks again."""
    await begun(client)
    await client.update("r", "add", "pear")
    await until(lambda: "r" not in client.runtime._bus.runs)
    before = await written(client.runtime)
    assert await client.query("r", "items") == {"pear": 4}
    assert await client.query("r", "price", "pear", times=2) == 8
    await until(lambda: "r" not in client.runtime._bus.runs)
    assert await written(client.runtime) == before
    await client.signal("r", "full", 1)
    assert (await client.wait_for_result("r", 10)).output == [1, {"pear": 4}]


async def test_many_queries_at_once(client):
    """Each is answered."""
    await begun(client)
    answers = await asyncio.gather(*(client.query("r", "items") for _ in range(20)))
    assert answers == [{}] * 20


async def test_a_run_that_parks_at_once_can_be_asked(store):
    """``park_after=0`` does not take it away before it has answered."""
    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await begun(client)
        for _ in range(3):
            assert await client.query("r", "items") == {}
            await until(lambda: "r" not in runtime._bus.runs)


async def test_a_run_that_is_looked_at_stays(store):
    """As long as somebody looks, and no longer."""
    clock = ManualClock()
    async with Runtime(store, clock=clock) as runtime:
        define()
        client = AsyncClient(runtime=runtime)
        await client.submit("basket", {}, "workflow", run_id="r")
        await written(runtime)
        actor = runtime._bus.runs["r"]
        actor.visitors += 1
        for _ in range(3):
            clock.advance(100)
            await written(runtime)
        assert runtime._bus.runs["r"] is actor
        assert await client.query("r", "items") == {}
        actor.visitors -= 1
        assert await client.query("r", "items") == {}
        await play(runtime, clock, lambda: "r" not in runtime._bus.runs)


async def test_a_query_waits_until_the_replay_is_over(store):
    """It is not answered from the middle of the past."""

    @workflow
    async def slow(ctx):
        seen = []
        ctx.set_query_handler("seen", lambda: list(seen))
        for n in range(3):
            seen.append(await ctx.step(f"{n}", lambda n=n: n))
            await asyncio.sleep(0.02)
        await ctx.wait_for_signal("end")

    async with Runtime(store) as runtime:
        await AsyncClient(runtime=runtime).submit("slow", {}, "workflow", run_id="r")
        await until(lambda: ":signal:end#0" in runtime._bus.runs["r"].state.open)
    async with Runtime(store) as runtime:
        assert await AsyncClient(runtime=runtime).query("r", "seen") == [0, 1, 2]


async def test_a_query_that_waits_for_a_place_in_the_queue_does_not_spin(store, monkeypatch):
    """The run has left its place to another one. Who asks looks again, later each time."""
    define()
    hold = asyncio.Event()

    @function
    async def hog() -> None:
        await hold.wait()

    queues = [Queue("narrow", concurrency=1)]
    async with Runtime(store, park_after=0.01, queues=queues) as runtime:
        client, bus = AsyncClient(runtime=runtime), runtime._bus
        await client.submit("basket", {}, "workflow", run_id="r", queue="narrow")
        await until(lambda: "r" not in bus.runs)
        await client.submit("hog", {}, run_id="h", queue="narrow")
        await until(lambda: "h" in bus.runs)
        looks = []
        summon = bus.summon
        monkeypatch.setattr(bus, "summon", lambda run_id: looks.append(run_id) or summon(run_id))
        asking = asyncio.create_task(client.query("r", "items"))
        await asyncio.sleep(0.5)
        assert 2 <= len(looks) < 20
        hold.set()
        assert await asyncio.wait_for(asking, 5) == {}


async def test_a_query_is_answered_at_once_after_submit(client):
    """The body has begun by then: it has set its handlers."""
    define()
    await client.submit("basket", {}, "workflow", run_id="r")
    assert await client.query("r", "items") == {}


REFUSED = {
    "unknown": (("nothing",), "no handler of the query 'nothing'; it has: 'items', 'price'"),
    "raises": (("price", "plum"), "failed: KeyError: 'plum'"),
    "arguments": (("items", 1), "failed: TypeError"),
    "durable call": (("meddle",), "outside of its body"),
    "awaitable": (("later",), "nothing to wait for"),
    "not to be recorded": (("itself",), "PayloadError"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_queries_that_fail(client, case):
    """Typed, nothing written, and the run is none the worse."""
    asked, match = REFUSED[case]
    await begun(client)
    before = await written(client.runtime)
    with pytest.raises(QueryError, match=match):
        await client.query("r", *asked)
    assert await written(client.runtime) == before
    assert await client.query("r", "items") == {}


async def test_who_cannot_be_asked(client):
    """No such run, and one that has ended."""
    await begun(client)
    with pytest.raises(RunNotFoundError):
        await client.query("other", "items")
    with pytest.raises(RunNotFoundError):
        await client.update("other", "add", 1)
    with pytest.raises(InvalidInputError, match="text that is not empty"):
        await client.query("r", "")
    await client.cancel("r")
    await client.wait_for_result("r", 10)
    with pytest.raises(QueryError, match=r"has ended \(cancelled\)"):
        await client.query("r", "items")
    with pytest.raises(InvalidInputError, match=r"has ended \(cancelled\)"):
        await client.update("r", "add", "pear")


async def test_a_suspended_run_is_not_asked(store):
    """It is not brought back either."""
    define()
    async with Runtime(store) as runtime:
        await AsyncClient(runtime=runtime).submit("basket", {}, "workflow", run_id="r")
        await until(lambda: runtime._bus.runs["r"].state.open)

    from agnt5 import WorkflowRegistry

    WorkflowRegistry.clear()

    @workflow
    async def basket(ctx):
        await ctx.wait_for_signal("another")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.wait_for_result("r", 10)
        before = await written(runtime)
        with pytest.raises(QueryError, match="is suspended"):
            await client.query("r", "items")
        with pytest.raises(InvalidInputError, match="is suspended"):
            await client.update("r", "add", "pear")
        assert await written(runtime) == before


async def test_handlers_that_are_none(client):
    """Refused where they are set."""
    problems = []

    @workflow
    async def sets(ctx):
        async def slow():
            pass

        for wrong in (
            lambda: ctx.set_query_handler("", len),
            lambda: ctx.set_query_handler("x", 5),
            lambda: ctx.set_query_handler("x", slow),
            lambda: ctx.set_update_handler(None, len),
            lambda: ctx.set_update_handler("x", None),
            lambda: ctx.set_update_handler("x", len, validator=slow),
            lambda: ctx.set_update_handler("x", len, validator=3),
        ):
            try:
                wrong()
            except ValueError as error:
                problems.append(str(error))

    await client.run("sets", {}, "workflow")
    assert len(problems) == 7


# Updates.


async def test_an_update_is_done_and_answered(client):
    """Its steps are recorded; the handler may be async or not."""
    await begun(client)
    assert await client.update("r", "add", "pear") == 4
    assert await client.update("r", "add", "fig") == 7
    assert await client.query("r", "items") == {"pear": 4, "fig": 3}
    assert await client.update("r", "clear") is None
    await client.signal("r", "full")
    assert (await client.wait_for_result("r", 10)).output == [None, {}]
    types = await event_types(client, "r")
    assert types.count("update.received") == types.count("update.answered") == 3


async def test_an_answer_that_is_ready_before_the_log_is_over(client, tmp_path):
    """It is given when it is over: a crash lost it, and what came with it was recorded."""
    await begun(client)
    for item in ("pear", "plum"):
        await client.update("r", "add", item, update_id=item)
    await client.export_runs(tmp_path / "whole", run_ids="r")
    header, *lines, _ = map(orjson.loads, (tmp_path / "whole").read_bytes().splitlines())
    kept = [line for line in lines if line["topic"] not in ("UpdateAnswered", "RunParked")]
    assert [line["topic"] for line in kept].count("StepCompleted") == 2
    for number, line in enumerate(kept, 1):
        line["version"] = number
    end = {"end": {"runs": 1, "events": len(kept)}}
    (tmp_path / "cut").write_bytes(b"\n".join(map(orjson.dumps, [header, *kept, end])))
    async with Runtime("memory://") as runtime:
        other = AsyncClient(runtime=runtime)
        await other.import_runs(tmp_path / "cut", unfinished="start")
        answers = [
            await other.update("r", "add", x, update_id=x, timeout=20) for x in ("pear", "plum")
        ]
        assert answers == [4, 8]


async def test_the_same_update_id_is_the_same_update(client):
    """Done once, answered as often as asked: at the same time, later, and after the run."""
    await begun(client)
    ask = [client.update("r", "add", "pear", update_id="u/1") for _ in range(5)]
    assert await asyncio.gather(*ask) == [4] * 5
    assert await client.update("r", "add", "pear", update_id="u/1") == 4
    assert (await event_types(client, "r")).count("update.received") == 1
    await client.signal("r", "full")
    await client.wait_for_result("r", 10)
    assert await client.update("r", "add", "pear", update_id="u/1") == 4
    with pytest.raises(InvalidInputError, match="has ended"):
        await client.update("r", "add", "pear", update_id="u/2")


WRONG = {
    "unknown": (("nothing", 1), "no handler of the update 'nothing'; it has: 'add', 'clear'"),
    "raised": (("add", ""), "refuses the update 'add': KeyError: 'nothing'"),
    "False": (("add", "no"), "its validator says False"),
    "no name": (("", 1), "text that is not empty"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_updates_that_are_refused(client, case):
    """Before anything is written."""
    asked, match = WRONG[case]
    await begun(client)
    before = await written(client.runtime)
    with pytest.raises(InvalidInputError, match=match):
        await client.update("r", *asked)
    with pytest.raises(ValueError, match="seconds"):
        await client.update("r", "add", "x", timeout=-1)
    assert await written(client.runtime) == before


async def test_the_error_of_a_handler_reaches_the_client(client):
    """As its own class, and again from the log; the body goes on."""
    await begun(client)
    for _ in range(2):
        with pytest.raises(LookupError, match="no such item") as caught:
            await client.update("r", "add", "bad", update_id="u")
        assert caught.value.args == ("no such item", 7)
    assert await client.update("r", "add", "pear") == 4


async def test_a_body_that_ends_first(client):
    """Its handlers are cancelled; whoever waits is told, and told again later."""
    ended = []

    @workflow
    async def ends(ctx):
        async def slow(_):
            try:
                await ctx.wait_for_signal("never")
            finally:
                ended.append(True)

        ctx.set_update_handler("slow", slow)
        return await ctx.wait_for_signal("end")

    await client.submit("ends", {}, "workflow", run_id="r")
    asked = asyncio.ensure_future(client.update("r", "slow", update_id="u"))
    await until(lambda: "!u:signal:never#0" in client.runtime._bus.runs["r"].state.open)
    await client.signal("r", "end", 1)
    with pytest.raises(UpdateError, match=r"'u' was not answered: run 'r' has ended \(completed\)"):
        await asked
    assert (await client.get_result("r")).output == 1
    await until(lambda: ended)
    with pytest.raises(UpdateError, match="has ended"):
        await client.update("r", "slow", update_id="u")


async def test_an_update_that_takes_too_long(client):
    """The client is told how to ask again; what was accepted goes on, across parking."""

    @workflow
    async def slow(ctx):
        async def handle(n):
            return n + await ctx.wait_for_signal("number")

        ctx.set_update_handler("add", handle)
        return await ctx.wait_for_signal("end")

    await client.submit("slow", {}, "workflow", run_id="r")
    with pytest.raises(StepTimeoutError, match="ask again with update_id='u'"):
        await client.update("r", "add", 1, update_id="u", timeout=0.1)
    await until(lambda: "r" not in client.runtime._bus.runs)
    asked = asyncio.ensure_future(client.update("r", "add", 1, update_id="u"))
    await client.signal("r", "number", 2)
    assert await asked == 3


async def test_updates_replay(store):
    """The handler makes the same calls again and answers no second time; one that was not done is.

    Its identity is its id: whatever other branches do meanwhile.
    """
    asked = []

    @function
    async def look_up(n: int) -> int:
        asked.append(n)
        return 10 * n

    @workflow
    async def counts(ctx):
        seen = []

        async def add(n):
            seen.append(n)
            found = await asyncio.gather(ctx.step(look_up, n), ctx.step(look_up, n + 1))
            await ctx.wait_for_signal(f"go-{n}")
            seen.append(-n)
            return found

        async def quick(n):
            seen.append(("quick", n))

        ctx.set_update_handler("add", add)
        ctx.set_update_handler("quick", quick)
        ctx.set_query_handler("seen", lambda: list(seen))
        await ctx.wait_for_signal("end")
        return seen

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("counts", {}, "workflow", run_id="r")
        first = asyncio.ensure_future(client.update("r", "add", 1, update_id="a:1>"))
        second = asyncio.ensure_future(client.update("r", "add", 5, update_id="b"))
        await until(lambda: len(asked) == 4)
        await client.update("r", "quick", 7)
        await client.signal("r", "go-5")
        assert await second == [50, 60]
        seen = await client.query("r", "seen")
        await runtime.aclose(grace=0)
        with pytest.raises(RuntimeClosedError):
            await first
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        assert await client.query("r", "seen") == seen
        first = asyncio.ensure_future(client.update("r", "add", 1, update_id="a:1>"))
        await client.signal("r", "go-1")
        assert await first == [10, 20]
        assert await client.update("r", "add", 5, update_id="b") == [50, 60]
        await client.signal("r", "end")
        response = await client.wait_for_result("r", 10)
        assert response.output == [*seen, -1], response.error
        assert (await event_types(client, "r")).count("update.answered") == 3
    assert sorted(asked) == [1, 2, 5, 6]


async def test_an_update_without_its_handler_after_a_change(store):
    """The code has lost the handler of an accepted update: it is answered with an error."""

    def versions(has_handler):
        from agnt5 import WorkflowRegistry

        WorkflowRegistry.clear()

        @workflow
        async def changes(ctx):
            async def wait(_):
                await asyncio.Event().wait()

            if has_handler:
                ctx.set_update_handler("wait", wait)
            return await ctx.wait_for_signal("end")

    versions(has_handler=True)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("changes", {}, "workflow", run_id="r")
        with pytest.raises(StepTimeoutError):
            await client.update("r", "wait", update_id="u", timeout=0.05)
        await runtime.aclose(grace=0)
    versions(has_handler=False)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(UpdateError, match="no handler of the update 'wait' any more"):
            await client.update("r", "wait", update_id="u")


DYING = """
import asyncio, os, signal, sys
from agnt5 import AsyncClient, Runtime, function, workflow

store, witness, mode = sys.argv[1:]

@function
async def work(n: int) -> int:
    with open(witness, "a") as out:
        out.write(f"{n}\\n")
    return n * 2

@workflow
async def outside(ctx):
    async def double(n):
        done = await ctx.step(work, n)
        if mode == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    ctx.set_update_handler("double", double)
    seen = []
    ctx.set_query_handler("seen", lambda: list(seen))
    reply = await ctx.wait_for_reply("Fine?", "approval", assignees=["ada"])
    seen.append([reply.answer, reply.actor, reply.channel])
    seen.append(await ctx.signal("go", timeout=3600))
    reply = await ctx.wait_for_reply("Anybody?", timeout=0.2, on_timeout="nobody")
    seen.append([reply.answer, reply.timed_out])
    await ctx.wait_for_signal("end")
    return seen

async def main():
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        if mode == "die":
            await client.run("outside", {}, "workflow", run_id="r")
            await client.resume("r", "approve", actor="ada", channel="test")
            await client.signal("r", "go", 5)
        print(await client.update("r", "double", 21, update_id="u"), flush=True)
        await client.signal("r", "end")
        print((await client.wait_for_result("r", 15)).output)

asyncio.run(main())
"""


def test_kill_9_in_the_handler_of_an_update(file_store, tmp_path):
    """The next process answers the same update; answers, signals and deadlines have held, too."""
    witness = tmp_path / "witness.txt"
    first = python(DYING, file_store, witness, "die")
    assert first.communicate(timeout=15) == ("", "")
    assert first.returncode == -signal.SIGKILL
    second = python(DYING, file_store, witness, "live")
    out, errors = second.communicate(timeout=15)
    assert (second.returncode, errors) == (0, "")
    assert out == "42\n[['approve', 'ada', 'test'], 5, ['nobody', True]]\n"
    assert witness.read_text() == "21\n"
