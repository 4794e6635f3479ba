"""Does the kit see an engine that does not let go of a lost store, or drops what came meanwhile?

The engine is broken on purpose. Each breakage must be found within the default budget, on workflows
without a bug; with a sound engine, nothing is. That ``crash_everywhere`` finds what the other laws
find, ``tests/laws/test_mutants.py`` shows with the engine's own world.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest

from agnt5 import FunctionContext, WorkflowContext, function, workflow
from agnt5.actors import journal, timers
from agnt5.actors.attempts import Attempts
from agnt5.actors.bus import Bus
from agnt5.actors.family import Family
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StaleEpochError
from agnt5.testing import DisprovedError, Effects, Outcome, crash_everywhere

yard = Effects("yard")


EXAMPLES = {"night": 1000, "ci": 20}.get(os.environ.get("HYPOTHESIS_PROFILE") or "dev", 8)


@function(retries={"max_attempts": 2, "initial_interval_ms": 1000})
async def yard_load(ctx: FunctionContext, n: int) -> int:
    if ctx.attempt == 0:
        raise ConnectionError("not yet")
    await asyncio.sleep(3)
    yard.record("load", n=n)
    return n


def completed(outcome: Outcome) -> None:
    assert outcome.status == "completed", "it should work at the second attempt"


@workflow
async def yard_part(ctx: WorkflowContext, n: int) -> int:
    await ctx.sleep(40)
    return await ctx.step(yard_load, n)


@workflow
async def yard_day(ctx: WorkflowContext) -> list[int]:
    first = await ctx.step(yard_load, 1)
    part = ctx.child(yard_part, n=2)
    await ctx.sleep(20)
    return [first, await part, await ctx.step(yard_load, 3)]


def disproof(examples: int = 100) -> str:
    """What the kit says, or nothing."""
    try:
        crash_everywhere(yard_day, {}, check=completed, examples=examples, regressions=False)
    except DisprovedError as found:
        return str(found)
    return ""


def the_store_fences_nobody(patch: Any) -> None:
    """Whoever has lost the store may still write."""
    patch.setattr(MemoryLog, "_check_lease", lambda self: None)


def a_refusal_is_taken_for_a_yes(patch: Any) -> None:
    """Who has lost the store believes that it has recorded what was refused."""
    settle = journal.Journal._settle

    def deaf(self: journal.Journal, settled: Any) -> None:
        for append in settled:
            if isinstance(append.error, StaleEpochError):
                append.error = None
        settle(self, settled)

    patch.setattr(journal.Journal, "_settle", deaf)


def who_lost_the_store_begins_again(patch: Any) -> None:
    """A refusal by the fence is a failure like any other: the run is begun again."""
    failed = Bus.failed

    def stubborn(self: Bus, actor: Any, error: BaseException) -> None:
        failed(self, actor, RuntimeError("lost") if isinstance(error, StaleEpochError) else error)

    patch.setattr(Bus, "failed", stubborn)


def who_lost_the_store_holds_on(patch: Any) -> None:
    """A refusal by the fence is not told to the run, whose body waits on."""
    failed = Bus.failed

    def silent(self: Bus, actor: Any, error: BaseException) -> None:
        if not isinstance(error, StaleEpochError):
            failed(self, actor, error)

    patch.setattr(Bus, "failed", silent)


def what_was_due_meanwhile_is_dropped(patch: Any) -> None:
    """A timer that came due while nobody had the store never rings."""
    arm = timers.Timers.arm

    def forgetful(self: timers.Timers, key: str, due_at: int) -> None:
        if due_at > self._clock.now():
            arm(self, key, due_at)

    patch.setattr(timers.Timers, "arm", forgetful)


def who_is_refused_once_gives_up(patch: Any) -> None:
    """A child that a full disk refuses is not begun when there is room."""
    patch.setattr(Family, "_again", lambda self, parent, child, error: None)


def a_late_failure_counts_for_the_next_attempt(patch: Any) -> None:
    """That an attempt has failed is told twice, and counts as two attempts."""
    reported = Attempts._reported

    def late(self: Attempts, info: Any, result: Any) -> None:
        op = self._actor.state.open.get(info.key)
        reported(self, info if op is None else replace(info, attempt=op.attempt), result)

    patch.setattr(Attempts, "_reported", late)


MUTANTS = {
    the_store_fences_nobody: "a worker that has lost the store went on: it recorded",
    a_refusal_is_taken_for_a_yes: "a worker that has lost the store went on: it the worker",
    who_lost_the_store_begins_again: "held on to run",
    who_lost_the_store_holds_on: "held on to run",
    what_was_due_meanwhile_is_dropped: "never ended: it waits for",
    who_is_refused_once_gives_up: "never ended: it waits for child",
    a_late_failure_counts_for_the_next_attempt: "it should work",
}


@pytest.mark.filterwarnings("ignore")  # broken engines leave all sorts of things behind
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_engine_is_found(mutant, monkeypatch):
    mutant(monkeypatch)
    said = disproof()
    assert MUTANTS[mutant] in said, f"nobody noticed: {mutant.__doc__}"


def test_a_sound_engine_is_not():
    assert not disproof(EXAMPLES)
