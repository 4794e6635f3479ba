"""The pages of the documentation, and how the Python on them is run.

A page runs as one module, block after block. A ``text`` block that follows a Python block is what
that block prints; ``...`` stands for anything. Any other ``text`` block is a picture. A block whose
first line is ``# file: NAME`` is a program: the test of its page writes it to a file of that name.
``# add to: NAME``, ``# replace in: NAME`` and ``# remove from: NAME`` are edits of such a file.

On the pages of ``WITH_COMMANDS`` the ``console`` blocks are run too, where they stand: each line
that begins with ``$ agnt5`` in this process, beside whatever the page has open, and what follows it
is what it prints. ``$ export NAME=VALUE`` holds for the commands after it.
"""

from __future__ import annotations

import doctest
import io
import re
import shlex
import sys
import types
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

from agnt5.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

WITH_COMMANDS = (ROOT / "docs" / "howto" / "audit-questions.md",)

_LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_FILE = re.compile(r"# file: (\S+)\n")
_EDIT = re.compile(r"# (?:file|add to|replace in|remove from): ")


LANGUAGES = ("python", "text", "console", "sql")


@dataclass
class Block:
    """A fenced block: its language, its source, and the line of its first line."""

    language: str
    source: str
    line: int


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _leave(_: Example) -> None:
    """Blocks are read with Sybil's parser and run by this module."""


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a page that names its language."""
    found: list[Block] = []
    for language in LANGUAGES:
        document = Document.parse(str(path), CodeBlockParser(language, _leave))
        for example in document.examples():
            line = example.line + example.parsed.line_offset + 1
            found.append(Block(language, str(example.parsed), line))
    return sorted(found, key=lambda block: block.line)


def programs(path: Path) -> dict[str, str]:
    """The blocks of a page that are files, by name."""
    found: dict[str, str] = {}
    for block in blocks(path):
        named = _FILE.match(block.source)
        if block.language == "python" and named:
            found[named[1]] = block.source
    return found


def run_page(path: Path) -> None:
    """Run the Python of a page, and hold what it prints against what the page says."""
    module = types.ModuleType("page_" + re.sub(r"\W", "_", label(path)))
    sys.modules[module.__name__] = module
    try:
        printed: str | None = None
        for block in blocks(path):
            if block.language == "console" and path in WITH_COMMANDS:
                run_commands(path, block)
            elif block.language == "text":
                if printed is not None:
                    _compare(path, block, printed)
                printed = None
            elif block.language == "python" and not _EDIT.match(block.source):
                printed = _run(path, block, module)
    finally:
        del sys.modules[module.__name__]


def run_commands(path: Path, block: Block) -> None:
    """Run the commands of a block, and hold what each prints against what stands behind it."""
    texts = re.split(r"^\$ ", block.source, flags=re.MULTILINE)[1:]
    assert texts, f"{label(path)}, line {block.line}: there is no command"
    variables: dict[str, str] = _exported.setdefault(path, {})
    for text in texts:
        line, _, expected = re.sub(r" \\\n\s*", " ", text).partition("\n")
        program, *arguments = shlex.split(line)
        if program == "export":
            name, _, value = arguments[0].partition("=")
            variables[name] = value
            continue
        assert program == "agnt5", f"{label(path)}, line {block.line}: {program} is not run here"
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setenv("NO_COLOR", "1")
            status = main(arguments)
        assert status == 0, f"{label(path)}, line {block.line}: {line} has status {status}"
        _compare(path, Block("text", expected, block.line), out.getvalue())


_exported: dict[Path, dict[str, str]] = {}


def _run(path: Path, block: Block, module: types.ModuleType) -> str:
    out = io.StringIO()
    # Blank lines before it, so that a traceback names the line of the page.
    source = "\n" * (block.line - 1) + block.source
    # Without the future annotations of this module: readers have them only where a page says so.
    code = compile(source, str(path), "exec", dont_inherit=True)
    try:
        with redirect_stdout(out):
            exec(code, module.__dict__)
    except BaseException as error:
        error.add_note(f"in {label(path)}, the block at line {block.line}")
        raise
    return out.getvalue()


def _compare(path: Path, block: Block, printed: str) -> None:
    if not doctest.OutputChecker().check_output(block.source, printed, _LIKE):
        raise AssertionError(
            f"{label(path)}, line {block.line}: the page says\n{block.source}\nthe code prints\n"
            f"{printed}"
        )
