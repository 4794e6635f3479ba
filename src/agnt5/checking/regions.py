"""The code that a replay runs again: workflow bodies, and the functions that they call.

What a body hands to a step is left out, for it does not run again once its result is recorded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from agnt5.checking.handed import Handed, handed_to_steps
from agnt5.checking.modules import Module
from agnt5.checking.program import Definition, Program, is_context_parameter, takes_context
from agnt5.checking.scopes import Assigned, FunctionNode, Parameter, parameters

Kind = Literal["body", "init", "helper"]
"""``init``: the ``__init__`` of a class workflow, which may open what cannot be recorded."""

_CALLS_LAMBDAS = frozenset({"sorted", "min", "max", "map", "filter", "sum", "any", "all"})
_SAGA = ("step",)


@dataclass(eq=False)
class Region:
    """A function whose code runs on every pass.

    Args:
        program: All modules.
        definition: The function.
        kind: How it comes to run.
        workflow: The name of the workflow whose pass it is.
        owner: The class workflow that it is a method of.
        is_explicit: Whether the workflow takes a context.
        returns_to_step: Whether a step is given what it returns, such as a coroutine.
    """

    program: Program
    definition: Definition
    kind: Kind
    workflow: str
    owner: Definition | None
    is_explicit: bool
    returns_to_step: bool = False
    nodes: list[ast.AST] = field(init=False)
    handed: Handed = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = list(_executed(self.module, self.node))
        self.handed = handed_to_steps(self.node, self.nodes, returns=self.returns_to_step)

    @property
    def module(self) -> Module:
        """Where it stands."""
        return self.definition.module

    @property
    def node(self) -> FunctionNode:
        """The function."""
        assert isinstance(self.definition.node, FunctionNode)  # noqa: S101 - classes are no regions
        return self.definition.node

    @property
    def where(self) -> str:
        """Where this is, in words."""
        match self.kind:
            case "body":
                return f"in the body of workflow {self.workflow!r}"
            case "init":
                return f"in '__init__' of workflow {self.workflow!r}"
            case "helper":
                return f"in {self.node.name!r}, which workflow {self.workflow!r} calls"

    @cached_property
    def loads(self) -> dict[str, list[ast.Name]]:
        """Where each name is read, in the function and the functions within it."""
        found: dict[str, list[ast.Name]] = {}
        for node in ast.walk(self.node):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.setdefault(node.id, []).append(node)
        return found

    def is_context(self, expr: ast.AST) -> bool:
        """Whether an expression is the context of the run, or a class workflow itself."""
        match expr:
            case ast.Attribute(value=ast.Name(), attr="ctx"):
                return True
            case ast.Name():
                return self.is_self(expr) or self._is_context_name(expr)
            case _:
                return False

    def is_self(self, expr: ast.AST) -> bool:
        """Whether an expression is ``self`` in a class workflow."""
        if self.owner is None:
            return False
        match self._binding(expr):
            case [Parameter(node=node, function=function)]:
                within_class = isinstance(self.module.parent_of[function], ast.ClassDef)
                return within_class and parameters(function)[0] is node
            case _:
                return False

    def is_saga(self, expr: ast.AST) -> bool:
        """Whether an expression is what ``async with ctx.saga() as name`` has bound."""
        match self._binding(expr):
            case [Assigned(value=ast.Call(func=ast.Attribute(value=value, attr="saga")))]:
                return self.is_context(value)
            case _:
                return False

    def durable_method(self, call: ast.Call) -> str | None:
        """The name of the method, when a call is one of the run's context, or of a saga."""
        match call.func:
            case ast.Attribute(value=value, attr=attr):
                if self.is_context(value) or (attr in _SAGA and self.is_saga(value)):
                    return attr
                return None
            case _:
                return None

    def _binding(self, expr: ast.AST) -> list[object]:
        if not isinstance(expr, ast.Name):
            return []
        found = self.module.scope_of[expr].lookup(expr.id)
        return list(found[1]) if found else []

    def _is_context_name(self, expr: ast.AST) -> bool:
        match self._binding(expr):
            case [Parameter(node=node)]:
                return is_context_parameter(self.module, node)
            case [Assigned(value=ast.Call(func=func))]:
                return (self.module.dotted(func) or "").endswith(".get_current_context")
            case [Assigned(value=ast.Attribute(value=ast.Name(), attr="ctx"))]:
                return True
            case _:
                return False


