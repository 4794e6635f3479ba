"""``agnt5 query``: the log in SQL, from a file that can only be read."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from agnt5.cli.harmless import harmless
from agnt5.cli.opening import store_option
from agnt5.cli.output import json_option, print_json, print_table, print_text

if TYPE_CHECKING:
    from agnt5.events.query import Cell, SqlAnswer

_LARGEST = 100_000


@click.command("query")
@click.argument("sql")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Rows at most."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds at most.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@store_option
@json_option
def query(
    store: str | None,
    sql: str,
    values: tuple[str, ...],
    limit: int,
    timeout: float,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Ask the store in SQL: one SELECT on the views, such as agnt5_runs and agnt5_events.

    SQL may have question marks, for each of which a VALUE is given, as text; - reads it from
    stdin. Nothing can be changed by it. A program may have the store open. The views are described
    in docs/reference/sql-views.md.
    """
    from agnt5.runtime import ask_sql  # noqa: PLC0415 - it is slow to import, and --help needs none

    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    text = sys.stdin.read(_LARGEST) if sql == "-" else sql
    answer = ask_sql(store, text, values, limit=limit, timeout=timeout)
    if as_json:
        rows = [[_as_json(cell) for cell in row] for row in answer.rows]
        print_json({"columns": answer.columns, "rows": rows, "is_cut": answer.is_cut})
    elif as_csv:
        _print_csv(answer)
    else:
        rows = [["" if cell is None else _as_json(cell) for cell in row] for row in answer.rows]
        print_table(answer.columns, rows)
        if answer.is_cut:
            print_text(f"There are more rows: --limit shows more than {limit}.", style="dim")
    if answer.is_cut and as_csv:
        click.echo(f"agnt5: there are more than {limit} rows; --limit shows more", err=True)


def _as_json(cell: Cell) -> str | int | float | None:
    """A value as JSON has it: bytes as SQL writes them."""
    return f"x'{cell.hex()}'" if isinstance(cell, bytes) else cell


def _print_csv(answer: SqlAnswer) -> None:
    # A program gets every character; a terminal would obey some.
    shown = harmless if sys.stdout.isatty() else str
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(map(shown, answer.columns))
    for row in answer.rows:
        rows.writerow([shown(str(_as_json(cell))) if cell is not None else "" for cell in row])
    sys.stdout.flush()
