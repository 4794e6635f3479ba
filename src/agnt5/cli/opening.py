"""How commands get at a store: to look at it beside its owner, or to operate the runs in it.

A command hands over what to ask, and gets the answer: ``look(store, ask)`` never changes a file and
works while a program has the store open; ``operate(store, ask)`` takes the store, appends what is
asked for, and gives it back. In both, ``ask`` gets an :class:`agnt5.AsyncClient`, and no run is
executed. Nothing heavy is imported before one of them is called.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agnt5.cli.addresses import address_of
from agnt5.cli.exits import CommandError

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.runtime import Runtime

T = TypeVar("T")
Ask = Callable[["AsyncClient"], Coroutine[Any, Any, T]]

_SHOWN = 5
"""Runs that an ambiguous prefix is told to mean."""

store_option: Callable[..., Any] = click.option(
    "--store",
    metavar="URL",
    help="The store: an address such as sqlite:///app.db, or the path of a file."
    "  [default: AGNT5_STORE, else .agnt5/agnt5.db]",
    callback=lambda _context, _parameter, value: address_of(value),
)
"""The option that every command on a store has; its parameter is ``store: str | None``."""


def look(store: str | None, ask: Ask[T]) -> T:
    """Look at a store that is there. Its owner, if it has one, goes on meanwhile.

    Args:
        store: Its address; by default ``AGNT5_STORE``, else the file under ``.agnt5``.
        ask: What to ask; what it writes is refused.

    Raises:
        StoreError: When it is not there, or cannot be read.
        ConfigurationError: When it is no address of a store that lasts.
    """
    from agnt5.operating import Onlooker  # noqa: PLC0415 - see the module

    return _with(Onlooker(store), ask)


def operate(store: str | None, ask: Ask[T], *, create: bool = False) -> T:
    """Take a store, have something written down in it, and give it back.

    Args:
        store: As for :func:`look`.
        ask: What to ask; what it has awaited is durable.
        create: Make the store unless it is there.

    Raises:
        StoreInUseError: When another process has it; the message says which one.
        StoreError: When it is not there, or cannot be read or written.
        ConfigurationError: As for :func:`look`.
    """
    from agnt5.operating import Operator  # noqa: PLC0415 - see the module

    return _with(Operator(store, create=create), ask)


def _with(runtime: Runtime, ask: Ask[T]) -> T:
    import asyncio  # noqa: PLC0415 - see the module

    from agnt5.client import AsyncClient  # noqa: PLC0415 - see the module

    async def asked() -> T:
        async with runtime:
            return await ask(AsyncClient(runtime=runtime))

    return asyncio.run(asked())


async def run_of(client: AsyncClient, given: str) -> str:
    """The id of the run that is meant by an id or by the first characters of one.

    Raises:
        RunNotFoundError: When there is no such run.
        CommandError: When several begin so; the message lists them. When it is empty.
    """
    from agnt5.exceptions import RunNotFoundError  # noqa: PLC0415 - see the module

    if not given:
        raise CommandError("the id of the run is empty: it would mean any")
    # Newest first, those that begin so are the first ones below the greatest text that does.
    found = [
        run.run_id
        for run in await client.list_runs(before=given + "\U0010ffff", limit=_SHOWN + 1)
        if run.run_id.startswith(given)
    ]
    if len(found) > 1:
        try:
            return (await client.get_status(given)).run_id
        except RunNotFoundError:
            more = ", and more" if len(found) > _SHOWN else ""
            raise CommandError(
                f"{given!r} may be several runs: {', '.join(found[:_SHOWN])}{more}. Give more of"
                " the id."
            ) from None
    if not found:
        raise RunNotFoundError(f"there is no run {given!r}, and none that begins so, in this store")
    return found[0]
