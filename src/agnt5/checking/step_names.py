"""The expressions that name durable calls; they must be the same on every pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agnt5.checking.hits import Hit, spelled
from agnt5.checking.regions import Region

_NAME_FIRST = frozenset(
    {"step", "task", "run", "signal", "wait_for_signal", "patched", "timer", "child"}
)
_STEPS = frozenset({"step", "task", "run"})
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


def repeated_keys(region: Region) -> Iterator[Hit]:
    """Steps of a loop that differ in their arguments and not in their key: one step for all."""
    for node in region.nodes:
        parts: list[ast.AST] = []
        match node:
            case ast.For(target=target, body=body):
                varying = _names(target)
                parts += body
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                varying = set().union(*(_names(each.target) for each in node.generators))
                parts.append(node.elt)
            case _:
                continue
        for call in (each for part in parts for each in ast.walk(part)):
            if not isinstance(call, ast.Call) or region.durable_method(call) not in _STEPS:
                continue
            keys = [each.value for each in call.keywords if each.arg == "key"]
            others = [*call.args, *(each.value for each in call.keywords if each.arg != "key")]
            given = set().union(*map(_names, others))
            if keys and isinstance(keys[0], ast.Constant) and varying & given:
                key = spelled(keys[0])
                message = f"every round asks for the step with key {key}: only the first one runs"
                yield Hit("AG505", call, message)


def _names(expr: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(expr) if isinstance(each, ast.Name)}


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
