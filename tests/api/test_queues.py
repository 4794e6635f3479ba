"""Named queues: order, limits, deduplication, and all of that across restarts."""

from __future__ import annotations

import asyncio
import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.helpers import play, python, turns, until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    FunctionRegistry,
    InvalidInputError,
    Queue,
    Runtime,
    WorkflowContext,
    function,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.stores.memory import MemoryLog


class Office:
    """A function that ends when it is let go, and who has begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

        @function(name="work")
        async def work(who: str) -> str:
            self.begun.append(who)
            gate = self.gates.setdefault(who, asyncio.Event())
            await gate.wait()
            return who

    def let(self, *names: str) -> None:
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()


async def test_the_greater_priority_first_then_in_order(store):
    office = Office()
    async with Runtime(store, queues=[Queue("q", concurrency=1)]) as runtime:
        client = AsyncClient(runtime=runtime)
        for who, priority in [("a", 0), ("b", 0), ("c", 5), ("d", -1), ("e", 5), ("f", 0)]:
            await client.submit("work", {"who": who}, queue="q", priority=priority, run_id=who)
        await until(lambda: office.begun)
        assert office.begun == ["a"]
        assert (await client.get_status("c")).status == "queued"
        for n, who in enumerate("acebfd"):
            await until(lambda n=n: len(office.begun) == n + 1)
            assert office.begun[-1] == who
            office.let(who)
            assert (await client.wait_for_result(who, 15)).output == who


async def test_queues_do_not_hold_each_other_back(store):
    office = Office()
    async with Runtime(store, queues=[Queue("q", concurrency=1), Queue("p", 2)]) as runtime:
        client = AsyncClient(runtime=runtime)
        for who in ("q1", "q2", "p1", "p2", "p3", "x"):
            queue = who[0] if who != "x" else None
            await client.submit("work", {"who": who}, queue=queue, run_id=who)
        await until(lambda: len(office.begun) == 4)
        await turns()
        assert sorted(office.begun) == ["p1", "p2", "q1", "x"]
        office.let("q1", "q2", "p1", "p2", "p3", "x")
        for who in ("q2", "p3"):
            assert (await client.wait_for_result(who, 15)).is_success


async def test_a_restart_keeps_the_line_and_what_had_begun_goes_first(store):
    office = Office()
    queues = [Queue("q", concurrency=1)]
    async with Runtime(store, queues=queues, grace=0) as runtime:
        client = AsyncClient(runtime=runtime)
        for who, priority in [("a", 0), ("b", 0), ("c", 9), ("d", 1)]:
            await client.submit("work", {"who": who}, queue="q", priority=priority, run_id=who)
        await until(lambda: office.begun)
    office.let(*"abcd")
    async with Runtime(store, queues=queues) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.wait_for_result("b", 15)
    assert office.begun == ["a", "a", "c", "d", "b"]


async def test_an_id_that_stands_in_line_is_taken_and_keeps_its_place(store):
    office = Office()
    async with Runtime(store, queues=[Queue("q", concurrency=1), Queue("p", 1)]) as runtime:
        client = AsyncClient(runtime=runtime)
        for who in ("a", "b"):
            await client.submit("work", {"who": who}, queue="q", run_id=who)
        await until(lambda: office.begun)
        for queue in (None, "p", "q"):
            with pytest.raises(InvalidInputError, match="already in this store"):
                await client.submit("work", {"who": "again"}, queue=queue, run_id="b")
        office.let("a", "b")
        assert (await client.wait_for_result("b", 5)).output == "b"
    assert office.begun == ["a", "b"]


async def test_priority_without_a_queue_orders_those_that_wait_for_room(store):
    office = Office()
    async with Runtime(store, max_active_runs=1) as runtime:
        client = AsyncClient(runtime=runtime)
        for who, priority in [("a", 0), ("b", 0), ("c", 1)]:
            await client.submit("work", {"who": who}, priority=priority, run_id=who)
        await until(lambda: office.begun)
        office.let(*"abc")
        await client.wait_for_result("b", 15)
    assert office.begun == ["a", "c", "b"]


async def test_a_parked_run_gives_its_place_back_and_waits_for_one_when_it_returns(store):
    office, ended = Office(), []

    @workflow(queue="q")
    async def sleeper(ctx: WorkflowContext) -> str:
        await ctx.wait_for_signal("go")
        ended.append("sleeper")
        return "up"

    async with Runtime(store, queues=[Queue("q", concurrency=1)], park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("sleeper", {}, "workflow", run_id="s")
        await client.submit("work", {"who": "a"}, queue="q", run_id="a")
        await until(lambda: office.begun == ["a"])
        await client.signal("s", "go")
        await client.submit("work", {"who": "b"}, queue="q", priority=99, run_id="b")
        await turns(200)
        assert not ended, "there is no place for it"
        office.let("a", "b")
        assert (await client.wait_for_result("s", 15)).output == "up"
        await client.wait_for_result("b", 15)
        assert office.begun == ["a", "b"]


async def test_a_run_in_line_can_be_cancelled_and_signalled(store):
    office = Office()

    @workflow(queue="q")
    async def hears(ctx: WorkflowContext) -> object:
        return await ctx.wait_for_signal("x")

    async with Runtime(store, queues=[Queue("q", concurrency=1)]) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("work", {"who": "a"}, queue="q", run_id="a")
        await client.submit("work", {"who": "b"}, queue="q", run_id="b")
        await client.submit("hears", {}, "workflow", run_id="h")
        assert (await client.cancel("b")).status == "cancelled"
        await client.signal("h", "x", 7)
        assert (await client.get_status("h")).status == "queued"
        office.let("a")
        assert (await client.wait_for_result("h", 15)).output == 7
        assert office.begun == ["a"]


async def test_a_rate_limited_queue():
    clock, office = ManualClock(), Office()
    office.let(*map(str, range(6)))
    queues = [Queue("q", rate_limit="2/s")]
    async with Runtime(MemoryLog(), queues=queues, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(6):
            await client.submit("work", {"who": str(n)}, queue="q", run_id=f"r{n}")
        await until(lambda: len(office.begun) == 2)
        await turns()
        assert office.begun == ["0", "1"]
        await play(runtime, clock, lambda: len(office.begun) == 6)
        assert clock.now() == 1_700_000_000_000_000 + 2_000_000


class TestDeduplication:
    """While a run of the queue with the id is unfinished, there is no second one."""

    async def test_the_unfinished_one_is_answered(self, store):
        office = Office()
        async with Runtime(store, queues=[Queue("q"), Queue("p")]) as runtime:
            client = AsyncClient(runtime=runtime)

            async def submit(who, **more):
                given = {"queue": "q", "deduplication_id": "d", **more}
                return (await client.submit("work", {"who": who}, **given)).run_id

            first = await submit("a")
            assert await submit("b") == first
            assert await submit("c", queue="p") != first
            assert await submit("d", queue=None) != first
            assert await submit("e", deduplication_id="other") != first
            given = {"queue": "q", "deduplication_id": "d"}
            attached = asyncio.ensure_future(client.run("work", {"who": "x"}, **given))
            await until(lambda: runtime.runs._waiters._impatient)
            office.let("a")
            assert (await attached).output
            again = await submit("f")
            assert again != first
            assert await submit("g") == again
            office.let(*"cdefg")

    async def test_many_at_once_are_one(self, store):
        Office()
        async with Runtime(store, queues=[Queue("q")], grace=0) as runtime:
            client = AsyncClient(runtime=runtime)
            accepted = await asyncio.gather(
                *(
                    client.submit("work", {"who": str(n)}, queue="q", deduplication_id="d")
                    for n in range(20)
                )
            )
            assert len({one.run_id for one in accepted}) == 1

    async def test_after_a_restart_and_a_rebuild_of_the_index(self, file_store):
        from agnt5 import rebuild_index

        Office()
        async with Runtime(file_store, queues=[Queue("q")], grace=0) as runtime:
            client = AsyncClient(runtime=runtime)
            given = {"queue": "q", "deduplication_id": "d"}
            first = (await client.submit("work", {"who": "a"}, **given)).run_id
        rebuild_index(file_store)
        async with Runtime(file_store, queues=[Queue("q")], grace=0) as runtime:
            client = AsyncClient(runtime=runtime)
            assert (await client.submit("work", {"who": "b"}, **given)).run_id == first


class TestRefusals:
    """Nothing is written."""

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"queue": "mial"}, "mail"),
            ({"queue": ""}, "mail"),
            ({"priority": 1.5}, "whole number"),
            ({"priority": True}, "whole number"),
            ({"priority": 10**9}, "between"),
            ({"deduplication_id": ""}, "deduplication_id"),
            ({"deduplication_id": 5}, "deduplication_id"),
            ({"version": "9"}, "version"),
        ],
    )
    async def test_new_run(self, store, given, text):
        Office()
        async with Runtime(store, queues=[Queue("mail")]) as runtime:
            client = AsyncClient(runtime=runtime)
            with pytest.raises((InvalidInputError, LookupError), match=text):
                await client.submit("work", {"who": "a"}, **given)
            assert await client.list_runs() == []

    async def test_a_workflow_whose_queue_is_not_here(self, store):
        @workflow(queue="mail")
        async def sends(ctx: WorkflowContext) -> None:
            pass

        async with Runtime(store) as runtime:
            with pytest.raises(InvalidInputError, match=r"Runtime\(queues"):
                await AsyncClient(runtime=runtime).submit("sends", {}, "workflow")

    def test_settings(self):
        with pytest.raises(ConfigurationError, match="same name"):
            Runtime("memory://", queues=[Queue("a"), Queue("a")])
        with pytest.raises(ConfigurationError, match="Queue objects"):
            Runtime("memory://", queues=["a"])


async def test_a_queue_that_is_gone_does_not_lose_its_runs(store, caplog):
    office = Office()
    async with Runtime(store, queues=[Queue("old", concurrency=1)], grace=0) as runtime:
        client = AsyncClient(runtime=runtime)
        for who in "ab":
            await client.submit("work", {"who": who}, queue="old", run_id=who)
    office.let("a", "b")
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for who in "ab":
            assert (await client.wait_for_result(who, 15)).is_success
    assert "no queue 'old'" in caplog.text


@given(
    runs=st.lists(
        st.tuples(st.sampled_from(["one", "two"]), st.integers(-2, 2)), min_size=1, max_size=12
    ),
    stops=st.lists(st.integers(1, 5), max_size=2),
)
@settings(
    max_examples=max(10, settings.default.max_examples // 4),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_order_and_limits_hold_through_restarts(runs, stops):
    """Each queue begins its runs by priority, then in order, however often the house is closed."""
    log, begun, active, most = MemoryLog(), [], {"one": 0, "two": 0}, {"one": 0, "two": 0}
    all_in_line = asyncio.Event()
    FunctionRegistry.clear()

    @function(name="job")
    async def job(n: int, queue: str) -> None:
        begun.append(n)
        active[queue] += 1
        most[queue] = max(most[queue], active[queue])
        try:
            await all_in_line.wait()
            for _ in range(30):
                await asyncio.sleep(0)
        finally:
            active[queue] -= 1

    async def life(work, first):
        queues = [Queue("one", concurrency=1), Queue("two", concurrency=2)]
        async with Runtime(log, queues=queues, grace=0, clock=ManualClock()) as runtime:
            client = AsyncClient(runtime=runtime)
            if first:
                new = [
                    client.submit(
                        "job", {"n": n, "queue": q}, queue=q, priority=p, run_id=f"r{n:02}"
                    )
                    for n, (q, p) in enumerate(runs)
                ]
                await asyncio.gather(*new)
                all_in_line.set()
            await work(runtime, client)

    async def lives():
        for number, stop in enumerate(stops):
            seen = len(begun)

            async def some(runtime, client, upto=seen + stop):
                await until(lambda: len(begun) >= upto or not runtime._bus.runs)

            await life(some, first=number == 0)

        async def rest(runtime, client):
            for n in range(len(runs)):
                assert (await client.wait_for_result(f"r{n:02}", 15)).is_success

        await life(rest, first=not stops)

    asyncio.run(lives())
    assert most["one"] <= 1
    assert most["two"] <= 2
    first_time = list(dict.fromkeys(begun))
    for queue, places in (("one", 1), ("two", 2)):
        mine = [n for n in range(len(runs)) if runs[n][0] == queue]
        order = [n for n in first_time if n in mine]
        at_once, line = mine[:places], mine[places:]
        due = [*at_once, *sorted(line, key=lambda n: (-runs[n][1], n))]
        assert sorted(order) == mine
        for number, n in enumerate(order):
            # Whoever has a place may yet be loaded while one with another place begins.
            overtaken = set(due[: due.index(n)]) - set(order[:number])
            assert len(overtaken) < places, (order, due)


KILLED = """
import asyncio, sys
from pathlib import Path
from agnt5 import AsyncClient, Queue, Runtime, function

