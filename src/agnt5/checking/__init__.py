"""A linter for workflow bodies: it reads sources, as data, and says what a replay would see change.

It never imports what it looks at, and waits for nothing; ``agnt5 check`` is its command.
"""

from agnt5.checking.findings import Finding, Severity
from agnt5.checking.linter import check_sources, not_python
from agnt5.checking.rules import RULES, Rule
from agnt5.checking.settings import Settings, settings_of

__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "Settings",
    "Severity",
    "check_sources",
    "not_python",
    "settings_of",
]
