"""A run against a model of it: signals, answers, cancels, time, children, crashes, in any order.

After every rule the runtime comes to rest, and must stand where the model stands: what was
consumed, what it waits for, how it ended. A hasty rule crashes as soon as the client is answered.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.laws import programs
from tests.laws.crashing_log import CrashingLog
from tests.laws.families import Families
from tests.laws.world import QUIET, RUN, Life

from agnt5 import FunctionRegistry, WorkflowContext, WorkflowRegistry
from agnt5.events.projections import settled_row_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.exceptions import ChildCancelledError, InvalidInputError
from agnt5.function import function
from agnt5.new_run import NewRun
from agnt5.payloads import decode
from agnt5.workflow import workflow

NIGHT = os.environ.get("HYPOTHESIS_PROFILE") == "night"
NAMES = ("a", "b")
SECONDS = (1.0, 3.0)
CHILD = "child-{}"
OPS = st.one_of(
    st.tuples(st.just("signal"), st.sampled_from(NAMES)),
    st.tuples(st.just("timed"), st.sampled_from(NAMES), st.sampled_from(SECONDS)),
    st.tuples(st.just("both"), st.sampled_from(NAMES), st.sampled_from(SECONDS)),
    st.tuples(st.just("sleep"), st.sampled_from(SECONDS)),
    st.just(("ask",)),
    st.just(("step",)),
    st.just(("child",)),
)


@function(name="machine_work")
async def work(label: str) -> str:
    """A step."""
    await asyncio.sleep(0)
    return label


@workflow(name="machine_child")
async def child(ctx: WorkflowContext) -> Any:
    """Waits, and cleans up."""
    try:
        return await ctx.wait_for_signal("go")
    except asyncio.CancelledError:
        await ctx.step(work, "child cleanup")
        raise


@workflow(name="machine_body")
async def body(ctx: WorkflowContext, ops: list[Any]) -> list[Any]:
    """One thing after the other."""
    results: list[Any] = []
    try:
        for number, op in enumerate(ops):
            results.append(await one(ctx, number, tuple(op)))
    except asyncio.CancelledError:
        await ctx.step(work, "cleanup")
        raise
    return results


async def one(ctx: WorkflowContext, number: int, op: tuple[Any, ...]) -> Any:
    """What one of them gives."""
    match op:
        case ("signal", name):
            return await ctx.wait_for_signal(name)
        case ("timed", name, seconds):
            try:
                async with ctx.timeout(seconds):
                    return await ctx.wait_for_signal(name)
            except TimeoutError:
                return "late"
        case ("both", name, seconds):
            payload, _ = await asyncio.gather(ctx.wait_for_signal(name), ctx.sleep(seconds))
            return payload
        case ("sleep", seconds):
            await ctx.sleep(seconds)
            return "slept"
        case ("ask",):
            return await ctx.wait_for_user("what?")
        case ("step",):
            return await ctx.step(work, f"step {number}")
        case _:
            try:
                return await ctx.child(child, run_id=CHILD.format(number))
            except ChildCancelledError as error:
                return f"cancelled: {error.reason}"


class Model:
    """The same program, in memory, with nothing that could fail."""

    def __init__(self, ops: list[tuple[Any, ...]]) -> None:
        self.ops = ops
        self.at = 0
        self.results: list[Any] = []
        self.signals: dict[str, deque[str]] = {name: deque() for name in NAMES}
        self.seen: set[str] = set()
        self.now = 0.0
        self.deadline: float | None = None
        self.held: str | None = None
        """What a wait for two things has already."""
        self.children: dict[int, str] = {}
        """How each child stands: ``waiting``, ``completed`` or ``cancelled``."""
        self.cancelled = False

    @property
    def op(self) -> tuple[Any, ...]:
        return () if self.is_over else self.ops[self.at]

    @property
    def is_over(self) -> bool:
        return self.cancelled or self.at >= len(self.ops)

    def go_on(self) -> None:
        """As far as possible."""
        while not self.is_over and self._one(self.op):
            continue

    def done(self, result: Any) -> bool:
        self.results.append(result)
        self.at += 1
        self.deadline, self.held = None, None
        return True

    def _one(self, op: tuple[Any, ...]) -> bool:
        if op[0] in {"timed", "both", "sleep"} and self.deadline is None:
            self.deadline = self.now + op[-1]
        late = self.deadline is not None and self.now >= self.deadline
        match op:
            case ("signal" | "timed", name, *_) if self.signals[name]:
                return self.done(self.signals[name].popleft())
            case ("timed", *_) if late:
                return self.done("late")
            case ("both", name, _):
                if self.held is None and self.signals[name]:
                    self.held = self.signals[name].popleft()
                return late and self.held is not None and self.done(self.held)
            case ("sleep", _) if late:
                return self.done("slept")
            case ("step",):
                return self.done(f"step {self.at}")
            case ("child",):
                self.children.setdefault(self.at, "waiting")
        return False


class RunMachine(RuleBasedStateMachine):
    """The runtime and the model, side by side."""

    @initialize(
        ops=st.lists(OPS, min_size=1, max_size=6),
        park_after=st.sampled_from([0.0, 1.0, 100.0]),
        latency=st.sampled_from([0, 0, 3]),
    )
    def begin(self, ops: list[tuple[Any, ...]], park_after: float, latency: int) -> None:
        FunctionRegistry.register(work)
        WorkflowRegistry.register(child)
        WorkflowRegistry.register(body)
        self.runner = asyncio.Runner()
        self.park_after, self.latency = park_after, latency
        self.world = Families(ops, park_after=park_after, latency=latency)
        self.model = Model(ops)
        self.sent = 0
        self.open()
        new = NewRun("machine_body", {"ops": [list(op) for op in ops]}, "workflow", RUN)
        self.runner.run(self.desk.submit(new))
        self.settle()

    # The runtime.

    @property
    def life(self) -> Life:
        return self.world.life

    @property
    def desk(self) -> Any:
        return self.life.runtime.runs

    def open(self) -> None:
        log = CrashingLog(self.world.disk, latency=self.latency)

        async def start() -> None:
            self.world.lives.append(Life(self.world, log, self.park_after))
            await self.life.runtime.start()

        self.runner.run(start())

    def shut(self, crash: bool) -> None:
        if crash:
            self.life.log.die()
        self.life.over = True
        self.runner.run(self.life.runtime.aclose(0))
        self.world.now = max(self.world.now, self.life.clock.now())

    def settle(self) -> None:
        self.model.go_on()
        self.runner.run(self.rest())

    async def rest(self) -> None:
        """Until nothing moves any more at this time, and no thread has just answered."""
        async with asyncio.timeout(5):
            still, quiet, last = 0, 0, self.life.progress()
            while quiet < QUIET:
                await asyncio.sleep(0 if still < QUIET else 0.001)
                now, busy = self.life.progress(), self.life.waits_for_machine()
                still = still + 1 if now == last else 0
                quiet = 0 if now != last or busy or self.life.log.pending else quiet + 1
                last = now

    def tell(self, call: Any, hasty: bool, *, refused: bool = False) -> None:
        """A client's call; after it the runtime settles, or crashes first."""
        if refused:
            with pytest.raises(InvalidInputError):
                self.runner.run(call)
        else:
            self.runner.run(call)
        if hasty:
            self.shut(crash=True)
            self.open()
        self.settle()

    # Rules.

    @rule(name=st.sampled_from(NAMES), again=st.booleans(), hasty=st.booleans())
    def signal(self, name: str, again: bool, hasty: bool) -> None:
        """A signal, sent once or twice with the same id."""
        self.sent += 1
        model, unique = self.model, f"{name}{self.sent}"
        over = model.is_over
        if not over:
            model.signals[name].append(unique)
        self.tell(self.desk.signal(RUN, name, unique, unique), hasty, refused=over)
        if again and not over and not model.is_over:
            self.tell(self.desk.signal(RUN, name, "other", unique), hasty)

    @rule(hasty=st.booleans())
    def answer(self, hasty: bool) -> None:
        """An answer: refused when nothing was asked."""
        asked = self.model.op == ("ask",)
        self.sent += 1
        text = f"answer {self.sent}"
        if asked:
            self.model.done(text)
        people = self.life.runtime.conversations
        self.tell(people.answer(RUN, text, c.SubmitAnswer(None)), hasty, refused=not asked)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]), hasty=st.booleans())
    def pass_time(self, seconds: float, hasty: bool) -> None:
        """Time passes, in the process or while there is none."""
        self.model.now += seconds

        async def advance() -> None:
            self.life.clock.advance(seconds)

        self.tell(advance(), hasty)

    @precondition(lambda self: "waiting" in self.model.children.values())
    @rule(how=st.sampled_from(["signal", "cancel", "cancel twice"]), hasty=st.booleans())
    def end_child(self, how: str, hasty: bool) -> None:
        """A child gets what it waits for, or is cancelled from outside."""
        number = next(n for n, stands in self.model.children.items() if stands == "waiting")
        run_id = CHILD.format(number)
        if how == "signal":
            self.model.children[number] = "completed"
            self.model.done("went")
            self.tell(self.desk.signal(run_id, "go", "went", "go"), hasty)
            return
        self.model.children[number] = "cancelled"
        self.model.done("cancelled: outside")
        self.tell(self.desk.cancel(run_id, "outside"), hasty)
        if how == "cancel twice":
            self.tell(self.desk.cancel(run_id, "again"), hasty)

    @rule(twice=st.booleans(), hasty=st.booleans())
    def cancel(self, twice: bool, hasty: bool) -> None:
        """The run is cancelled, and with it the child that it waits for."""
        if not self.model.is_over:
            self.model.cancelled = True
            for number, stands in self.model.children.items():
                if stands == "waiting":
                    self.model.children[number] = "cancelled"
        for _ in range(1 + twice):
            self.tell(self.desk.cancel(RUN, "enough"), hasty)

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """The process ends, well or not, and another one begins."""
        self.shut(crash)
        self.open()
        self.settle()

    # What must be true.

    @invariant()
    def stands_where_the_model_stands(self) -> None:
        model, disk = self.model, self.world.disk
        facts = disk.facts(RUN)
        assert not self.world.problems
        ends = [n for n, fact in enumerate(facts) if isinstance(fact, f.Terminal)]
        assert ends == ([len(facts) - 1] if model.is_over else []), "\n".join(map(str, facts))
        state = fold(RUN, disk.history(RUN))
        row = disk.log.run_row(RUN)
        assert row == settled_row_of(state)
        if model.cancelled:
            assert isinstance(facts[-1], f.RunCancelled)
            assert facts[-1].reason == "enough"
            self.check_cleaned(RUN, "cleanup")
        elif model.is_over:
            last = facts[-1]
            assert isinstance(last, f.RunCompleted)
            assert decode(last.output) == model.results
        else:
            waits = {"ask": "awaiting_user_input"}.get(str(model.op[0]), "running")
            assert row is not None
            assert row.status == waits
            assert len(state.open) == 1 + (model.op[0] in {"timed", "both"}) - (
                model.held is not None or self.is_half_over()
            )
        waiting = [x.payload for name in NAMES for x in state.signals.get(name, ())]
        assert waiting == [x for name in NAMES for x in model.signals[name]]
        for number, stands in model.children.items():
            self.check_child(CHILD.format(number), stands)

    def is_half_over(self) -> bool:
        """Of two waits, the time is over and the signal is not there."""
        model = self.model
        return model.op[0] == "both" and (model.deadline or 0) <= model.now

    def check_child(self, run_id: str, stands: str) -> None:
        """It is there, stands as it should, and its parent has heard of its end."""
        row = self.world.disk.log.run_row(run_id)
        assert row is not None
        assert row.status == {"waiting": "running"}.get(stands, stands)
        assert not row.owes
        if stands == "cancelled":
            self.check_cleaned(run_id, "child cleanup")

    def check_cleaned(self, run_id: str, label: str) -> None:
        steps = [x for x in self.world.disk.facts(run_id) if isinstance(x, f.StepCompleted)]
        assert [decode(x.output) for x in steps].count(label) == 1

    def teardown(self) -> None:
        """Give it what it waits for, to the end."""
        if not hasattr(self, "world"):
            return
        while not self.model.is_over:
            match self.model.op:
                case ("signal" | "timed", name, *_):
                    self.signal(name, again=False, hasty=False)
                case ("both", name, seconds):
                    if self.model.held is None:
                        self.signal(name, again=False, hasty=False)
                    self.pass_time(seconds, hasty=False)
                case ("sleep", seconds):
                    self.pass_time(seconds, hasty=False)
                case ("ask",):
                    self.answer(hasty=False)
                case _:
                    self.end_child("signal", hasty=False)
            self.stands_where_the_model_stands()
        self.shut(crash=False)
        self.runner.close()
        FunctionRegistry.clear()
        WorkflowRegistry.clear()
        programs.install()


TestRunMachine = pytest.mark.timeout(170)(RunMachine.TestCase)
TestRunMachine.settings = settings(
    max_examples=max(20, settings.default.max_examples // 2),
    stateful_step_count=12,
    deadline=None,
)
