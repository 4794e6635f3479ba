"""How a runtime behaves: its settings, checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import UnionType

from agnt5.events.run.retry import StepDefaults
from agnt5.exceptions import ConfigurationError
from agnt5.flow import Queue
from agnt5.function import retry_plan
from agnt5.limits import Limits
from agnt5.policies import Backoff, Retries, backoff_policy, retry_policy


@dataclass(frozen=True, slots=True)
class Settings:
    """How a runtime behaves. Seconds and bytes."""

    durability: str = "full"
    grace: float = 10.0
    park_after: float = 1.0
    max_active_runs: int = 10_000
    max_payload_bytes: int = 8 * 1024 * 1024
    stall_limit: float = 10.0
    threads: int = 64
    strict_idempotency: bool = False
    default_timeout_ms: int | None = None
    queues: tuple[Queue, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in ("grace", "park_after", "stall_limit"):
            if not _is_number(getattr(self, name), int | float) or not getattr(self, name) >= 0:
                msg = f"{name} takes seconds, 0 or more, not {getattr(self, name)!r}"
                raise ConfigurationError(msg)
        for name in ("max_active_runs", "max_payload_bytes", "threads"):
            if not _is_number(getattr(self, name), int) or getattr(self, name) < 1:
                msg = f"{name} takes a number of at least 1, not {getattr(self, name)!r}"
                raise ConfigurationError(msg)
        limit = self.default_timeout_ms
        if limit is not None and (not _is_number(limit, int | float) or limit <= 0):
            msg = f"default_timeout_ms takes a positive number of milliseconds, not {limit!r}"
            raise ConfigurationError(msg)
        for queue in self.queues:
            if not isinstance(queue, Queue):
                msg = f"queues takes agnt5.Queue objects, not {queue!r}"
                raise ConfigurationError(msg)
        if not isinstance(self.limits, Limits):
            raise ConfigurationError(f"limits takes agnt5.Limits(...), not {self.limits!r}")
        names = [queue.name for queue in self.queues]
        if len(set(names)) < len(names):
            msg = f"two queues have the same name: {', '.join(sorted(names))}"
            raise ConfigurationError(msg)


def several(queues: Iterable[Queue]) -> tuple[Queue, ...]:
    """The queues of a runtime.

    Raises:
        ConfigurationError: When it is no list of them.
    """
    if not isinstance(queues, Iterable):
        raise ConfigurationError(f"queues takes a list of agnt5.Queue objects, not {queues!r}")
    return tuple(queues)


def _is_number(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def step_defaults(retries: Retries, backoff: Backoff) -> StepDefaults | None:
    """What holds for functions that say nothing of retries; None when nothing was said here."""
    policy = retry_policy(retries)
    if policy is None and backoff is None:
        return None
    chosen = backoff_policy(backoff)
    return StepDefaults(
        retry_plan(policy, chosen),
        None if backoff is None else (str(chosen.type), chosen.multiplier),
    )
