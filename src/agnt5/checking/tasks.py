"""Calls that are not awaited, not recorded, or whose cancellation is lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agnt5.checking.hits import Hit, spelled
from agnt5.checking.regions import Region
from agnt5.checking.scopes import FunctionNode

_AWAITED = frozenset(
    {"step", "task", "run", "sleep", "timer", "signal", "wait_for_signal", "wait_for_user"}
    | {"wait_for_reply", "parallel", "gather", "batch", "map", "call_tool", "call_agent"}
)
"""Methods of a context that give something to await. A child may be left to itself."""
_SHARED = frozenset({"get", "set", "delete", "keys", "clear", "update"})
_TASKS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})
_SWALLOWED = frozenset({"builtins.BaseException"})


def tasks(region: Region) -> Iterator[Hit]:
    """What is started and not waited for, swallowed, or run without being recorded."""
    for node in region.nodes:
        match node:
            case ast.Expr(value=ast.Call() as call):
                yield from _dropped(region, call, "and nobody waits for it")
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                if name not in region.loads:
                    yield from _dropped(region, call, f"and {name!r} is never used")
            case ast.Try() | ast.TryStar():
                yield from _swallowed(region, node)
            case ast.With(items=items, body=body) if _waits(body):
                yield from (hit for item in items for hit in _suppressed(region, item.context_expr))
            case ast.Call():
                yield from _direct(region, node)
            case _:
                pass


def _dropped(region: Region, call: ast.Call, how: str) -> Iterator[Hit]:
    durable = _durable(region, call)
    if durable is not None:
        yield Hit("AG403", call, f"{durable}() is a durable call {how}")
        return
    dotted = region.module.dotted(call.func)
    if dotted in _TASKS:
        message = f"{dotted}() starts a task {how}: it ends with the body, wherever it is"
        yield Hit("AG402", call, message)


def _durable(region: Region, call: ast.Call) -> str | None:
    """How a call that must be awaited is spelt; None when it is none."""
    method = region.durable_method(call)
    if method in _AWAITED:
        return spelled(call.func)
    match call.func:
        case ast.Attribute(
            value=ast.Attribute(
                value=ast.Attribute(value=ast.expr() as context, attr="session" | "user"),
                attr="state",
            ),
            attr=attr,
        ) if attr in _SHARED and region.is_context(context):
            return spelled(call.func)
        case _:
            pass
    target = region.program.definition(region.module, call.func)
    role = region.program.role(target) if target else "plain"
    steps = {"task", "tool", "workflow"} | ({"function"} if not region.is_explicit else set())
    return spelled(call.func) if role in steps else None


def _direct(region: Region, call: ast.Call) -> Iterator[Hit]:
    if not region.is_explicit or call in region.handed.calls:
        return
    target = region.program.definition(region.module, call.func)
    if target is not None and region.program.role(target) == "function":
        name = spelled(call.func)
        message = f"{name}() is called without a step: it is not recorded, and every replay runs it"
        yield Hit("AG601", call, message)


def _swallowed(region: Region, node: ast.Try | ast.TryStar) -> Iterator[Hit]:
    if not _waits(node.body):
        return
    for handler in node.handlers:
        if _catches_all(region, handler.type) and not _raises(handler.body):
            caught = f"'except {spelled(handler.type)}'" if handler.type else "'except:'"
            message = (
                f"{caught} around an await swallows cancellation, and the end of a parked body"
            )
            yield Hit("AG404", handler, message)


def _suppressed(region: Region, expr: ast.expr) -> Iterator[Hit]:
    match expr:
        case ast.Call(func=func, args=given):
            if region.module.dotted(func) == "contextlib.suppress" and any(
                region.module.dotted(each) in _SWALLOWED for each in given
            ):
                message = "suppress(BaseException) around an await swallows cancellation"
                yield Hit("AG404", expr, message)
        case _:
            pass


def _catches_all(region: Region, caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Tuple(elts=parts):
            return any(_catches_all(region, part) for part in parts)
        case _:
            return region.module.dotted(caught) in _SWALLOWED


def _raises(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.Raise) for node in _own(body))


def _waits(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in _own(body))


def _own(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of some statements, without those of functions that they define."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, FunctionNode | ast.Lambda | ast.ClassDef):
            yield node
            waiting.extend(ast.iter_child_nodes(node))
