"""What follows when a schedule looks at the clock. Due times are given: calendars live elsewhere.

A time is recorded before its run is started, and the next one only after that, so that a crash can
leave at most one run owed: that of the last fact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agnt5.events.index import NO_RUN
from agnt5.events.schedule.facts import (
    ScheduleArmed,
    ScheduleFact,
    ScheduleFired,
    ScheduleSkipped,
)

ON_TIME_US = 60_000_000
"""A time that has passed no longer ago was not missed: a process that is started anew takes some
seconds, and cron knows no times that are closer than a minute."""
MOST_CAUGHT_UP = 1000
"""Missed times that one run each is started for, under the policy ``all``; the latest ones."""


_PREFIX = f"{NO_RUN}schedule/"


def stream_of(workflow: str) -> str:
    """The stream of the schedule of a workflow."""
    return _PREFIX + workflow


def is_schedule_stream(stream: str) -> bool:
    """Whether a stream is a schedule's."""
    return stream.startswith(_PREFIX)


def decided_upto(last: ScheduleFact) -> int:
    """The time up to which everything is decided."""
    return last.due_at if isinstance(last, ScheduleFired) else last.upto


def arm(
    last: ScheduleFact | None, expression: str, timezone: str, now: int
) -> Sequence[ScheduleFact]:
    """Begin, or begin anew because the code says something else now."""
    if last is not None and (last.expression, last.timezone) == (expression, timezone):
        return ()
    return (ScheduleArmed(expression=expression, timezone=timezone, upto=now),)


def limit_of(policy: str) -> int:
    """How many of the latest due times matter."""
    return MOST_CAUGHT_UP if policy == "all" else 1


def wanted(policy: str, latest: Sequence[int], now: int, open_since: int) -> Sequence[int]:
    """Those of the latest due times that start a run each.

    A time at which somebody watched was not missed, however long the alarm took.
    """
    if policy != "skip":
        return latest
    return [at for at in latest if at > min(now - ON_TIME_US, open_since)]


def fire(
    last: ScheduleFact,
    policy: str,
    due_at: int,
    run_id: str,
    next_after: Callable[[int], int | None],
) -> Sequence[ScheduleFact]:
    """Start a run for this time; what lies between was missed."""
    earlier = skip(last, policy, due_at - 1, next_after)
    fired = ScheduleFired(
        expression=last.expression, timezone=last.timezone, due_at=due_at, run_id=run_id
    )
    return (*earlier, fired)


def skip(
    last: ScheduleFact, policy: str, upto: int, next_after: Callable[[int], int | None]
) -> Sequence[ScheduleFact]:
    """Start nothing for the times up to this one, if there are any."""
    first = next_after(decided_upto(last))
    if first is None or first > upto:
        return ()
    return (
        ScheduleSkipped(
            expression=last.expression, timezone=last.timezone, upto=upto, policy=policy
        ),
    )
