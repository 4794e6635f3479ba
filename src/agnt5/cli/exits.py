"""How a command ends: the exit codes that scripts may rely on, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    """It did what was asked, and found nothing to complain about."""
    FOUND = 1
    """It ran, and the answer is no: a finding, a failed run, a difference."""
    USAGE = 2
    """It was asked wrongly: an unknown option, a missing file, a wrong setting."""
    STORE = 3
    """The store cannot be opened, read or written."""
    BUG = 4
    """Something that no command foresees: a bug of agnt5."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of the signal, as shells count."""


class CommandError(Exception):
    """A command cannot go on. Its text is what the user reads: one line, or two.

    Args:
        message: What was found, what was expected, what to do.
        status: One of the exit codes; wrong usage by default.
    """

    def __init__(self, message: str, status: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.status = status
