"""The delays between attempts, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.events.run.facts import RetryPlan
from agnt5.events.run.retry import delay_us


def plan(backoff: str, *, attempts: int = 5, initial: int = 1000, most: int = 60_000, by=2.0):
    return RetryPlan(
        max_attempts=attempts, initial_ms=initial, max_ms=most, backoff=backoff, multiplier=by
    )


def seconds(policy: RetryPlan) -> list[float | None]:
    delays = [delay_us(policy, n) for n in range(policy.max_attempts)]
    return [None if delay is None else delay / 1_000_000 for delay in delays]


TABLE = {
    "exponential": (plan("exponential"), [1, 2, 4, 8, None]),
    "linear": (plan("linear"), [1, 2, 3, 4, None]),
    "constant": (plan("constant"), [1, 1, 1, 1, None]),
    "exponential by three": (plan("exponential", by=3.0), [1, 3, 9, 27, None]),
    "exponential by a half": (plan("exponential", by=0.5), [1, 0.5, 0.25, 0.125, None]),
    "the multiplier is of exponential growth": (plan("linear", by=9.0), [1, 2, 3, 4, None]),
    "exponential, capped": (plan("exponential", most=3000), [1, 2, 3, 3, None]),
    "linear, capped": (plan("linear", most=2500), [1, 2, 2.5, 2.5, None]),
    "constant, at its cap": (plan("constant", most=1000), [1, 1, 1, 1, None]),
    "a first delay above the cap": (plan("constant", most=400), [0.4, 0.4, 0.4, 0.4, None]),
    "no delay": (plan("exponential", initial=0), [0, 0, 0, 0, None]),
    "no delay, linear": (plan("linear", initial=0), [0, 0, 0, 0, None]),
    "no delay at all": (plan("constant", initial=0, most=0), [0, 0, 0, 0, None]),
    "one millisecond": (plan("linear", initial=1), [0.001, 0.002, 0.003, 0.004, None]),
    "one attempt": (plan("exponential", attempts=1), [None]),
    "two attempts": (plan("exponential", attempts=2), [1, None]),
}


@pytest.mark.parametrize(("policy", "expected"), TABLE.values(), ids=TABLE)
def test_table(policy, expected):
    """The delays after attempts 0, 1, 2..., in seconds; None gives up."""
    assert seconds(policy) == expected


@pytest.mark.parametrize("attempt", [1000, 5000, 99_998])
@pytest.mark.parametrize("by", [2.0, 1e300, float("inf")])
def test_growth_beyond_all_numbers_ends_at_the_cap(by, attempt):
    """2.0 ** 5000 is no float any more."""
    assert delay_us(plan("exponential", attempts=100_000, by=by), attempt) == 60_000_000


def test_growth_beyond_all_numbers_of_no_delay_is_no_delay():
    """Zero times infinity is not a number; here it is zero."""
    endless = plan("exponential", attempts=100_000, initial=0, by=float("inf"))
    assert delay_us(endless, 99_998) == 0


def test_shrinking_ends_at_zero():
    """A multiplier below one may get too small to be told from nothing."""
    assert delay_us(plan("exponential", attempts=100_000, by=0.5), 99_998) == 0


@given(
    attempts=st.integers(1, 50),
    initial=st.integers(0, 10**7),
    most=st.integers(0, 10**8),
    backoff=st.sampled_from(["constant", "linear", "exponential"]),
    by=st.floats(0.01, 1000),
    failed=st.integers(0, 60),
)
def test_bounds(attempts, initial, most, backoff, by, failed):
    """A delay is a whole number between nothing and the cap, and there are never too many."""
    policy = plan(backoff, attempts=attempts, initial=initial, most=most, by=by)
    delay = delay_us(policy, failed)
    if failed + 1 >= attempts:
        assert delay is None
    else:
        assert isinstance(delay, int)
        assert 0 <= delay <= most * 1000


@given(jitter=st.floats(0, 1), seed=st.text(max_size=8), attempt=st.integers(0, 3))
def test_jitter_takes_off_at_most_its_share_and_is_the_same_for_the_same_step(
    jitter, seed, attempt
):
    """A pure function of the step and the attempt."""
    policy = plan("exponential").model_copy(update={"jitter": jitter})
    full = delay_us(plan("exponential"), attempt)
    delay = delay_us(policy, attempt, seed)
    assert full * (1 - jitter) - 1 <= delay <= full
    assert delay == delay_us(policy, attempt, seed)


def test_jitter_parts_steps_that_failed_together():
    """Their delays spread over the whole share."""
    policy = plan("constant").model_copy(update={"jitter": 1.0})
    delays = sorted(delay_us(policy, 0, f"r{n}\n:a#0") for n in range(200))
    assert len(set(delays)) == 200
    assert delays[0] < 50_000
    assert delays[-1] > 950_000
