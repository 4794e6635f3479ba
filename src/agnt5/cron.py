"""When a cron expression is due. The library knows the calendar; nothing here looks at a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal, cast, get_args

Missed = Literal["skip", "once", "all"]
"""What becomes of times that have passed while no runtime was open."""

_FIELDS = 5
_FIRST_WINDOW_US = 60_000_000


@dataclass(frozen=True, slots=True)
class CronSpec:
    """A cron expression in a time zone. Times are microseconds since the epoch."""

    expression: str
    timezone: str
    missed: Missed

    def times(self, after: int) -> Iterator[int]:
        """Every due time later than ``after``, in order, each once.

        A time that the clock skips in spring is due at the end of the gap; one that comes twice in
        autumn is due the first time. Expressions that begin with ``*`` in the minute or the hour
        follow the real hours instead. That is what Debian's cron does.
        """
        from cronsim import CronSim  # noqa: PLC0415 - not needed without cron

        zone = _zone(self.timezone)
        last = after
        for due in CronSim(self.expression, datetime.fromtimestamp(after // 10**6, zone)):
            # Two times of one gap in spring are one moment, and in the hour that comes twice the
            # library may begin with one that is over.
            at = int(due.timestamp()) * 10**6
            if at > last:
                last = at
                yield at

    def next_after(self, after: int) -> int | None:
        """The first due time later than this, or None when there will be none."""
        return next(self.times(after), None)

    def latest(self, after: int, upto: int, limit: int) -> list[int]:
        """The last due times in ``(after, upto]``, at most ``limit`` of them, in order.

        Looks back in windows that double: the cost is that of the answer, however long ago
        ``after`` is.
        """
        window = _FIRST_WINDOW_US
        while True:
            start = max(after, upto - window)
            found: deque[int] = deque(maxlen=limit + 1)
            for at in self.times(start):
                if at > upto:
                    break
                found.append(at)
            if start == after or len(found) > limit:
                return list(found)[-limit:]
            window *= 2


def parse_cron(expression: object, timezone: object = None, missed: object = "skip") -> CronSpec:
    """A cron expression, checked.

    Args:
        expression: Five fields: minute, hour, day of the month, month, day of the week.
        timezone: An IANA name such as ``Europe/Berlin``; UTC if None.
        missed: ``"skip"``, ``"once"`` or ``"all"``.

    Raises:
        ValueError: When one of them is wrong, or the expression is never due.

    >>> spec = parse_cron("30 9 * * MON-FRI", "Europe/Berlin")
    >>> spec.next_after(1_700_000_000_000_000)  # a Tuesday, 23:13:20 in Berlin
    1700037000000000
    """
    if not isinstance(expression, str) or len(expression.split()) != _FIELDS:
        msg = (
            f"a cron expression has five fields (minute, hour, day of month, month, day of week),"
            f" such as '*/5 * * * *'; not {expression!r:.80}"
        )
        raise ValueError(msg)
    if timezone is not None and (not isinstance(timezone, str) or not timezone):
        msg = f"cron_timezone is an IANA name such as 'Europe/Berlin', not {timezone!r:.80}"
        raise ValueError(msg)
    policies = get_args(Missed)
    if missed not in policies:
        msg = f"cron_missed is one of {', '.join(map(repr, policies))}, not {missed!r:.80}"
        raise ValueError(msg)
    from cronsim import CronSimError  # noqa: PLC0415 - not needed without cron

    spec = CronSpec(" ".join(expression.split()), timezone or "UTC", cast("Missed", missed))
    try:
        first = spec.next_after(0)
    except CronSimError as error:
        msg = f"the cron expression {expression!r} cannot be read: {error}"
        raise ValueError(msg) from None
    if first is None:
        msg = f"the cron expression {expression!r} is never due"
        raise ValueError(msg)
    return spec


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        # The library takes a short cut for this one.
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - not needed without cron

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        msg = (
            f"there is no time zone {name!r} on this machine: cron_timezone takes IANA names such"
            " as 'Europe/Berlin'; where the system has none of them, install the package 'tzdata'"
        )
        raise ValueError(msg) from None
