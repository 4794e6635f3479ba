"""How much at once and how fast: rate limits and queues, as users declare them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from agnt5.exceptions import ConfigurationError

_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN = re.compile(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*")


@dataclass(frozen=True)
class RateLimit:
    """At most so many starts in any period of so many seconds.

    Attributes:
        limit: How many, at least 1.
        per_seconds: The length of the period, seconds, greater than 0.

    Raises:
        ConfigurationError: When a field is out of range.

    >>> RateLimit.of("10/s")
    RateLimit(limit=10, per_seconds=1.0)
    >>> RateLimit.of("100/5min").per_seconds
    300.0
    """

    limit: int
    per_seconds: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or self.limit < 1:
            msg = f"a rate limit allows a number of at least 1, not {self.limit!r}"
            raise ConfigurationError(msg)
        period = self.per_seconds
        if not isinstance(period, (int, float)) or not 0 < period < math.inf:
            msg = f"per_seconds takes seconds, more than 0, not {period!r}"
            raise ConfigurationError(msg)

    @classmethod
    def of(cls, written: str | RateLimit) -> RateLimit:
        """Read ``"10/s"``, ``"100/min"``, ``"1000/h"``, ``"5/10s"``; a RateLimit is as it is.

        Raises:
            ConfigurationError: When it cannot be read.
        """
        if isinstance(written, RateLimit):
            return written
        match = _WRITTEN.fullmatch(written.lower()) if isinstance(written, str) else None
        if match is None or match[3] not in _UNITS:
            known = ", ".join(repr(unit) for unit in _UNITS)
            msg = (
                f"a rate limit is written like '10/s' or '5/10min', or is a RateLimit, not"
                f" {written!r}; units: {known}"
            )
            raise ConfigurationError(msg)
        return cls(int(match[1]), float(match[2] or 1) * _UNITS[match[3]])


def rate_limit(written: str | RateLimit | None) -> RateLimit | None:
    """Read a ``rate_limit=`` setting.

    Raises:
        ConfigurationError: When it cannot be read.
    """
    return None if written is None else RateLimit.of(written)


@dataclass(frozen=True)
class Queue:
    """A name under which runs line up.

    Attributes:
        name: What ``queue=`` of workflows and clients refers to.
        concurrency: How many of its runs may be active at once; unlimited by default. A run that
            has left memory because it only waits gives its place back.
        rate_limit: How many of its runs may begin in a period: ``"10/s"`` or a RateLimit.

    Raises:
        ConfigurationError: When a field is out of range.

    >>> Queue("mail", concurrency=5, rate_limit="100/min").name
    'mail'
    """

    name: str
    concurrency: int | None = None
    rate_limit: str | RateLimit | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            msg = f"the name of a queue is a printable text that is not empty, not {self.name!r}"
            raise ConfigurationError(msg)
        most = self.concurrency
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            msg = f"queue {self.name!r}: concurrency takes a number of at least 1, not {most!r}"
            raise ConfigurationError(msg)
        object.__setattr__(self, "rate_limit", rate_limit(self.rate_limit))

    @property
    def rate(self) -> RateLimit | None:
        """The rate limit, read."""
        return rate_limit(self.rate_limit)
