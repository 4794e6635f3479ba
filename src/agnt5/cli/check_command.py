"""``agnt5 check PATHS...``: the linter, its options and its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click
from rich.text import Text

from agnt5.checking import Finding, Settings, check_sources, not_python
from agnt5.checking.reports import json_of, place_of, summary_of
from agnt5.checking.sarif import sarif_of
from agnt5.checking.settings import FailOn
from agnt5.cli.check_files import files_in, project_file, settings_from, text_of
from agnt5.cli.exits import Exit
from agnt5.cli.output import console, json_option, print_json

_COLOURS = {"error": "bold red", "warning": "bold yellow"}


def _rules(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """``--select AG1,AG201`` is the same as ``--select AG1 --select AG201``."""
    return tuple(rule.strip() for each in given for rule in each.split(",") if rule.strip())


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "--select", multiple=True, callback=_rules, help="Only these rules: AG101, or AG1 for all AG1.."
)
@click.option("--ignore", multiple=True, callback=_rules, help="Not these rules.")
@click.option("--exclude", multiple=True, help="Leave out files and folders like this pattern.")
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "error", "never"]),
    help="The least severity that makes the exit code 1. Default: warning.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif"]), help="Default: text."
)
@json_option
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The pyproject.toml to read. Default: the nearest, from here upwards.",
)
def check(
    paths: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    exclude: tuple[str, ...],
    fail_on: FailOn | None,
    form: Literal["text", "json", "sarif"] | None,
    config: Path | None,
    *,
    as_json: bool,
) -> int:
    """Find what makes workflows behave differently on replay.

    PATHS are files and folders; the current folder by default. They are read, never imported.

    Settings come from [tool.agnt5.check] in pyproject.toml: select, ignore, exclude, fail-on.
    Options win; --ignore and --exclude add to what is there. A comment
    '# agnt5: ignore[AG101]' switches a rule off for its line.

    Exit codes: 0 nothing found, 1 something found, 2 wrong usage.
    """
    if as_json and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} exclude each other")
    project = project_file(config)
    settings = settings_from(project)
    settings = replace(
        settings,
        select=select or settings.select,
        ignore=(*settings.ignore, *ignore),
        exclude=(*settings.exclude, *exclude),
        fail_on=fail_on or settings.fail_on,
    )
    root = project.parent if project else Path.cwd()
    files = files_in(paths or (".",), settings, root)
    findings = _check(files, settings)
    match "json" if as_json else form:
        case "json":
            print_json(json_of(findings, len(files)))
        case "sarif":
            from importlib.metadata import version  # noqa: PLC0415 - slow to import

            print_json(sarif_of(findings, version("agnt5-actors")))
        case _:
            _print(findings, len(files))
    return Exit.FOUND if fails(findings, settings) else Exit.OK


def fails(findings: Sequence[Finding], settings: Settings) -> bool:
    """Whether findings make the command fail."""
    match settings.fail_on:
        case "never":
            return False
        case "error":
            return any(finding.severity == "error" for finding in findings)
        case "warning":
            return bool(findings)


def _check(files: Sequence[str], settings: Settings) -> list[Finding]:
    texts: dict[str, str] = {}
    unreadable: list[Finding] = []
    for path in files:
        try:
            texts[path] = text_of(path)
        except (SyntaxError, ValueError) as error:
            unreadable.append(not_python(path, error))
    return sorted([*unreadable, *check_sources(texts, settings)])


def _print(findings: Sequence[Finding], files: int) -> None:
    out = console()
    for finding in findings:
        line = Text(f"{place_of(finding)}: ")
        line.append(f"{finding.severity} {finding.rule}", style=_COLOURS[finding.severity])
        line.append(f" {finding.message}")
        out.print(line)
        out.print(Text(f"    fix: {finding.fix}", style="dim"))
    out.print(summary_of(findings, files))
