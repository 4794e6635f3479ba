"""Makes a program of a snippet: what it does not define is stubbed, what it defines is run."""

from __future__ import annotations

import ast
import builtins
import json
import sys
from pathlib import Path

from tests.seeds import classes
from tests.seeds.stubs import INPUTS, definitions

import agnt5

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

PRELUDE = '''
import json, os, signal
from agnt5 import *
from agnt5 import function as _function

_seen = 0

def _effect(name, *args):
    """Leave a line, and die in the middle of the effect whose number is asked for."""
    global _seen
    with open("effects", "a") as file:
        file.write(name + "\\n")
    _seen += 1
    if _seen == int(os.environ.get("AGNT5_DIE_AT", "0")):
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{name}({', '.join(map(str, args))})"

def _helper(name):
    async def helper(*args):
        return _effect(name, *args)
    return helper

class _Service:
    def __init__(self, name):
        self._name = name
    def __getattr__(self, method):
        return _helper(f"{self._name}.{method}")
'''
ENDING = """
import hashlib as _hashlib, hmac as _hmac, time as _time
from agnt5.registry import WorkflowRegistry as _WorkflowRegistry

_SECRET = os.environ["AGNT5_WEBHOOK_SECRET_STRIPE"] = "whsec_seed"
_client = Client(store="sqlite:///seed.db")

def _deliver(event, given):
    \"\"\"What Stripe sends, and as it signs it.\"\"\"
    now, data = str(int(_time.time())), dict(object=given)
    body = json.dumps(dict(id="evt_1", type=event, data=data)).encode()
    mac = _hmac.new(_SECRET.encode(), f"{{now}}.".encode() + body, _hashlib.sha256).hexdigest()
    return _client.deliver_webhook("stripe", {{"Stripe-Signature": f"t={{now}},v1={{mac}}"}}, body)

def _run(kind, name, given):
    \"\"\"Start it by its trigger if it has one, and wait; a second time it is the same run.\"\"\"
    key, component = f"seed-{{name}}", _WorkflowRegistry.get(name)
    specs = component.triggers.specs if component is not None else ()
    if not specs:
        again = dict(session_id="one-session", idempotency_key=key, timeout=40)
        return _client.run(name, given, kind, **again)
    if specs[0].trigger_type == "webhook":
        (submitted,) = _deliver(specs[0].event_name.removeprefix("stripe."), given).runs
    else:
        (submitted,) = _client.emit_event(specs[0].event_name, given, dedupe_id=key)
    return _client.wait_for_result(submitted.run_id, 40)

for _kind, _name, _input in json.loads({todo!r}):
    _response = _run(_kind, _name, _input)
    if _response.status == "paused":
        _client.resume(_response.run_id, "approve")
        _response = _client.wait_for_result(_response.run_id, 40)
    _output = json.dumps(_response.output, default=lambda value: type(value).__name__)
    print(json.dumps([_name, str(_response.status), _output, str(_response.error)]))
"""
FRAGMENT = """
@workflow
async def fragment(ctx: WorkflowContext, doc_ids: list[str]) -> list:
    names = dict(ctx=ctx, process_document=process_document, doc_ids=doc_ids)
    # As a notebook runs a cell that awaits at its top.
    await eval(compile({code!r}, "fragment", "exec", 0x2000), names)
    return names["outputs"]
"""
"""What is around a snippet that awaits outside of a function."""

CLIENT_ENDING = """
if "result" in globals():
    result.raise_for_status()
    assert result.is_success
print(json.dumps("ran"))
"""
SAMPLES = {
    "str": "text",
    "int": 2,
    "float": 1.5,
    "dict": {"a": 1},
    "list": ["a"],
    "list[dict]": [{"a": 1}],
}


def tree_of(code: str) -> ast.Module:
    """The snippet, parsed."""
    return ast.parse(code)


def defined(code: str) -> set[str]:
    """What it defines at the top, or imports."""
    names: set[str] = set()
    for node in tree_of(code).body:
        match node:
            case ast.AsyncFunctionDef() | ast.FunctionDef():
                names.add(node.name)
            case ast.ImportFrom():
                names.update(alias.asname or alias.name for alias in node.names)
            case ast.Assign():
                names.update(t.id for t in node.targets if isinstance(t, ast.Name))
            case _:
                pass
    return names


