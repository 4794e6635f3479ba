"""``agnt5 pause``, ``resume``, ``retry``, ``rerun``, ``fork``, ``what-if`` and ``bulk``.

What is to be executed is written down, and executed by the next program that opens the store. Code
is loaded only where it is named with ``--app``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from agnt5.cli.exits import CommandError
from agnt5.cli.filters import given, run_filters
from agnt5.cli.opening import look, operate, run_of, store_option
from agnt5.cli.output import json_option, print_json, print_text

if TYPE_CHECKING:
    from agnt5.bulk import Action, BulkReport
    from agnt5.client import AsyncClient
    from agnt5.fork_previews import ForkPreview
    from agnt5.replay_reports import ReplayReport

_ACTIONS = ("cancel", "pause", "resume", "retry", "rerun", "fork")
_LIMIT = 1000


def _app(*, required: bool) -> Callable[..., Any]:
    return click.option(
        "--app",
        "apps",
        multiple=True,
        required=required,
        metavar="MODULE",
        help="Import this module first: the code that the run is held against.",
    )


_app_option: Callable[..., Any] = _app(required=False)
_code: Callable[..., Any] = _app(required=True)
_dry_run: Callable[..., Any] = click.option(
    "--dry-run", is_flag=True, help="Only say what would be done."
)
_reason: Callable[..., Any] = click.option("--reason", help="Why; it is recorded.")
_new_id: Callable[..., Any] = click.option("--id", "new_run_id", help="The id of the new run.")
_version: Callable[..., Any] = click.option(
    "--version", "version", help="The version of the workflow that goes on with it."
)
_input: Callable[..., Any] = click.option(
    "--input", "raw_input", metavar="JSON", help="Another input: a JSON object.  [needs --app]"
)


def load(apps: tuple[str, ...]) -> None:
    """Import what registers the code, from the folder one stands in.

    Raises:
        CommandError: When there is no such module, or it fails.
    """
    sys.path.insert(0, str(Path.cwd()))
    for name in apps:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise CommandError(f"--app {name}: {error}. Name it as for `python -m`.") from error
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise CommandError(f"--app {name} cannot be imported: {why}") from error


def _parsed(raw: str | None) -> dict[str, Any] | None:
    if raw is None:
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"an input is a JSON object, and this is none: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"an input is a JSON object, such as '{{\"n\": 1}}', not {raw!r:.80}")
    return found


def _tell(as_json: bool, told: dict[str, Any], text: str) -> None:
    if as_json:
        print_json(told)
    else:
        print_text(text)


@click.command("pause")
@click.argument("run")
@click.option("--children", is_flag=True, help="The runs that it has started, too.")
@_reason
@store_option
@json_option
def pause(
    store: str | None, run: str, reason: str | None, *, children: bool, as_json: bool
) -> None:
    """Have a run stand still until it is resumed.

    RUN is the id of a run, or the first characters of one. No program may have the store open:
    ask that program itself then.
    """

    async def ask(client: AsyncClient) -> str:
        run_id = await run_of(client, run)
        await client.pause(run_id, reason, children=children)
        return run_id

    run_id = operate(store, ask)
    _tell(as_json, {"run_id": run_id, "status": "paused"}, f"run {run_id} is paused")


@click.command("resume")
@click.argument("run")
@store_option
@json_option
def resume(store: str | None, run: str, *, as_json: bool) -> None:
    """Let a paused run go on, or have a suspended one tried again.

    RUN is the id of a run, or the first characters of one. No program may have the store open:
    ask that program itself then. To answer a question, use reply.
    """

    async def ask(client: AsyncClient) -> str:
        run_id = await run_of(client, run)
        await client.resume(run_id)
        return run_id

    run_id = operate(store, ask)
    text = f"run {run_id} goes on when a program executes it"
    _tell(as_json, {"run_id": run_id}, text)


@click.command("fork")
@click.argument("run")
@click.option("--at", type=int, metavar="EVENT", help="Keep it up to this event.  [default: all]")
@_input
@_version
@click.option(
    "--identity",
    type=click.Choice(["origin", "own"]),
    help="Whose idempotency keys it has.  [default: origin; own with another input]",
)
@_new_id
@_reason
@_dry_run
@_app_option
@store_option
@json_option
def fork(
    store: str | None,
    run: str,
    at: int | None,
    raw_input: str | None,
    version: str | None,
    identity: Literal["origin", "own"] | None,
    new_run_id: str | None,
    reason: str | None,
    apps: tuple[str, ...],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Begin a new run with the first events of another one.

    RUN is the id of a run, or the first characters of one. With --dry-run it says what would be
    done again and, with --app, whether the code asks for what is kept. No program may have the
    store open, but for a dry run.
    """
    load(apps)
    changed: dict[str, Any] = {
        "input_data": _parsed(raw_input),
        "version": version,
        "identity": identity,
    }

    async def preview(client: AsyncClient) -> ForkPreview:
        return await client.preview_fork(await run_of(client, run), at, **changed)

    async def begin(client: AsyncClient) -> tuple[str, str]:
        origin = await run_of(client, run)
        made = await client.fork(origin, at, **changed, new_run_id=new_run_id, reason=reason)
        return origin, made.run_id

    _fork(store, preview, begin, dry_run=dry_run, as_json=as_json)


