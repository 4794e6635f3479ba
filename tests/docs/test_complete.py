"""Nothing that users meet is missing from the reference, or said otherwise than it is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Any

import click
import pytest
from tests.docs.pages import ROOT

import agnt5
import agnt5.contracts
import agnt5.testing
from agnt5 import AsyncClient, Client, Limits, Runtime, WorkflowContext, diagnosis, lm, verification
from agnt5 import exceptions as errors
from agnt5.cli.commands import COMMANDS
from agnt5.cli.exits import Exit
from agnt5.events.projections import STATUSES

REFERENCE = ROOT / "docs" / "reference"
SOURCES = sorted((ROOT / "src" / "agnt5").rglob("*.py"))
COMMON = {"--store", "--json", "--help"}
"""Options of (nearly) every command, which the page tells once."""


@cache
def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@cache
def every_page() -> str:
    """The prose of all pages, without their blocks of code."""
    pages = (path.read_text(encoding="utf-8") for path in sorted(REFERENCE.glob("*.md")))
    return re.sub(r"^```.*?^```", "", "\n".join(pages), flags=re.MULTILINE | re.DOTALL)


@cache
def source() -> str:
    """The code that runs in production."""
    ours = (path for path in SOURCES if "testing/stores" not in path.as_posix())
    return "\n".join(path.read_text(encoding="utf-8") for path in ours)


@cache
def sections() -> list[str]:
    """Each page in pieces, from one heading to the next."""
    return re.split(r"^(?=#+ )", every_page(), flags=re.MULTILINE)


def is_named(name: str, text: str) -> bool:
    """Whether a piece of code on a page has this name."""
    return any(re.search(rf"\b{re.escape(name)}\b", code) for code in re.findall(r"`[^`]+`", text))


def rows(text: str) -> dict[str, str]:
    """The rows of tables whose first cell is one piece of code, by that."""
    found = re.findall(r"^\| `([^`]+)` \|(.*)\|$", text, re.MULTILINE)
    return {re.sub(r"\W.*", "", first) if " " in first else first: rest for first, rest in found}


# The command line


def options_of(name: str) -> set[str]:
    module, attribute = COMMANDS[name].target.split(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    params = [each for each in command.params if isinstance(each, click.Option)]
    return {max([*each.opts, *each.secondary_opts], key=len) for each in params} - COMMON


def test_every_command_is_there_with_its_options_and_no_others() -> None:
    text = page("cli.md").partition("\n## Every option\n")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `agnt5 ([a-z-]+)` \|(.*)\|$", text, re.MULTILINE))
    assert {name: set(re.findall(r"`(--[a-z-]+)", row)) for name, row in told.items()} == {
        name: options_of(name) for name in COMMANDS
    }


def test_every_exit_code_is_there() -> None:
    told = re.findall(r"^\| (\d+) \|", page("cli.md"), re.MULTILINE)
    assert [int(each) for each in told] == [each.value for each in Exit]


# Calls


def signatures() -> Iterator[tuple[str, ast.arguments]]:
    """The signatures on the pages: pieces of code that could be the head of a definition."""
    for path, inside in re.findall(r"`([A-Za-z_.]+)\(([^`]*?)\)`", every_page(), re.DOTALL):
        try:
            head = ast.parse(f"def f({' '.join(inside.split())}): ...").body[0]
        except SyntaxError:
            continue  # an example of a call
        assert isinstance(head, ast.FunctionDef)
        yield path, head.args


def meant(path: str) -> list[Any]:
    """What a page means by such a name."""
    first, _, rest = path.partition(".")
    owners: dict[str, list[Any]] = {"client": [Client, AsyncClient], "ctx": [WorkflowContext]}
    if first in owners:
        return [getattr(each, rest) for each in owners[first] if rest and hasattr(each, rest)]
    for module in (agnt5, agnt5.testing, lm):
        if path in module.__all__:
            return [getattr(module, path)]
    return []


NOT_GIVEN = ("<not given", "<no answer", "<factory")
"""Marks for an argument that is not given; pages write None."""
DEFAULTS = {"timedelta": timedelta, **{name: getattr(agnt5, name) for name in agnt5.__all__}}


def test_the_defaults_in_signatures_are_those_of_the_code() -> None:
    compared = 0
    for path, told in signatures():
        positional = [each.arg for each in told.args]
        written = dict(zip(reversed(positional), reversed(told.defaults), strict=False))
        written |= {k.arg: v for k, v in zip(told.kwonlyargs, told.kw_defaults, strict=True) if v}
        names = {*positional, *(each.arg for each in told.kwonlyargs)}
        for function in meant(path):
            real = inspect.signature(function).parameters
            named = {k for k, v in real.items() if v.kind not in {v.VAR_KEYWORD, v.VAR_POSITIONAL}}
            if not named - {"self", "handler"} <= names:
                continue  # an example of a call
            for name in written.keys() & real.keys():
                value = written[name]
                given = eval(ast.unparse(value), DEFAULTS)
                left_out = repr(real[name].default).startswith(NOT_GIVEN)
                assert left_out or given == real[name].default, f"{path}: {name}"
                compared += 1
    assert compared > 150


def test_the_defaults_of_settings_are_those_of_the_code() -> None:
    told = rows(page("settings.md"))
    for name, parameter in inspect.signature(Runtime).parameters.items():
        cell = told[name].partition("|")[0].strip().strip("`")
        if isinstance(parameter.default, bool | int | float | str):
            written = cell.replace(" ", "") if cell[:1].isdigit() else cell
            assert ast.literal_eval(written) == parameter.default, name


# Classes


def data_classes() -> list[type]:
    """Public classes that are little more than their fields."""
    every = [getattr(agnt5, name) for name in agnt5.__all__]
    every += [getattr(agnt5.testing, name) for name in agnt5.testing.__all__]
    every += [getattr(agnt5.contracts, name) for name in agnt5.contracts.__all__]
    return [each for each in every if isinstance(each, type) and fields_of(each)]


def fields_of(cls: Any) -> list[str]:
    if dataclasses.is_dataclass(cls):
        names = [each.name for each in dataclasses.fields(cls)]
    else:
        names = list(getattr(cls, "model_fields", ()))
    return [name for name in names if not name.startswith("_")]


@pytest.mark.parametrize("cls", data_classes(), ids=lambda cls: cls.__name__)
def test_the_fields_of_a_class_stand_where_it_is_told_of(cls: type) -> None:
    text = "\n".join(each for each in sections() if is_named(cls.__name__, each))
    assert not [name for name in fields_of(cls) if not is_named(name, text)]


@pytest.mark.parametrize("module", [agnt5.testing, agnt5.contracts, lm], ids=lambda m: m.__name__)
def test_every_name_of_the_other_modules_is_there(module: Any) -> None:
    public = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    text = every_page()
    assert len(public) > 7
    assert not [name for name in public if not is_named(name, text)]


# Errors, and what went wrong with a run


def test_the_attributes_of_errors_are_there() -> None:
    told = rows(page("errors.md"))
    for name in (name for name in dir(errors) if name.endswith("Error")):
        document = inspect.getdoc(getattr(errors, name)) or ""
        listed = document.partition("\nAttributes:\n")[2].partition("\n\n")[0]
        for attribute in re.findall(r"^    (\w+):", listed, re.MULTILINE):
            assert attribute == "code" or is_named(attribute, told[name]), f"{name}.{attribute}"


BUILT_IN = (ValueError, LookupError, TimeoutError)


def test_what_else_an_error_is_stands_in_its_row() -> None:
    told = rows(page("errors.md"))
    for name in (name for name in dir(errors) if name.endswith("Error")):
        bases = {each.__name__ for each in BUILT_IN if issubclass(getattr(errors, name), each)}
        assert bases == set(re.findall(r"Also a `(\w+)`", told[name])), name


def test_every_option_of_the_proof_kit_is_there() -> None:
    text = page("testing.md")
    options = agnt5.testing.Options.__annotations__
    assert len(options) > 10
    assert not [
        name for name in options if not re.search(rf"^\|.*`{name}`.*\|", text, re.MULTILINE)
    ]


def test_every_status_is_there() -> None:
    runs = page("sql-views.md").partition("\n## agnt5_runs\n")[2].partition("\n## ")[0]
    for text in (page("queries.md"), runs):
        assert set(STATUSES) <= set(re.findall(r"[a-z_]+", rows(text)["status"]))
    told = page("api.md").partition("\n`RunStatus`:")[2].partition("\n\n")[0]
    assert not [status for status in STATUSES if not is_named(status, told)]


def test_every_reason_of_a_suspension_is_there() -> None:
    reasons = set(re.findall(r'SuspendRun\(\s*"([a-z_]+)"', source()))
    reasons |= set(re.findall(r'SuspendRun\([^)]* else "([a-z_]+)"', source()))
    reasons |= set(
        re.findall(r'^(?:SUSPENDED_AT_LIMIT|IMPORTED)[^=\n]*= "([a-z_]+)"', source(), re.MULTILINE)
    )
    assert len(reasons) >= 7
    codes = {each.upper() for each in reasons - {"nondeterminism"}} | {"NON_DETERMINISTIC_REPLAY"}
    mend = (ROOT / "docs" / "howto" / "mend-a-suspended-run.md").read_text(encoding="utf-8")
    assert codes <= set(rows(mend))
    assert not [code for code in codes if f"`{code}`" not in page("errors.md")]


@pytest.mark.parametrize("advice", [verification.ADVICE, diagnosis.ADVICE])
def test_every_kind_of_finding_is_there(advice: dict[str, str]) -> None:
    assert not [
        kind for kind in advice if not re.search(rf"^\|.*`{kind}`", page("limits.md"), re.MULTILINE)
    ]


# Settings


def test_every_environment_variable_is_there() -> None:
    read = set(re.findall(r'"(AGNT5_[A-Z_]*[A-Z])"', source())) - {"AGNT5_ERROR", "AGNT5_COMPLETE"}
    assert len(read) >= 6
    assert not [name for name in read if f"| `{name}" not in page("settings.md")]


def test_every_logger_is_there() -> None:
    speaking = set(re.findall(r'getLogger\("(agnt5\.[a-z.]+)"\)', source()))
    assert len(speaking) > 10
    assert not [name for name in speaking if f"`{name}`" not in page("settings.md")]


def test_the_limits_are_those_of_the_code() -> None:
    text = page("limits.md")
    told = re.search(r"`Limits\(([^`]*)\)`", text)
    assert told
    written = dict(re.findall(r"(\w+)=([\d_]+)", told[1]))
    assert {name: int(value) for name, value in written.items()} == dataclasses.asdict(Limits())
