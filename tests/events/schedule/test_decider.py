"""What a schedule decides, given what it decided last."""

from __future__ import annotations

import pytest

from agnt5.events.index import NO_RUN
from agnt5.events.schedule import decider
from agnt5.events.schedule.facts import ScheduleArmed, ScheduleFired, ScheduleSkipped

MINUTE = 60_000_000
ARMED = ScheduleArmed(expression="* * * * *", timezone="UTC", upto=10 * MINUTE)
FIRED = ScheduleFired(expression="* * * * *", timezone="UTC", due_at=20 * MINUTE, run_id="r")


def every_minute(after: int) -> int:
    return (after // MINUTE + 1) * MINUTE


def never(after: int) -> None:
    return None


def test_its_stream_is_no_run():
    assert decider.stream_of("tick") == f"{NO_RUN}schedule/tick"


def test_it_is_armed_once_for_each_expression_and_zone():
    armed = ScheduleArmed(expression="* * * * *", timezone="UTC", upto=5)
    assert decider.arm(None, "* * * * *", "UTC", 5) == (armed,)
    assert decider.arm(FIRED, "* * * * *", "UTC", 5) == ()
    assert len(decider.arm(FIRED, "* * * * *", "Asia/Kathmandu", 5)) == 1
    assert len(decider.arm(FIRED, "0 * * * *", "UTC", 5)) == 1


def test_upto_where_all_is_decided():
    assert decider.decided_upto(ARMED) == 10 * MINUTE
    assert decider.decided_upto(FIRED) == 20 * MINUTE


@pytest.mark.parametrize("policy", ["once", "all"])
def test_these_want_every_time_they_are_given(policy):
    assert decider.wanted(policy, [1, 2], 10**12, 10**12) == [1, 2]


def test_skip_wants_what_was_not_missed():
    now = 100 * MINUTE
    assert decider.wanted("skip", [99 * MINUTE + 1], now, now) == [99 * MINUTE + 1]
    assert decider.wanted("skip", [99 * MINUTE], now, now) == []
    # Somebody watched, however long the alarm took.
    assert decider.wanted("skip", [50 * MINUTE], now, 49 * MINUTE) == [50 * MINUTE]
    assert decider.wanted("skip", [50 * MINUTE], now, 50 * MINUTE) == []


def test_what_lies_before_a_time_that_fires_was_missed():
    due = 15 * MINUTE
    *before, fired = decider.fire(ARMED, "once", due, "r2", every_minute)
    assert fired == ScheduleFired(expression="* * * * *", timezone="UTC", due_at=due, run_id="r2")
    (skipped,) = before
    assert skipped == ScheduleSkipped(
        expression="* * * * *", timezone="UTC", upto=due - 1, policy="once"
    )
    assert len(decider.fire(ARMED, "once", 11 * MINUTE, "r2", every_minute)) == 1


def test_nothing_is_skipped_where_nothing_was_due():
    assert decider.skip(ARMED, "skip", 11 * MINUTE - 1, every_minute) == ()
    assert decider.skip(ARMED, "skip", 99 * MINUTE, never) == ()
    assert len(decider.skip(ARMED, "skip", 11 * MINUTE, every_minute)) == 1
