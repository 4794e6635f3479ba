"""Findings in SARIF 2.1.0, the format in which code hosts and editors take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from agnt5.checking.findings import Finding
from agnt5.checking.rules import RULES

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif_of(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """One run of the linter as a SARIF log.

    Args:
        findings: In the order in which they are to be listed.
        version: Of agnt5.
    """
    places = {rule: at for at, rule in enumerate(RULES)}
    rules = [
        {
            "id": rule.id,
            "name": _camel(rule.name),
            "shortDescription": {"text": rule.name},
            "help": {"text": f"Fix: {rule.fix}."},
            "defaultConfiguration": {"level": rule.severity},
        }
        for rule in RULES.values()
    ]
    driver = {"name": "agnt5 check", "version": version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, places[finding.rule]) for finding in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Finding, place: int) -> dict[str, Any]:
    region = {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }
    location = {"artifactLocation": _artifact(finding.path), "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": place,
        "level": finding.severity,
        "message": {"text": f"{finding.message}. Fix: {finding.fix}."},
        "locations": [{"physicalLocation": location}],
    }


def _artifact(path: str) -> dict[str, str]:
    pure = Path(path)
    if pure.is_absolute():
        return {"uri": pure.as_uri()}
    return {"uri": quote(pure.as_posix()), "uriBaseId": "%SRCROOT%"}


def _camel(name: str) -> str:
    words = "".join(each if each.isalnum() else " " for each in name).split()
    return "".join(word[:1].upper() + word[1:] for word in words)
