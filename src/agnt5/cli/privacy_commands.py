"""``agnt5 rotate-keys`` and ``shred``: the keys of a store.

Master keys come from ``AGNT5_ENCRYPTION_KEYS``: never from an argument, which others on the machine
can see.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from agnt5.cli.exits import CommandError
from agnt5.cli.opening import operate, store_option
from agnt5.cli.output import json_option, print_json, print_text
from agnt5.wording import counted

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.privacy_desk import Shredded


@click.command("rotate-keys")
@store_option
@json_option
def rotate_keys(store: str | None, *, as_json: bool) -> None:
    """Wrap the data keys of an encrypted store with the newest master key.

    Give the new and the old keys in AGNT5_ENCRYPTION_KEYS, the newest first. No program may have
    the store open. Afterwards the old ones are needed no more.
    """

    async def ask(client: AsyncClient) -> int:
        return await client.rotate_keys()

    done = operate(store, ask)
    if as_json:
        print_json({"keys": done})
    else:
        print_text(f"{counted(done, 'data key')} wrapped with the newest master key")


@click.command("shred")
@click.argument("subject")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@store_option
@json_option
def shred(store: str | None, subject: str, *, yes: bool, as_json: bool) -> None:
    """Destroy the data keys of SUBJECT, a user id: nobody can read its payloads any more.

    There is no way back. Runs that have not ended are in the way. No program may have the store
    open.
    """
    if not yes:
        question = f"Make all payloads of {subject!r} unreadable for ever?"
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Nobody is there to ask: give --yes if it is meant.")
        click.confirm(question, abort=True, err=True)

    async def ask(client: AsyncClient) -> Shredded:
        return await client.shred(subject)

    done = operate(store, ask)
    if as_json:
        print_json(asdict(done))
        return
    runs = counted(len(done.runs), "run")
    told = f"{counted(done.keys, 'data key')} of {subject!r} destroyed; it has {runs}"
    if done.facts_in_clear:
        told += f"; {done.facts_in_clear} events of them are older than the encryption: in clear"
    if not done.scrubbed:
        told += "; a trace may be left while somebody reads the store: shred again later"
    print_text(told)
