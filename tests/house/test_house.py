"""What the house forbids and imports cannot say."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "agnt5"
EVENTS = PACKAGE / "events"

MODULES = sorted(PACKAGE.rglob("*.py"))
LEDGER = [path for path in MODULES if path.is_relative_to(EVENTS)]
PURE = [path for path in LEDGER if not path.is_relative_to(EVENTS / "stores")]

LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 50
# A flat `match` over a closed union is long, not complex.
FLAT = frozenset({"decider.py", "state.py"})

# Brackets, so that this file does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.~*}\])-])/(?:work|root)(?![\w-])")
LEFT_UNDONE = re.compile(r"\b(?:TO[D]O|FIX[M]E)\b")

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[AnyFunction]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, AnyFunction):
            yield node


def annotations_of(function: AnyFunction) -> Iterator[ast.expr]:
    given = function.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if argument is not None and argument.annotation is not None:
            yield argument.annotation
    if function.returns is not None:
        yield function.returns


def says_any(annotation: ast.expr) -> bool:
    for node in ast.walk(annotation):
        match node:
            case ast.Name(id="Any") | ast.Attribute(attr="Any"):
                return True
            case ast.Constant(value=str(text)) if re.search(r"\bAny\b", text):
                return True
            case _:
                pass
    return False


def committed_files() -> list[Path]:
    """What is committed or would be; without git, what lies in the folders that are."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        folders = ("src", "tests", "docs", "examples", "benchmarks")
        return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def committed_lines() -> Iterator[tuple[str, str]]:
    for path in committed_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{label(path)}:{number}", line


def test_the_checks_look_at_something() -> None:
    assert PURE
    assert len(MODULES) > len(LEDGER)


@pytest.mark.parametrize("path", PURE, ids=label)
def test_the_ledger_never_waits(path: Path) -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, waiting)]
    assert not found, f"{label(path)} waits in lines {found}: waiting belongs under actors/"


@pytest.mark.parametrize("path", PURE, ids=label)
def test_the_ledger_knows_its_types(path: Path) -> None:
    found = [f.name for f in functions(path) if any(says_any(a) for a in annotations_of(f))]
    assert not found, f"{label(path)}: `Any` in {found}; pydantic's JsonValue may serve"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{label(path)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_a_file_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES_OF_A_FILE, f"{label(path)} has {lines} lines: it does two things"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name not in FLAT], ids=label)
def test_a_function_is_short(path: Path) -> None:
    sizes = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(path)}
    found = {name: lines for name, lines in sizes.items() if lines > LINES_OF_A_FUNCTION}
    assert not found, f"{label(path)} has functions of more than 50 lines: {found}"


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = [where for where, line in committed_lines() if MACHINE_PATH.search(line)]
    assert not found, f"absolute paths of one machine: {found}"


def test_nothing_is_left_undone() -> None:
    found = [where for where, line in committed_lines() if LEFT_UNDONE.search(line)]
    assert not found, f"do it, or open an issue: {found}"


def test_every_room_of_the_ledger_is_held_to_be_pure() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    named = set(contracts["importlinter:contract:pure"]["source_modules"].split())
    rooms = {f"agnt5.events.{p.stem}" for p in EVENTS.iterdir() if p.suffix == ".py"}
    rooms |= {f"agnt5.events.{p.parent.name}" for p in EVENTS.glob("*/__init__.py")}
    rooms -= {"agnt5.events.__init__", "agnt5.events.stores"}
    assert named == rooms
