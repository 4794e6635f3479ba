"""The expressions that name durable calls; they must be the same on every pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agnt5.checking.regions import Region

_NAME_FIRST = frozenset(
    {"step", "task", "run", "signal", "wait_for_signal", "patched", "timer", "child"}
)
_NAME_KEYWORDS = frozenset({"name", "key"})


def names_of_calls(region: Region) -> Iterator[ast.expr]:
    """What is said of the identity of each durable call: its name, its key."""
    for node in region.nodes:
        if not isinstance(node, ast.Call):
            continue
        method = region.durable_method(node)
        if method is None:
            continue
        if method in _NAME_FIRST and node.args and _is_text(node.args[0]):
            yield node.args[0]
        if method == "sleep" and len(node.args) > 1:
            yield node.args[1]
        for keyword in node.keywords:
            if keyword.arg in _NAME_KEYWORDS:
                yield keyword.value


def _is_text(expr: ast.expr) -> bool:
    """Whether a first argument is a name, and not a function or a coroutine."""
    match expr:
        case ast.JoinedStr() | ast.BinOp():
            return True
        case ast.Call(func=ast.Name(id="str" | "repr" | "format")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format" | "join")):
            return True
        case _:
            return False
