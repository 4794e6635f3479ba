"""How numbers are said to people."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """A number of things, for people.

    >>> counted(1, "run"), counted(20_000, "run")
    ('1 run', '20000 runs')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
