"""Options that say which runs, or which events: the same in every command that has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from agnt5.cli.times import as_time

F = TypeVar("F", bound=Callable[..., Any])
Option = Callable[[F], F]

_OF_RUNS: Final[Sequence[Callable[..., Any]]] = (
    click.option("--status", help="Only runs with this status now, such as failed or suspended."),
    click.option("--component", help="Only runs of this function or workflow."),
    click.option("--kind", type=click.Choice(["function", "workflow"]), help="Only of this kind."),
    click.option("--session", "session_id", help="Only runs of this session."),
    click.option("--user", "user_id", help="Only runs of this user."),
)


def _times(what: str) -> Sequence[Callable[..., Any]]:
    return (
        click.option(
            "--since", metavar="TIME", callback=as_time, help=f"Only {what} at TIME or later."
        ),
        click.option("--until", metavar="TIME", callback=as_time, help=f"Only {what} before TIME."),
    )


_PARENT: Final = click.option(
    "--parent", "parent_run_id", metavar="RUN", help="Only the child runs of this run."
)
_OF_EVENTS: Final[Sequence[Callable[..., Any]]] = (
    click.option("--key", "idempotency_key", help="Only of runs with this idempotency key."),
    click.option("--type", "event_types", multiple=True, help="Only events of this public type."),
    click.option("--topic", "topics", multiple=True, help="Only this kind of fact."),
    click.option("--step", help="Only of calls of this name."),
    click.option("--actor", help="Only answers that this person gave."),
)


def _all(options: Sequence[Callable[..., Any]], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def run_filters(command: F) -> F:
    """Give a command the options that say which runs; it hands them to :func:`given`."""
    return _all((*_OF_RUNS, _PARENT, *_times("runs that were accepted")), command)


def event_filters(command: F) -> F:
    """Give a command the options that say which events; it hands them to :func:`given`."""
    return _all((*_OF_EVENTS, *_OF_RUNS, *_times("what was recorded")), command)


def given(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters that were given, as keywords of a client's method."""
    return {name: value for name, value in filters.items() if value not in {None, ()}}
