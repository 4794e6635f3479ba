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
    "bulk": Entry(
        "agnt5.cli.operating_commands:bulk",
        "Do one thing to many runs.",
    ),
    "cancel": Entry(
        "agnt5.cli.outside_commands:cancel",
        "Ask a run to stop.",
    ),
    "check": Entry(
        "agnt5.cli.check_command:check",
        "Find what makes workflows behave differently on replay.",
    ),
    "completion": Entry(
        "agnt5.cli.completion_command:completion",
        "Print the script that completes agnt5 in a shell.",
    ),
    "diff": Entry(
        "agnt5.cli.travel_commands:diff",
        "Show what has changed in a run between events.",
    ),
    "doctor": Entry(
        "agnt5.cli.care_commands:doctor",
        "Say how a store and its runs are, and what to do.",
    ),
    "events": Entry(
        "agnt5.cli.events_command:events",
        "List the events of a run, or of all runs.",
    ),
    "explain": Entry(
        "agnt5.cli.travel_commands:explain",
        "Say why a run is where it is.",
    ),
    "export": Entry(
        "agnt5.cli.transfer_commands:export",
        "Write the histories of runs to a file.",
    ),
    "fork": Entry(
        "agnt5.cli.operating_commands:fork",
        "Begin a new run with the first events of another.",
    ),
    "import": Entry(
        "agnt5.cli.transfer_commands:import_",
        "Write the runs of a file to a store.",
    ),
    "prune": Entry(
        "agnt5.cli.care_commands:prune",
        "Delete runs that ended long ago, into files.",
    ),
    "pause": Entry(
        "agnt5.cli.operating_commands:pause",
        "Have a run stand still.",
    ),
    "query": Entry(
        "agnt5.cli.query_command:query",
        "Ask the store in SQL.",
    ),
    "rebuild-index": Entry(
        "agnt5.cli.rebuild_index_command:rebuild_index",
        "Build the index tables of a store again from its log.",
    ),
    "replay": Entry(
        "agnt5.cli.replay_command:replay",
        "Say whether recorded runs can go on with this code.",
    ),
    "reply": Entry(
        "agnt5.cli.outside_commands:reply",
        "Answer the question that a run waits with.",
    ),
    "rerun": Entry(
        "agnt5.cli.operating_commands:rerun",
        "Start a run again from its beginning.",
    ),
    "resume": Entry(
        "agnt5.cli.operating_commands:resume",
        "Let a paused or suspended run go on.",
    ),
    "retry": Entry(
        "agnt5.cli.operating_commands:retry",
        "Try a failed run again from its failure.",
    ),
    "runs": Entry(
        "agnt5.cli.runs_command:runs",
        "List runs, the newest first.",
    ),
    "show": Entry(
        "agnt5.cli.show_command:show",
        "Show a run on one page.",
    ),
    "signal": Entry(
        "agnt5.cli.outside_commands:signal",
        "Send a signal to a run.",
    ),
    "state": Entry(
        "agnt5.cli.travel_commands:state",
        "Show all that is known of a run, now or then.",
    ),
    "rotate-keys": Entry(
        "agnt5.cli.privacy_commands:rotate_keys",
        "Wrap data keys with the newest master key.",
    ),
    "shred": Entry(
        "agnt5.cli.privacy_commands:shred",
        "Make what was recorded of a person unreadable for ever.",
    ),
    "vacuum": Entry(
        "agnt5.cli.care_commands:vacuum",
        "Give room that nobody uses back to the disk.",
    ),
    "verify": Entry(
        "agnt5.cli.care_commands:verify",
        "Say whether a store holds together.",
    ),
    "what-if": Entry(
        "agnt5.cli.operating_commands:what_if",
        "Say what this code would do with a recorded run.",
    ),
}
