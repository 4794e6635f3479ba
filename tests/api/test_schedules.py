"""Schedules through random downtimes and crashes: each time starts one run, or none by policy."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.helpers import until
from tests.laws.crashing_log import Crash, CrashingLog, Disk

from agnt5 import AsyncClient, Runtime, WorkflowRegistry, workflow
from agnt5.actors.clock import ManualClock
from agnt5.cron import parse_cron
from agnt5.events.codec import decode_any
from agnt5.events.run.facts import RunQueued
from agnt5.events.schedule import decider
from agnt5.events.schedule.facts import ScheduleArmed, ScheduleFired, ScheduleSkipped

BEGIN = 1_700_000_000_000_000  # a Tuesday, 22:13:20 UTC
MINUTE = 60
EXPRESSIONS = ["*/7 * * * *", "0 * * * *", "15,45 2,3 * * *", "* * * * *"]


def declare(expression="*/5 * * * *", missed="skip", zone=None, name="tick"):
    """A workflow that does nothing but to start."""
    if name in WorkflowRegistry.list_names():
        del WorkflowRegistry._components[name], WorkflowRegistry._versions[name]

    @workflow(name=name, cron=expression, cron_missed=missed, cron_timezone=zone)
    async def tick(ctx, scheduled_at: str) -> str:
        return scheduled_at

    return tick


async def quiet(runtime, log=None):
    """Wait until every schedule waits for its alarm and every run has ended, or the log is dead."""

    def over():
        turns = [s._turn for s in runtime.schedules._known.values()]
        return not any(turns) and not runtime._bus.runs and not runtime._bus.journal._in_flight

    while not (log is not None and log.crashed):
        await asyncio.sleep(0)
        if over():
            return
        await asyncio.sleep(0.0005)


def facts_of(log, name="tick"):
    return [(decode_any(row), row.at) for row in log.read(decider.stream_of(name))]


def fired(log, name="tick"):
    return [fact for fact, _ in facts_of(log, name) if isinstance(fact, ScheduleFired)]


def started(log, name="tick"):
    """Due times for which there is a run, with the run's id, in the order of the due times."""
    found = []
    for run_id in log.run_ids():
        fact = decode_any(log.read(run_id)[0])
        assert isinstance(fact, RunQueued)
        if fact.component == name:
            found.append((fact.origin["due_at"], run_id))
    return sorted(found)


def model(spec, missed, lives):
    """The due times that start a run when nothing crashes, computed from the library's times."""
    now, upto, runs = BEGIN, None, []
    for away, advances in lives:
        now += away * 10**6
        opened = now
        upto = now if upto is None else upto
        for step in [0, *advances]:
            now += step * 10**6
            due = list(itertools.takewhile(lambda t: t <= now, spec.times(upto)))
            if not due:
                continue
            if missed == "all":
                runs += due
            elif missed == "once" or due[-1] > now - 60 * 10**6 or due[-1] > opened:
                runs.append(due[-1])
            upto = now
    return runs


lives = st.lists(
    st.tuples(
        st.integers(0, 4 * 60 * MINUTE),
        st.lists(st.integers(1, 90 * MINUTE), max_size=4),
    ),
    min_size=1,
    max_size=4,
)


async def live(log, clock, advances):
    async with Runtime(log, clock=clock, grace=0.0) as runtime:
        await quiet(runtime)
        for step in advances:
            clock.advance(step)
            await quiet(runtime)


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
@settings(max_examples=15)
@given(expression=st.sampled_from(EXPRESSIONS[:3]), lives=lives)
def test_downtimes(missed, expression, lives):
    declare(expression, missed)

    async def scenario():
        disk, clock = Disk(), ManualClock(BEGIN)
        for away, advances in lives:
            clock._now += away * 10**6
            await live(CrashingLog(disk), clock, advances)
            clock = ManualClock(clock.now())
        expected = model(parse_cron(expression), missed, lives)
        assert [due for due, _ in started(disk.log)] == expected
        assert [(f.due_at, f.run_id) for f in fired(disk.log)] == started(disk.log)

    asyncio.run(scenario())


