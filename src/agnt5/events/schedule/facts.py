"""The facts of one schedule. Each says all that the next decision needs: only the last is read."""

from __future__ import annotations

from typing import ClassVar

from agnt5.events.base import Fact


class ScheduleArmed(Fact):
    """A workflow was found with this expression for the first time, or with another than before."""

    topic: ClassVar[str] = "ScheduleArmed"

    expression: str
    timezone: str
    upto: int
    """Due times up to this one are none of it."""


class ScheduleFired(Fact):
    """A time has come, and this is the run that it starts."""

    topic: ClassVar[str] = "ScheduleFired"

    expression: str
    timezone: str
    due_at: int
    run_id: str


class ScheduleSkipped(Fact):
    """Times were missed, and by the policy they start nothing."""

    topic: ClassVar[str] = "ScheduleSkipped"

    expression: str
    timezone: str
    upto: int
    """Every due time after the fact before and up to this one."""
    policy: str


ScheduleFact = ScheduleArmed | ScheduleFired | ScheduleSkipped
SCHEDULE_FACTS: tuple[type[ScheduleFact], ...] = (ScheduleArmed, ScheduleFired, ScheduleSkipped)
