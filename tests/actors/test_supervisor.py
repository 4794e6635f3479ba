"""A run that fails begins again, later each time; after several times it is given up."""

from __future__ import annotations

import logging

import pytest

from agnt5.actors.clock import ManualClock
from agnt5.actors.supervisor import MAX_RESTARTS, Supervisor, restart_delay_us
from agnt5.exceptions import StoreError, VersionConflictError

DEFECT = ValueError("a defect")


class House:
    """Notes what the supervisor does, and when."""

    def __init__(self) -> None:
        self.clock = ManualClock(0)
        self.restarts: list[tuple[str, int]] = []
        self.given_up: list[tuple[str, BaseException]] = []
        self.supervisor = Supervisor(
            self.clock,
            lambda run_id: self.restarts.append((run_id, self.clock.now())),
            lambda run_id, error: self.given_up.append((run_id, error)),
        )

    def fail(self, run_id="r1", error=DEFECT) -> int | None:
        """A failure; after how long the run begins again."""
        now, before = self.clock.now(), len(self.restarts)
        self.supervisor.failed(run_id, error)
        while len(self.restarts) == before and self.clock.next_due() is not None:
            self.clock.advance(max(0, self.clock.next_due() - now) / 1e6)
        return self.clock.now() - now if len(self.restarts) > before else None


@pytest.fixture
async def house(caplog):
    caplog.set_level(logging.CRITICAL, "agnt5.supervisor")
    return House()


def test_the_delays():
    assert [restart_delay_us(n) for n in range(5)] == [0, 50_000, 100_000, 200_000, 400_000]


async def test_the_first_restart_is_at_once_the_later_ones_later(house):
    assert [house.fail() for _ in range(MAX_RESTARTS)] == [restart_delay_us(n) for n in range(5)]
    assert house.given_up == []


async def test_after_several_restarts_it_is_given_up(house):
    for _ in range(MAX_RESTARTS):
        house.fail()
    assert house.fail() is None
    assert house.given_up == [("r1", DEFECT)]


async def test_what_was_given_up_begins_to_count_again(house):
    for _ in range(MAX_RESTARTS + 1):
        house.fail()
    assert house.fail() == 0
    assert len(house.given_up) == 1


async def test_runs_do_not_touch_one_another(house):
    for _ in range(MAX_RESTARTS):
        house.fail("r1")
    assert house.fail("r2") == 0
    assert house.given_up == []


async def test_failures_are_forgotten_after_a_minute_of_peace(house):
    house.fail()
    house.fail()
    house.clock.advance(60.1)
    assert house.fail() == 0


async def test_failures_of_the_last_minute_are_not(house):
    house.fail()
    house.fail()
    house.clock.advance(59)
    assert house.fail() == restart_delay_us(2)


async def test_a_run_that_has_ended_is_forgotten(house):
    house.fail()
    house.supervisor.failed("r1", DEFECT)
    house.supervisor.ended("r1")
    house.supervisor.ended("unknown")
    house.clock.advance(9)
    assert len(house.restarts) == 1
    assert house.fail() == 0


async def test_closed_it_restarts_nothing(house):
    house.fail("r1")
    house.supervisor.failed("r1", DEFECT)
    house.supervisor.failed("r2", DEFECT)
    house.supervisor.close()
    house.clock.advance(9)
    assert house.restarts == [("r1", 0)]


@pytest.mark.parametrize(
    ("error", "level", "has_traceback"),
    [
        (DEFECT, "ERROR", True),
        (StoreError("disk"), "ERROR", False),
        (VersionConflictError("r1", 3), "WARNING", False),
    ],
    ids=["defect", "store", "conflict"],
)
async def test_what_it_says(house, caplog, error, level, has_traceback):
    caplog.set_level(logging.DEBUG, "agnt5.supervisor")
    house.fail("r1", error)
    (record,) = caplog.records
    assert record.levelname == level
    assert "r1" in record.getMessage()
    assert bool(record.exc_info) is has_traceback
