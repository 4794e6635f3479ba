"""Things that outlive a pass, or that a step changes behind the body's back."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agnt5.checking.hits import Hit, spelled
from agnt5.checking.modules import Module
from agnt5.checking.program import Definition, is_context_parameter
from agnt5.checking.regions import Region
from agnt5.checking.scopes import Assigned, Binding, FunctionNode, parameters

_CHANGES = frozenset(
    {"append", "extend", "insert", "remove", "pop", "clear", "update", "add", "discard"}
    | {"setdefault", "popitem", "appendleft", "popleft", "sort", "reverse", "subtract"}
)
_CONTAINERS = frozenset(
    {"builtins.list", "builtins.dict", "builtins.set", "collections.deque", "collections.Counter"}
    | {"collections.defaultdict", "collections.OrderedDict", "builtins.bytearray"}
)
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})


def globals_changed(region: Region) -> Iterator[Hit]:
    """Variables of the module, or of another one, that a body changes."""
    if region.kind == "init":
        return
    module = region.module
    for node in region.nodes:
        for name, target in _changed(module, node):
            found = module.scope_of[name].lookup(name.id)
            if found is None or found[0] is not module.scope:
                continue
            if not isinstance(node, ast.Call) or _holds_container(module, found[1]):
                message = (
                    f"{spelled(target)!r} is changed, which outlives the run: other runs and"
                    " replays find it changed"
                )
                yield Hit("AG501", node, message)


def closures_changed(region: Region) -> Iterator[Hit]:
    """Variables of a body that what it hands to a step changes: a replay does not run the step."""
    module, bodies = region.module, _functions_of_the_body(region)
    for closure in _closures(region):
        for node in _inside(closure):
            for name, target in _changed(module, node):
                found = module.scope_of[name].lookup(name.id)
                if found is None or found[0].node not in bodies or region.is_context(name):
                    continue
                if not isinstance(node, ast.Call) or _holds_container(module, found[1]):
                    message = (
                        f"a step changes {spelled(target)!r} of the body around it: on replay"
                        " the step does not run, and the change is lost"
                    )
                    yield Hit("AG502", node, message)


def caches(region: Region) -> Iterator[Hit]:
    """``functools.cache`` over what waits, or over a context."""
    for decorator in region.node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        dotted = region.module.dotted(called)
        over_context = any(is_context_parameter(region.module, p) for p in parameters(region.node))
        if dotted in _CACHES and (over_context or isinstance(region.node, ast.AsyncFunctionDef)):
            message = f"{dotted} keeps what one run was told for the others, until the process ends"
            yield Hit("AG503", decorator, message)


def _changed(module: Module, node: ast.AST) -> Iterator[tuple[ast.Name, ast.expr]]:
    """What a node changes: the variable at the root, and the whole target."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            for target in targets:
                yield from _rooted(module, target)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
            yield from _rooted(module, target)
        case ast.NamedExpr(target=target):
            yield from _rooted(module, target)
        case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr=attr)) if attr in _CHANGES:
            yield name, name
        case _:
            pass


def _rooted(module: Module, target: ast.expr) -> Iterator[tuple[ast.Name, ast.expr]]:
    root = target
    while isinstance(root, ast.Subscript | ast.Attribute | ast.Starred):
        root = root.value
    match root:
        case ast.Name():
            yield root, target
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _rooted(module, part)
        case _:
            pass


def _holds_container(module: Module, bindings: list[Binding]) -> bool:
    """Whether a variable holds a list, dict, set or the like, as far as can be told."""
    for binding in bindings:
        match binding:
            case Assigned(value=ast.List() | ast.Dict() | ast.Set()):
                return True
            case Assigned(value=ast.ListComp() | ast.DictComp() | ast.SetComp()):
                return True
            case Assigned(value=ast.Call(func=func)) if module.dotted(func) in _CONTAINERS:
                return True
            case _:
                pass
    return False


def _closures(region: Region) -> Iterator[FunctionNode | ast.Lambda]:
    """The functions within a body that it hands to steps."""
    found: list[ast.AST] = []
    for given in region.handed.callables:
        if isinstance(given, ast.Lambda):
            found.append(given)
        else:
            target = region.program.definition(region.module, given)
            found += [target.node] if target else []
    for call in region.handed.calls:
        target = region.program.definition(region.module, call.func)
        if target is not None and isinstance(target.node, ast.AsyncFunctionDef):
            found.append(target.node)
    for node in dict.fromkeys(found):
        if isinstance(node, FunctionNode | ast.Lambda) and _is_nested(region, node):
            yield node


def _is_nested(region: Region, node: ast.AST) -> bool:
    at: ast.AST | None = region.module.parent_of.get(node)
    while at is not None and not isinstance(at, FunctionNode):
        at = region.module.parent_of.get(at)
    if at is None:
        return False
    if isinstance(node, FunctionNode):
        return region.program.role(Definition(region.module, node)) == "plain"
    return True


def _functions_of_the_body(region: Region) -> set[ast.AST]:
    """The function of a region, and those around it up to the workflow's body."""
    around: list[ast.AST] = []
    found: set[ast.AST] = {region.node}
    at: ast.AST | None = region.node
    while at is not None:
        around.append(at)
        if isinstance(at, FunctionNode):
            role = region.program.role(Definition(region.module, at))
            found |= set(around) if role == "workflow" else set()
        at = region.module.parent_of.get(at)
    return found


def _inside(closure: FunctionNode | ast.Lambda) -> Iterator[ast.AST]:
    body: list[ast.AST] = [closure.body] if isinstance(closure, ast.Lambda) else [*closure.body]
    for part in body:
        yield from ast.walk(part)
