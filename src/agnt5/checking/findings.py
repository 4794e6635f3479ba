"""What the linter says: a rule, a place, and what was found there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
"""``error``: a replay may go another way, or something is done twice or lost. ``warning``: worth a
look, and at times meant."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing found in one place.

    Args:
        path: The file, as it was named to the linter.
        line: Counted from 1.
        column: Counted from 1, in characters.
        end_line: The line of the last character.
        end_column: One beyond the last character.
        rule: The id of the rule, such as ``AG101``.
        severity: ``error`` or ``warning``.
        message: What was found, and why it matters there.
        fix: What to write instead.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    rule: str
    severity: Severity
    message: str
    fix: str
