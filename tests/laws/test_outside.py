"""What comes from outside, in any order, against a model small enough to be believed.

Signals, answers (right, wrong, twice, late), updates, queries, time, and crashes with restarts:
nothing is lost or used twice, every update is answered once, and a query writes nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.laws.crashing_log import Crash, CrashingLog
from tests.laws.test_crash import examples
from tests.laws.world import RUN, Life, World, boundaries, run, some

from agnt5 import (
    InvalidInputError,
    QueryError,
    StepTimeoutError,
    UpdateError,
    WorkflowContext,
    WorkflowRegistry,
    workflow,
)
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.exceptions import AGNT5Error
from agnt5.runs import NewRun

OPTIONS = [{"id": "yes"}, {"id": "no"}]
FIXED = [("ask", None, None), ("signal", "a", None), ("sleep", None, 2), ("signal", "b", None)]
QUIET = 24

waits = (
    st.tuples(st.just("signal"), st.sampled_from("ab"), st.none() | st.integers(0, 20))
    | st.tuples(st.just("ask"), st.sampled_from([None, "no"]), st.integers(1, 20))
    | st.tuples(st.just("ask"), st.none(), st.none())
    | st.tuples(st.just("sleep"), st.none(), st.integers(1, 20))
)


@workflow(name="laws_outside")
async def body(ctx: WorkflowContext, plan: list[Any] | None = None) -> list[Any]:
    """Waits for one thing after the other, and answers meanwhile."""
    plan = FIXED if plan is None else plan
    seen: list[Any] = []
    total = [0]

    async def add(number: int) -> list[int]:
        total[0] += number
        doubled = await ctx.step("double", lambda: 2 * number)
        await ctx.sleep(3)
        return [doubled, number]

    def check(number: int) -> None:
        if number < 0:
            raise ValueError(number)

    ctx.set_query_handler("look", lambda: [list(seen), total[0]])
    ctx.set_update_handler("add", add, validator=check)
    for kind, what, seconds in plan:
        try:
            if kind == "signal":
                seen.append(["signal", await ctx.signal(what, seconds)])
            elif kind == "ask":
                limits = {"timeout": seconds, "on_timeout": what}
                answer = await ctx.wait_for_user("?", "select", OPTIONS, False, True, **limits)
                seen.append(["answer", answer])
            else:
                seen.append(["slept", await ctx.sleep(seconds)])
        except StepTimeoutError:
            seen.append(["late"])
    return seen


class Model:
    """What the body must have seen."""

    def __init__(self, plan: list[Any], now: int) -> None:
        self.plan = plan
        self.at = 0
        self.asked = 0
        self.seen: list[Any] = []
        self.signals: dict[str, deque[int]] = {"a": deque(), "b": deque()}
        self.now = now
        self.due_at: int | None = None
        self.answers: dict[str, Any] = {}
        self.updates: dict[str, tuple[int, int]] = {}
        """By id: its number, and when it is answered."""
        self.begin()

    @property
    def wait(self) -> tuple[str, Any, Any] | None:
        return self.plan[self.at] if self.at < len(self.plan) else None

    @property
    def question(self) -> str:
        return f":wait_for_user#{self.asked}"

    def begin(self) -> None:
        """The next wait begins; it may end at once."""
        if self.wait is None:
            return
        kind, what, seconds = self.wait
        self.due_at = None if seconds is None else self.now + seconds * 1_000_000
        if kind == "signal" and self.signals[what]:
            self.end(["signal", self.signals[what].popleft()])

    def end(self, outcome: list[Any]) -> None:
        """The wait is over."""
        self.seen.append(outcome)
        if self.wait is not None and self.wait[0] == "ask":
            self.answers[self.question] = outcome[1] if outcome[0] == "answer" else None
            self.asked += 1
        self.at += 1
        self.due_at = None
        self.begin()

    def signal(self, name: str, number: int) -> None:
        """One comes."""
        if self.wait is not None and self.wait[:2] == ("signal", name):
            self.end(["signal", number])
        else:
            self.signals[name].append(number)

    def fire(self) -> None:
        """The time of the wait is over."""
        assert self.wait is not None
        kind, what, _ = self.wait
        if kind == "sleep":
            self.end(["slept", None])
        elif kind == "ask" and what is not None:
            self.end(["answer", what])
        else:
            self.end(["late"])

    def over(self, update_id: str) -> bool:
        """Whether an update has been answered."""
        return self.updates[update_id][1] <= self.now


async def outcome_of(coroutine: Any) -> Any:
    """What it gives, or its refusal."""
    try:
        return await coroutine
    except AGNT5Error as refusal:
        return refusal


class Outside(RuleBasedStateMachine):
    """Each rule happens while nothing else moves."""

    def __init__(self) -> None:
        super().__init__()
        WorkflowRegistry.clear()
        WorkflowRegistry.register(body)
        self.runner = asyncio.Runner()
        self.world = World(None, name="laws_outside")
        self.model: Any = None
        self.life: Any = None
        self.asked: dict[str, asyncio.Future[Any]] = {}
        self.numbers = 0
        self.sent: list[str] = []
        self.late: set[str] = set()
        """Questions that nobody answered in time."""

    # The machinery.

    def do(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @property
    def runs(self) -> Any:
        return self.life.runtime.runs

    @property
    def talks(self) -> Any:
        return self.life.runtime.conversations

    async def open(self, park_after: float) -> None:
        self.park_after = park_after
        self.life = Life(self.world, CrashingLog(self.world.disk), park_after)
        self.world.lives.append(self.life)
        await self.life.runtime.start()

    async def settle(self) -> None:
        life, quiet, last = self.life, 0, None
        bus = life.runtime._bus
        while quiet < QUIET:
            await asyncio.sleep(0)
            progress = life.progress()
            quiet = quiet + 1 if progress == last and not life.log.pending else 0
            last = progress
            if life.waits_for_machine() or any(not actor.is_idle for actor in bus.runs.values()):
                await asyncio.sleep(0.0005)
                quiet = 0

    async def ask(self, coroutine: Any) -> Any:
        """The answer, or the refusal."""
        said = await outcome_of(coroutine)
        await self.settle()
        return said

    async def until(self, now: int) -> None:
        """Let time pass, from one moment that matters to the next."""
        clock, model = self.life.clock, self.model
        while True:
            ends = [at for _, at in model.updates.values() if at > model.now]
            if model.due_at is not None:
                ends.append(model.due_at)
            at = min([*ends, now])
            # What is due now, after a start, is due at once.
            clock.advance((at - clock.now() + 0.5) / 1e6)
            clock.advance(0)
            await self.settle()
            model.now = at
            if model.due_at is not None and model.due_at <= at:
                if model.wait[0] == "ask":
                    self.late.add(model.question)
                model.fire()
                await self.settle()
            elif at >= now:
                return

    async def accepted(self, update_id: str, future: asyncio.Future[Any]) -> None:
        """It lies on the log, or is refused."""
        while not future.done() and update_id not in {
            fact.update_id for fact in self.facts(0) if isinstance(fact, f.UpdateReceived)
        }:
            await asyncio.sleep(0.0005)
        await self.settle()

    def count(self) -> int:
        return len(self.world.disk.facts(RUN))

    # What happens.

    @initialize(plan=st.lists(waits, min_size=3, max_size=6), park_after=st.sampled_from([0, 5]))
    def begin(self, plan, park_after):
        async def start() -> None:
            await self.open(park_after)
            new = NewRun("laws_outside", {"plan": plan}, "workflow", run_id=RUN)
            await self.runs.submit(new)
            await self.settle()
            self.model = Model(plan, self.life.clock.now())
            await self.until(self.model.now)

        self.do(start())

    @rule(name=st.sampled_from("ab"), again=st.booleans())
    def signal(self, name, again):
        ended = self.model.wait is None
        number = self.numbers = self.numbers + 1
        sent = self.sent[-1] if again and self.sent else None
        signal_id = sent or f"{name}{number}"
        refusal = self.do(self.ask(self.runs.signal(RUN, signal_id[0], number, signal_id)))
        # One that it has had already is no news, and no error.
        assert isinstance(refusal, InvalidInputError) is (ended and sent is None)
        if not ended and sent is None:
            self.sent.append(signal_id)
            self.model.signal(name, number)
            self.do(self.until(self.model.now))

    @rule(answer=st.sampled_from(["yes", "no", None, "maybe", "__custom__:yes"]))
    def answer(self, answer):
        is_asked = self.model.wait is not None and self.model.wait[0] == "ask"
        refusal = self.do(self.ask(self.talks.answer(RUN, answer, c.SubmitAnswer(None))))
        is_good = is_asked and answer in {"yes", "no", None}
        assert isinstance(refusal, InvalidInputError) is not is_good, refusal
        if is_good:
            self.model.end(["answer", answer])
            self.do(self.until(self.model.now))

    @precondition(lambda self: self.model.answers)
    @rule(data=st.data(), answer=st.sampled_from(["yes", "no", None]))
    def answer_again(self, data, answer):
        key = data.draw(st.sampled_from(sorted(self.model.answers)))
        before = self.count()
        refusal = self.do(self.ask(self.talks.answer(RUN, answer, c.SubmitAnswer(None, key))))
        is_same = key not in self.late and self.model.answers[key] == answer
        assert isinstance(refusal, InvalidInputError) is not is_same, refusal
        assert self.count() == before or not self.runs.bus.runs

    @rule(number=st.integers(-1, 5))
    def update(self, number):
        self.numbers += 1
        update_id = f"u/{self.numbers}"
        before = self.count()
        asked = outcome_of(self.talks.update(RUN, "add", number, update_id, None))
        self.asked[update_id] = future = self.runner.get_loop().create_task(asked)
        self.do(self.accepted(update_id, future))
        if number < 0 or self.model.wait is None:
            assert isinstance(future.result(), InvalidInputError)
            assert not any(isinstance(x, f.UpdateReceived) for x in self.facts(before))
            del self.asked[update_id]
            return
        self.model.updates[update_id] = (number, self.model.now + 3_000_000)

    @precondition(lambda self: self.model.updates)
    @rule(data=st.data())
    def update_again(self, data):
        update_id = data.draw(st.sampled_from(sorted(self.model.updates)))
        if not self.model.over(update_id) and self.model.wait is not None:
            return
        number, _ = self.model.updates[update_id]
        said = self.do(self.ask(self.talks.update(RUN, "add", number, update_id, None)))
        if self.model.over(update_id) and not isinstance(said, UpdateError):
            assert said == [2 * number, number]
        else:
            assert self.model.wait is None
            assert isinstance(said, UpdateError)

    @rule()
    def look(self):
        before = self.world.disk.appends
        said = self.do(self.ask(self.talks.query(RUN, "look", (), {})))
        if self.model.wait is None:
            assert isinstance(said, QueryError)
        else:
            total = sum(number for number, _ in self.model.updates.values())
            assert said == [self.model.seen, total]
        new = self.facts(self.count() - (self.world.disk.appends - before))
        assert all(isinstance(fact, f.RunParked) for fact in new), new

    @rule(seconds=st.integers(0, 30))
    def time(self, seconds):
        self.do(self.until(self.model.now + seconds * 1_000_000))

    @rule(seconds=st.integers(0, 10))
    def crash(self, seconds):
        """The process dies; the next one starts some time later."""

        async def die() -> None:
            self.life.over = True
            self.life.log.die()
            await self.life.runtime.aclose(0)
            for future in self.asked.values():
                await asyncio.wait([future])
            self.asked.clear()
            self.world.now = self.life.clock.now()
            await self.open(self.park_after)
            await self.settle()
            await self.until(self.model.now + seconds * 1_000_000)

        self.do(die())

    # What must hold.

    def facts(self, after: int) -> list[f.RunFact]:
        return self.world.disk.facts(RUN)[after:]

    def teardown(self):
        if self.model is None:
            self.runner.close()
            return
        for update_id, future in self.asked.items():
            number, _ = self.model.updates[update_id]
            if self.model.over(update_id) and not isinstance(future.result(), UpdateError):
                assert future.result() == [2 * number, number]
        facts = self.facts(0)
        received = [x.signal_id for x in facts if isinstance(x, f.SignalReceived)]
        consumed = [x.signal_id for x in facts if isinstance(x, f.SignalConsumed)]
        assert received == self.sent
        assert len(set(consumed)) == len(consumed)
        answered = [x.update_id for x in facts if isinstance(x, f.UpdateAnswered)]
        assert len(set(answered)) == len(answered)
        if self.model.wait is None:
            self.world.check_history()
            assert self.world.outcome() == ("completed", repr(self.model.seen))
        assert not self.world.problems, self.world.describe()

        async def close() -> None:
            self.life.log.die()
            await self.life.runtime.aclose(0)
            for future in self.asked.values():
                await asyncio.wait([future])

        self.do(close())
        self.runner.close()


# A crash at every boundary.


class Persistent:
    """Somebody outside who says everything, under the same ids, until it is acknowledged."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    async def __call__(self, life: Life) -> None:
        """One life's worth of it."""
        runs, talks = life.runtime.runs, life.runtime.conversations
        while not life.world.disk.log.read(RUN):
            if life.log.crashed:
                return
            await asyncio.sleep(0)
        for what, say in (
            ("early", lambda: self.both(talks)),
            ("answer", lambda: talks.answer(RUN, "yes", c.SubmitAnswer(None, ":wait_for_user#0"))),
            ("look", lambda: talks.query(RUN, "look", (), {})),
            ("a", lambda: runs.signal(RUN, "a", 1, "a1")),
            ("late", lambda: talks.update(RUN, "add", 3, "u3", None)),
            ("b", lambda: runs.signal(RUN, "b", 2, "b1")),
        ):
            if what not in self.said:
                try:
                    self.said[what] = await say()
                except AGNT5Error:
                    if not life.log.crashed:
                        raise
                    return

    async def both(self, talks: Any) -> Any:
        """Two updates at once."""
        return await asyncio.gather(*(talks.update(RUN, "add", n, f"u{n}", None) for n in (1, 2)))


