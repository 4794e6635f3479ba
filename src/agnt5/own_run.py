"""A run of its own for a workflow that is called where no run is: the slot that the front fills."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Start = Callable[[str, str, dict[str, object]], Awaitable[object]]
"""(kind, name, input) to the output of a run of its own; its failure is raised as it was."""

_starts: list[Start] = []


def set_start(start: Start) -> None:
    """Told once, by the floor that knows runtimes: imports only go down."""
    _starts[:] = [start]


async def run_alone(kind: str, name: str, given: dict[str, object]) -> object:
    """Run a component in the runtime of this process and wait for its end."""
    (start,) = _starts
    return await start(kind, name, given)
