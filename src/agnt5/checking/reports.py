"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from agnt5.checking.findings import Finding, Severity
from agnt5.checking.rules import RULES

FORMAT_VERSION = 1
"""Of the JSON; it grows when a field changes its meaning or goes away, not when one is added."""


def place_of(finding: Finding) -> str:
    """Where, as editors and terminals make links of it: ``path:line:column``."""
    return f"{finding.path}:{finding.line}:{finding.column}"


def summary_of(findings: Sequence[Finding], files: int) -> str:
    """The last line of the text: how many of what, in how many files."""
    looked = _count(files, "file")
    if not findings:
        return f"{looked} checked, nothing found."
    errors, warnings = count_of(findings, "error"), count_of(findings, "warning")
    kinds = [_count(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    where = _count(len({finding.path for finding in findings}), "file")
    return f"Found {' and '.join(kinds)} in {where}; {looked} checked."


def count_of(findings: Sequence[Finding], severity: Severity) -> int:
    """How many findings are of a severity."""
    return sum(finding.severity == severity for finding in findings)


def json_of(findings: Sequence[Finding], files: int) -> dict[str, Any]:
    """The findings as one JSON document.

    Args:
        findings: In the order in which they are to be listed.
        files: How many files were looked at.
    """
    return {
        "version": FORMAT_VERSION,
        "files": files,
        "errors": count_of(findings, "error"),
        "warnings": count_of(findings, "warning"),
        "findings": [{**asdict(each), "name": RULES[each.rule].name} for each in findings],
    }


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
