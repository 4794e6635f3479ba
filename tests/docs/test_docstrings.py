"""Docstrings: their examples hold, and those of public names say what there is to know."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT

import agnt5

SOURCE = ROOT / "src"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


WITH_EXAMPLES = [p for p in sorted(SOURCE.rglob("*.py")) if ">>> " in p.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_name)
def test_the_examples_of_a_module_hold(path: Path) -> None:
    module = importlib.import_module(module_name(path))
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed


CLASSES = [each for each in map(agnt5.__getattr__, agnt5.__all__) if isinstance(each, type)]


def fields_of(cls: Any) -> set[str]:
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    names = {each.name for each in fields} | set(getattr(cls, "model_fields", ()))
    return {name for name in names if not name.startswith("_")}


def told_of(cls: type) -> set[str]:
    """The fields that a docstring lists, and those that have a text of their own."""
    names: set[str] = set()
    for each in cls.__mro__:
        if each.__module__.startswith("agnt5"):
            names |= set(re.findall(r"^    (\w+):", inspect.getdoc(each) or "", re.MULTILINE))
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
            assert isinstance(tree, ast.ClassDef)
            for line, following in pairwise(tree.body):
                is_told = isinstance(following, ast.Expr) and isinstance(
                    following.value, ast.Constant
                )
                if (
                    is_told
                    and isinstance(line, ast.AnnAssign)
                    and isinstance(line.target, ast.Name)
                ):
                    names.add(line.target.id)
    return names


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_of_a_public_class_is_told(cls: type) -> None:
    assert not fields_of(cls) - told_of(cls)


def test_everything_public_has_a_docstring() -> None:
    bare = [name for name in agnt5.__all__ if not inspect.getdoc(getattr(agnt5, name))]
    for cls in CLASSES:
        for name, member in inspect.getmembers(cls):
            is_ours = (getattr(member, "__module__", None) or "").startswith("agnt5")
            is_told = isinstance(member, property) or (inspect.isroutine(member) and is_ours)
            if is_told and not name.startswith("_") and not inspect.getdoc(member):
                bare.append(f"{cls.__name__}.{name}")
    assert not bare


CALLED = (agnt5.Client, agnt5.AsyncClient, agnt5.WorkflowContext, agnt5.FunctionContext)
ELSEWHERE = ("See :meth:", " of :meth:`", "What :meth:`", "as for :meth:")
"""How a docstring sends the reader to another one."""


def untold(function: Any) -> list[str]:
    text = inspect.getdoc(function) or ""
    if any(each in text for each in ELSEWHERE):
        return []
    names = [each for each in inspect.signature(function).parameters if each != "self"]
    is_short = "\n" not in text and len(names) == 1
    return [] if is_short else [each for each in names if f"{each}:" not in text]


def test_the_arguments_of_what_users_call_are_told() -> None:
    members = [
        (f"{cls.__name__}.{name}", member)
        for cls in CALLED
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and member.__module__.startswith("agnt5")
    ]
    functions = [(name, getattr(agnt5, name)) for name in agnt5.__all__]
    asked = members + [each for each in functions if inspect.isfunction(each[1])]
    assert len(asked) > 100
    assert not {name: untold(each) for name, each in asked if untold(each)}
