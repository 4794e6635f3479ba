"""Class-based workflows and agents of document 002: their names, and what nobody defines for them.

Helpers that steps call at once are plain functions here, missing methods are set on the class after
the snippet, and every model answers with what it was asked, leaving a line in the file of effects.
"""

from __future__ import annotations

import ast

import agnt5

PLAIN = {
    "is_valid": "def is_valid(item): return True",
    "perform_analysis": "def perform_analysis(batch): return _answer('perform_analysis', batch)",
    "aggregate_analysis_results": (
        "def aggregate_analysis_results(results):\n"
        "    return _answer('aggregate_analysis_results', results)"
    ),
}

MODEL = """
from agnt5 import Agent as _Agent, lm as _lm, tool as _tool

class _Model(_lm.LanguageModel):
    def __init__(self, name):
        self.name = name
    async def generate(self, request):
        _effect(f"model {request.messages[-1].content}"[:40].replace("\\n", " "))
        return _lm.GenerateResponse(f"{self.name} thinks so")

_lm.register_provider("openai", _Model)
"""


def workflow_classes(tree: ast.Module) -> list[ast.ClassDef]:
    """The classes that are workflows."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "Workflow" for b in node.bases)
    ]


def name_of(cls: ast.ClassDef) -> str:
    """What it calls itself, or its own name."""
    for call in (node for node in ast.walk(cls) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) == "super().__init__":
            for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
                return str(ast.literal_eval(value))
    return cls.name


def body_of(cls: ast.ClassDef) -> ast.AsyncFunctionDef:
    """Its ``run``."""
    return next(n for n in cls.body if isinstance(n, ast.AsyncFunctionDef) and n.name == "run")


def before(code: str) -> str:
    """Models, and the agents and tools that are called by a name that nobody defines."""
    tree = ast.parse(code)
    if "Agent" not in code and "call_agent" not in code:
        return ""
    lines = [MODEL]
    made = {name for agent in _calls(tree, "Agent") for name in _named(agent)}
    for call in _calls(tree, "self.call_agent"):
        name = ast.literal_eval(call.args[0])
        if name not in made:
            lines.append(f"_Agent({name!r}, 'gpt-4o')")
    for call in _calls(tree, "self.call_tool"):
        name = ast.literal_eval(call.args[0])
        lines += [
            f"@_tool(name={name!r}, recovery_policy='retry')",
            "async def _called(message: str) -> str:",
            '    """Tell somebody."""',
            f"    return _effect({name!r})",
        ]
    return "\n".join(lines) + "\n"


def after(code: str) -> str:
    """The methods that a class uses and nobody defines."""
    lines: list[str] = []
    for cls in workflow_classes(ast.parse(code)):
        own = {n.name for n in cls.body if isinstance(n, ast.AsyncFunctionDef | ast.FunctionDef)}
        used = {
            node.attr
            for node in ast.walk(cls)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and isinstance(node.ctx, ast.Load)
        }
        stored = {
            node.attr
            for node in ast.walk(cls)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        for name in sorted(used - own - stored - set(dir(agnt5.Workflow))):
            lines += [f"async def _{name}(self, *args):", f"    return _answer({name!r}, args)"]
            lines.append(f"{cls.name}.{name} = _{name}")
    return "\n".join(lines) + "\n"


def _calls(tree: ast.Module, function: str) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == function]


def _named(agent: ast.Call) -> list[str]:
    return [str(ast.literal_eval(k.value)) for k in agent.keywords if k.arg == "name"]
