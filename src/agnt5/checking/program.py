"""All modules that were given, and how a name in one leads to a definition in another."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agnt5.checking.modules import Module
from agnt5.checking.scopes import Assigned, Binding, Defined, FunctionNode, Imported, parameters

Role = Literal["workflow", "function", "task", "tool", "plain", "unknown"]
"""What a function is to agnt5. ``unknown``: a decorator may have made anything of it."""

_DECORATORS: dict[str, Role] = {
    f"agnt5.{home}{name}": name
    for name in ("workflow", "function", "task", "tool")
    for home in ("", f"{name}.")
}
_CLASS = frozenset({"agnt5.Workflow", "agnt5.class_workflow.Workflow"})
_TRANSPARENT = (
    "functools.wraps",
    "functools.cache",
    "functools.lru_cache",
    "contextlib.contextmanager",
    "contextlib.asynccontextmanager",
    "builtins.staticmethod",
    "builtins.classmethod",
    "typing.overload",
    "typing.no_type_check",
)
"""Decorators under which a call still runs the function's own code."""
_FOLLOWED = 8


@dataclass(frozen=True)
class Definition:
    """A function or class, and the module that it stands in."""

    module: Module
    node: FunctionNode | ast.ClassDef


class Program:
    """Modules that are looked at together.

    Args:
        modules: The modules.
    """

    def __init__(self, modules: Iterable[Module]) -> None:
        self.modules = list(modules)
        self._by_suffix: dict[tuple[str, ...], list[Module]] = {}
        for module in self.modules:
            for at in range(len(module.parts)):
                self._by_suffix.setdefault(module.parts[at:], []).append(module)

    def definition(self, module: Module, expr: ast.AST) -> Definition | None:
        """The function or class that an expression names, in whatever module it stands."""
        if isinstance(expr, ast.Name):
            found = module.scope_of[expr].lookup(expr.id)
            if found is None:
                return None
            return self._defined(module, found[1])
        dotted = module.dotted(expr)
        return self._located(dotted, module) if dotted else None

    def role(self, definition: Definition) -> Role:
        """What the decorators of a function make of it."""
        role: Role = "plain"
        for decorator in definition.node.decorator_list:
            made = self.marker(definition.module, decorator)
            if made is not None:
                return made
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if definition.module.dotted(called) not in _TRANSPARENT:
                role = "unknown"
        return role

    def marker(self, module: Module, expr: ast.AST, followed: int = 0) -> Role | None:
        """Which decorator of agnt5 an expression is, however it is spelt."""
        if followed > _FOLLOWED:
            return None
        dotted = module.dotted(expr)
        if dotted is not None:
            if dotted in _DECORATORS:
                return _DECORATORS[dotted]
            elsewhere = self._bindings(dotted, module)
            match elsewhere:
                case (home, [Assigned(value=value)]):
                    return self.marker(home, value, followed + 1)
                case (home, [Imported(dotted=further)]):
                    return _DECORATORS.get(further)
                case _:
                    return None
        match expr:
            case ast.Call(func=func, args=[]):
                return self.marker(module, func, followed + 1)
            case ast.Name(id=name):
                found = module.scope_of[expr].lookup(name)
                match found[1] if found else []:
                    case [Assigned(value=ast.Call() as value)]:
                        return self.marker(module, value, followed + 1)
                    case _:
                        return None
            case _:
                return None

    def is_class_workflow(self, definition: Definition, followed: int = 0) -> bool:
        """Whether a class derives from ``Workflow``, directly or by way of others."""
        if not isinstance(definition.node, ast.ClassDef) or followed > _FOLLOWED:
            return False
        for base in definition.node.bases:
            if definition.module.dotted(base) in _CLASS:
                return True
            above = self.definition(definition.module, base)
            if above is not None and self.is_class_workflow(above, followed + 1):
                return True
        return False

    def method(self, owner: Definition, name: str, followed: int = 0) -> Definition | None:
        """A method of a class, or of the classes that it derives from."""
        if not isinstance(owner.node, ast.ClassDef) or followed > _FOLLOWED:
            return None
        for statement in owner.node.body:
            if isinstance(statement, FunctionNode) and statement.name == name:
                return Definition(owner.module, statement)
        for base in owner.node.bases:
            above = self.definition(owner.module, base)
            found = above and self.method(above, name, followed + 1)
            if found:
                return found
        return None

    def _located(self, dotted: str, importer: Module, followed: int = 0) -> Definition | None:
        found = self._bindings(dotted, importer) if followed < _FOLLOWED else None
        return self._defined(*found, followed + 1) if found else None

    def _defined(
        self, module: Module, bindings: list[Binding], followed: int = 0
    ) -> Definition | None:
        match bindings:
            case [*_, Defined(node=node)]:
                return Definition(module, node)
            case [Imported(dotted=dotted)]:
                return self._located(dotted, module, followed)
            case _:
                return None

    def _bindings(self, dotted: str, importer: Module) -> tuple[Module, list[Binding]] | None:
        home, _, name = dotted.rpartition(".")
        module = self._module(tuple(home.split(".")), importer) if home else None
        bindings = module.scope.bindings.get(name) if module else None
        return (module, bindings) if module and bindings else None

    def _module(self, parts: tuple[str, ...], importer: Module) -> Module | None:
        """The one module of that name; several of the same name may be any of them."""
        if parts[0] in sys.stdlib_module_names:
            return None
        found = self._by_suffix.get(parts, [])
        beside = [each for each in found if each.parts[:-1] == importer.parts[:-1]]
        match beside if len(parts) == 1 and beside else found:
            case [only]:
                return only
            case _:
                return None


def takes_context(module: Module, node: FunctionNode) -> bool:
    """Whether a function's first parameter is a context: explicit mode."""
    given = [each for each in parameters(node) if each.arg not in {"self", "cls"}]
    return bool(given) and is_context_parameter(module, given[0])


def is_context_parameter(module: Module, parameter: ast.arg) -> bool:
    """Whether a parameter is a context: by its name, or by its annotation."""
    match parameter.annotation:
        case None:
            return parameter.arg == "ctx"
        case ast.Constant(value=str(text)):
            return parameter.arg == "ctx" or text.rpartition(".")[2] in _CONTEXTS
        case annotation:
            name = (module.dotted(annotation) or "").rpartition(".")[2]
            return parameter.arg == "ctx" or name in _CONTEXTS


_CONTEXTS = frozenset({"WorkflowContext", "Context"})