@click.command("retry")
@click.argument("run")
@_version
@_new_id
@_reason
@click.option(
    "--after-cleanup", is_flag=True, help="Also when it did other steps after its failure."
)
@_dry_run
@_app_option
@store_option
@json_option
def retry(
    store: str | None,
    run: str,
    version: str | None,
    new_run_id: str | None,
    reason: str | None,
    apps: tuple[str, ...],
    *,
    after_cleanup: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Try a failed or cancelled run again: a fork just before its failure.

    RUN is the id of a run, or the first characters of one. No program may have the store open,
    but for a dry run.
    """
    load(apps)

    async def preview(client: AsyncClient) -> ForkPreview:
        return await client.preview_retry(await run_of(client, run), version=version)

    async def begin(client: AsyncClient) -> tuple[str, str]:
        origin = await run_of(client, run)
        made = await client.retry(
            origin,
            version=version,
            new_run_id=new_run_id,
            after_cleanup=after_cleanup,
            reason=reason,
        )
        return origin, made.run_id

    _fork(store, preview, begin, dry_run=dry_run, as_json=as_json)


def _fork(store: str | None, preview: Any, begin: Any, *, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        found: ForkPreview = look(store, preview)
        _tell(as_json, found.model_dump(mode="json"), str(found))
        return
    origin, run_id = operate(store, begin)
    text = f"run {run_id} is a fork of {origin}; it goes on when a program executes it"
    _tell(as_json, {"run_id": run_id, "origin": origin}, text)


@click.command("rerun")
@click.argument("run")
@_input
@_version
@_new_id
@_code
@store_option
@json_option
def rerun(
    store: str | None,
    run: str,
    raw_input: str | None,
    version: str | None,
    new_run_id: str | None,
    apps: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Start a new run of the same component, with the same input or another.

    RUN is the id of a run, or the first characters of one. --app names the module of the
    component, which checks the input. No program may have the store open.
    """
    load(apps)
    changed = _parsed(raw_input)

    async def ask(client: AsyncClient) -> tuple[str, str]:
        origin = await run_of(client, run)
        made = await client.rerun(
            origin, input_data=changed, version=version, new_run_id=new_run_id
        )
        return origin, made.run_id

    origin, run_id = operate(store, ask)
    text = f"run {run_id} is a rerun of {origin}; it begins when a program executes it"
    _tell(as_json, {"run_id": run_id, "origin": origin}, text)


@click.command("what-if")
@click.argument("run")
@click.option("--at", type=int, metavar="EVENT", help="Only up to this event.")
@_code
@store_option
@json_option
def what_if(
    store: str | None, run: str, at: int | None, apps: tuple[str, ...], *, as_json: bool
) -> int:
    """Run the code of --app over what is recorded of a run, and stop at what is not.

    RUN is the id of a run, or the first characters of one. Nothing is executed or written; a
    program may have the store open.

    Exit codes: 0 the run could go on with this code, 1 it could not.
    """
    load(apps)

    async def ask(client: AsyncClient) -> ReplayReport:
        return await client.what_if(await run_of(client, run), at=at)

    report = look(store, ask)
    lines = [str(report)]
    if not report.was_over:
        lines += [f"  asks next for: {call.what} {call.key!r}" for call in report.next_calls]
    _tell(as_json, report.as_json(), "\n".join(lines))
    return 0 if report.is_compatible else 1


@click.command("bulk")
@click.argument("action", type=click.Choice(_ACTIONS))
@run_filters
@click.option("--at", type=int, metavar="EVENT", help="Of a fork: keep runs up to this event.")
@click.option("--limit", type=int, default=_LIMIT, show_default=True, help="How many at most.")
@click.option("--before", metavar="RUN", help="Go on where a limit has ended the call before.")
@_reason
@click.option("--yes", is_flag=True, help="Do it. Without this, it only says to which runs.")
@_dry_run
@_app_option
@store_option
@json_option
def bulk(
    store: str | None,
    action: Action,
    at: int | None,
    limit: int,
    before: str | None,
    reason: str | None,
    apps: tuple[str, ...],
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **filters: Any,
) -> int:
    """Do one thing to every run that the filters leave: a dry run, unless --yes is given.

    No program may have the store open, but for a dry run. A rerun needs the code: --app.

    Exit codes: 0 done to all, 1 some refused, or would.
    """
    if yes and dry_run:
        raise click.UsageError("give --yes or --dry-run, not both")
    load(apps)

    async def ask(client: AsyncClient) -> BulkReport:
        return await client.bulk(
            action,
            at=at,
            reason=reason,
            limit=limit,
            before=before,
            dry_run=not yes,
            **given(filters),
        )

    report = operate(store, ask) if yes else look(store, ask)
    told = {
        "action": report.action,
        "dry_run": report.dry_run,
        "items": [{name: getattr(each, name) for name in each.__slots__} for each in report.items],
        "next": report.next,
    }
    _tell(as_json, told, _of_many(report))
    return 1 if report.failed else 0


def _of_many(report: BulkReport) -> str:
    lines = [str(replace(report, next=None))]
    if report.dry_run:
        would = [each for each in report.items if each.result == "would"]
        lines += [f"  {each.run_id} ({each.status})" for each in would]
        lines.append("nothing was done: add --yes")
    if report.next is not None:
        lines.append(f"There are more: --before {report.next} goes on.")
    return "\n".join(lines)
