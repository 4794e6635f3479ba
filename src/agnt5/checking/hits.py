"""What a check hands back: a rule, the node where it is broken, and why."""

from __future__ import annotations

import ast
from dataclasses import dataclass


def spelled(expr: ast.AST) -> str:
    """An expression as source, for messages; three dots when it is nested beyond all reason."""
    try:
        return ast.unparse(expr)
    except RecursionError:
        return "..."


@dataclass(frozen=True)
class Hit:
    """A rule is broken here.

    Args:
        rule: The id of the rule.
        node: Where.
        message: What was found; the linter adds which workflow it is in.
    """

    rule: str
    node: ast.AST
    message: str
