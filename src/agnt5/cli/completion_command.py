"""``agnt5 completion``: the script by which a shell completes this command."""

from __future__ import annotations

import click

from agnt5.cli.output import json_option, print_json


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, *, as_json: bool) -> None:
    """Print the script by which a shell completes this command.

    In ~/.bashrc: eval "$(agnt5 completion bash)". In ~/.zshrc: eval "$(agnt5 completion zsh)".
    For fish: agnt5 completion fish > ~/.config/fish/completions/agnt5.fish
    """
    from click import shell_completion as known  # noqa: PLC0415 - only for this command

    found = {"bash": known.BashComplete, "zsh": known.ZshComplete, "fish": known.FishComplete}
    root = context.find_root()
    script = found[shell](root.command, {}, "agnt5", "_AGNT5_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
