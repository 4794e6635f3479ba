"""Times, and moments of a run, as people write them on a command line: callbacks of options."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_AGO: Final = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Time = datetime | None


def as_time(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Time:
    """The time that is meant: ISO 8601, or how long ago, such as ``90m``.

    Without an offset it is local time.

    Raises:
        click.BadParameter: When it is neither.
    """
    return None if given is None else _time(given.strip())


def as_moment(
    _context: click.Context, _parameter: click.Parameter, given: str | None
) -> int | Time:
    """The moment of a run that is meant: the number of an event, counted from 1, or a time.

    Raises:
        click.BadParameter: When it is neither.
    """
    text = "" if given is None else given.strip()
    if text.isascii() and text.isdecimal():
        return int(text[:18])
    return None if given is None else _time(text)


def _time(text: str) -> datetime:
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return _now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is no time: write it as 2026-03-01T12:00+01:00, as 2026-03-01T12:00 in"
            " local time, or as how long ago: 30s, 90m, 12h, 7d, 2w"
        ) from error


def _now() -> datetime:
    from agnt5.actors.clock import SystemClock  # noqa: PLC0415 - only where a time is relative

    return datetime.fromtimestamp(SystemClock().now() / 1e6, UTC)
