"""``agnt5 cancel``, ``reply`` and ``signal``: what a run is told from outside.

Each is written down durably; it takes effect when a program that executes the run opens the store.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from agnt5.cli.exits import CommandError
from agnt5.cli.opening import operate, run_of, store_option
from agnt5.cli.output import json_option, print_json, print_text

if TYPE_CHECKING:
    from agnt5.client import AsyncClient

_LARGEST = 64 * 1024 * 1024


@click.command("cancel")
@click.argument("run")
@click.option("--reason", help="Why; it is recorded, and told to whoever looks.")
@store_option
@json_option
def cancel(store: str | None, run: str, reason: str | None, *, as_json: bool) -> None:
    """Ask a run to stop; its cleanup may still run. One that has ended stays as it is.

    RUN is the id of a run, or the first characters of one. No program may have the store open:
    ask that program itself then.
    """

    async def ask(client: AsyncClient) -> tuple[str, str]:
        run_id = await run_of(client, run)
        return run_id, str((await client.cancel(run_id, reason)).status)

    run_id, status = operate(store, ask)
    if as_json:
        print_json({"run_id": run_id, "status": status})
    elif status in {"completed", "failed", "cancelled"}:
        print_text(f"run {run_id} has ended: {status}")
    else:
        print_text(f"run {run_id} is asked to stop; it does when a program executes it")


@click.command("reply")
@click.argument("run")
@click.argument("answer", required=False)
@click.option("--skip", is_flag=True, help="Decline to answer; the question must allow it.")
@click.option("--question", "key", metavar="KEY", help="Which question, if there are several.")
@click.option("--actor", help="Who answers.")
@click.option("--channel", default="cli", show_default=True, help="By which way.")
@click.option("--reason", help="Why.")
@click.option("--shown", help="The digest of what the person was shown.")
@store_option
@json_option
def reply(
    store: str | None,
    run: str,
    answer: str | None,
    key: str | None,
    actor: str | None,
    channel: str,
    reason: str | None,
    shown: str | None,
    *,
    skip: bool,
    as_json: bool,
) -> None:
    """Answer the question that a run waits with.

    RUN is the id of a run, or the first characters of one. ANSWER is the text, or the id of an
    option; several options are separated by commas. No program may have the store open: ask that
    program itself then.
    """
    if skip == (answer is not None):
        raise click.UsageError("give an ANSWER, or --skip")

    async def ask(client: AsyncClient) -> str:
        run_id = await run_of(client, run)
        await client.resume(
            run_id, answer, key=key, actor=actor, channel=channel, reason=reason, shown=shown
        )
        return run_id

    run_id = operate(store, ask)
    if as_json:
        print_json({"run_id": run_id, "answer": answer})
    else:
        print_text(f"run {run_id} is answered; it goes on when a program executes it")


@click.command("signal")
@click.argument("run")
@click.argument("name")
@click.argument("payload", metavar="[JSON]", required=False)
@click.option("--id", "signal_id", help="An id of your own: sent twice, it is one signal.")
@store_option
@json_option
def signal(
    store: str | None,
    run: str,
    name: str,
    payload: str | None,
    signal_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Send a signal to a run.

    RUN is the id of a run, or the first characters of one. JSON is what the run gets, null by
    default; - reads it from stdin. No program may have the store open: ask that program itself
    then.
    """
    given = None if payload is None else _parsed(payload)

    async def ask(client: AsyncClient) -> str:
        run_id = await run_of(client, run)
        await client.signal(run_id, name, given, signal_id=signal_id)
        return run_id

    run_id = operate(store, ask)
    if as_json:
        print_json({"run_id": run_id, "name": name})
    else:
        print_text(f"run {run_id} has the signal {name!r}")


def _parsed(payload: str) -> object:
    text = sys.stdin.read(_LARGEST + 1) if payload == "-" else payload
    if len(text) > _LARGEST:
        raise CommandError(f"a signal may have {_LARGEST} characters of JSON: stdin has more")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"the payload of a signal is JSON, such as '\"text\"' or '{{\"a\": 1}}', and this is"
            f" not: {error}"
        ) from error