async def told(crashes: Sequence[Crash], latency: int, park_after: float) -> tuple[World, Any]:
    """A run that is told everything, through these crashes."""
    world = World("FIXED", name="laws_outside", latency=latency, park_after=park_after)
    outside = Persistent()
    for crash in crashes:
        if not (await world.live(crash, outside)).crashed:
            break
    if not world.disk.ended:
        await world.live(meanwhile=outside)
    world.check_history()
    return world, outside.said


@pytest.mark.parametrize("latency", [0, 3])
@pytest.mark.parametrize("park_after", [0.0, 100.0])
def test_a_crash_at_any_boundary_loses_nothing_that_was_said(latency, park_after):
    """Not a signal, not an answer, not an update, of those that were acknowledged or tried again.

    The run ends as the calm one, and every update is answered once, with the same value.
    """
    WorkflowRegistry.register(body)

    def check(crashes: Sequence[Crash]) -> World:
        world, said = run(told(crashes, latency, park_after))
        seen = [["answer", "yes"], ["signal", 1], ["slept", None], ["signal", 2]]
        assert world.outcome() == ("completed", repr(seen)), world.describe()
        assert not world.problems, [*world.problems, world.describe()]
        assert said.get("early", [[2, 1], [4, 2]]) == [[2, 1], [4, 2]]
        assert said.get("late", [6, 3]) == [6, 3]
        facts = world.disk.facts(RUN)
        answered = [fact for fact in facts if isinstance(fact, f.UpdateAnswered)]
        assert {fact.update_id: fact.output for fact in answered} == {
            "u1": [2, 1],
            "u2": [4, 2],
            "u3": [6, 3],
        }
        assert len(answered) == 3
        return world

    calm = check(())
    for crash in some(boundaries(calm), 30):
        check((crash,))


TestOutside = Outside.TestCase
TestOutside.settings = settings(examples(0.6), stateful_step_count=25)
