"""What commands print: text for people, which may be coloured, and JSON for programs.

Payloads come from outside. Whatever a terminal might obey is printed as an escape instead.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Never

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from agnt5.cli.harmless import harmless, harmless_json

json_option: Callable[..., Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
)
"""The option that every command has; its parameter is ``as_json: bool``."""


class _Console(Console):
    """A console that leaves it to its caller what happens when the reader has left."""

    def on_broken_pipe(self) -> Never:
        """Not the end of the program with status 1, which rich makes of it."""
        raise BrokenPipeError


def console() -> Console:
    """Where text for people goes: never wrapped, and plain when it is not read on a terminal.

    ``NO_COLOR`` turns every style off, bold too: who sets it has a reader that knows no escapes.
    """
    plain = bool(os.environ.get("NO_COLOR"))
    return _Console(
        file=sys.stdout,
        color_system=None if plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def print_json(value: object) -> None:
    """Print a value as one JSON document and nothing else."""
    click.echo(json_text(value, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """A value as JSON that no terminal obeys; times in ISO 8601, in UTC.

    Raises:
        TypeError: When it is no JSON.
    """
    return harmless_json(json.dumps(value, indent=indent, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be printed as JSON")


def print_text(text: str, style: str = "") -> None:
    """Print text for people, of one line or several, harmlessly."""
    console().print(Text(harmless(text, lines=True), style=style))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: a line of headings, and a line for each row; None is left out.

    Args:
        columns: The headings.
        rows: As many cells each.
    """
    out = console()
    cells = [[_cell(value) for value in row] for row in rows]
    wide = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    out.print(Text(_line(columns, wide), style="bold"))
    for row in cells:
        out.print(Text(_line(row, wide)))


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            return harmless(str(value))


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, wide, strict=True)
    )
    return "  ".join(padded).rstrip()