def regions(program: Program) -> list[Region]:
    """All code of a program that replays run again, each function once."""
    found: dict[ast.AST, Region] = {}
    waiting = [*_bodies(program)]
    modes: dict[ast.AST, set[bool]] = {}
    while waiting:
        region = waiting.pop(0)
        known = modes.setdefault(region.node, set())
        if region.is_explicit in known:
            continue
        known.add(region.is_explicit)
        found.setdefault(region.node, region)
        waiting += _called(region)
    for node, seen in modes.items():
        # Code that both modes run is held to what holds in both.
        found[node].is_explicit = seen == {True}
    return list(found.values())


def _bodies(program: Program) -> Iterator[Region]:
    for module in program.modules:
        for node in ast.walk(module.tree):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    definition = Definition(module, node)
                    if program.role(definition) == "workflow":
                        yield _body(program, definition)
                case ast.ClassDef():
                    yield from _of_class(program, Definition(module, node))
                case ast.Call(args=[ast.Name() as given, *_]):
                    made = program.marker(module, node.func)
                    target = program.definition(module, given) if made == "workflow" else None
                    if target is not None and isinstance(target.node, FunctionNode):
                        yield _body(program, target)
                case _:
                    pass


def _body(program: Program, definition: Definition) -> Region:
    assert isinstance(definition.node, FunctionNode)  # noqa: S101 - the callers have looked
    explicit = takes_context(definition.module, definition.node)
    return Region(program, definition, "body", definition.node.name, None, explicit)


def _of_class(program: Program, owner: Definition) -> Iterator[Region]:
    assert isinstance(owner.node, ast.ClassDef)  # noqa: S101 - the caller has looked
    if not program.is_class_workflow(owner):
        return
    kinds: tuple[tuple[str, Kind], ...] = (("run", "body"), ("__init__", "init"))
    for name, kind in kinds:
        for statement in owner.node.body:
            if isinstance(statement, FunctionNode) and statement.name == name:
                definition = Definition(owner.module, statement)
                yield Region(program, definition, kind, owner.node.name, owner, is_explicit=True)


def _called(region: Region) -> Iterator[Region]:
    """The functions that a region calls itself, not by way of a step."""
    for node in region.nodes:
        if not isinstance(node, ast.Call):
            continue
        owner, target = _target(region, node.func)
        if target is None or not isinstance(target.node, FunctionNode):
            continue
        is_handed = node in region.handed.calls
        if is_handed and isinstance(target.node, ast.AsyncFunctionDef):
            continue
        if region.program.role(target) == "plain":
            kind: Kind = "init" if region.kind == "init" else "helper"
            yield Region(
                region.program,
                target,
                kind,
                region.workflow,
                owner,
                region.is_explicit,
                returns_to_step=is_handed,
            )


def _target(region: Region, func: ast.expr) -> tuple[Definition | None, Definition | None]:
    match func:
        case ast.Attribute(value=value, attr=attr) if region.owner and region.is_self(value):
            return region.owner, region.program.method(region.owner, attr)
        case _:
            found = region.program.definition(region.module, func)
            # A function within a method still sees its `self`.
            nested = found is not None and _is_within(region, found)
            return (region.owner if nested else None), found


def _is_within(region: Region, found: Definition) -> bool:
    node: ast.AST | None = found.node
    while node is not None and node is not region.node:
        node = region.module.parent_of.get(node)
    return node is not None


def _executed(module: Module, function: FunctionNode) -> Iterator[ast.AST]:
    """The nodes of a function that run when it is called, in the order of the source."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for part in (*node.decorator_list, *node.args.defaults):
                    yield from walk(part)
            case ast.ClassDef():
                for part in node.decorator_list:
                    yield from walk(part)
            case ast.Lambda() if not _runs_at_once(module, node):
                pass
            case _:
                yield node
                for child in ast.iter_child_nodes(node):
                    yield from walk(child)

    for statement in function.body:
        yield from walk(statement)


def _runs_at_once(module: Module, node: ast.Lambda) -> bool:
    """Whether a lambda is given to something that calls it there and then, such as ``sorted``."""
    parent = module.parent_of[node]
    if isinstance(parent, ast.keyword):
        parent = module.parent_of[parent]
    match parent:
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS_LAMBDAS:
            return True
        case ast.Call(func=ast.Attribute(attr="sort")):
            return True
        case _:
            return False
