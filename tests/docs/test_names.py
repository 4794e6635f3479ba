"""What pages name is there: no method, command, option, setting, error or view that is not."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, label
from tests.docs.test_complete import COMMON, options_of

import agnt5
import agnt5.testing
import agnt5.testing.stores
from agnt5 import Client, FunctionContext, Runtime, WorkflowContext, exceptions
from agnt5.cli.commands import COMMANDS
from agnt5.events.stores.sqlite import SqliteLog

EVERY = [*PAGES, ROOT / "CHANGELOG.md"]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OF_ENTITIES = {"get", "set", "delete", "clear", "key", "state"}
ERRORS = (builtins, asyncio, exceptions, agnt5, agnt5.testing, agnt5.testing.stores)


def codes(path: Path) -> list[str]:
    """The pieces of code in the prose of a page."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", path.read_text(encoding="utf-8")))


def snippets(path: Path) -> list[str]:
    """The same, and its blocks of Python."""
    return codes(path) + [each.source for each in blocks(path) if each.language == "python"]


def found(pattern: str, texts: Iterable[str]) -> set[str]:
    return {each for text in texts for each in re.findall(pattern, text)}


@pytest.mark.parametrize("path", EVERY, ids=label)
def test_methods_and_settings_are_there(path: Path) -> None:
    texts = snippets(path)
    assert not [n for n in found(r"\bclient\.([a-z]\w*)", texts) if not hasattr(Client, n)]
    contexts = (WorkflowContext, FunctionContext("r"))
    of_contexts = found(r"\bctx\.([a-z]\w*)", texts) - OF_ENTITIES
    assert not [n for n in of_contexts if not any(hasattr(each, n) for each in contexts)]
    inside = found(r"\bRuntime\(([^()]*)\)", texts)
    assert found(r"\b([a-z_]+)=", inside) <= set(inspect.signature(Runtime).parameters)


@pytest.mark.parametrize("path", EVERY, ids=label)
def test_errors_are_there(path: Path) -> None:
    named = found(r"\b([A-Z]\w+Error)\b", codes(path))
    assert not [name for name in named if not any(hasattr(each, name) for each in ERRORS)]


@pytest.mark.parametrize("path", EVERY, ids=label)
def test_commands_and_their_options_are_there(path: Path) -> None:
    lines = found(r"(?m)^\$ (.*)$", [path.read_text(encoding="utf-8")]) | set(codes(path))
    for line in found(r"(?:^|\| )(agnt5 [a-z].*?)(?:$| \|| #)", lines):
        _, command, *rest = line.split()
        assert command in COMMANDS, line
        options = found(r"^(--[a-z-]+)", rest)
        assert options <= options_of(command) | COMMON, line


def test_views_are_there(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "store.db").close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        query = "SELECT name FROM sqlite_master WHERE type='view'"
        there = {name for (name,) in connection.execute(query)}
    for path in EVERY:
        told = found(r"(?:^|from |FROM |join |JOIN )(agnt5_[a-z]+)\b(?! =)", snippets(path))
        assert told <= there, label(path)
