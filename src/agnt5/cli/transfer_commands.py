"""``agnt5 export`` and ``import``: runs out of a store and into one, as files."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from agnt5.cli.exits import CommandError, Exit
from agnt5.cli.filters import given, run_filters
from agnt5.cli.opening import look, operate, run_of, store_option
from agnt5.cli.output import json_option, print_json, print_text
from agnt5.wording import counted

if TYPE_CHECKING:
    from agnt5.archive import Imported, Payloads
    from agnt5.client import AsyncClient
    from agnt5.histories import Counts
    from agnt5.history_forms import Form

_STANDARD = "-"

_form = click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "parquet"]),
    help="The form of the file.  [default: what its name says, else jsonl]",
)


@click.command("export")
@click.argument("file")
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@_form
@run_filters
@click.option(
    "--payloads",
    type=click.Choice(["plain", "sealed"]),
    help="Of an encrypted store: in clear, or as they lie there.",
)
@store_option
@json_option
def export(
    store: str | None,
    file: str,
    run_ids: tuple[str, ...],
    form: Form | None,
    payloads: Payloads | None,
    *,
    as_json: bool,
    **filters: Any,
) -> None:
    """Write the histories of runs to a file, whole or not at all.

    FILE is a path; - writes to stdout. RUN are ids, or the first characters of them; without any,
    and without filters, all runs are written. A program may have the store open.

    TIME is written as 2026-03-01T12:00+01:00, as 2026-03-01T12:00 in local time, or as how long
    ago: 90m, 12h, 7d.
    """
    if file == _STANDARD and as_json:
        raise click.UsageError("stdout takes the histories or the counts as JSON, not both")
    destination = sys.stdout.buffer if file == _STANDARD else file

    async def ask(client: AsyncClient) -> Counts:
        chosen = [await run_of(client, each) for each in run_ids] or None
        return await client.export_runs(
            destination, chosen, form=form, payloads=payloads, **given(filters)
        )

    try:
        counts = look(store, ask)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from error
    if as_json:
        print_json({"file": file, **asdict(counts)})
        return
    told = f"{counted(counts.runs, 'run')} with {counted(counts.events, 'event')} written"
    if counts.shredded:
        left = f"{len(counts.shredded)} that were shredded were left out"
        click.echo(left, err=True)
    if file == _STANDARD:
        click.echo(told, err=True)
    else:
        print_text(f"{told} to {file}")


@click.command("import")
@click.argument("file")
@click.option(
    "--unfinished",
    type=click.Choice(["suspend", "start"]),
    default="suspend",
    show_default=True,
    help="Whether unfinished runs wait until somebody resumes them, or go on.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    help="Refuse a larger file, as all of it is held in memory.  [default: 256 MiB]",
)
@_form
@click.option("--create", is_flag=True, help="Make the store if it is not there.")
@store_option
@json_option
def import_(
    store: str | None,
    file: str,
    unfinished: Literal["suspend", "start"],
    max_bytes: int | None,
    form: Form | None,
    *,
    create: bool,
    as_json: bool,
) -> None:
    """Write the runs of a file to a store. Those that it has already are skipped.

    FILE is what an export has written; - reads stdin. No program may have the store open.
    """
    from agnt5.store_address import store_url  # noqa: PLC0415 - not where help is asked for

    path = store_url(store).removeprefix("sqlite:///")
    if not create and "://" not in path and not Path(path).exists():
        msg = f"there is no store: {path} does not exist. Check the path, or make it with --create"
        raise CommandError(msg, Exit.STORE)
    source = sys.stdin.buffer if file == _STANDARD else file
    limit = {} if max_bytes is None else {"max_bytes": max_bytes}

    async def ask(client: AsyncClient) -> Imported:
        return await client.import_runs(source, unfinished=unfinished, form=form, **limit)

    try:
        done = operate(store, ask, create=create)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from error
    if as_json:
        print_json(asdict(done))
        return
    told = f"{counted(done.runs, 'run')} with {counted(done.events, 'event')} imported"
    if done.skipped:
        told += f"; {len(done.skipped)} were there already"
    if done.suspended:
        told += f"; {len(done.suspended)} are suspended until somebody resumes them"
    print_text(told)
