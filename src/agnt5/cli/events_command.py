"""``agnt5 events``: what was recorded, of one run or of all, also as it comes."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import click

from agnt5.cli.exits import Exit
from agnt5.cli.filters import event_filters, given
from agnt5.cli.harmless import harmless
from agnt5.cli.opening import look, run_of, store_option
from agnt5.cli.output import json_option, json_text, print_json, print_table

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.responses import Event

GROUPS = (
    "topic",
    "run_id",
    "component",
    "kind",
    "status",
    "user_id",
    "session_id",
    "version_label",
    "day",
)
_LONGEST = 100
"""Characters of what an event carries; --json has all."""


@click.command("events")
@click.argument("run", required=False)
@event_filters
@click.option("--after", type=click.IntRange(min=0), help="Go on behind this position of the log.")
@click.option("--backward", is_flag=True, help="The last one first.")
@click.option("--limit", type=click.IntRange(min=1), help="How many at most.")
@click.option("--follow", "-f", is_flag=True, help="Wait for those that come, until Ctrl-C.")
@click.option("--count", is_flag=True, help="Count facts instead of listing events.")
@click.option("--count-by", type=click.Choice(GROUPS), help="Count facts by what they have.")
@store_option
@json_option
def events(
    store: str | None,
    run: str | None,
    after: int | None,
    limit: int | None,
    count_by: str | None,
    *,
    backward: bool,
    follow: bool,
    count: bool,
    as_json: bool,
    **filters: Any,
) -> int:
    """List the events of a run, or of all runs, in the order of the log.

    RUN is the id of a run, or the first characters of one. Conditions must all hold; --type and
    --topic may be given several times, for any of them. The events are those of client.events.
    TIME is written as 2026-03-01T12:00+01:00, as 2026-03-01T12:00 in local time, or as how long
    ago: 90m, 12h, 7d. With --follow, --json prints a line of JSON for each event.
    """
    if (count or count_by) and (follow or backward or limit or after is not None):
        raise click.UsageError("--count counts all: it goes with filters only")
    wanted = given(filters)

    async def counted(client: AsyncClient) -> dict[str | None, int]:
        if run is not None:
            wanted["run_id"] = await run_of(client, run)
        if count_by is not None:
            return await client.count_events_by(count_by, **wanted)
        return {None: await client.count_events(**wanted)}

    async def listed(client: AsyncClient) -> None:
        if run is not None:
            wanted["run_id"] = await run_of(client, run)
        found = client.events(after=after, backward=backward, follow=follow, **wanted)
        async with aclosing(_first(found, limit)) as first:
            await _print(first, as_json=as_json, follow=follow)

    if count or count_by:
        _print_counts(look(store, counted), count_by, as_json=as_json)
        return Exit.OK
    try:
        look(store, listed)
    except KeyboardInterrupt:
        if not follow:
            raise
        return Exit.INTERRUPTED  # it is how one stops following
    return Exit.OK


async def _first(found: AsyncIterator[Event], limit: int | None) -> AsyncGenerator[Event, None]:
    left = sys.maxsize if limit is None else limit
    async with aclosing(cast("AsyncGenerator[Event, None]", found)) as events_of_log:
        async for event in events_of_log:
            yield event
            left -= 1
            if not left:
                return


async def _print(found: AsyncIterator[Event], *, as_json: bool, follow: bool) -> None:
    if not as_json:
        async for event in found:
            click.echo(_line(event))
    elif follow:
        async for event in found:
            click.echo(json_text(as_document(event)))
    else:
        # One document, but never as a whole in memory.
        before = "["
        async for event in found:
            click.echo(f"{before}\n  {json_text(as_document(event))}", nl=False)
            before = ","
        click.echo("[]" if before == "[" else "\n]")


def as_document(event: Event) -> dict[str, object]:
    """An event as JSON, with what it has."""
    return {name: value for name, value in asdict(event).items() if value not in (None, {})}


def _line(event: Event) -> str:
    carried = dict(event.metadata)
    position = carried.pop("position", "")
    carried.pop("version", None)
    for name in ("input_data", "output_data"):
        value = getattr(event, name)
        if value is not None:
            carried[name.removesuffix("_data")] = value
    told = " ".join(
        f"{name}={json_text(value)}" for name, value in carried.items() if value is not None
    )
    if len(told) > _LONGEST:
        told = told[: _LONGEST - 3] + "..."
    time = f"{event.created_at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    parts = [f"{position:>6}", time, event.run_id, event.event_type, event.step_key or "", told]
    return harmless("  ".join(part for part in parts if part))


def _print_counts(counts: dict[str | None, int], by: str | None, *, as_json: bool) -> None:
    if by is None:
        number = counts.get(None, 0)
        if as_json:
            print_json({"count": number})
        else:
            click.echo(number)
        return
    rows = sorted(counts.items(), key=lambda row: (-row[1], str(row[0])))
    if as_json:
        print_json([{by: group, "count": number} for group, number in rows])
    else:
        print_table((by.upper(), "FACTS"), [("-" if g is None else g, n) for g, n in rows])
