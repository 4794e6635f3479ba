"""``agnt5 runs``: which runs there are."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from agnt5.cli.filters import given, run_filters
from agnt5.cli.opening import look, run_of, store_option
from agnt5.cli.output import json_option, print_json, print_table, print_text

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.responses import StatusResponse

_TOLD = (
    "run_id",
    "status",
    "component",
    "kind",
    "version_label",
    "session_id",
    "user_id",
    "parent_run_id",
    "created_at",
    "started_at",
    "completed_at",
)


@click.command("runs")
@run_filters
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most."
)
@click.option("--before", metavar="ID", help="Go on behind this run, the last one seen.")
@store_option
@json_option
def runs(
    store: str | None, limit: int, before: str | None, *, as_json: bool, **filters: Any
) -> None:
    """List runs, the newest first.

    They are in the order of their ids, which is that of time for ids that agnt5 has made. Times
    are in UTC. TIME is written as 2026-03-01T12:00+01:00, as 2026-03-01T12:00 in local time, or
    as how long ago: 90m, 12h, 7d.
    """

    async def ask(client: AsyncClient) -> list[StatusResponse]:
        wanted = given(filters)
        if "parent_run_id" in wanted:
            wanted["parent_run_id"] = await run_of(client, wanted["parent_run_id"])
        return await client.list_runs(**wanted, limit=limit + 1, before=before)

    found = look(store, ask)
    shown = found[:limit]
    after = shown[-1].run_id if len(found) > limit else None
    if as_json:
        print_json({"runs": [as_row(run) for run in shown], "next": after})
        return
    print_table(
        ("RUN", "STATUS", "COMPONENT", "KIND", "USER", "ACCEPTED", "TOOK"),
        [
            (
                run.run_id,
                run.status,
                run.component,
                run.kind,
                run.user_id,
                run.created_at,
                _took(run.started_at or run.created_at, run.completed_at),
            )
            for run in shown
        ],
    )
    if after is not None:
        print_text(f"There are more: --before {after} goes on.", style="dim")


def as_row(run: StatusResponse) -> dict[str, object]:
    """A run in a list, as JSON."""
    return {name: getattr(run, name) for name in _TOLD}


def _took(begun: datetime | None, ended: datetime | None) -> str:
    if begun is None or ended is None:
        return ""
    return lasted((ended - begun).total_seconds())


def lasted(seconds: float) -> str:
    """A span of time in a few characters."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
