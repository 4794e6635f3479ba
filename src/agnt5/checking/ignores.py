"""Comments that switch rules off for a line: ``# agnt5: ignore[AG101]``."""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass, field

from agnt5.checking.findings import Finding
from agnt5.checking.rules import RULES

_COMMENT = re.compile(r"#\s*agnt5:\s*ignore(?:\[(?P<rules>[^\]]*)\])?")


@dataclass
class Ignore:
    """A comment that ignores findings.

    Args:
        line: Where it stands, counted from 1.
        column: Where it begins, counted from 1.
        end_column: One beyond its last character.
        rules: The ids that it names; empty for all.
    """

    line: int
    column: int
    end_column: int
    rules: tuple[str, ...]
    used: set[str] = field(default_factory=set)

    def covers(self, finding: Finding) -> bool:
        """Whether it stands in a line of the finding and names its rule."""
        in_lines = finding.line <= self.line <= finding.end_line
        return in_lines and (not self.rules or finding.rule in self.rules)

    def unused(self, judged: frozenset[str]) -> tuple[str, ...] | None:
        """The rules that it names for nothing, () when it names none and ignores none.

        None when all of it is needed, or may be: only rules that were applied can be judged.
        """
        if not self.rules:
            return () if not self.used and judged >= RULES.keys() else None
        idle = [
            rule
            for rule in dict.fromkeys(self.rules)
            if rule not in self.used and (rule in judged or rule not in RULES)
        ]
        return tuple(idle) or None


def ignores_of(text: str) -> list[Ignore]:
    """The comments of a source that is valid Python."""
    found: list[Ignore] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        for match in _COMMENT.finditer(token.string):
            line, start = token.start
            named = match["rules"]
            rules = () if named is None else tuple(r.strip() for r in named.split(",") if r.strip())
            if named is None or rules:
                columns = start + match.start() + 1, start + match.end() + 1
                found.append(Ignore(line, *columns, rules))
    return found
