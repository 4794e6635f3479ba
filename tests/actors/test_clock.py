"""Clocks: never early, in order, and one that stands still."""

from __future__ import annotations

import time

import pytest
from tests.actors.tools import turns

from agnt5.actors.clock import ManualClock, SystemClock

T = 1_700_000_000_000_000


class SetClock(SystemClock):
    """The machine's clock, as somebody has set it."""

    time = T

    def now(self) -> int:
        return self.time


@pytest.fixture
def rung():
    return []


class TestSystemClock:
    def test_it_tells_microseconds_since_the_epoch(self):
        before = time.time()
        assert before - 1 < SystemClock().now() / 1e6 < before + 60

    async def test_it_calls_after_what_is_left(self, later, rung):
        clock = SetClock()
        clock.call_at(T + 2_500_000, lambda: rung.append(1))
        assert later.delays == [2.5]
        clock.time += 2_500_000
        later.fire()
        assert rung == [1]
        assert later.delays == []

    async def test_what_is_past_is_due_at_once(self, later, rung):
        SetClock().call_at(T - 5, lambda: rung.append(1))
        assert later.delays == [0.0]
        later.fire()
        assert rung == [1]

    async def test_it_is_never_early(self, later, rung):
        """The loop's clock may run ahead of the wall's."""
        clock = SetClock()
        clock.call_at(T + 1_000_000, lambda: rung.append(1))
        clock.time += 999_999
        later.fire()
        assert rung == []
        assert later.delays == [pytest.approx(0.000001)]
        clock.time += 1
        later.fire()
        assert rung == [1]

    async def test_it_looks_again_every_hour(self, later, rung):
        """The wall's clock may be set, and the machine may have slept."""
        clock = SetClock()
        clock.call_at(T + 86_400_000_000, lambda: rung.append(1))
        assert later.delays == [3600.0]
        later.fire()
        assert later.delays == [3600.0]
        clock.time += 90_000_000_000
        later.fire()
        assert rung == [1]

    async def test_an_alarm_can_be_cancelled(self, later, rung):
        clock = SetClock()
        alarm = clock.call_at(T + 86_400_000_000, lambda: rung.append(1))
        later.fire()
        alarm.cancel()
        alarm.cancel()
        clock.time += 86_400_000_000
        later.fire()
        assert rung == []


class TestManualClock:
    def test_it_stands_still(self):
        clock = ManualClock(T)
        assert clock.now() == clock.now() == T
        clock.advance(1.5)
        assert clock.now() == T + 1_500_000

    def test_alarms_ring_in_the_order_of_their_times(self, rung):
        clock = ManualClock(T)
        for due, name in [(3, "c"), (1, "a"), (2, "b1"), (2, "b2"), (9, "late")]:
            clock.call_at(T + due * 1_000_000, lambda name=name: rung.append(name))
        clock.advance(0.5)
        assert rung == []
        clock.advance(2.5)
        assert rung == ["a", "b1", "b2", "c"]

    async def test_what_is_past_rings_soon_and_not_at_once(self, rung):
        clock = ManualClock(T)
        clock.call_at(T, lambda: rung.append(1))
        assert rung == []
        await turns(2)
        assert rung == [1]

    def test_a_cancelled_alarm_does_not_ring(self, rung):
        clock = ManualClock(T)
        clock.call_at(T + 1, lambda: rung.append(1)).cancel()
        assert clock.next_due() is None
        clock.advance(1)
        assert rung == []

    async def test_an_alarm_may_set_another(self, rung):
        clock = ManualClock(T)
        clock.call_at(T + 1, lambda: clock.call_at(T + 2, lambda: rung.append(clock.now())))
        clock.advance(0.000002)
        assert rung == [T + 2]

    def test_it_jumps_to_the_next_alarm(self, rung):
        clock = ManualClock(T)
        clock.call_at(T + 5, lambda: rung.append(clock.now()))
        clock.call_at(T + 9, lambda: rung.append(clock.now()))
        assert clock.next_due() == T + 5
        assert clock.jump()
        assert clock.jump()
        assert not clock.jump()
        assert rung == [T + 5, T + 9]
