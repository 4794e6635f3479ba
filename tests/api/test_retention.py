"""Runs that have been kept long enough go, whole families at a time; nothing else is touched."""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api import healthy_store
from tests.api.helpers import python, until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    HashChain,
    InvalidInputError,
    Keyring,
    Retention,
    RunNotFoundError,
    Runtime,
    SigningKey,
    WorkflowContext,
    function,
    import_runs,
    verify_store,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.codec import encode_fact
from agnt5.events.projections import changes_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.histories import History, read_histories
from agnt5.pruning import Pruner
from agnt5.retention import Planner, Wanted
from agnt5.testing.stores.driving import Driver, make_append

DAY = 86_400
NOW = timedelta()


def contents(log):
    """Everything that a log holds, without positions."""
    with log.view() as view:
        histories = {
            run_id: History.of(run_id, view.read(run_id)).events for run_id in log.run_ids()
        }
        rows = {row.run_id: row for row in view.run_rows()}
        keys = {key.scope: key for key in view.key_bindings()}
    return histories, rows, keys


def instant_clock():
    return ManualClock(healthy_store.BEGIN_US)


async def test_old_runs_go_and_an_import_brings_them_back(tmp_path, file_store):
    """Prune and import is the identity; what waits, and what is young, stays."""
    healthy_store.install()
    await healthy_store.fill(file_store)
    before = SqliteLog(tmp_path / "store.db", readonly=True)
    held = contents(before)
    before.close()
    clock = ManualClock(healthy_store.BEGIN_US + 40 * DAY * 10**6)
    async with Runtime(file_store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        young = await client.run("work", {"n": 1})
        months = timedelta(days=30)
        planned = await client.prune(months, archive=tmp_path / "old", dry_run=True)
        assert not (tmp_path / "old").exists()
        done = await client.prune(months, archive=tmp_path / "old")
        assert (planned.runs, planned.events, planned.size) == (done.runs, done.events, done.size)
        assert done.runs == 14
        assert done.kept == {}
        left = {run.run_id for run in await client.list_runs()}
        assert young.run_id in left
        gone = set(held[0]) - left
        assert len(gone) == done.runs
        with pytest.raises(RunNotFoundError):
            await client.get_status(next(iter(gone)))
        assert (await client.verify()).findings == []
        again = await client.prune(months, archive=tmp_path / "old")
        assert (again.runs, again.files) == (0, [])
    for file in done.files:
        import_runs(file, store=file_store)
    log = SqliteLog(tmp_path / "store.db", readonly=True)
    histories, rows, keys = contents(log)
    log.close()
    assert {run_id: histories[run_id] for run_id in gone} == {r: held[0][r] for r in gone}
    assert {run_id: rows[run_id] for run_id in gone} == {run_id: held[1][run_id] for run_id in gone}
    assert keys == held[2]
    assert verify_store(file_store).findings == []


async def test_keys_are_forgotten_with_their_run(store):
    @function
    async def work(n: int) -> int:
        return n

    clock = instant_clock()
    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        first = await client.run("work", {"n": 1}, idempotency_key="k")
        assert (await client.run("work", {"n": 1}, idempotency_key="k")).run_id == first.run_id
        clock.advance(10)
        await settled(runtime)
        assert (await client.prune(timedelta(seconds=5), archive=None)).runs == 1
        assert (await client.run("work", {"n": 1}, idempotency_key="k")).run_id != first.run_id


def kinds_of(runtime, run_id):
    with runtime._log.view() as view:
        return {type(fact) for fact, _ in History.of(run_id, view.read(run_id)).facts}


async def settled(runtime):
    """Runs that have ended have left memory, and owe nothing."""
    await until(lambda: not runtime._bus.runs and not runtime._log.owing())


async def test_of_a_living_chain_only_what_lies_between_goes(file_store):
    """The first run has the key, the last one is under way; both go when the chain has ended."""

    @workflow
    async def counts(ctx: WorkflowContext, n: int) -> int:
        if n < 4:
            return ctx.continue_as_new(n + 1)
        return n + await ctx.wait_for_signal("go")

    clock = instant_clock()
    async with Runtime(file_store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        first = (await client.submit("counts", {"n": 0}, "workflow", idempotency_key="k")).run_id
        await until(lambda: len(runtime._log.run_ids()) == 5)
        await until(lambda: len(runtime._bus.runs) <= 1 and not runtime._log.owing())
        clock.advance(10)
        found = await client.prune(timedelta(seconds=5), archive=None)
        assert (found.runs, found.kept) == (3, {"unfinished": 1})
        again = await client.submit("counts", {"n": 0}, "workflow", idempotency_key="k")
        assert again.run_id.startswith(f"{first}.")
        await client.signal(first, "go", 1)
        assert (await client.wait_for_result(first)).output == 5
        await settled(runtime)
        assert (await client.verify()).findings == []
        assert (await client.prune(timedelta(seconds=5), archive=None)).runs == 0
        clock.advance(10)
        assert (await client.prune(timedelta(seconds=5), archive=None)).runs == 2
        assert await client.list_runs() == []


async def test_links_of_a_chain_go_and_come_back_and_every_head_fits(file_store, tmp_path):
    """What is deleted is named in the same head as what it has grown by until then."""

    @function
    async def half(n: int) -> int:
        return n // 2

    @workflow
    async def counts(ctx: WorkflowContext, n: int) -> int:
        await ctx.child(half, n)
        if n < 3:
            return ctx.continue_as_new(n + 1)
        return n + await ctx.wait_for_signal("go")

    signed = HashChain(SigningKey(bytes(32)))
    clock = instant_clock()
    async with Runtime(file_store, clock=clock, park_after=0, chain=signed) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("counts", {"n": 0}, "workflow", run_id="c")
        await until(lambda: len(runtime._log.run_ids()) == 8)
        await settled(runtime)
        clock.advance(10)
        files = []
        for _ in range(2):
            done = await client.prune(NOW, archive=tmp_path / "old")
            assert (done.runs, done.kept) == (4, {"unfinished": 1})
            found = await client.verify(chain=True)
            assert (str(found.chain.problems), found.findings) == ("()", [])
            files = done.files
            assert (await client.import_runs(files[0])).runs == 4
            assert (await client.verify(chain=True)).ok
        await client.signal("c", "go", 1)
        assert (await client.wait_for_result("c")).output == 4
        await settled(runtime)
        clock.advance(10)
        assert (await client.prune(NOW, archive=None)).runs == 8
        assert (await client.verify(chain=True)).ok
        # Alone, they tell what they were, and wait for nobody.
        assert (await client.import_runs(files[0])).runs == 4
        assert (await client.verify(chain=True)).findings == []
        assert (await client.doctor(NOW)).counts == {}


async def test_a_fork_outlives_what_it_was_copied_from(file_store):
    @function
    async def half(n: int) -> int:
        return n // 2

    @workflow
    async def parent(ctx: WorkflowContext) -> int:
        return await ctx.child(half, 8) + await ctx.wait_for_signal("go")

    clock = instant_clock()
    async with Runtime(file_store, clock=clock, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("parent", {}, "workflow", run_id="p", idempotency_key="k")
        # A fork made while the child is under way would have a child of its own.
        await until(lambda: f.SignalAwaited in kinds_of(runtime, "p"))
        await until(lambda: runtime._log.run_row("p").parked)
        await client.fork("p", new_run_id="f")
        await client.signal("p", "go", 1)
        assert (await client.wait_for_result("p")).output == 5
        await until(lambda: clock.advance(0.05) or runtime._log.run_row("f").parked)
        await settled(runtime)
        clock.advance(10)
        assert (await client.prune(NOW, archive=None)).runs == 2
        assert (await client.verify()).findings == []
        await client.signal("f", "go", 2)
        assert (await client.wait_for_result("f")).output == 6
        await settled(runtime)
        clock.advance(10)
        assert (await client.verify()).findings == []
        assert (await client.prune(NOW, archive=None)).runs == 1


async def test_pruning_gives_back_the_room_of_long_payloads(file_store):
    @function
    async def long(n: int) -> str:
        return "x" * n

    clock = instant_clock()
    async with Runtime(file_store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("long", {"n": 200_000})
        clock.advance(10)
        await settled(runtime)
        assert (await client.prune(timedelta(seconds=5), archive=None)).runs == 1
        assert runtime._log.collect().blobs == 0
        with sqlite3.connect(file_store.removeprefix("sqlite:///")) as connection:
            assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (0,)


async def test_families_go_as_one(store):
    """A parent whose child still runs stays, and so does a child of a parent that stays."""

    @workflow
    async def child(ctx: WorkflowContext) -> str:
        return await ctx.wait_for_signal("go")

    @workflow
    async def parent(ctx: WorkflowContext) -> str:
        ctx.child(child, run_id="kid", on_parent_end="abandon")
        return "done"

    clock = instant_clock()
    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("parent", {}, "workflow", run_id="p")
        await client.wait_for_result("p")
        await until(lambda: runtime._log.run_row("kid"))
        await until(lambda: not runtime._log.owing())
        clock.advance(10)
        assert (await client.prune(NOW, archive=None)).kept == {"unfinished": 1}
        await client.signal("kid", "go", "now")
        await client.wait_for_result("kid")
        await settled(runtime)
        found = await client.prune(timedelta(seconds=5), archive=None)
        assert (found.runs, found.kept) == (0, {"recent": 1})
        clock.advance(10)
        # The parent's component is what counts, for all of the family.
        assert (await client.prune(NOW, archive=None, component="child")).runs == 0
        found = await client.prune(timedelta(seconds=5), archive=None, component="parent")
        assert (found.runs, found.kept) == (2, {})
        assert await client.list_runs() == []


async def test_what_was_shredded_goes_as_well(file_store, tmp_path):
    """Its time is up like that of others; but no archive takes what nobody can read."""

    @function
    async def work(n: int) -> int:
        return n

    clock = instant_clock()
    keys = Keyring({"k": bytes(32)})
    async with Runtime(file_store, clock=clock, encryption=keys) as runtime:
        client = AsyncClient(runtime=runtime)
        for user in ("anna", "ben"):
            await client.run("work", {"n": 1}, user_id=user, idempotency_key=user)
        clock.advance(10)
        await settled(runtime)
        await client.shred("anna")
        found = await client.prune(NOW, archive=tmp_path / "old", payloads="plain")
        assert (found.runs, found.kept) == (1, {"shredded": 1})
        assert [h.queued.user_id for h in read_histories(found.files[0])] == ["ben"]
        assert (await client.prune(NOW, archive=None)).runs == 1
        assert runtime._log.key_binding("function:work:anna") is None
        assert (await client.verify()).findings == []


async def test_an_encrypted_store_is_not_archived_in_clear_unless_said(file_store, tmp_path):
    @function
    async def work(text: str) -> str:
        return text

    keys, clock, place = Keyring({"k": bytes(32)}), instant_clock(), tmp_path / "old"
    with pytest.raises(ConfigurationError, match="written in clear"):
        Runtime(file_store, encryption=keys, retention={"*": Retention(NOW, archive=place)})
    said = {"*": Retention(NOW, archive=place, payloads="plain")}
    async with Runtime(file_store, clock=clock, encryption=keys, retention=said) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("work", {"text": "secret"})
        clock.advance(10)
        await settled(runtime)
        with pytest.raises(InvalidInputError, match="written in clear"):
            await client.prune(NOW, archive=place)
        assert not place.exists()
        clock.advance(61)
        await until(lambda: not runtime._log.run_ids())
    (file,) = place.iterdir()
    assert "secret" in file.read_text()


async def test_a_run_stays_while_the_one_before_it_has_its_key(store):
    ok = False

    @function
    async def work() -> int:
        if not ok:
            raise ValueError("not yet")
        return 1

    clock = instant_clock()
    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("work", idempotency_key="k")
        ok = True
        await client.run("work", idempotency_key="k")
        clock.advance(10)
        await settled(runtime)
        found = await client.prune(NOW, archive=None, status="completed")
        assert (found.runs, found.kept) == (0, {"key": 1})
        planned = await client.prune(NOW, archive=None, dry_run=True)
        assert (planned.runs, planned.kept) == (2, {})
        assert (await client.prune(NOW, archive=None)).runs == 2
        assert runtime._log.key_binding("function:work:k") is None


async def test_a_schedule_does_not_fire_again_for_a_run_that_went(file_store):
    clock, fired = ManualClock(healthy_store.BEGIN_US), []

    @workflow(cron="0 * * * *")
    async def hourly(ctx: WorkflowContext) -> int:
        fired.append(ctx.run_id)
        return 1

    for _ in range(2):
        async with Runtime(file_store, clock=clock) as runtime:
            client = AsyncClient(runtime=runtime)
            await asyncio.sleep(0.05)
            clock.advance(3600)
            number = len(fired)
            await until(lambda: len(fired) > number)
            await settled(runtime)
            clock.advance(60)
            found = await client.prune(NOW, archive=None)
            assert found.kept == {"scheduled": 1}
    async with Runtime(file_store, clock=clock):
        await asyncio.sleep(0.05)
    assert len(fired) == len(set(fired)) == 2


async def test_a_sweep_comes_by_itself(file_store, tmp_path, caplog):
    caplog.set_level(logging.INFO, "agnt5.retention")

    @function
    async def short(n: int) -> int:
        return n

    @function
    async def long(n: int) -> int:
        return n

    clock = instant_clock()
    retention = {
        "long": Retention(timedelta(days=2)),
        "*": Retention(timedelta(minutes=10), archive=tmp_path / "old"),
    }
    async with Runtime(file_store, clock=clock, retention=retention) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(3):
            await client.run("short", {"n": n})
            await client.run("long", {"n": n})
        await settled(runtime)
        clock.advance(61)  # the first sweep
        await until(lambda: not runtime._sweeps._task or runtime._sweeps._task.done())
        assert len(await client.list_runs()) == 6
        clock.advance(600)
        await until(lambda: len(runtime._log.run_ids()) == 3)
        assert {run.component for run in await client.list_runs()} == {"long"}
        await until(runtime._sweeps._task.done)
        clock.advance(3 * DAY)
        await until(lambda: "retention of 'long': 3 runs" in caplog.text)
        assert runtime._log.run_ids() == []
    (file,) = (tmp_path / "old").iterdir()
    assert {history.queued.component for history in read_histories(file)} == {"short"}


async def test_what_cannot_be_archived_is_not_deleted(file_store, tmp_path, caplog):
    @function
    async def work() -> int:
        return 1

    (tmp_path / "taken").write_text("a file, and no folder")
    clock = instant_clock()
    retention = {"work": Retention(NOW, archive=tmp_path / "taken")}
    async with Runtime(file_store, clock=clock, retention=retention) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("work")
        await settled(runtime)
        for _ in range(2):
            clock.advance(61)
            await until(lambda: runtime._sweeps._task and runtime._sweeps._task.done())
        assert len(await client.list_runs()) == 1
        with pytest.raises(OSError, match="taken"):
            await client.prune(NOW, archive=tmp_path / "taken")
    assert caplog.text.count("which is tried again") >= 1


async def test_who_follows_the_log_goes_on(file_store):
    @function
    async def work(n: int) -> int:
        return n

    clock, seen = instant_clock(), []
    async with Runtime(file_store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)

        async def follow():
            async for event in client.events(event_types="run.completed", follow=True):
                seen.append(event.run_id)

        following = asyncio.create_task(follow())
        await client.run("work", {"n": 1})
        await until(lambda: len(seen) == 1)
        place = [event async for event in client.events()][-1].metadata["position"]
        clock.advance(1)
        await settled(runtime)
        assert (await client.prune(NOW, archive=None)).runs == 1
        await client.run("work", {"n": 2})
        await until(lambda: len(seen) == 2)
        later = [event async for event in client.events(after=place)]
        assert {event.run_id for event in later} == {seen[1]}
        assert min(event.metadata["position"] for event in later) > place
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=12), st.integers(0, 6)
)
def test_nothing_is_lost_wherever_it_dies(tmp_path_factory, runs, die_at):
    """Killed between a file and a deletion: files and log together hold everything, once each."""
    folder, log = tmp_path_factory.mktemp("kill"), MemoryLog()
    driver = Driver(log)
    for number, (component, ended) in enumerate(runs):
        put_ended(driver, f"r{number}", component, ended)
    held = contents(log)[0]
    for attempt in range(2):
        planner = Planner(log, Wanted(4), is_in_memory=lambda _: False)
        pruner = Pruner(log, planner, folder / "old", "runs", dry_run=False)
        forget, deaths = log.forget, iter(range(100))
        if attempt == 0:

            def dying(removals, forget=forget, deaths=deaths):
                if next(deaths) == die_at:
                    raise KeyboardInterrupt
                return forget(removals)

            log.forget = dying
        with suppress(KeyboardInterrupt), patch("agnt5.retention._BATCH_EVENTS", 6):
            while pruner.step():
                pass
        log.forget = forget
        archived = {}
        for file in (folder / "old").glob("*.jsonl"):
            for history in read_histories(file):
                assert history.run_id not in archived
                archived[history.run_id] = history.events
        left = contents(log)[0]
        assert {**left, **archived} == held
        if attempt == 1:
            assert set(left).isdisjoint(archived)
            assert all(log.run_row(run_id).finished_at >= 4 for run_id in left)


def put_ended(driver, run_id, component, at):
    """A run that ended at a time, in an append of its own."""
    facts = [
        f.RunQueued(component=component, kind="function", input={}, idempotency_key=run_id),
        f.RunStarted(definition=""),
        f.RunCompleted(output="x" * 300),
    ]
    state = fold(run_id, [(fact, at) for fact in facts])
    raw = [encode_fact(fact, at, f"{run_id}.{n}") for n, fact in enumerate(facts)]
    assert driver.put(make_append(run_id, 0, raw, *changes_of(state, facts))) == [None]


VICTIM = """
import os, signal, sys
from datetime import timedelta
from unittest.mock import patch
from agnt5.events.stores.sqlite_commit import Committer
from agnt5 import Client, Runtime
from agnt5.operating import Operator
import asyncio
from agnt5 import AsyncClient

def die(self, removals):
    os.kill(os.getpid(), signal.SIGKILL)

Committer.forget = die

async def main():
    async with Operator(sys.argv[1]) as runtime:
        await AsyncClient(runtime=runtime).prune(timedelta(), archive=sys.argv[2])

asyncio.run(main())
"""


async def test_a_real_process_dies_between_file_and_deletion(file_store, tmp_path):
    @function
    async def work(n: int) -> int:
        return n

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        ids = [(await client.run("work", {"n": n})).run_id for n in range(4)]
        await settled(runtime)
    command = [sys.executable, "-c", VICTIM, file_store, str(tmp_path / "old")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (file,) = (tmp_path / "old").glob("*.jsonl")
    assert [history.run_id for history in read_histories(file)] == sorted(ids)
    assert verify_store(file_store).runs == 4
    assert len(import_runs(file, store=file_store).skipped) == 4
    async with Runtime(file_store) as runtime:
        done = await AsyncClient(runtime=runtime).prune(NOW, archive=tmp_path / "old")
        assert (done.runs, done.files) == (4, [str(file)])
    assert import_runs(file, store=file_store).runs == 4
    assert verify_store(file_store).findings == []


def test_bad_settings_are_refused():
    for wrong, said in (
        ({"a": 3}, "Retention objects"),
        ({"": Retention(NOW)}, "Retention objects"),
        ([("a", Retention(NOW))], "takes a dict"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            Runtime("memory://", retention=wrong)
    with pytest.raises(ConfigurationError, match="such as timedelta"):
        Retention(30)
    with pytest.raises(ConfigurationError, match="such as timedelta"):
        Retention(timedelta(days=-1))
    with pytest.raises(ConfigurationError, match="a folder"):
        Retention(NOW, archive=3)
    with pytest.raises(ConfigurationError, match="'plain' or None"):
        Retention(NOW, payloads="sealed")


async def test_bad_questions_are_refused(store):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for wrong, said in (
            ({"older_than": 3, "archive": None}, "older_than"),
            ({"older_than": NOW, "archive": 3}, "a folder"),
            ({"older_than": NOW, "archive": None, "payloads": "sealed"}, "'plain' or None"),
            ({"older_than": NOW, "archive": None, "status": "running"}, "status is one of"),
            ({"older_than": NOW, "archive": None, "component": ""}, "component"),
        ):
            with pytest.raises(InvalidInputError, match=said):
                await client.prune(**wrong)


def test_nothing_of_it_is_imported_where_it_is_not_asked_for():
    script = "import sys, agnt5; agnt5.Runtime('memory://'); print('agnt5.sweeps' in sys.modules)"
    assert python(script).communicate()[0].strip() == "False"
