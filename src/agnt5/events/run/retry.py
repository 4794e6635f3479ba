"""How long to wait before trying again. Arithmetic only."""

from __future__ import annotations

from agnt5.events.run.facts import RetryPlan


def delay_us(plan: RetryPlan, failed_attempt: int) -> int | None:
    """Microseconds to wait after attempt number ``failed_attempt`` (from 0), or None to give up.

    >>> plan = RetryPlan(max_attempts=5, initial_ms=1000, max_ms=60_000, backoff="exponential")
    >>> [delay_us(plan, a) for a in range(5)]
    [1000000, 2000000, 4000000, 8000000, None]
    """
    if failed_attempt + 1 >= plan.max_attempts:
        return None
    match plan.backoff:
        case "constant":
            factor = 1.0
        case "linear":
            factor = float(failed_attempt + 1)
        case _:
            try:
                factor = plan.multiplier**failed_attempt
            except OverflowError:
                factor = float("inf")
    return int(min(plan.initial_ms * factor, plan.max_ms) * 1000) if plan.initial_ms else 0
