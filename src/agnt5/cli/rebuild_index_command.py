"""``agnt5 rebuild-index [STORE]``."""

from __future__ import annotations

import click

from agnt5.cli.opening import store_option
from agnt5.cli.output import console, json_option, print_json
from agnt5.cli.rebuilding import rebuilt, sentence


@click.command("rebuild-index")
@click.argument("address", metavar="[STORE]", required=False)
@store_option
@json_option
def rebuild_index(address: str | None, store: str | None, *, as_json: bool) -> None:
    """Drop the index tables of a store and build them again from its log.

    Nothing is lost: the log is the truth, and the index only makes it quick to search. No runtime
    may have the store open.

    STORE is the same as --store.
    """
    if address is not None and store is not None:
        raise click.UsageError("the store is given twice: as STORE and as --store")
    done = rebuilt(store if address is None else address)
    if as_json:
        print_json(done)
    else:
        console().print(sentence(done))
