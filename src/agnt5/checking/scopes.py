"""Which name means what, where: scopes of one module, and what is bound in each."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Imported:
    """Bound by an import; ``dotted`` is the full name of what was imported."""

    dotted: str


@dataclass(frozen=True)
class Defined:
    """Bound by ``def`` or ``class``."""

    node: FunctionNode | ast.ClassDef


@dataclass(frozen=True)
class Assigned:
    """Bound by ``name = value``, or by ``with value as name``."""

    value: ast.expr


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function."""

    node: ast.arg
    function: FunctionNode | ast.Lambda


@dataclass(frozen=True)
class Opaque:
    """Bound in a way that says nothing of the value: a loop, unpacking, ``del``."""


Binding = Imported | Defined | Assigned | Parameter | Opaque


@dataclass(eq=False)
class Scope:
    """The names of a module, class, function or comprehension."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    """Names that ``global`` or ``nonlocal`` gives to a scope around this one."""
    stars: list[str] = field(default_factory=list)
    """Modules of which all names were imported."""

    def bind(self, name: str, binding: Binding) -> None:
        """Add a binding, in the scope to which the name belongs."""
        self._home(name).bindings.setdefault(name, []).append(binding)

    def lookup(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope that binds a name as it is seen from here, and its bindings there."""
        scope: Scope | None = self._home(name)
        first = True
        while scope is not None:
            # The names of a class are not seen by the functions in it.
            if (first or not isinstance(scope.node, ast.ClassDef)) and name in scope.bindings:
                return scope, scope.bindings[name]
            scope, first = scope.parent, False
        return None

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        return self if self.parent is None else self.parent.module

    def _home(self, name: str) -> Scope:
        match self.declared.get(name):
            case "global":
                return self.module
            case "nonlocal":
                scope = self.parent
                while scope is not None and name not in scope.bindings:
                    scope = scope.parent
                return scope or self
            case _:
                return self


class ScopeBuilder:
    """Walks a module once, and writes down its scopes, and each node's parent and scope."""

    def __init__(self, tree: ast.Module, package: tuple[str, ...]) -> None:
        self.root = Scope(tree, None)
        self.scope_of: dict[ast.AST, Scope] = {tree: self.root}
        self.parent_of: dict[ast.AST, ast.AST] = {}
        self._package = package
        self._children(tree, self.root)

    def _children(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self.parent_of[child] = node
            self._visit(child, scope)

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        self.scope_of[node] = scope
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.bind(node.name, Defined(node))
                self._function(node, scope)
                return
            case ast.Lambda():
                self._function(node, scope)
                return
            case ast.ClassDef():
                scope.bind(node.name, Defined(node))
                around = [
                    *node.decorator_list,
                    *node.bases,
                    *node.keywords,
                    *_type_parameters(node),
                ]
                self._outside(node, around, scope)
                self._inside(node, node.body, Scope(node, scope))
                return
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._children(node, Scope(node, scope))
                return
            case _:
                self._bind(node, scope)
        self._children(node, scope)

    def _outside(self, node: ast.AST, parts: list[ast.AST], scope: Scope) -> None:
        for part in parts:
            self.parent_of[part] = node
            self._visit(part, scope)

    def _inside(self, node: ast.AST, body: list[ast.stmt], scope: Scope) -> None:
        for statement in body:
            _declare(statement, scope)
        self._outside(node, list(body), scope)

    def _function(self, node: FunctionNode | ast.Lambda, scope: Scope) -> None:
        given = node.args
        outside: list[ast.AST] = [*given.defaults, *(d for d in given.kw_defaults if d)]
        if not isinstance(node, ast.Lambda):
            outside += [*node.decorator_list, *([node.returns] if node.returns else [])]
            outside += _type_parameters(node)
        inner = Scope(node, scope)
        for parameter in parameters(node):
            inner.bind(parameter.arg, Parameter(parameter, node))
            if parameter.annotation is not None:
                outside.append(parameter.annotation)
        self._outside(node, outside, scope)
        if isinstance(node, ast.Lambda):
            self._outside(node, [node.body], inner)
        else:
            self._inside(node, node.body, inner)

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    scope.bind(name, Imported(alias.name if alias.asname else name))
            case ast.ImportFrom():
                source = self._source(node)
                for alias in node.names:
                    if alias.name == "*":
                        scope.module.stars.append(source)
                    else:
                        scope.bind(alias.asname or alias.name, Imported(f"{source}.{alias.name}"))
            case ast.Assign(targets=[*targets], value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        scope.bind(target.id, Assigned(value))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                scope.bind(name, Assigned(value))
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                _function_scope(scope).bind(name, Assigned(value))
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                scope.bind(name, Assigned(value))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                scope.bind(name, Opaque())
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if not self._is_told(node):
                scope.bind(name, Opaque())
            case _:
                pass

    def _is_told(self, node: ast.Name) -> bool:
        """Whether the statement around a stored name has bound it already, with its value."""
        match self.parent_of[node]:
            case ast.Assign() | ast.NamedExpr() | ast.withitem():
                return True
            case ast.AnnAssign():
                return True  # an annotation without a value binds nothing
            case _:
                return False

    def _source(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        kept = self._package[: len(self._package) - node.level + 1]
        return ".".join([*kept, *([node.module] if node.module else [])])


def parameters(node: FunctionNode | ast.Lambda) -> list[ast.arg]:
    """All parameters of a function, in order."""
    given = node.args
    optional = [each for each in (given.vararg, given.kwarg) if each is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *optional]


def _type_parameters(node: ast.AST) -> list[ast.AST]:
    """``[T: bound]`` behind a name, which Python has since 3.12."""
    return list(getattr(node, "type_params", []))


def _function_scope(scope: Scope) -> Scope:
    """Where ``:=`` binds: the function around a comprehension."""
    while isinstance(scope.node, _Comprehension) and scope.parent is not None:
        scope = scope.parent
    return scope


def _declare(node: ast.AST, scope: Scope) -> None:
    """Note ``global`` and ``nonlocal``, which hold for a whole function, before it is walked."""
    match node:
        case ast.Global():
            scope.declared.update(dict.fromkeys(node.names, "global"))
        case ast.Nonlocal():
            scope.declared.update(dict.fromkeys(node.names, "nonlocal"))
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.expr():
            pass
        case _:
            for child in ast.iter_child_nodes(node):
                _declare(child, scope)
