"""``agnt5 completion``: the script by which a shell completes this command."""

from __future__ import annotations

import click

from agnt5.cli.output import json_option, print_json

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, *, as_json: bool) -> None:
    """Print the script by which a shell completes this command.

    In ~/.bashrc: eval "$(agnt5 completion bash)". In ~/.zshrc: eval "$(agnt5 completion zsh)".
    For fish: agnt5 completion fish > ~/.config/fish/completions/agnt5.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only for this command

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows the three
    root = context.find_root()
    script = found(root.command, {}, "agnt5", "_AGNT5_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
