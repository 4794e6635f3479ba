"""Values that nobody but a reader of the log sees: they may differ from pass to pass."""

from __future__ import annotations

import ast

from agnt5.checking.regions import Region

_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
_NAMES_FOLLOWED = 3


def is_only_logged(region: Region, node: ast.AST, followed: int = 0) -> bool:
    """Whether a value ends in arguments of log calls or ``print``, and nowhere else.

    It may pass through variables on the way, as in ``started = time.monotonic()``.
    """
    at = node
    while True:
        parent = region.module.parent_of.get(at)
        match parent:
            case ast.Call() if at is not parent.func and _is_log_call(parent):
                return True
            case ast.Call() if region.durable_method(parent) is not None:
                return False
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name))
            ) if followed < _NAMES_FOLLOWED:
                loads = region.loads.get(name, [])
                return bool(loads) and all(
                    is_only_logged(region, load, followed + 1) for load in loads
                )
            case ast.expr() if not isinstance(parent, ast.Await | ast.NamedExpr | ast.Lambda):
                at = parent
            case ast.FormattedValue() | ast.keyword():
                at = parent
            case _:
                return False


def _is_log_call(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="print"):
            return True
        case ast.Attribute(value=value, attr=attr) if attr in _LEVELS:
            return attr == "log" or "log" in _last_name(value).lower()
        case _:
            return False


def _last_name(expr: ast.expr) -> str:
    match expr:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=func):
            return _last_name(func)
        case _:
            return ""
