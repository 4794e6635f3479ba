"""The frame around every command: loading it when it is asked for, and ending in good manners."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from io import TextIOWrapper
from typing import Any, cast

import click

from agnt5.cli.commands import COMMANDS
from agnt5.cli.exits import CommandError, Exit
from agnt5.cli.harmless import harmless
from agnt5.exceptions import AGNT5Error, ConfigurationError, InvalidInputError, StoreError

_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _ReaderGoneError(Exception):
    """Whoever read the output has left. Of the error that says so, click makes a failure."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the alphabet."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry.target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        return cast("click.Command", found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which name is like the one that was given."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - what click gives
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in sorted(COMMANDS)])


def _version(ctx: click.Context, _: click.Parameter, *, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

        click.echo(f"agnt5-actors {version('agnt5-actors')}")
        ctx.exit()


@click.command(
    cls=LazyGroup,
    name="agnt5",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        "Exit codes: 0 fine, 1 findings or failure, 2 wrong usage, 3 trouble with the store, 4 a"
        " bug of agnt5. NO_COLOR=1 turns colours off, AGNT5_TRACEBACK=1 shows where an error comes"
        " from."
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, parameter, value: _version(ctx, parameter, wanted=value),
    help="Show the version and exit.",
)
def agnt5() -> None:
    """Durable workflows: look after them from the shell."""


def run(arguments: Sequence[str], group: click.Command = agnt5) -> int:
    """Run a command and turn however it ends into an exit code, with a line or two on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What an old encoding has no character for is printed as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        ended: Any = group.main(list(arguments), prog_name="agnt5", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "agnt5"
        text = error.format_message().rstrip(".")
        stop = "" if text.endswith("?") else "."
        return _say(f"{text[:1].lower()}{text[1:]}{stop} See: {command} --help", Exit.USAGE)
    except click.ClickException as error:
        return _say(error.format_message(), Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", Exit.INTERRUPTED)
    except (BrokenPipeError, _ReaderGoneError):
        return _reader_is_gone()
    except Exception as error:  # noqa: BLE001 - the edge of the program
        return _explained(error)
    return ended if isinstance(ended, int) else Exit.OK


def _explained(error: Exception) -> int:
    if os.environ.get("AGNT5_TRACEBACK", "") not in {"", "0"}:
        sys.excepthook(type(error), error, error.__traceback__)
    match error:
        case CommandError():
            return _say(str(error), error.status)
        case StoreError():
            return _say(f"{error.code}: {error}", Exit.STORE)
        case ConfigurationError() | InvalidInputError():
            return _say(f"{error.code}: {error}", Exit.USAGE)
        case AGNT5Error():
            return _say(f"{error.code}: {error}", Exit.FOUND)
        case OSError(errno=int(), filename=None) if error.errno in _NO_PLACE:
            # What is written in vain has no name: it is the output, which a shell has sent there.
            return _output_is_lost(error)
        case _:
            return _say(
                f"a bug of agnt5: {type(error).__name__}: {error}\nRun it again with"
                " AGNT5_TRACEBACK=1 and report what it prints, together with the command.",
                Exit.BUG,
            )


def _say(message: str, status: int) -> int:
    click.echo(f"agnt5: {harmless(message, lines=True)}", err=True)
    return status


def _output_is_lost(error: OSError) -> int:
    """Say that what was printed did not arrive, as where the disk behind ``> file`` is full."""
    _leave_output()
    return _say(f"the output cannot be written: {error.strerror}", Exit.USAGE)


def _reader_is_gone() -> int:
    """End quietly when whoever read the output has left, as after ``| head``."""
    _leave_output()
    return Exit.OK


def _leave_output() -> None:
    # Python flushes on its way out and would complain about the same thing.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