folder = Path(sys.argv[1])

@function
async def job(n: int) -> int:
    with (folder / "begun").open("a") as out:
        out.write(f"{n}\\n")
    while not (folder / "go").exists():
        await asyncio.sleep(0.01)
    return n

async def main():
    queues = [Queue("q", concurrency=1)]
    async with Runtime(f"sqlite:///{folder}/store.db", queues=queues) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(5):
            given = {"queue": "q", "priority": n % 3, "deduplication_id": f"d{n}"}
            known = await client.submit("job", {"n": n}, run_id=f"{sys.argv[2]}{n}", **given)
            assert known.run_id == f"first{n}", known
        print("ready", flush=True)
        for n in range(5):
            assert (await client.wait_for_result(f"first{n}", 60)).output == n

asyncio.run(main())
"""


def test_a_killed_process_leaves_its_line_in_order(tmp_path):
    """SIGKILL while one runs and four stand in line: the next process goes on with them."""
    first = python(KILLED, tmp_path, "first")
    assert first.stdout.readline().strip() == "ready"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (tmp_path / "begun").read_text().split() == ["0"]
    second = python(KILLED, tmp_path, "second")
    assert second.stdout.readline().strip() == "ready", second.stderr.read()
    (tmp_path / "go").touch()
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert (tmp_path / "begun").read_text().split() == ["0", "0", "2", "1", "4", "3"]
