"""What a function hands to steps: coroutines that the step will await, and callables."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agnt5.checking.scopes import FunctionNode

STEP_METHODS = frozenset({"step", "task", "run", "parallel", "gather", "batch", "map"})
"""Methods whose arguments are run by steps. ``asyncio.gather`` is told apart by its receiver."""
_NO_STEPS = frozenset({"asyncio", "anyio"})
_GROWING = frozenset({"append", "extend", "insert", "add", "appendleft"})


@dataclass
class Handed:
    """What goes into steps.

    Args:
        calls: Calls whose coroutine is awaited by a step, as ``fetch(x)`` in
            ``ctx.step("fetch", fetch(x))``.
        callables: Lambdas, and names of functions, that a step calls.
        step_calls: The calls of steps themselves.
    """

    calls: set[ast.Call] = field(default_factory=set)
    callables: list[ast.expr] = field(default_factory=list)
    step_calls: list[ast.Call] = field(default_factory=list)


def handed_to_steps(
    function: FunctionNode, nodes: Sequence[ast.AST], *, returns: bool = False
) -> Handed:
    """Look through the code of a function for what it hands to steps.

    A variable that is handed over counts as well: ``found = [fetch(x)]``, ``ctx.parallel(*found)``.

    Args:
        function: The function.
        nodes: Those of its nodes that run when it is called.
        returns: Whether what it returns is given to a step.
    """
    handed = Handed()
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and _is_step(node):
            handed.step_calls.append(node)
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                _collect(value, handed, names)
        if returns and isinstance(node, ast.Return) and node.value is not None:
            _collect(node.value, handed, names)
    seen: set[str] = set()
    while names - seen:
        fresh = names - seen
        seen |= fresh
        for value in _values_of(function, fresh):
            _collect(value, handed, names)
    return handed


def _is_step(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=name)) if name in _NO_STEPS:
            return False
        case ast.Attribute(attr=attr):
            return attr in STEP_METHODS
        case _:
            return False


def _collect(value: ast.expr, handed: Handed, names: set[str]) -> None:
    match value:
        case ast.Call():
            handed.calls.add(value)
        case ast.Lambda():
            handed.callables.append(value)
        case ast.Name(id=name):
            handed.callables.append(value)
            names.add(name)
        case ast.Attribute():
            handed.callables.append(value)
        case ast.Starred(value=inner) | ast.NamedExpr(value=inner) | ast.Subscript(value=inner):
            _collect(inner, handed, names)
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                _collect(part, handed, names)
        case ast.Dict(values=parts):
            for part in parts:
                _collect(part, handed, names)
        case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part):
            _collect(part, handed, names)
        case ast.DictComp(value=part):
            _collect(part, handed, names)
        case ast.IfExp(body=one, orelse=other):
            _collect(one, handed, names)
            _collect(other, handed, names)
        case _:
            pass


def _values_of(function: FunctionNode, names: set[str]) -> Iterator[ast.expr]:
    """What is assigned to these names, or put into them, anywhere in a function."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in names:
                yield value
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value) if (
                name in names
            ):
                yield value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                if name in names:
                    yield value
            case ast.AugAssign(target=ast.Name(id=name), value=value) if name in names:
                yield value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr), args=given):
                if name in names and attr in _GROWING:
                    yield from given
            case _:
                pass
