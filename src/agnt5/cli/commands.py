"""The commands of ``agnt5``, by name. None is imported before it is asked for.

A new command is a module with a click command in it, and a line here. Its summary stands here as
well, so that the list of commands needs none of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """Where a command is, as ``module:attribute``, and what it does in a few words."""

    target: str
    summary: str


COMMANDS: Final[dict[str, Entry]] = {
    "check": Entry(
        "agnt5.cli.check_command:check", "Find what makes workflows behave differently on replay."
    ),
    "replay": Entry(
        "agnt5.cli.replay_command:replay",
        "Say whether recorded runs can go on with this code.",
    ),
    "rebuild-index": Entry(
        "agnt5.cli.rebuild_index_command:rebuild_index",
        "Build the index tables of a store again from its log.",
    ),
}
