"""Alarms of runs in memory, by key; one alarm for all parked runs."""

from __future__ import annotations

import pytest

from agnt5.actors.clock import ManualClock
from agnt5.actors.timers import ParkedWakes, Timers


@pytest.fixture
def clock():
    return ManualClock(1_000_000)


def woken(clock):
    rung = []
    return Timers(clock, lambda key: rung.append((key, clock.now()))), rung


def test_a_key_is_woken_in_its_time(clock):
    timers, rung = woken(clock)
    timers.arm("a", 3_000_000)
    timers.arm("b", 2_000_000)
    clock.advance(0.5)
    assert rung == []
    clock.advance(5)
    assert rung == [("b", 6_500_000), ("a", 6_500_000)]


def test_a_key_may_have_several_times(clock):
    timers, rung = woken(clock)
    timers.arm("a", 2_000_000)
    timers.arm("a", 3_000_000)
    while clock.jump():
        pass
    assert rung == [("a", 2_000_000), ("a", 3_000_000)]


def test_a_settled_key_is_not_woken(clock):
    timers, rung = woken(clock)
    timers.arm("a", 2_000_000)
    timers.arm("a", 3_000_000)
    timers.arm("b", 4_000_000)
    timers.disarm("a")
    timers.disarm("a")
    timers.disarm("unknown")
    while clock.jump():
        pass
    assert rung == [("b", 4_000_000)]


def test_close_disarms_everything(clock):
    timers, rung = woken(clock)
    timers.arm("a", 2_000_000)
    timers.arm("b", 2_000_000)
    timers.close()
    timers.close()
    assert clock.next_due() is None
    timers.arm("c", 2_000_000)
    clock.advance(9)
    assert rung == [("c", 10_000_000)]


class TestParkedWakes:
    @pytest.fixture
    def rung(self):
        return []

    @pytest.fixture
    def parked(self, clock, rung):
        return ParkedWakes(clock, lambda: rung.append(clock.now()))

    def test_the_earliest_counts(self, clock, parked, rung):
        parked.expect(3_000_000)
        parked.expect(2_000_000)
        parked.expect(4_000_000)
        parked.expect(None)
        assert clock.next_due() == 2_000_000
        clock.jump()
        assert rung == [2_000_000]
        assert clock.next_due() is None

    def test_it_can_be_set_again_while_it_rings(self, clock):
        rung = []

        def due():
            rung.append(clock.now())
            if len(rung) < 3:
                parked.expect(clock.now() + 1_000_000)

        parked = ParkedWakes(clock, due)
        parked.expect(2_000_000)
        while clock.jump():
            pass
        assert rung == [2_000_000, 3_000_000, 4_000_000]

    def test_closed_it_wakes_nobody(self, clock, parked, rung):
        parked.expect(2_000_000)
        parked.close()
        parked.close()
        clock.advance(9)
        assert rung == []
        assert clock.next_due() is None
