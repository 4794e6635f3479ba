"""Sets whose order decides something: it differs from process to process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agnt5.checking.hits import Hit
from agnt5.checking.regions import Region
from agnt5.checking.scopes import Assigned, Parameter

_KEEP_ORDER = frozenset({"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter"})
_FORGET_ORDER = frozenset(
    {"sorted", "set", "frozenset", "len", "sum", "min", "max", "any", "all", "Counter"}
)
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_SET_TYPES = frozenset(
    {"builtins.set", "builtins.frozenset", "typing.Set", "typing.AbstractSet", "typing.FrozenSet"}
    | {"collections.abc.Set", "collections.abc.MutableSet"}
)
_ORDERED_ELEMENTS = frozenset({"int", "bool"})
"""Hashes of small numbers are the numbers, in every process."""
_TELLING = frozenset({"append", "extend", "insert", "appendleft", "put", "put_nowait", "write"})
_FOLLOWED = 3
_WHY = "the order of a set differs from process to process"


def order_of_sets(region: Region) -> Iterator[Hit]:
    """Every place where the order of a set can be seen."""
    for node in region.nodes:
        for expr in _iterated(region, node):
            if _is_set(region, expr):
                yield Hit("AG106", expr, f"this goes through a set: {_WHY}")
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="pop"), args=[], keywords=[]):
                if _is_set(region, value):
                    yield Hit("AG106", node, f"pop() takes any element of a set: {_WHY}")
            case _:
                pass


def _iterated(region: Region, node: ast.AST) -> Iterator[ast.expr]:
    """What a node goes through in an order that can be seen afterwards."""
    match node:
        case ast.For(iter=expr) if _order_is_seen(node):
            yield expr
        case ast.ListComp() | ast.GeneratorExp() | ast.DictComp() | ast.SetComp():
            if _asks(region, node) or not (
                isinstance(node, ast.SetComp) or _is_forgotten(region, node)
            ):
                yield from (each.iter for each in node.generators)
        case ast.Call(func=ast.Name(id=name), args=given) if name in _KEEP_ORDER:
            if not _is_forgotten(region, node) and _is_builtin(region, node.func):
                yield from (each for each in given if not isinstance(each, ast.Starred))
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="join"), args=given):
            yield from given
        case ast.Starred(value=expr, ctx=ast.Load()):
            if not isinstance(region.module.parent_of.get(node), ast.Set):
                yield expr
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=expr):
            yield expr
        case _:
            pass


def _order_is_seen(loop: ast.For) -> bool:
    """Whether a loop does something per element that others see in turn."""
    for statement in loop.body:
        for node in ast.walk(statement):
            match node:
                case ast.Await() | ast.Yield() | ast.YieldFrom() | ast.Return() | ast.Break():
                    return True
                case ast.Call(func=ast.Attribute(attr=attr)) if attr in _TELLING:
                    return True
                case _:
                    pass
    return False


def _asks(region: Region, node: ast.AST) -> bool:
    """Whether something within it is awaited or made durable: that is seen in turn."""
    return any(
        isinstance(each, ast.Await)
        or (isinstance(each, ast.Call) and region.durable_method(each) is not None)
        for each in ast.walk(node)
    )


def _is_forgotten(region: Region, node: ast.AST) -> bool:
    """Whether the value goes straight into something that does not care for order."""
    match region.module.parent_of.get(node):
        case ast.Call(func=ast.Name(id=name)):
            return name in _FORGET_ORDER
        case ast.Call(func=ast.Attribute(attr="update" | "issubset" | "union" | "intersection")):
            return True
        case ast.Compare(ops=[ast.In() | ast.NotIn()]):
            return True
        case _:
            return False


def _is_builtin(region: Region, expr: ast.expr) -> bool:
    return (region.module.dotted(expr) or "").startswith("builtins.")


def _is_set(region: Region, expr: ast.expr, followed: int = 0) -> bool:
    match expr:
        case ast.Set(elts=elements):
            return not all(isinstance(each, ast.Constant) and _is_small(each) for each in elements)
        case ast.SetComp():
            return True
        case ast.Call(func=func, args=given):
            return _makes_set(region, func, given, followed)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            keys = _is_keys(left) and _is_keys(expr.right)
            return keys or _is_set(region, left, followed) or _is_set(region, expr.right, followed)
        case ast.Name(id=name) if followed < _FOLLOWED:
            found = region.module.scope_of[expr].lookup(name)
            bindings = found[1] if found else []
            return bool(bindings) and all(
                _binds_set(region, binding, followed + 1) for binding in bindings
            )
        case _:
            return False


def _is_small(constant: ast.Constant) -> bool:
    return isinstance(constant.value, int)


def _is_keys(expr: ast.expr) -> bool:
    match expr:
        case ast.Call(func=ast.Attribute(attr="keys"), args=[]):
            return True
        case _:
            return False


def _makes_set(region: Region, func: ast.expr, given: list[ast.expr], followed: int) -> bool:
    if region.module.dotted(func) in {"builtins.set", "builtins.frozenset"}:
        match given:
            case [ast.Call(func=ast.Name(id="range"))]:
                return False
            case _:
                return True
    match func:
        case ast.Attribute(value=value, attr=attr) if attr in _SET_METHODS:
            return _is_set(region, value, followed)
        case _:
            return False


def _binds_set(region: Region, binding: object, followed: int) -> bool:
    match binding:
        case Assigned(value=value):
            return _is_set(region, value, followed)
        case Parameter(node=ast.arg(annotation=ast.expr() as annotation)):
            return _is_set_type(region, annotation)
        case _:
            return False


def _is_set_type(region: Region, annotation: ast.expr) -> bool:
    match annotation:
        case ast.Subscript(value=value, slice=ast.Name(id=name)) if name in _ORDERED_ELEMENTS:
            return False
        case ast.Subscript(value=value):
            return region.module.dotted(value) in _SET_TYPES
        case _:
            return region.module.dotted(annotation) in _SET_TYPES
