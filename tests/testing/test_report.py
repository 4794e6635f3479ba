"""A counterexample as a person reads it, word for word."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
from hypothesis import strategies as st

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import DisprovedError, Effects, crash_everywhere

shop = Effects("shop", exactly_once=["ship"])


@function
async def report_pay(cents: int) -> str:
    shop.record("pay", cents=cents)
    return "paid"


@function
async def report_ship(item: str) -> str:
    shop.record("ship", item=item)
    return f"shipped {item}"


@workflow
async def report_order(ctx: WorkflowContext, item: str, cents: int) -> str:
    who = await ctx.wait_for_user("Who pays?")
    paid = await ctx.step(report_pay, cents)
    return f"{who} {paid}, {await ctx.step(report_ship, item)}"


@workflow
async def report_counter(ctx: WorkflowContext, n: int) -> int:
    seen = []
    await ctx.step("count", lambda: seen.append(n))
    return len(seen) if n > 10 else 1


def report_of(*args, **kwargs):
    with pytest.raises(DisprovedError) as caught:
        crash_everywhere(*args, regressions=False, **kwargs)
    # Lines of this file move.
    return re.sub(r"test_report\.py:\d+", "test_report.py:N", str(caught.value))


def text(said):
    return dedent(said).strip("\n")


def test_an_effect_too_many():
    """With what was done, by whom, in which life, and where the process died."""
    report = report_of(
        report_order, {"item": "cup", "cents": 5}, answers={"Who *": "Ada"}, examples=0
    )
    assert report == text("""
        'report_order' (test_report.py:N) is disproved by one crash

          ship(item='cup') may be done once, and was done 2 times by step report_ship#0
            test_report.py:N    shop.record("ship", item=item)
          (give the function recovery="fail", "ask" or verify(...), and no retries; or hand the
           service ctx.idempotency_key, and take the effect out of exactly_once)

        Input     item='cup', cents=5
        Outside   answer 'Ada' to 'Who *', 0 s after the question
        Crash 1   right after ship(item='cup'), before its step could end

        The log of the run, with the crash:
             1  RunQueued          report_order
             2  RunStarted
             3  UserInputRequested wait_for_user#0  'Who pays?'             test_report.py:N
             4  UserReplied        wait_for_user#0  -> 'Ada'
             5  StepScheduled      report_pay#0                             test_report.py:N
             6  StepCompleted      report_pay#0  -> 'paid'
          ---- crash 1: right after ship(item='cup'), before its step could end
             7  StepScheduled      report_ship#0                            test_report.py:N
             8  StepCompleted      report_ship#0  -> 'shipped cup'
             9  RunCompleted       'Ada paid, shipped cup'

        What was done to the outside world:
          life 1  pay(cents=5), by step report_pay#0
          life 1  ship(item='cup'), by step report_ship#0
          life 2  ship(item='cup'), by step report_ship#0

        Calmly    it completed with 'Ada paid, shipped cup'
        Here      it completed with 'Ada paid, shipped cup'

        Found by schedule 3 (seed 0).
        """)


def test_the_input_is_shrunk_to_the_smallest_one_that_fails():
    """And the crashes to the earliest one."""
    report = report_of(report_counter, {"n": st.integers(0, 1000)}, examples=100)
    tried = re.search(r"Found by schedule (\d+) ", report)
    assert tried is not None
    assert report == text(f"""
        'report_counter' (test_report.py:N) is disproved by one crash

          the run completed with 0,
          calmly it completed with 1
          (if a part of it may differ, say same=...; if it is meant to be a race, racy=True)

        Input     n=11
        Crash 1   after event 4 was recorded, before anybody knew

        The log of the run, with the crash:
             1  RunQueued          report_counter
             2  RunStarted
             3  StepScheduled      count#0                                  test_report.py:N
             4  StepCompleted      count#0  -> None
          ---- crash 1: after event 4 was recorded, before anybody knew
             5  RunCompleted       0

        Calmly    it completed with 1
        Here      it completed with 0

        Found by schedule {tried[1]} (seed 0).
        """)
