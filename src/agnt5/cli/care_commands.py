"""``agnt5 verify``, ``doctor``, ``vacuum`` and ``prune``: looking after a store."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from agnt5.cli.exits import Exit
from agnt5.cli.opening import look, operate, run_of, store_option
from agnt5.cli.output import json_option, print_json, print_text

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.retention import Payloads

_SPAN: Final = re.compile(r"(\d{1,6})(s|m|h|d|w)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _span(_: click.Context, __: click.Parameter, given: str) -> timedelta:
    """How long: ``90m``, ``30d``."""
    found = _SPAN.fullmatch(given.strip())
    if found is None:
        raise click.BadParameter(f"{given!r} is not how long: write 30s, 90m, 12h, 30d or 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.command("verify")
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@click.option("--chain", is_flag=True, help="Hold the store to its hash chain, too.")
@click.option(
    "--public-key",
    "keys",
    metavar="BASE64",
    multiple=True,
    help="Of a chain: whose signed heads are believed.",
)
@click.option("--head", metavar="NUMBER:HASH", help="Of a chain: a head that was noted elsewhere.")
@store_option
@json_option
def verify(
    run_ids: tuple[str, ...],
    keys: tuple[str, ...],
    head: str | None,
    store: str | None,
    *,
    chain: bool,
    as_json: bool,
) -> int:
    """Say whether a store holds together: the log is folded and held against the index.

    RUN are the ids of the runs to look at, or the first characters of them; by default everything
    is. To its chain a store is always held as a whole. Nothing is changed, and programs may use the
    store meanwhile.

    Exit codes: 0 sound, 1 not sound, 2 wrong usage or no chain, 3 trouble with the store.
    """
    if (keys or head) and not chain:
        raise click.UsageError("--public-key and --head are of a chain: give --chain, too")
    expected = None if head is None else _head(head)

    async def ask(client: AsyncClient) -> int:
        chosen = [await run_of(client, each) for each in run_ids] or None
        found = await client.verify(chosen, chain=chain, public_keys=keys, expected=expected)
        if as_json:
            print_json(found.as_json())
        else:
            print_text(str(found))
        return Exit.OK if found.ok else Exit.FOUND

    return look(store, ask)


def _head(given: str) -> tuple[int, str]:
    number, colon, digest = given.partition(":")
    if not colon or not number.isdecimal() or not digest:
        raise click.BadParameter("a head is its number and its hash, as in 12:0f3a...")
    return int(number), digest


@click.command("doctor")
@click.option(
    "--stuck-after",
    default="10m",
    show_default=True,
    callback=_span,
    metavar="HOW-LONG",
    help="Tell of runs that could go on, and in which nothing has happened for so long.",
)
@store_option
@json_option
def doctor(stuck_after: timedelta, store: str | None, *, as_json: bool) -> int:
    """Say how a store and its runs are: what is large, what does not move, and what to do.

    Nothing is changed, and programs may use the store meanwhile. Limits are those of a runtime that
    sets none.

    Exit codes: 0 nothing to look after, 1 something is, 3 trouble with the store.
    """

    async def ask(client: AsyncClient) -> int:
        found = await client.doctor(stuck_after)
        if as_json:
            print_json(found.as_json())
        else:
            print_text(str(found))
        return Exit.OK if found.ok else Exit.FOUND

    return look(store, ask)


@click.command("vacuum")
@store_option
@json_option
def vacuum(store: str | None, *, as_json: bool) -> None:
    """Give room that nobody uses any more back to the disk.

    No program may have the store open. Events keep their positions. It needs as much room as what
    is in use takes, twice, for as long as it works.

    Exit codes: 0 done, 3 trouble with the store.
    """
    from agnt5.store_care import vacuum_store  # noqa: PLC0415 - not where help is asked for

    done = vacuum_store(store)
    if as_json:
        print_json(done.as_json())
    else:
        print_text(str(done))


@click.command("prune")
@click.option(
    "--older-than",
    required=True,
    callback=_span,
    metavar="HOW-LONG",
    help="Runs that have ended so long ago, with all that they have started: 90m, 12h, 30d, 4w.",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write them to before.",
)
@click.option("--no-archive", is_flag=True, help="Delete them for good.")
@click.option(
    "--payloads",
    type=click.Choice(["plain"]),
    help="Of an encrypted store: that the files may have them in clear.",
)
@click.option("--component", help="Only runs of this function or workflow.")
@click.option(
    "--status",
    type=click.Choice(["completed", "failed", "cancelled"]),
    help="Only runs that have ended so.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@store_option
@json_option
def prune(
    older_than: timedelta,
    archive: Path | None,
    component: str | None,
    status: str | None,
    store: str | None,
    payloads: Payloads | None,
    *,
    no_archive: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete runs that ended long enough ago, and write them to files before.

    No program may have the store open; one that has deletes by itself with Runtime(retention=...).
    Give --archive, or --no-archive to have them deleted for good.

    Exit codes: 0 done, 2 wrong usage, 3 trouble with the store.
    """
    if (archive is None) is (not no_archive) and not (dry_run and archive is None):
        raise click.UsageError("say where they go: --archive FOLDER, or --no-archive for nowhere")

    async def ask(client: AsyncClient) -> None:
        done = await client.prune(
            older_than,
            archive=archive,
            component=component,
            status=status,
            payloads=payloads,
            dry_run=dry_run,
        )
        if as_json:
            print_json(done.as_json())
        else:
            print_text(str(done))

    (look if dry_run else operate)(store, ask)
