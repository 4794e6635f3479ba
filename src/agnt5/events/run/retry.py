"""How long to wait before trying again. Arithmetic only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agnt5.events.run.facts import RetryPlan

_WHOLE = 2**32


@dataclass(frozen=True, slots=True)
class StepDefaults:
    """What holds for functions that say nothing themselves. Recorded with each step."""

    plan: RetryPlan | None = None
    backoff: tuple[str, float] | None = None
    """The kind and the multiplier."""


def delay_us(plan: RetryPlan, failed_attempt: int, seed: str = "") -> int | None:
    """Microseconds to wait after attempt number ``failed_attempt`` (from 0), or None to give up.

    With jitter the ``seed``, which names the step, and the attempt decide what is taken off: a
    step has always the same delays, and two steps that fail together part.

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
    if not plan.initial_ms:
        return 0
    delay_ms = min(plan.initial_ms * factor, plan.max_ms)
    if plan.jitter:
        delay_ms *= 1 - plan.jitter * _share(f"{seed}\n{failed_attempt}")
    return int(delay_ms * 1000)


def _share(text: str) -> float:
    """From 0 to below 1: as good as chance, and the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / _WHOLE