crashes = st.lists(
    st.tuples(
        st.integers(0, 60 * MINUTE),
        st.lists(st.integers(1, 40 * MINUTE), max_size=3),
        st.builds(Crash, st.integers(0, 14), st.booleans()),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=4,
)


async def die(disk, clock, advances, crash, latency):
    """A life that ends at an append; whether it was recorded or not, nobody hears of it."""
    log = CrashingLog(disk, crash=crash, latency=latency)
    runtime = Runtime(log, clock=clock, grace=0.0)
    await runtime.start()
    await quiet(runtime, log)
    for step in advances:
        if not log.crashed:
            clock.advance(step)
            await quiet(runtime, log)
    log.die()
    await runtime.aclose()


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
@settings(max_examples=25)
@given(expression=st.sampled_from([*EXPRESSIONS[:2], EXPRESSIONS[3]]), lives=crashes)
def test_crashes(missed, expression, lives):
    """Whenever the process dies: one run for each time on record, and no other runs."""
    declare(expression, missed)
    spec = parse_cron(expression)

    async def scenario():
        disk, clock, opened = Disk(), ManualClock(BEGIN), []
        for away, advances, crash, latency in lives:
            clock = ManualClock(clock.now() + away * 10**6)
            opened.append((len(facts_of(disk.log)), clock.now()))
            await die(disk, clock, advances, crash, latency)
        clock = ManualClock(clock.now() + 5 * MINUTE * 10**6)
        opened.append((len(facts_of(disk.log)), clock.now()))
        await live(CrashingLog(disk), clock, [])
        return disk.log, clock.now(), opened

    log, now, opened = asyncio.run(scenario())
    runs = started(log)
    assert [(f.due_at, f.run_id) for f in fired(log)] == runs
    assert len({due for due, _ in runs}) == len(runs)
    (armed, armed_at), *_ = facts_of(log)
    assert isinstance(armed, ScheduleArmed)
    due = list(itertools.takewhile(lambda t: t <= now, spec.times(armed_at)))
    assert {d for d, _ in runs} <= set(due)
    if missed == "all":
        assert [d for d, _ in runs] == due
    elif missed == "once":
        assert [d for d, _ in runs][-1:] == due[-1:]
    else:
        for number, (fact, at) in enumerate(facts_of(log)):
            if isinstance(fact, ScheduleFired):
                watched = [since for before, since in opened if before <= number][-1]
                assert fact.due_at > min(at - 60 * 10**6, watched)
    assert all(log.run_row(run_id).status == "completed" for _, run_id in runs)


async def test_a_crash_between_the_record_and_the_run():
    """The next process starts the run that is owed, under every policy, however late."""
    declare(missed="skip")
    disk, clock = Disk(), ManualClock(BEGIN)
    # Appends: armed, fired, and then no more.
    await die(disk, clock, [100], Crash(1, recorded=True), 0)
    assert len(fired(disk.log)) == 1
    assert not started(disk.log)
    clock = ManualClock(clock.now() + 3700 * 10**6)  # no time is near
    await live(CrashingLog(disk), clock, [])
    assert [(f.due_at, f.run_id) for f in fired(disk.log)][:1] == started(disk.log)
    await live(CrashingLog(disk), ManualClock(clock.now()), [])
    assert len(started(disk.log)) == 1


async def test_on_a_store_of_the_user(store):
    declare("*/5 * * * *", "all")
    clock = ManualClock(BEGIN)
    async with Runtime(store, clock=clock) as runtime:
        client = AsyncClient(runtime=runtime)
        await quiet(runtime)
        clock.advance(100)  # to 22:15
        await quiet(runtime)
        (run,) = await client.list_runs(component="tick")
        assert (await client.get_result(run.run_id)).output == "2023-11-14T22:15:00+00:00"
    clock = ManualClock(BEGIN + 1000 * 10**6)
    async with Runtime(store, clock=clock) as runtime:
        await quiet(runtime)
        runs = await AsyncClient(runtime=runtime).list_runs(component="tick")
        assert len(runs) == 4  # 22:15, and then 22:20, 22:25, 22:30


async def test_another_expression_begins_anew(store):
    declare("*/5 * * * *", "all")
    disk = Disk()
    await live(CrashingLog(disk), ManualClock(BEGIN), [100])
    declare("0 * * * *", "all")
    await live(CrashingLog(disk), ManualClock(BEGIN + 86_400 * 10**6), [3600])
    armed = [fact for fact, _ in facts_of(disk.log) if isinstance(fact, ScheduleArmed)]
    assert [fact.expression for fact in armed] == ["*/5 * * * *", "0 * * * *"]
    # What the old one has missed is nothing to the new one.
    assert len(started(disk.log)) == 2
    declare("0 * * * *", "all", "Asia/Kathmandu")
    await live(CrashingLog(disk), ManualClock(BEGIN + 2 * 86_400 * 10**6), [])
    assert facts_of(disk.log)[-1][0].timezone == "Asia/Kathmandu"


async def test_registered_later_and_gone_again(file_store):
    clock = ManualClock(BEGIN)
    others = list(WorkflowRegistry.watchers)
    async with Runtime(file_store, clock=clock) as runtime:
        assert not runtime.schedules._known
        assert clock.next_due() is None
        await asyncio.to_thread(declare)  # on whichever thread a module is imported
        await until(lambda: clock.next_due() is not None)
        clock.advance(100)
        await quiet(runtime)
        client = AsyncClient(runtime=runtime)
        assert len(await client.list_runs()) == 1
        WorkflowRegistry.clear()
        clock.advance(3600)
        await quiet(runtime)
        assert len(await client.list_runs()) == 1
        assert clock.next_due() is None
    assert WorkflowRegistry.watchers == others


async def test_all_is_bounded(monkeypatch):
    monkeypatch.setattr(decider, "MOST_CAUGHT_UP", 3)
    declare("*/5 * * * *", "all")
    disk = Disk()
    await live(CrashingLog(disk), ManualClock(BEGIN), [])
    now = BEGIN + 3600 * 10**6
    await live(CrashingLog(disk), ManualClock(now), [])
    due = list(itertools.takewhile(lambda t: t <= now, parse_cron("*/5 * * * *").times(BEGIN)))
    assert [d for d, _ in started(disk.log)] == due[-3:]
    skipped = [fact for fact, _ in facts_of(disk.log) if isinstance(fact, ScheduleSkipped)]
    assert [(s.upto, s.policy) for s in skipped] == [(due[-3] - 1, "all")]


async def test_a_machine_that_slept_starts_one_run():
    declare("0 * * * *", "skip")
    disk = Disk()
    await live(CrashingLog(disk), ManualClock(BEGIN), [9000])
    assert len(started(disk.log)) == 1


async def test_what_a_schedule_cannot_give_fails_its_run(file_store):
    @workflow(cron="* * * * *")
    async def needs(ctx, user_id: str) -> str:
        return user_id

    clock = ManualClock(BEGIN)
    async with Runtime(file_store, clock=clock) as runtime:
        await quiet(runtime)
        clock.advance(60)
        await quiet(runtime)
        client = AsyncClient(runtime=runtime)
        (run,) = await client.list_runs()
        error = (await client.get_result(run.run_id)).error
        assert error.code == "INVALID_ARGUMENT"
        assert "cron '* * * * *' cannot start it" in error.message
        assert "'user_id' is missing" in error.message


async def test_a_disk_in_trouble_is_tried_again(file_store, caplog):
    declare("* * * * *", "all")
    disk, clock = Disk(), ManualClock(BEGIN)
    log = CrashingLog(disk)
    async with Runtime(log, clock=clock, grace=0.0) as runtime:
        await quiet(runtime)
        submit, failing = runtime.runs.submit, [OSError("no space"), OSError("no space")]

        async def fails(new):
            if failing:
                raise failing.pop()
            return await submit(new)

        runtime.runs.submit = fails
        clock.advance(60)
        await quiet(runtime)
        assert not started(disk.log)
        assert "the schedule of workflow 'tick' is held up: no space" in caplog.text
        clock.advance(1)
        await quiet(runtime)
        clock.advance(2)
        await quiet(runtime)
        assert len(fired(disk.log)) == len(started(disk.log)) == 1
