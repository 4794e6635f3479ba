"""``agnt5 replay --against module:workflow corpus/``: may this code be deployed?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agnt5.cli.output import json_option, print_json
from agnt5.testing.corpus import replay_corpus
from agnt5.testing.replay import PATIENCE_S, STALL_LIMIT_S


@click.command("replay")
@click.argument("corpus", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "--against",
    required=True,
    metavar="MODULE[:WORKFLOW]",
    help="The code: a workflow, or a module; then each run meets the workflow of its name.",
)
@click.option("--strict", is_flag=True, help="Differences fail, too: arguments, results.")
@click.option("--verbose", "-v", is_flag=True, help="Show the runs with which all is well, too.")
@click.option(
    "--stall-limit",
    type=click.FloatRange(min=0),
    default=STALL_LIMIT_S,
    show_default=True,
    help="Seconds after which a body that does not move has diverged.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=PATIENCE_S,
    show_default=True,
    help="Seconds for one run.",
)
@json_option
def replay(
    corpus: tuple[str, ...],
    against: str,
    stall_limit: float,
    patience: float,
    *,
    strict: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Replay exported histories on the code that is here, without executing anything.

    CORPUS are files that an export has written, and folders with files named *.jsonl or
    *.parquet.

    Of every run it says: compatible, needs patched (the run would be suspended unless ctx.patched
    keeps the old path for it), needs a fork (the recorded input or a recorded value does not fit
    the code), or undecided.

    Exit codes: 0 every run can go on, 1 some cannot, 2 wrong usage.
    """
    # As with `python -m`: the code that is checked is mostly that of the project one stands in.
    sys.path.insert(0, str(Path.cwd()))
    report = replay_corpus(corpus, against, stall_limit=stall_limit, patience=patience)
    if as_json:
        print_json(report.as_json())
    else:
        click.echo(report.text(verbose=verbose))
    return 0 if report.is_fine(strict=strict) else 1
