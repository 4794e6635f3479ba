"""What commands print: text for people, which may be coloured, and JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

json_option: Callable[..., Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
)
"""The option that every command has; its parameter is ``as_json: bool``."""


def console() -> Console:
    """Where text for people goes: never wrapped, and plain when it is not read on a terminal.

    ``NO_COLOR`` turns every style off, bold too: who sets it has a reader that knows no escapes.
    """
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        file=sys.stdout,
        color_system=None if plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def print_json(value: object) -> None:
    """Print a value as one JSON document and nothing else."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
