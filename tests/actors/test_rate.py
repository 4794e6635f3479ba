"""A gate that lets so many through in any period, and nobody wait for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.actors.clock import ManualClock
from agnt5.actors.rate import RateGate
from agnt5.exceptions import ConfigurationError
from agnt5.flow import Queue, RateLimit

SECOND = 1_000_000


class Crowd:
    """Whoever wants to pass, in order."""

    def __init__(self, rate: RateLimit) -> None:
        self.clock = ManualClock()
        self.waiting: list[int] = []
        self.passed: list[tuple[int, int]] = []
        self.gate = RateGate(rate, self.clock, self.pass_on)

    def come(self, who: int) -> None:
        self.waiting.append(who)
        self.pass_on()

    def walk(self, microseconds: int) -> None:
        """Let time pass from alarm to alarm."""
        until = self.clock.now() + microseconds
        while (due_at := self.clock.next_due()) is not None and due_at <= until:
            self.clock.jump()
        self.clock._now = until

    def pass_on(self) -> None:
        while self.waiting and self.gate.take():
            self.passed.append((self.waiting.pop(0), self.clock.now()))


@given(
    limit=st.integers(1, 5),
    per=st.sampled_from([0.1, 1.0, 60.0]),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=30),
)
def test_never_too_many_and_nobody_starves(limit, per, gaps):
    """In any period at most so many; each passes as early as that allows; first come, first."""
    crowd = Crowd(RateLimit(limit, per))
    came: list[int] = []
    for who, gap in enumerate(gaps):
        crowd.walk(int(gap * per * SECOND))
        came.append(crowd.clock.now())
        crowd.come(who)
    while crowd.waiting:
        assert crowd.clock.jump(), "somebody waits and nothing will wake them"
    period = round(per * SECOND)
    times = [at for _, at in crowd.passed]
    assert [who for who, _ in crowd.passed] == list(range(len(gaps)))
    expected: list[int] = []
    for n, at in enumerate(came):
        before = [at] if n < limit else [at, expected[n - limit] + period]
        expected.append(max([*before, *expected[-1:]]))
    assert times == expected
    for n in range(limit, len(times)):
        assert times[n] - times[n - limit] >= period


def test_an_open_gate_sets_no_alarm():
    """Nothing wakes an idle runtime."""
    crowd = Crowd(RateLimit(2))
    crowd.come(1)
    crowd.come(2)
    assert crowd.clock.next_due() is None
    crowd.come(3)
    crowd.come(4)
    assert crowd.gate.is_shut
    assert crowd.clock.next_due() == crowd.clock.now() + SECOND
    crowd.gate.close()
    assert crowd.clock.next_due() is None


def test_a_clock_that_is_set_back_makes_nobody_wait_for_it():
    """What has passed counts as having passed just now."""
    crowd = Crowd(RateLimit(1))
    crowd.come(1)
    crowd.clock._now -= 3600 * SECOND
    crowd.come(2)
    crowd.clock.advance(1)
    assert [who for who, _ in crowd.passed] == [1, 2]


@pytest.mark.parametrize(
    ("written", "limit", "per"),
    [
        ("10/s", 10, 1),
        ("100/min", 100, 60),
        ("5 / 10s", 5, 10),
        ("1/H", 1, 3600),
        ("7/0.5s", 7, 0.5),
        ("3/d", 3, 86_400),
    ],
)
def test_written(written, limit, per):
    assert RateLimit.of(written) == RateLimit(limit, per)


@pytest.mark.parametrize(
    "written", ["", "10", "10/", "s/10", "0/s", "1/0s", "-1/s", "1/y", 5, None]
)
def test_nonsense(written):
    with pytest.raises(ConfigurationError):
        RateLimit.of(written)


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 0},
        {"limit": True},
        {"limit": 1.5},
        {"limit": 1, "per_seconds": 0},
        {"limit": 1, "per_seconds": float("nan")},
        {"limit": 1, "per_seconds": float("inf")},
        {"limit": 1, "per_seconds": "1"},
    ],
)
def test_out_of_range(fields):
    with pytest.raises(ConfigurationError):
        RateLimit(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a\n"},
        {"name": 5},
        {"name": "a", "concurrency": 0},
        {"name": "a", "concurrency": True},
        {"name": "a", "concurrency": 1.5},
        {"name": "a", "rate_limit": "often"},
    ],
)
def test_a_queue_out_of_range(fields):
    with pytest.raises(ConfigurationError):
        Queue(**fields)
