"""Calls whose value or effect differs from pass to pass: clocks, chance, files, threads..."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agnt5.checking.hits import Hit
from agnt5.checking.known import ATTRIBUTES, METHODS, WAITS_WITH_TIMEOUT, Known, known_call
from agnt5.checking.logged import is_only_logged
from agnt5.checking.modules import Module
from agnt5.checking.regions import Region
from agnt5.checking.step_names import names_of_calls

VALUES = frozenset({"AG101", "AG102", "AG103", "AG104", "AG105"})
"""Rules about values, which do no harm in a log line."""
_IN_INIT = frozenset({"AG101", "AG102", "AG103", "AG105"})
"""An ``__init__`` may open files and connections: they cannot be recorded, and are made again."""
_WITH_ARGUMENT: dict[str, int] = {
    "time.localtime": 1,
    "time.gmtime": 1,
    "time.ctime": 1,
    "time.asctime": 1,
    "time.strftime": 2,
    "random.Random": 1,
    "numpy.random.default_rng": 1,
    "numpy.random.RandomState": 1,
}
"""Calls that depend on nothing but their arguments, when they have so many."""


def sources(region: Region) -> Iterator[Hit]:
    """Every such call of a region; one within the name of a step is called that."""
    named = {inner: name for name in names_of_calls(region) for inner in ast.walk(name)}
    for node in region.nodes:
        found = source_at(region.module, node)
        if found is None:
            continue
        known, text = found
        if region.kind == "init" and known.rule not in _IN_INIT:
            continue
        if known.is_awaited and node in region.handed.calls:
            continue
        if node in named and known.rule in VALUES:
            message = f"{text} in the name of a step: the step is not found again on replay"
            yield Hit("AG504", node, message)
        elif known.rule not in VALUES or not is_only_logged(region, node):
            yield Hit(known.rule, node, f"{text}: {known.effect}")


def source_at(module: Module, node: ast.AST) -> tuple[Known, str] | None:
    """What a node does that a body must not, and how it is spelt."""
    match node:
        case ast.Call(func=func):
            return _call(module, node, func)
        case ast.Attribute() | ast.Name():
            dotted = module.dotted(node)
            known = ATTRIBUTES.get(dotted) if dotted else None
            return (known, dotted) if known and dotted else None
        case _:
            return None


def _call(module: Module, call: ast.Call, func: ast.expr) -> tuple[Known, str] | None:
    dotted = module.dotted(func)
    if dotted is None:
        return _method(module, func)
    text = f"{dotted.removeprefix('builtins.')}()"
    timeout = WAITS_WITH_TIMEOUT.get(dotted)
    if timeout is not None:
        return (timeout, text) if _has_timeout(call, dotted) else None
    known = known_call(dotted)
    if known is None or _depends_on_arguments(call, dotted):
        return None
    if dotted == "builtins.id" and _only_compares(module.parent_of.get(call)):
        return None
    match known.rule, call.args:
        case "AG201", [ast.Constant(value=0 | 0.0)]:
            return None  # only lets others run
        case "AG202", [ast.Constant(value=None)]:
            return None
        case "AG105", [ast.Constant(value=int())]:
            return None
        case _:
            return known, text


def _only_compares(parent: ast.AST | None) -> bool:
    """Whether ``id(x)`` only tells objects of one pass apart, as in ``id(x) in seen``."""
    match parent:
        case ast.Compare() | ast.Subscript():
            return True
        case ast.Call(func=ast.Attribute(attr="add" | "discard" | "get" | "setdefault" | "pop")):
            return True
        case _:
            return False


def _depends_on_arguments(call: ast.Call, dotted: str) -> bool:
    needed = _WITH_ARGUMENT.get(dotted)
    return needed is not None and len(call.args) + len(call.keywords) >= needed


def _has_timeout(call: ast.Call, dotted: str) -> bool:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "timeout"]
    if dotted == "asyncio.wait_for":
        given += call.args[1:2]
    return bool(given) and not (isinstance(given[0], ast.Constant) and given[0].value is None)


def _method(module: Module, func: ast.expr) -> tuple[Known, str] | None:
    match func:
        case ast.Attribute(value=value, attr=attr):
            maker = module.made_by(value)
            known = METHODS.get(maker, {}).get(attr) if maker else None
            return (known, f"{maker}.{attr}()") if known else None
        case _:
            return None
