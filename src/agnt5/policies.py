"""How often, how soon and how long: the policies that users attach to functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
        jitter: The share of a delay that chance may take off, from 0 to 1, so that steps which
            failed together do not come back together.
        non_retryable: Exceptions after which there is no other attempt: classes, or their names
            (``"OutOfStock"`` or ``"shop.stock:OutOfStock"``). Subclasses count.
        retry_if: Asked with the exception whether there may be another attempt. It is called once,
            where the attempt failed; its answer is what is recorded.

    Raises:
        ValueError: When a field is out of range.
        TypeError: When a field is of the wrong kind.

    >>> RetryPolicy(max_attempts=5).initial_interval_ms
    1000
    """

    max_attempts: int = 3
    initial_interval_ms: int = 1000
    max_interval_ms: int = 60_000
    jitter: float = 0.0
    non_retryable: type[BaseException] | str | Sequence[type[BaseException] | str] = ()
    retry_if: Callable[[BaseException], bool] | None = None

    def __post_init__(self) -> None:
        self._check_bounds()
        if not 0 <= self.jitter <= 1:
            msg = f"jitter takes a share from 0 to 1, not {self.jitter}"
            raise ValueError(msg)
        if self.retry_if is not None and not callable(self.retry_if):
            msg = f"retry_if takes a function of an exception, not {self.retry_if!r}"
            raise TypeError(msg)
        given = self.non_retryable
        if not isinstance(given, (str, type, Iterable)):
            msg = f"non_retryable takes exception classes or their names, not {given!r}"
            raise TypeError(msg)
        kinds = (given,) if isinstance(given, (str, type)) else tuple(given)
        for kind in kinds:
            if not isinstance(kind, str) and not _is_exception(kind):
                msg = f"non_retryable takes exception classes or their names, not {kind!r}"
                raise TypeError(msg)
        object.__setattr__(self, "non_retryable", kinds)

    def allows(self, error: BaseException) -> bool:
        """Whether there may be another attempt after this exception."""
        kinds = self.non_retryable
        if not isinstance(kinds, (str, type)) and any(_is_of(error, kind) for kind in kinds):
            return False
        return self.retry_if is None or bool(self.retry_if(error))

    def _check_bounds(self) -> None:
        for name in ("max_attempts", "initial_interval_ms", "max_interval_ms", "jitter"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                msg = f"{name} takes a number, not {number!r}"
                raise TypeError(msg)
            if name != "jitter" and not (math.isfinite(number) and number == int(number)):
                msg = f"{name} takes a whole number, not {number!r}"
                raise ValueError(msg)
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


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _is_of(error: BaseException, kind: type[BaseException] | str) -> bool:
    if not isinstance(kind, str):
        return isinstance(error, kind)
    classes = type(error).__mro__
    return any(kind in {c.__name__, f"{c.__module__}:{c.__qualname__}"} for c in classes)


@dataclass(frozen=True)
class BackoffPolicy:
    """How the delay grows.

    Attributes:
        type: Constant, linear or exponential.
        multiplier: The base of exponential growth; greater than 0 and finite.

    Raises:
        ValueError: When the type is unknown, or the multiplier is out of range.
        TypeError: When the multiplier is no number.
    """

    type: BackoffType = BackoffType.EXPONENTIAL
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", _backoff_type(str(self.type)))
        if not isinstance(self.multiplier, (int, float)):
            msg = f"multiplier takes a number, not {self.multiplier!r}"
            raise TypeError(msg)
        # JSON has no infinity: the log of a step with such a policy could not be read again.
        if not 0 < self.multiplier < math.inf:
            msg = f"multiplier must be greater than 0 and finite, not {self.multiplier}"
            raise ValueError(msg)


class RecoveryPolicy(StrEnum):
    """What to do with an attempt that a crash cut short, its effect unknown."""

    RETRY = "retry"
    """Run it again, with the same idempotency key: the effect happens at least once."""
    FAIL = "fail"
    """Fail the step with UnknownOutcomeError: the effect happens at most once."""
    ASK = "ask"
    """Ask a person whether to run it again, to fail it, or to take it as done."""
    VERIFY = "verify"
    """Have a function find out, see :func:`verify`."""


@dataclass(frozen=True)
class Happened:
    """What a verification returns when the effect has happened.

    Attributes:
        value: The result that the step has then.
    """

    value: Any = None


@dataclass(frozen=True)
class NotHappened:
    """What a verification returns when the effect has not happened: the step is run again."""


@dataclass(frozen=True)
class Verify:
    """The recovery policy that :func:`verify` makes."""

    function: Callable[..., Any]


def verify(function: Callable[..., Any]) -> Verify:
    """A recovery policy: after a crash, have a function find out whether the effect happened.

    Args:
        function: Called with the arguments of the step, and with a context first if it takes one,
            whose ``idempotency_key`` is that of the step. It may be ``async def`` or ``def`` (on a
            thread). It returns :class:`Happened` with the result of the step, or
            :class:`NotHappened`; whatever it raises fails the step with UnknownOutcomeError. A
            crash while it runs makes it run again, so it should only look.

    Raises:
        ConfigurationError: When it is no function.

    >>> verify(lambda order: NotHappened()).function("o-1")
    NotHappened()
    """
    if not callable(function) or isinstance(function, type):
        msg = f"verify takes a function, not {function!r}"
        raise ConfigurationError(msg)
    return Verify(function)


Retries = int | Mapping[str, Any] | RetryPolicy | None
Recovery = str | Verify
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


def recovery_policy(recovery: Recovery) -> RecoveryPolicy:
    """Read ``recovery=``.

    Raises:
        ConfigurationError: When the name is unknown.
    """
    if isinstance(recovery, Verify):
        return RecoveryPolicy.VERIFY
    try:
        policy = RecoveryPolicy(recovery)
    except ValueError:
        policy = RecoveryPolicy.VERIFY
    if policy is RecoveryPolicy.VERIFY:
        known = "'retry', 'fail', 'ask', and agnt5.verify(fn) with a function that finds out"
        msg = f"unknown recovery policy {recovery!r}; known: {known}"
        raise ConfigurationError(msg)
    return policy
