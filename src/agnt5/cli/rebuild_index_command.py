"""``agnt5 rebuild-index [STORE]``."""

from __future__ import annotations

import click

from agnt5.cli.output import console, json_option, print_json
from agnt5.cli.rebuilding import rebuilt, sentence


@click.command("rebuild-index")
@click.argument("store", required=False)
@json_option
def rebuild_index(store: str | None, *, as_json: bool) -> None:
    """Drop the index tables of a store and build them again from its log.

    Nothing is lost: the log is the truth, and the index only makes it quick to search. No runtime
    may have the store open.

    STORE is an address such as sqlite:///app.db, or the path of a file. Default: AGNT5_STORE, else
    .agnt5/agnt5.db.
    """
    done = rebuilt(store)
    if as_json:
        print_json(done)
    else:
        console().print(sentence(done))
