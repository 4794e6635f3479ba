"""What the snippets of documents 001 and 002 call and nobody defines, and inputs that fit them.

Helpers that they await are steps; each leaves a line in the file of effects and answers with an
object that has whatever field a snippet reads.
"""

from __future__ import annotations

import ast
import builtins

from tests.seeds import classes

import agnt5

SAMPLE = {
    "id": "1",
    "order_id": "o-1",
    "items": ["a"],
    "payment": {"amount": 5},
    "payment_info": {"amount": 5},
    "input": [1, 2],
    "type": "user.created",
    "amount": 5000,
    "data": {"n": 1},
    "query": "all",
    "destination": "warehouse",
    "enable_analytics": True,
    "enable_notifications": True,
    "enable_backup": False,
}
"""A dict for every parameter that is one."""

INPUTS: dict[str, object] = {
    "dict": SAMPLE,
    "list": ["good", "bad"],
    "list[str]": ["a", "b"],
    "str": "text",
    "int": 2,
    "float": 1.5,
    "workflow_requests": ["good", "fine"],
}
"""By the parameter's name, else by its annotation."""

PRELUDE = '''
import asyncio as _asyncio
import contextlib as _contextlib
import time as _time
import agnt5.actors.clock as _clock
from agnt5 import task as _task, workflow as _workflow
from agnt5.function import Function as _Function
from agnt5.scopes import Operation as _Operation

_call_function = _Function.call

def _call(self, info, args, kwargs):
    """The snippet's own functions leave a line as well, and may be died in."""
    if self.name in _own:
        _effect(self.name)
    return _call_function(self, info, args, kwargs)

_Function.call = _call

_call_state = _Operation.call

async def _use_state(self, *given):
    """Sessions, too: die when what was asked has been done, but is not yet on record in the run."""
    answer = await _call_state(self, *given)
    _effect(self.label)
    return answer

_Operation.call = _use_state

_ANSWER = {
    "id": "a-1", "order_id": "o-1", "customer_id": "c-1", "customer_email": "c@example.com",
    "items": ["a"], "payment": {"amount": 5}, "valid": True, "approved": True, "sent": True,
    "success": True, "status": "done", "count": 3, "approval_id": "ap-1", "reason": "none",
    "errors": [],
}

class TransientError(Exception):
    pass

class PermanentError(Exception):
    pass

class _Connection:
    """Not recordable, as connections are."""
    def __init__(self):
        self.lock = _asyncio.Lock()

@_contextlib.asynccontextmanager
async def _connected():
    yield _Connection()

_FAILURES = {
    "critical_processing_step": PermanentError("broken for good"),
    "fulfill_order": RuntimeError("out of stock"),
}

def _answer(name, args):
    """Leave a line, change a shared dict, fail where that is the point, and answer."""
    _effect(name)
    for arg in args:
        if isinstance(arg, dict) and "processed_count" in arg:
            arg["processed_count"] += 1
    if name in _FAILURES:
        raise _FAILURES[name]
    if "bad" in args:
        raise ValueError("bad item")
    return {**_ANSWER, "by": name}
'''

HURRY = """
_clock._LONGEST_WAIT_S, _begun = 0.01, _time.time_ns()
_clock.SystemClock.now = lambda _: (_begun + (_time.time_ns() - _begun) * 1_000_000) // 1000
"""
"""A clock that runs a million times too fast, so that 24 hours pass."""

PLAIN = {
    "asyncio": "import asyncio",
    "datetime": "from datetime import datetime",
    "clean_and_validate": "def clean_and_validate(data): return dict(data)",
    "generate_batch_id": "def generate_batch_id(): return 'batch-1'",
    "chunk_data": "def chunk_data(data, batch_size): return [list(data)[:1], list(data)[1:2]]",
    "log_compensation_error": "def log_compensation_error(*args): pass",
    "group_by_type": (
        "def group_by_type(requests):\n"
        "    return dict.fromkeys(['data_processing', 'notification', 'other'], requests)"
    ),
    "acquire_database_connection": "acquire_database_connection = _connected",
    "acquire_api_client": "acquire_api_client = _connected",
    **classes.PLAIN,
}
"""Helpers that are not awaited."""

IN_PRELUDE = {"TransientError", "PermanentError"}


def _bound(tree: ast.Module) -> set[str]:
    """Names that a snippet gives a meaning itself."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                found.add(name)
            case ast.ImportFrom(names=names):
                found.update(alias.asname or alias.name for alias in names)
            case _:
                pass
    return found


def decorated(tree: ast.Module) -> dict[str, str]:
    """The functions of a snippet that have a decorator, and which one."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            first = node.decorator_list[0]
            found[node.name] = ast.unparse(first.func if isinstance(first, ast.Call) else first)
    return found


def definitions(code: str) -> str:
    """A definition for each name that a snippet uses and nobody defines."""
    tree = ast.parse(code)
    known = _bound(tree) | set(dir(builtins)) | set(agnt5.__all__) | IN_PRELUDE
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    explicit = any(isinstance(node, ast.arg) and node.arg == "ctx" for node in ast.walk(tree))
    own = [name for name, kind in decorated(tree).items() if kind != "workflow"]
    lines = [PRELUDE, f"_own = {own!r}", *([HURRY] if "ctx.sleep(" in code else [])]
    for name in sorted(used - known):
        lines.append(_definition(name, explicit=explicit))
    return "\n".join(lines) + "\n"


def _definition(name: str, *, explicit: bool) -> str:
    if name in PLAIN:
        return PLAIN[name]
    answer = f"    return _answer({name!r}, args)"
    if explicit:
        return f"@_function\nasync def {name}(*args):\n{answer}"
    if name.endswith(("_flow", "_workflow")):
        inner = f"_{name}"
        step = f"@_task\nasync def {inner}(*args):\n{answer}\n"
        return f"{step}@_workflow\nasync def {name}(request):\n    return await {inner}(request)"
    return f"@_task\ndef {name}(*args, **options):\n{answer}"
