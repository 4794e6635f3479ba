"""The desks of a runtime at which most programs never ask. Each is made, and imported, when it is.

A process should be at its first run before anybody notices; what looks back at runs can wait.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agnt5.event_queries import EventQueries
    from agnt5.history_desk import HistoryDesk
    from agnt5.runs import Runs
    from agnt5.time_travel import TimeTravel


class Desks:
    """What :class:`Runtime` inherits."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    @cached_property
    def histories(self) -> HistoryDesk:
        """Writes runs to files, and takes them in."""
        from agnt5.history_desk import HistoryDesk  # noqa: PLC0415 - see above

        return HistoryDesk(self.runs)

    @cached_property
    def queries(self) -> EventQueries:
        """Looks for events."""
        from agnt5.event_queries import EventQueries  # noqa: PLC0415 - see above

        return EventQueries(self.runs)

    @cached_property
    def travel(self) -> TimeTravel:
        """Folds a run at any of its events."""
        from agnt5.time_travel import TimeTravel  # noqa: PLC0415 - see above

        return TimeTravel(self.runs)
