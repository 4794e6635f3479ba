"""``agnt5 state``, ``diff`` and ``explain``: a run at any event, what changed, why it waits."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from agnt5.cli.exits import Exit
from agnt5.cli.opening import look, run_of, store_option
from agnt5.cli.output import json_option, print_json, print_text
from agnt5.cli.times import as_moment

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.diffs import RunDiff
    from agnt5.explanations import Explanation
    from agnt5.snapshots import RunSnapshot

Moment = int | datetime


@click.command("state")
@click.argument("run")
@click.option(
    "--at",
    metavar="EVENT|TIME",
    callback=as_moment,
    help="As it stood after this event, counted from 1, or at this time.  [default: now]",
)
@store_option
@json_option
def state(store: str | None, run: str, at: Moment | None, *, as_json: bool) -> None:
    """Show everything that is known of a run, as it stands or stood.

    RUN is the id of a run, or the first characters of one.
    """

    async def ask(client: AsyncClient) -> RunSnapshot:
        run_id = await run_of(client, run)
        if isinstance(at, datetime):
            return await client.state_at(run_id, at=at)
        return await client.state_at(run_id, at)

    found = look(store, ask)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_text(str(found))


@click.command("diff")
@click.argument("run")
@click.argument("a", metavar="A", callback=as_moment)
@click.argument("b", metavar="[B]", required=False, callback=as_moment)
@store_option
@json_option
def diff(store: str | None, run: str, a: Moment, b: Moment | None, *, as_json: bool) -> int:
    """Show what has changed in a run between two of its events.

    RUN is the id of a run, or the first characters of one. A and B are numbers of events, counted
    from 1, or times; without B, up to now.

    Exit codes: 0 nothing has changed, 1 something has, 2 wrong usage, 3 trouble with the store.
    """

    async def ask(client: AsyncClient) -> RunDiff:
        return await client.diff(await run_of(client, run), a, b)

    found = look(store, ask)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_text(str(found))
    return Exit.FOUND if found else Exit.OK


@click.command("explain")
@click.argument("run")
@store_option
@json_option
def explain(store: str | None, run: str, *, as_json: bool) -> None:
    """Say why a run is where it is: what it waits for, since when, and what would wake it.

    RUN is the id of a run, or the first characters of one.
    """

    async def ask(client: AsyncClient) -> Explanation:
        return await client.explain(await run_of(client, run))

    found = look(store, ask)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_text(str(found))