def components(
    code: str, samples: dict[str, object] = SAMPLES
) -> dict[str, tuple[str, dict[str, object]]]:
    """Decorated functions: their kind, and an input that fits."""
    found: dict[str, tuple[str, dict[str, object]]] = {}
    for node in tree_of(code).body:
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list:
            first = node.decorator_list[0]
            kind = ast.unparse(first.func if isinstance(first, ast.Call) else first)
            given = {
                arg.arg: samples.get(arg.arg) or samples[ast.unparse(arg.annotation)]
                for arg in node.args.args
                if arg.arg != "ctx" and arg.annotation is not None
            }
            found[node.name] = (kind, given)
    for cls in classes.workflow_classes(tree_of(code)):
        given = {
            arg.arg: samples.get(arg.arg) or samples[ast.unparse(arg.annotation)]
            for arg in classes.body_of(cls).args.args
            if arg.annotation is not None
        }
        found[classes.name_of(cls)] = ("workflow", given)
    return found


def wanted(code: str) -> set[str]:
    """Components that its client calls name."""
    return {
        node.args[0].value
        for node in ast.walk(tree_of(code))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "client.run"
        and isinstance(node.args[0], ast.Constant)
    }


def stubs(code: str, also: set[str]) -> str:
    """A definition for each name that it uses and nobody defines."""
    tree = tree_of(code)
    inside = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    known = inside | defined(code) | set(dir(builtins)) | set(agnt5.__all__)
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id not in known]
    services = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    handed = {
        node.args[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"ctx.task", "ctx.step"}
        and isinstance(node.args[0], ast.Name)
    }
    lines = []
    for name in sorted({node.id for node in used}):
        if name == "client":
            lines.append("client = Client()")
        elif name in services:
            lines.append(f"{name} = _Service({name!r})")
        elif name in handed:
            lines += [f"@_function(name={name!r})", f"async def {name}(value: str) -> str:"]
            lines.append(f"    return _effect({name!r}, value)")
        elif name in called:
            lines.append(f"{name} = _helper({name!r})")
        else:
            lines.append(f"{name} = 42")
    for name in sorted(also):
        lines += [f"@_function(name={name!r})", f"async def {name}(**given):"]
        lines.append(f"    return _effect({name!r})")
    return "\n".join(lines) + "\n"


def whole(all_snippets: list[str], index: int) -> str:
    """A snippet as it is; a fragment with what it goes on with, inside of a workflow."""
    code = all_snippets[index]
    if (
        any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ImportFrom)
            for node in tree_of(code).body
        )
        or "await " not in code
    ):
        return code
    used = {node.id for node in ast.walk(tree_of(code)) if isinstance(node, ast.Name)}
    known = [other for other in all_snippets if used & set(components(other, INPUTS | SAMPLES))]
    functions = [
        ast.unparse(node)
        for node in tree_of(known[0]).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name in used
    ]
    return "\n".join([*functions, FRAGMENT.format(code=code)])


def program_with_stubs(code: str, only: str | None = None) -> str:
    """A whole program around a snippet of 001 or 002, which runs its workflows, or one of them."""
    todo = [
        (kind, name, given)
        for name, (kind, given) in components(code, INPUTS).items()
        if kind == "workflow" and only in {None, name}
    ]
    stubbed = PRELUDE + definitions(code) + classes.before(code)
    return stubbed + code + classes.after(code) + ENDING.format(todo=json.dumps(todo))


def program(all_snippets: list[str], index: int, only: str | None = None) -> str:
    """A whole program around one snippet of a document; it runs one component of it, or each."""
    code = all_snippets[index]
    missing = wanted(code) - set(components(code))
    before = ""
    for name in sorted(missing):
        definitions = [other for other in all_snippets if name in components(other)]
        if definitions:
            before += definitions[0]
            missing.discard(name)
    whole = before + code
    todo = [
        (kind, name, given)
        for name, (kind, given) in components(code).items()
        if only in {None, name}
    ]
    ending = ENDING.format(todo=json.dumps(todo)) if todo else CLIENT_ENDING
    return PRELUDE + stubs(whole, missing) + whole + ending
