"""How often, how soon and how long: the policies that users attach to functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agnt5.exceptions import ConfigurationError


class BackoffType(StrEnum):
    """How the delay grows from one retry to the next."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True)
class RetryPolicy:
    """How many attempts, and the bounds of the delay between them.

    Attributes:
        max_attempts: Attempts in all, the first included; at least 1.
        initial_interval_ms: The first delay, milliseconds.
        max_interval_ms: No delay is longer, milliseconds.

    Raises:
        ValueError: When a field is out of range.

    >>> RetryPolicy(max_attempts=5).initial_interval_ms
    1000
    """

    max_attempts: int = 3
    initial_interval_ms: int = 1000
    max_interval_ms: int = 60_000

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            msg = (
                f"max_attempts counts all attempts and must be at least 1, not {self.max_attempts}"
            )
            raise ValueError(msg)
        if self.initial_interval_ms < 0:
            msg = f"initial_interval_ms must not be negative, not {self.initial_interval_ms}"
            raise ValueError(msg)
        if self.max_interval_ms < self.initial_interval_ms:
            msg = (
                f"max_interval_ms ({self.max_interval_ms}) must not be below "
                f"initial_interval_ms ({self.initial_interval_ms})"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class BackoffPolicy:
    """How the delay grows.

    Attributes:
        type: Constant, linear or exponential.
        multiplier: The base of exponential growth; greater than 0.

    Raises:
        ValueError: When the multiplier is not greater than 0.
    """

    type: BackoffType = BackoffType.EXPONENTIAL
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if not self.multiplier > 0:
            msg = f"multiplier must be greater than 0, not {self.multiplier}"
            raise ValueError(msg)


class RecoveryPolicy(StrEnum):
    """What to do with an attempt that a crash cut short, its effect unknown."""

    RETRY = "retry"
    """Run it again, with the same idempotency key: the effect happens at least once."""
    FAIL = "fail"
    """Fail the step with UnknownOutcomeError: the effect happens at most once."""


Retries = int | Mapping[str, int] | RetryPolicy | None
Backoff = str | Mapping[str, object] | BackoffType | BackoffPolicy | None


def retry_policy(retries: Retries) -> RetryPolicy | None:
    """Read the ``retries=`` shorthand: a number of attempts, a dict of fields, or a policy.

    Raises:
        TypeError: When it is none of these.
        ValueError: When a field is out of range.
    """
    match retries:
        case None | RetryPolicy():
            return retries
        case bool():
            pass
        case int():
            return RetryPolicy(max_attempts=retries)
        case Mapping():
            return RetryPolicy(**retries)
        case _:
            pass
    msg = f"retries takes a number of attempts, a dict or a RetryPolicy, not {retries!r}"
    raise TypeError(msg)


def backoff_policy(backoff: Backoff) -> BackoffPolicy:
    """Read the ``backoff=`` shorthand: a type's name (in any case), a dict of fields, or a policy.

    Raises:
        TypeError: When it is none of these.
        ValueError: When the name is unknown or a field is out of range.
    """
    match backoff:
        case None:
            return BackoffPolicy()
        case BackoffPolicy():
            return backoff
        case str():
            return BackoffPolicy(type=_backoff_type(backoff))
        case Mapping():
            fields = dict(backoff)
            kind = _backoff_type(str(fields.pop("type", BackoffType.EXPONENTIAL)))
            multiplier = fields.pop("multiplier", 2.0)
            if fields or not isinstance(multiplier, (int, float)):
                msg = (
                    f"a backoff dict takes 'type' and a number 'multiplier', not {dict(backoff)!r}"
                )
                raise TypeError(msg)
            return BackoffPolicy(type=kind, multiplier=float(multiplier))
        case _:
            msg = f"backoff takes a name, a dict or a BackoffPolicy, not {backoff!r}"
            raise TypeError(msg)


def _backoff_type(name: str) -> BackoffType:
    try:
        return BackoffType(name.lower())
    except ValueError:
        known = ", ".join(repr(t.value) for t in BackoffType)
        msg = f"unknown backoff {name!r}; known: {known}"
        raise ValueError(msg) from None


def recovery_policy(recovery: str) -> RecoveryPolicy:
    """Read ``recovery=``.

    Raises:
        ConfigurationError: When the name is unknown.
    """
    try:
        return RecoveryPolicy(recovery)
    except ValueError:
        known = ", ".join(repr(p.value) for p in RecoveryPolicy)
        msg = f"unknown recovery policy {recovery!r}; known: {known}"
        raise ConfigurationError(msg) from None
