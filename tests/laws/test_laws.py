"""One test, or a few, for each law of DESIGN.md that the engine reaches."""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import OUTCOMES, TERMINAL, Crash, CrashingLog, Disk, disk_of
from tests.laws.programs import (
    Asked,
    Catch,
    Cleanup,
    Inline,
    Loop,
    Node,
    Seq,
    Signal,
    Sleep,
    Step,
    Together,
    Turns,
    small_programs,
)
from tests.laws.test_crash import check, crashed_everywhere, examples
from tests.laws.world import RUN, Life, World, boundaries, play, run, verdict

from agnt5 import Runtime
from agnt5.actors.clock import ManualClock
from agnt5.events.codec import decode_history, encode_fact
from agnt5.events.keys import idempotency_key
from agnt5.events.log import Append, Chain, StoredFact
from agnt5.events.projections import changes_of, row_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide, react, resume
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.exceptions import AGNT5Error, StoreError
from agnt5.maintenance import rebuild_log_index
from agnt5.runs import NewRun

# -------------------------------------------------------------------------- 1. the log is the truth

_KEYS = st.sampled_from([":a#0", ":b#0", "/0:a#0"])
_TIMES = st.sampled_from([1, 5, 20])
_PLANS = st.none() | st.builds(
    f.RetryPlan,
    max_attempts=st.integers(1, 3),
    initial_ms=st.just(1),
    max_ms=st.just(1),
    backoff=st.just("constant"),
)
_COMMANDS: st.SearchStrategy[Any] = st.one_of(
    st.builds(c.QueueRun, st.just("w"), st.just("workflow"), st.just({})),
    st.builds(c.StartRun, st.just("d1")),
    st.just(c.Recover()),
    st.builds(
        c.RequestStep,
        _KEYS,
        st.just("a"),
        st.sampled_from([None, "fn"]),
        st.none(),
        _PLANS,
        st.sampled_from(["retry", "fail"]),
        st.none() | st.just(2000),
    ),
    st.builds(c.RequestTimer, _KEYS, st.sampled_from([0, 1000])),
    st.builds(c.RequestSignal, _KEYS, st.sampled_from("xy")),
    st.builds(
        c.RequestInput,
        _KEYS,
        st.just("?"),
        st.just("text"),
        st.none(),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(c.AbandonOperation, _KEYS),
    st.builds(c.ReportSuccess, _KEYS, st.integers(0, 1), st.just(1), st.just(1)),
    st.builds(c.ReportFailure, _KEYS, st.integers(0, 1), st.just({"type": "builtins:ValueError"})),
    st.builds(c.WakeOperation, _KEYS),
    st.builds(c.SendSignal, st.sampled_from(["s1", "s2"]), st.sampled_from("xy"), st.just(1)),
    st.builds(c.SubmitAnswer, st.none() | st.just("yes"), st.none() | _KEYS),
    st.just(c.RequestCancel("why")),
    st.just(c.ParkRun()),
    st.builds(c.SuspendRun, st.just("r"), st.just("report"), st.just("d1")),
    st.just(c.ResumeRun("d2")),
    st.just(c.CompleteRun(1)),
    st.just(c.FailRun({"type": "builtins:ValueError"})),
    st.just(c.CancelRun()),
)
_WITH_TIME = st.tuples(_COMMANDS, st.sampled_from([0, 500, 3000]))
_BEGIN: list[tuple[Any, int]] = [
    (c.QueueRun("w", "workflow", {}), 0),
    (c.StartRun("d1"), 0),
]


def asked(state: RunState, command: Any, now: int) -> list[Any]:
    """What is decided; a refusal is nothing."""
    try:
        return list(decide(state, command, now))
    except AGNT5Error:
        return []


def through_the_codec(fact: Any, at: int, version: int) -> Any:
    """The fact as it comes back from the log."""
    raw = encode_fact(fact, at, "id")
    stored = StoredFact(RUN, version, version, raw.topic, raw.state, raw.at, raw.event_id)
    return decode_history([stored])[0][0]


@given(st.lists(_WITH_TIME, max_size=25))
@examples(1.5)
def test_1_every_decision_folds_and_says_itself_once(commands):
    """Facts survive the codec, fold; the same command again adds nothing; nothing follows the end.

    Also: what is owed after a restart is what reactions have asked for and nothing has settled.
    """
    state, history, now = RunState(RUN), [], 1000
    given_effects: list[e.RunEffect] = []
    for command, later in [*_BEGIN, *commands]:
        now += later
        was_finished = state.is_finished
        facts = asked(state, command, now)
        assert not (was_finished and facts)
        for fact in facts:
            assert through_the_codec(fact, now, state.version + 1) == fact
            assert not state.is_finished
            evolve(state, fact, now)
            history.append((fact, now))
            given_effects += [x for x in react(state, fact) if isinstance(x, e.Execute | e.Wake)]
        if not isinstance(command, c.WakeOperation):
            assert asked(state, command, now) == [], "decided twice"
        for effect in resume(state):
            assert effect.key in state.open
            match effect:
                case e.Execute():
                    known = {(x.key, x.attempt) for x in given_effects if isinstance(x, e.Execute)}
                    assert (effect.key, effect.attempt) in known
                case e.Wake():
                    assert effect in given_effects
    assert fold(RUN, history) == state


@given(st.lists(_WITH_TIME, max_size=25), st.integers(0, 60))
@examples(1.0)
def test_1_a_fold_may_be_cut_anywhere(commands, cut):
    """fold(a + b) == fold(b, fold(a))."""
    state, history, now = RunState(RUN), [], 1000
    for command, later in [*_BEGIN, *commands]:
        now += later
        for fact in asked(state, command, now):
            evolve(state, fact, now)
            history.append((fact, now))
    first = copy.deepcopy(fold(RUN, history[:cut]))
    for fact, at in history[cut:]:
        evolve(first, fact, at)
    assert first == fold(RUN, history)


@given(small_programs(8))
@examples(0.2)
def test_1_the_index_can_be_dropped_and_built_again(program):
    """After every prefix of a history the index equals the one that is built from the log."""
    world = run(play(program))
    stored = world.disk.log.read(RUN)
    for length in range(1, len(stored) + 1):
        disk = disk_of(RUN, stored[:length])
        before = disk.log.run_row(RUN)
        disk.log.start(lambda settled: None)
        disk.log.rebuild([])
        assert disk.log.run_row(RUN) is None
        rebuild_log_index(disk.log)
        disk.log.close()
        assert before == disk.log.run_row(RUN) == row_of(fold(RUN, disk.history(RUN)))


# ------------------------------------------------------------------------ 2. durable before visible


def test_2_nothing_is_visible_before_it_is_durable():
    """While the disk holds back, neither client nor body nor the next step gets anything."""

    async def main() -> None:
        world = World(Seq((Step("a"), Step("b"))))
        seen: list[tuple[str, int, int, bool]] = []

        async def watch(life: Life) -> None:
            log, result = life.log, None
            for number in itertools.count():
                log.held = True
                for _ in range(80):
                    await asyncio.sleep(0)
                before = len(world.disk.settled)
                if result is None and RUN in world.disk.log.run_ids():
                    wait = life.runtime.runs.result(RUN, None)
                    result = asyncio.ensure_future(wait)
                ended = RUN in world.disk.ended
                passes = world.passes[-1] if world.passes else []
                # A body sees at most what is settled; a second step needs the first one's outcome.
                assert len(passes) <= before
                assert len(set(life.executed)) <= before + 1
                assert result is None or ended or not result.done()
                seen.append(("round", number, before, ended))
                if ended:
                    break
                log._write(log._queue.popleft()) if log._queue else None
            log.held = False
            log.pump()
            assert result is not None
            assert (await result).is_success

        await world.live(meanwhile=watch)
        assert world.outcome()[0] == "completed"
        assert len(seen) > 4

    run(main())


def test_2_a_submitted_run_is_acknowledged_only_when_it_is_durable():
    """``submit`` returns after the fact is on disk, not before."""

    async def main() -> None:
        world = World(Step("a"))
        order: list[str] = []

        async def watch(life: Life) -> None:
            life.log.held = True
            new = NewRun("laws_program", {}, "workflow", run_id="another")
            answer = asyncio.ensure_future(life.runtime.runs.submit(new))
            for _ in range(80):
                await asyncio.sleep(0)
            assert not answer.done()
            assert world.disk.log.last("another") is None
            order.append("held")
            life.log.held = False
            life.log.pump()
            await answer
            assert world.disk.log.last("another") is not None

        await world.live(meanwhile=watch)
        assert order == ["held"]

    run(main())


# --------------------------------------------------------------------------------- 3. recorded once


async def foreign(disk: Disk, *facts: Any) -> None:
    """Somebody else extends the stream."""
    state = fold(RUN, disk.history(RUN))
    after = state.version
    for fact in facts:
        evolve(state, fact, 1)
    raw = [encode_fact(fact, 1_700_000_000_000_000, f"foreign-{n}") for n, fact in enumerate(facts)]
    append = Append(RUN, after, raw, changes_of(state, facts), Chain(), lambda _: None)
    disk.log.append([append])
    assert append.error is None


@pytest.mark.parametrize("steps_before", [0, 1, 2])
def test_3_an_owner_that_meets_a_fact_from_outside_reads_again(steps_before):
    """There is one history, it holds the foreign fact, and the run goes on from it."""

    async def main() -> None:
        program = Seq((*[Step("a")] * steps_before, Signal("go"), Step("b")))
        world = World(program, park_after=100.0)

        async def watch(life: Life) -> None:
            while ":signal:go#0" not in str(world.disk.facts(RUN)[-1:]):
                await asyncio.sleep(0)  # each turn: soon time jumps, and the run is parked
            await foreign(
                world.disk,
                f.SignalReceived(signal_id="s1", name="go", payload="from outside"),
                f.SignalConsumed(key=":signal:go#0", signal_id="s1", payload="from outside"),
            )
            world.disk.settled[RUN, ":signal:go#0"] = "SignalConsumed"
            life.over = True  # from here the engine may warn: it has lost an append
            with pytest.raises(StoreError):
                await life.runtime.runs.signal(RUN, "other", 1)

        await world.live(meanwhile=watch)
        assert world.outcome()[0] == "completed"
        assert "from outside" in world.outcome()[1]
        world.check_history()
        world.check_passes()
        check(world)

    run(main())


def test_3_an_owner_that_is_fenced_off_writes_nothing_more():
    """Once another owner has the lease, the old one stops for good."""

    async def main() -> None:
        world = World(Seq((Step("a"), Sleep(5.0), Step("b"))), park_after=100.0)
        await _until_asleep(world)
        before = len(world.disk.log.read(RUN))
        await world.live()  # another owner has finished it
        assert world.outcome()[0] == "completed"
        assert len(world.disk.log.read(RUN)) > before

    async def _until_asleep(world: World) -> None:
        log = CrashingLog(world.disk)
        life = Life(world, log, 100.0)
        world.lives.append(life)
        import tests.laws.world as module

        module._current = world
        await life.runtime.start()
        new = NewRun("laws_program", {}, "workflow", run_id=RUN)
        await life.runtime.runs.submit(new)
        while ":sleep#0" not in str(world.disk.facts(RUN)[-1]):
            await asyncio.sleep(0.001)
        for _ in range(100):  # it hears that this is on the disk, and sets its alarm
            await asyncio.sleep(0)
        world.disk.log.claim("store", "somebody else")
        written = len(world.disk.log.read(RUN))
        life.clock.jump()
        for _ in range(100):
            await asyncio.sleep(0)
        while life.clock.jump():
            await asyncio.sleep(0)
        assert len(world.disk.log.read(RUN)) == written
        assert not life.runtime._bus.runs
        await life.runtime.aclose(0)

    run(main())


# ----------------------------------------------------------------------------- 4. see test_crash.py


@given(small_programs(10))
@examples(0.3)
def test_4_a_finished_history_replays_in_silence(program):
    """Without its last fact a history gives the same end again, runs and writes nothing else."""
    check(run(verdict(program, park_after=0.0)))


# --------------------------------------------------------------------------- 5. identity is a place


@pytest.mark.parametrize("turns", list(itertools.product((0, 4), repeat=4)))
def test_5_branches_never_get_each_others_results(turns):
    """('A1', 'A2'), ('B1', 'B2') in every interleaving, live and after every crash."""
    a, b = (Seq((Step("s", x), Step("s", y))) for x, y in (turns[:2], turns[2:]))
    world = run(crashed_everywhere(Together("gather", (a, b))))
    check(world)
    found = re.findall(r"r\.[01]\.[01]", world.outcome()[1])
    assert found == ["r.0.0", "r.0.1", "r.1.0", "r.1.1"]


# ----------------------------------------------------------------- 6. divergence stops, and teaches

_OLD: dict[str, tuple[Node, Node, str, str]] = {
    # name: (recorded with, replayed with, what the report must expect, and must say was asked)
    "another name": (
        Seq((Step("a"), Step("b"))),
        Seq((Step("a"), Step("c"))),
        ":b#0",
        ":c#0",
    ),
    "a step in front": (
        Seq((Step("a"), Step("b"))),
        Seq((Step("new"), Step("a"), Step("b"))),
        ":a#0",
        ":new#0",
    ),
    "a step less": (Seq((Step("a"), Step("b"))), Step("a"), ":b#0", ""),
    "a branch less": (
        Together("gather", (Step("a", 5), Step("b", 1), Step("a", 3))),
        Together("gather", (Step("a", 5), Step("b", 1))),
        "/2:a#0",
        "",
    ),
    "another name in a branch": (
        Together("gather", (Step("a", 5), Step("b", 1))),
        Together("gather", (Step("a", 5), Step("c", 1))),
        "/1:b#0",
        "/1:c#0",
    ),
    "a sleep became a step": (
        Seq((Sleep(1.0), Step("b"))),
        Seq((Step("a"), Step("b"))),
        ":sleep#0",
        ":a#0",
    ),
    "a loop became shorter": (
        Loop(3, Step("a")),
        Loop(2, Step("a")),
        ":a#2",
        "",
    ),
    "the body fails at once": (
        Seq((Step("a"), Step("b"))),
        Catch(Seq((Step("a"),)), Step("b")),
        ":b#0",
        "",
    ),
}


async def diverge(name: str = "another name in a branch") -> World:
    """Record with one body, replay with another, mend it, resume."""
    old, new, expected, asked_for = _OLD[name]
    calm = await play(old)
    cut = calm.disk.without_last(RUN)
    world = World(new, disk=cut, stall_limit=0.05, park_after=100.0)
    before = cut.facts(RUN)
    life = await world.live()
    kind, report = world.outcome()
    assert kind == "suspended", (name, world.outcome())
    assert cut.facts(RUN)[:-1] == before, "a diverged body has written something"
    assert not life.executed, "a diverged body has run something"
    assert expected in report.partition("  asked for:")[0], report
    assert asked_for in report.partition("  asked for:")[2], report
    assert report.count("programs.py:") >= (3 if asked_for else 2), report
    assert "Ways out" in report
    # Labels are of the old program: what the changed one thinks of the values is of no interest.
    world.program, world.passes, world.problems = old, [], []
    await world.live(meanwhile=lambda life: life.runtime.runs.unsuspend(RUN))
    assert world.outcome() == calm.outcome()
    assert not world.life.executed
    return world


@pytest.mark.parametrize("name", _OLD)
def test_6_a_changed_body_is_suspended_told_and_goes_on_when_mended(name):
    """The report names what was expected, what was asked, both lines; nothing is run or lost."""
    check(run(diverge(name)))


@pytest.mark.parametrize("mended", [False, True])
def test_6_resuming_with_the_changed_body_suspends_again(mended):
    """Resuming is no magic: the same code diverges in the same way, and nothing is lost."""

    async def main() -> None:
        old, new, *_ = _OLD["another name"]
        calm = await play(old)
        world = World(new, disk=calm.disk.without_last(RUN), stall_limit=0.05, park_after=100.0)
        await world.live()
        for _ in range(3):
            world.passes = []
            await world.live(meanwhile=lambda life: life.runtime.runs.unsuspend(RUN))
            assert world.outcome()[0] == "suspended"
        if mended:
            world.program, world.passes = old, []
            await world.live(meanwhile=lambda life: life.runtime.runs.unsuspend(RUN))
            assert world.outcome() == calm.outcome()

    run(main())


# ---------------------------------------------------------------------- 7. cancellation is an event

_CANCELLED: dict[str, Node] = {
    "a step": Cleanup(Seq((Step("a", 4), Step("a", 4))), Step("b", 2)),
    "asleep": Cleanup(Seq((Step("a"), Sleep(5.0))), Seq((Step("b"), Step("b")))),
    "branches": Cleanup(
        Together("gather", (Seq((Step("a", 2), Step("a"))), Sleep(2.0))),
        Together("gather", (Step("b", 1), Step("b"))),
    ),
    "inside an inline step": Cleanup(Inline("a", Seq((Step("a", 2), Sleep(1.0)))), Step("b")),
    "a task group": Cleanup(Together("group", (Step("a", 3), Sleep(1.0))), Step("b")),
    "a race": Cleanup(Together("first", (Step("a", 6), Sleep(1.0))), Step("b")),
}


async def cancel_at(program: Node, moment: int, crash: Crash | None = None) -> World:
    """Cancel, twice, once this many appends are handed over; then crash there, perhaps."""
    world = World(program)

    async def cancel(life: Life) -> None:
        while world.disk.appends < moment and not life.over and RUN not in world.disk.ended:
            await asyncio.sleep(0)
        if life.over or RUN not in world.disk.log.run_ids():
            return
        await life.runtime.runs.cancel(RUN, "enough")
        await life.runtime.runs.cancel(RUN, "again")

    if (await world.live(crash, cancel)).crashed:
        await world.live(None, cancel)
    return world


@pytest.mark.parametrize("park_after", [0.0, 100.0])
@pytest.mark.parametrize("name", _CANCELLED)
def test_7_cancelling_at_any_moment_cleans_up_and_ends_once(name, park_after):
    """Whenever it comes, and twice is as once; what the body does in its cleanup is recorded."""
    program = _CANCELLED[name]
    calm = run(play(program))
    for moment in range(1, calm.disk.appends + 1):
        world = run(cancel_at(program, moment))
        world.check_history()
        world.check_passes()
        facts = world.disk.facts(RUN)
        assert sum(isinstance(fact, f.RunCancelRequested) for fact in facts) <= 1
        assert world.outcome()[0] in {"cancelled", "completed"}
        if world.outcome()[0] == "cancelled":
            assert world.outcome()[1] == "enough"
            begun = any(isinstance(fact, f.StepScheduled | f.TimerScheduled) for fact in facts)
            # A cancellation that comes during the cleanup interrupts it, as in any asyncio code.
            cleaned = [x for x in facts if isinstance(x, f.StepScheduled) and "b#" in x.key]
            assert cleaned or not begun
        check(world)


@pytest.mark.parametrize("name", _CANCELLED)
def test_7_a_cancellation_survives_crashes(name):
    """A crash at every boundary of a cancelled run: it is cancelled all the same, once."""
    program = _CANCELLED[name]
    calm = run(cancel_at(program, 3))
    check(calm)
    for crash in boundaries(calm):
        world = run(cancel_at(program, 3, crash))
        world.check_history()
        world.check_passes()
        assert world.outcome()[0] == "cancelled"
        check(world)


def test_7_parking_and_closing_are_no_cancellation():
    """A body that leaves memory runs its finally blocks without effects, and later for good."""
    world = run(play(Cleanup(Seq((Step("a"), Sleep(5.0), Step("a"))), Step("b")), park_after=0.5))
    assert len(world.passes) == 2
    assert any(isinstance(fact, f.RunParked) for fact in world.disk.facts(RUN))
    ran = [key for life in world.lives for key in life.executed]
    assert ran.count(idempotency_key(RUN, ":b#0")) == 1
    check(world)


# --------------------------------------------------------------------------- 8. cost is as the work


def test_8_a_parked_run_costs_no_memory_and_an_idle_runtime_nothing():
    """No actor, no task, no timer of the loop, one alarm for all, no reads; and it comes back."""

    async def main() -> None:
        world = World(Seq((Step("a"), Sleep(3600.0))), park_after=1.0)

        async def watch(life: Life) -> None:
            bus, clock = life.runtime._bus, life.clock
            jump = clock.jump
            clock.jump = lambda: (clock.next_due() or 1e30) < clock.now() + 6e7 and jump()  # type: ignore[method-assign]
            while not any(isinstance(x, f.RunParked) for x in world.disk.facts(RUN)) or bus.runs:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            loop: Any = asyncio.get_running_loop()
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert not any(name.startswith(("run ", "step ")) for name in names), names
            assert not bus.runs
            assert len([x for x in clock._alarms if not x[2].cancelled]) == 1
            reads, handed = life.log.reads, life.log.handed
            timers = [h for h in loop._scheduled if not h.cancelled()]
            await asyncio.sleep(0.05)
            assert (life.log.reads, life.log.handed) == (reads, handed)
            # The harness' own short sleeps are timers, too; nothing of ours may lie further off.
            assert all(h.when() < loop.time() + 0.5 for h in timers)
            clock.jump = jump  # type: ignore[method-assign]

        await world.live(meanwhile=watch)
        check(world)
        assert world.outcome()[0] == "completed"

    run(main())


def test_8_an_idle_runtime_asks_the_log_nothing():
    """Without runs there is nothing to do, however long."""

    async def main() -> None:
        log = CrashingLog(Disk())
        async with Runtime(log, clock=(clock := ManualClock()), grace=0.0) as runtime:
            await asyncio.sleep(0.01)
            reads = log.reads
            clock.advance(100_000)
            await asyncio.sleep(0.05)
            assert log.reads == reads
            assert clock.next_due() is None
            assert runtime._bus.runs == {}

    run(main())


def test_8_finished_runs_are_not_read_at_the_start():
    """A start costs as much as there are runs to take up."""

    async def main() -> None:
        world = await play(Seq((Step("a"), Step("b"))))
        log = CrashingLog(world.disk)
        read: list[Any] = []
        log.read_many = read.append  # type: ignore[attr-defined]
        async with Runtime(log, clock=ManualClock(), grace=0.0):
            await asyncio.sleep(0.02)
        assert read == []

    run(main())


# ---------------------------------------------------------------------------------- 9. honest words


@pytest.mark.parametrize(
    "program",
    [
        Catch(Step("a", 6, form="careful"), Step("b")),
        Seq((Step("b"), Catch(Step("a", 6, form="careful"), Step("b")))),
        Together(
            "settled", (Step("a", 6, form="careful"), Step("b", 2), Step("a", 3, form="careful"))
        ),
    ],
)
@pytest.mark.parametrize("latency", [0, 3])
def test_9_an_effect_that_may_happen_at_most_once_never_happens_twice(program, latency):
    """Whenever the crash comes: no attempt runs twice, and what is unknown is called unknown."""
    calm = run(verdict(program, latency=latency))
    check(calm)
    unknown = 0
    for crash in boundaries(calm):
        for afterlife in (0, 12):
            world = run(verdict(program, [crash], latency=latency, afterlife=afterlife))
            check(world)
            careful = {
                idempotency_key(RUN, fact.key)
                for fact in world.disk.facts(RUN)
                if isinstance(fact, f.StepScheduled) and fact.recovery == "fail"
            }
            ran = [key for life in world.lives for key in life.executed if key in careful]
            assert len(ran) == len(set(ran)), f"{crash}: an effect happened twice"
            if world.outcome() != calm.outcome():
                assert "UnknownOutcomeError" in world.outcome()[1]
                unknown += 1
    assert unknown


def test_9_an_effect_that_may_be_repeated_has_one_key():
    """At least once: the attempts of a step before and after a crash show the same key."""
    repeated = 0
    for crash in boundaries(run(play(Seq((Step("a", 2), Step("b", 2)))))):
        world = run(verdict(Seq((Step("a", 2), Step("b", 2))), [crash], afterlife=10))
        check(world)
        ran = [key for life in world.lives for key in life.executed]
        assert set(ran) == {idempotency_key(RUN, key) for key in (":a#0", ":b#0")}
        repeated += len(ran) - 2
    assert repeated


@pytest.mark.parametrize("form", [Inline, None])
def test_a_key_chosen_inside_an_inline_step(form):
    """The replay must not wait for a call that only the settled inline step would make."""
    inner = Step("a", key="k")
    program = Inline("b", inner) if form else Together("parallel", (Seq((inner, Turns(1))),))
    check(run(crashed_everywhere(Seq((program, Step("b"))), stall_limit=0.2)))


def test_the_harness_knows_every_topic_that_settles_a_call_or_ends_a_run():
    """It takes them from the unions; no list of its own may fall behind."""
    assert {"StepCompleted", "ChildFinished", "UserInputExpired"} <= OUTCOMES
    assert {cls.topic for cls in f.RUN_FACTS if issubclass(cls, f.Outcome)} == OUTCOMES
    assert {cls.topic for cls in f.RUN_FACTS if issubclass(cls, f.Terminal)} == TERMINAL


def test_the_reversed_wait_is_no_divergence():
    """Calls are awaited in another order than they were made: nothing unusual."""
    check(run(crashed_everywhere(Seq((Step("a"), Asked((Step("b"), Step("a"), Step("b"))))))))
