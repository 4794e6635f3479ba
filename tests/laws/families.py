"""A world of several runs: a parent, its children, a grandchild, and what must be true of all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.laws.crashing_log import Crash
from tests.laws.world import RUN, World

from agnt5 import FunctionContext, FunctionRegistry, WorkflowContext, WorkflowRegistry
from agnt5.events.projections import settled_row_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.exceptions import ChildCancelledError
from agnt5.function import function
from agnt5.payloads import decode
from agnt5.workflow import workflow


class Families(World):
    """One disk with a run and all that come of it."""

    def _is_over(self) -> bool:
        rows = [self.disk.log.run_row(run_id) for run_id in self.disk.log.run_ids()]
        return bool(rows) and all(row and row.finished_at and not row.owes for row in rows)

    def check_families(self) -> None:
        """Every log is closed once, every child is there and reported once, nothing is owed."""
        for run_id in self.disk.log.run_ids():
            self._check_run(run_id)
        if left := self.disk.log.owing():
            self.wrong(f"{left} still owe something")

    def _check_run(self, run_id: str) -> None:
        facts = self.disk.facts(run_id)
        ends = [i for i, fact in enumerate(facts) if isinstance(fact, f.Terminal)]
        if ends != [len(facts) - 1]:
            self.wrong(f"{run_id} has terminal facts at {ends} of {len(facts)}")
        for kind in (f.Request, f.Outcome, f.OperationCancelled):
            keys = [getattr(fact, "key", "") for fact in facts if isinstance(fact, kind)]
            if len(keys) != len(set(keys)):
                self.wrong(f"{run_id} holds {kind} twice: {keys}")
        state = fold(run_id, self.disk.history(run_id))
        if self.disk.log.run_row(run_id) != settled_row_of(state):
            self.wrong(f"the index says {self.disk.log.run_row(run_id)} of {run_id}")
        for fact in facts:
            if isinstance(fact, f.ChildStarted):
                self._check_child(run_id, fact)

    def _check_child(self, run_id: str, child: f.ChildStarted) -> None:
        facts = self.disk.facts(child.child_run_id)
        given_up = any(
            isinstance(fact, f.OperationCancelled) and fact.key == child.key
            for fact in self.disk.facts(run_id)
        )
        if not facts:
            if not given_up and not self.disk.facts(run_id)[-1].topic.startswith("Run"):
                self.wrong(f"{child.child_run_id} was never started")
            return
        first = facts[0]
        if not isinstance(first, f.RunQueued) or first.parent_run_id != run_id:
            self.wrong(f"{child.child_run_id} does not know its parent: {first}")

    def ends(self) -> dict[str, str]:
        """How each run ended, by id."""
        return {
            run_id: self.disk.facts(run_id)[-1].topic.removeprefix("Run").lower()
            for run_id in self.disk.log.run_ids()
        }

    def output(self) -> Any:
        """What the parent returned."""
        last = self.disk.facts(RUN)[-1]
        return decode(last.output) if isinstance(last, f.RunCompleted) else last

    def recorded(self) -> dict[str, int]:
        """How often a result of each step is on record."""
        found: dict[str, int] = {}
        for run_id in self.disk.log.run_ids():
            for fact in self.disk.facts(run_id):
                if isinstance(fact, f.StepCompleted):
                    name = str(decode(fact.output))
                    found[name] = found.get(name, 0) + 1
        return found


@function(name="family_work")
async def work(ctx: FunctionContext, label: str) -> str:
    """A step."""
    await asyncio.sleep(0)
    return label


@workflow(name="family_grandchild")
async def grandchild(ctx: WorkflowContext, label: str) -> str:
    """A child of a child."""
    await ctx.sleep(0.5)
    return str(await ctx.step(work, f"{label}.grandchild"))


@workflow(name="family_good")
async def good(ctx: WorkflowContext, label: str) -> list[str]:
    """Ends well."""
    return [await ctx.step(work, label), await ctx.child(grandchild, label)]


@workflow(name="family_bad")
async def bad(ctx: WorkflowContext, label: str) -> None:
    """Fails."""
    await ctx.step(work, label)
    raise KeyError(label)


@workflow(name="family_slow")
async def slow(ctx: WorkflowContext, label: str, seconds: float) -> str:
    """Takes its time, and cleans up."""
    try:
        await ctx.sleep(seconds)
    except asyncio.CancelledError:
        await ctx.step(work, f"{label}.cleanup")
        raise
    return label


@workflow(name="family_parent")
async def parent(ctx: WorkflowContext) -> Any:
    """Has children of every fate."""
    abandoned = ctx.child(slow, "abandoned", 4.0, on_parent_end="abandon")
    left = ctx.child(slow, "left", 1000.0, run_id="chosen", key="left")
    calls = [ctx.child(good, "good"), ctx.child("family_bad", label="bad"), ctx.child(work, "fn")]
    late = "not late"
    try:
        async with ctx.timeout(2.0):
            await ctx.child(slow, "late", 1000.0)
    except TimeoutError:
        late = "late"
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert not abandoned.done()
    assert not left.done()
    return [late, *(repr(end) for end in ends)]


@workflow(name="family_cancelled")
async def cancelled(ctx: WorkflowContext) -> Any:
    """Cancels its children from inside, and hears of one that somebody else cancelled."""
    first = ctx.child(slow, "first", 1000.0, run_id="first")
    second = ctx.child(slow, "second", 1000.0, run_id="second")
    await ctx.sleep(1.0)
    first.cancel()
    await ctx.step(work, "between")
    try:
        return await second
    except ChildCancelledError as error:
        return [type(error).__name__, error.run_id, error.reason]


@workflow(name="family_deserter")
async def deserter(ctx: WorkflowContext) -> str:
    """Ends in the moment in which it has called its child, with a step under way."""
    ctx.step(work, "under way")
    await ctx.step(work, "first")
    ctx.child(slow, "alone", 4.0, on_parent_end="abandon")
    return "left"


FUNCTIONS = (work,)
WORKFLOWS = (grandchild, good, bad, slow, parent, cancelled, deserter)


def install() -> None:
    """Register the components, beside others."""
    for each in FUNCTIONS:
        FunctionRegistry.register(each)
    for each in WORKFLOWS:
        WorkflowRegistry.register(each)


async def play(name: str, crashes: Sequence[Crash] = (), meanwhile: Any = None, **options: Any):
    """Play a family to its end, through these crashes, one per life."""
    world = Families(name, name=name, **options)
    for crash in crashes:
        if not (await world.live(crash, meanwhile)).crashed:
            break
    while not world._is_over():
        await world.live(None, meanwhile)
    world.check_families()
    return world
