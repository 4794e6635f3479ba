"""Finds the Python in documents, with fences or as plain text that has lost blank lines or more."""

from __future__ import annotations

import ast
import re

from tests.seeds.layout import Layout

FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
START = re.compile(
    r"^(from agnt5 import|@function|@workflow|client = |client\.run|result = client)"
)
HEADER = re.compile(r"^(?:async def|def|if|for|while|with)\b.*:\s*(?:#.*)?$")
# Where a document's formatting has glued the next paragraph to the last line of the code.
GLUE = re.compile(r"(?<=[a-z0-9)\]}\"'])(?=[A-Z|])")
LONGEST = 60


def snippets(text: str, layout: Layout | None = None) -> list[str]:
    """The snippets of a document, in order; each is valid Python."""
    if layout is not None:
        lines = text.splitlines()
        return [laid_out(lines[first - 1 : last], first, ends) for first, last, ends in layout]
    fenced = FENCE.findall(text)
    return fenced or _unfenced(text.splitlines())


def _unfenced(lines: list[str]) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(lines):
        if START.match(lines[at]):
            code, taken = _longest(lines[at : at + LONGEST])
            if code:
                found.append(code)
                at += taken
                continue
        at += 1
    return found


def _longest(lines: list[str]) -> tuple[str, int]:
    """The longest beginning of these lines that is Python, and how many lines it takes."""
    best = "", 0
    for count in range(1, len(lines) + 1):
        head, last = lines[: count - 1], lines[count - 1]
        for ending in _endings(last):
            code = _parsed([*head, ending])
            if code is not None:
                best = code, count
                break
    return best


def _endings(line: str) -> list[str]:
    """The line as it is, and what is left of it without a glued paragraph."""
    return [line, *(line[: glue.start()] for glue in GLUE.finditer(line))]


def _parsed(lines: list[str]) -> str | None:
    code = "\n".join(indented(lines)) + "\n"
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    # A heading such as "Composition" is a valid expression, too.
    prose = any(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Name) for node in tree.body
    )
    return None if prose or not tree.body else code


def indented(lines: list[str]) -> list[str]:
    """Gives a body whose indentation is lost one: up to its ``return``, one line for an ``if``."""
    found: list[str] = []
    in_function = in_block = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(" ") or not line.strip():
            found.append(line)
            continue
        found.append("    " * (in_function + in_block) + line)
        in_block = False
        if HEADER.match(line) and following and not following.startswith(" "):
            if "def " in line:
                in_function = True
            else:
                in_block = True
        if line.startswith("return"):
            in_function = False
    return found


def laid_out(lines: list[str], first: int, ends: dict[int, int]) -> str:
    """The lines with their indentation, and the last one without a glued paragraph."""
    found: list[str] = []
    level = depth = 0
    for number, line in enumerate(lines, first):
        if not depth:
            level = ends.get(number, level)
        found.append("    " * (level + (depth > 0)) + line)
        code = re.sub(r"#.*", "", re.sub(r"f?\"[^\"]*\"", "", line))
        depth += sum(map(code.count, "([{")) - sum(map(code.count, ")]}"))
        if not depth and code.rstrip().endswith(":"):
            level += 1
    for ending in (*_endings(found[-1]), *_cuts(found[-1])):
        code = "\n".join([*found[:-1], ending]) + "\n"
        if _is_python(code):
            return code
    raise AssertionError("\n".join(found))


def _cuts(line: str) -> list[str]:
    """What may be left of a line without a paragraph that does not begin with a capital."""
    return [
        line[:at]
        for at in range(len(line), 0, -1)
        if line[at:].startswith(" ") or line[at - 1] == "}"
    ]


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True
