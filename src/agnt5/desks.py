"""The desks of a runtime at which most programs never ask. Each is made, and imported, when it is.

A process should be at its first run before anybody notices; what looks back at runs can wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agnt5.bulk_desk import Bulk
    from agnt5.care_desk import CareDesk
    from agnt5.event_queries import EventQueries
    from agnt5.history_desk import HistoryDesk
    from agnt5.keyring import Keyring
    from agnt5.operator_desk import Operating
    from agnt5.privacy_desk import PrivacyDesk
    from agnt5.retention import Retention
    from agnt5.runs import Runs
    from agnt5.sweeps import Sweeps
    from agnt5.time_travel import TimeTravel


class Desks:
    """What :class:`Runtime` inherits."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

    @cached_property
    def care(self) -> CareDesk:
        """Looks after the store."""
        from agnt5.care_desk import CareDesk  # noqa: PLC0415 - see above

        return CareDesk(self.runs)

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

    @cached_property
    def privacy(self) -> PrivacyDesk:
        """Rotates keys, shreds, and checks the hash chain."""
        from agnt5.privacy_desk import PrivacyDesk  # noqa: PLC0415 - see above

        return PrivacyDesk(self.runs)

    @cached_property
    def operating(self) -> Operating:
        """Has runs stand still, go on, and begin again from their history."""
        from agnt5.operator_desk import Operating  # noqa: PLC0415 - see above

        return Operating(self.runs)

    @cached_property
    def bulk(self) -> Bulk:
        """Does one thing to many runs."""
        from agnt5.bulk_desk import Bulk  # noqa: PLC0415 - see above

        return Bulk(self.runs, self.operating)


def sweeps_of(
    runs: Runs, retention: Mapping[str, Retention] | None, keyring: Keyring | None
) -> Sweeps | None:
    """What keeps the retentions of a runtime; None, and not imported, where there are none.

    Raises:
        ConfigurationError: When they are wrong.
    """
    if not retention:
        return None
    from agnt5.retention import checked  # noqa: PLC0415 - see above
    from agnt5.sweeps import Sweeps  # noqa: PLC0415 - see above

    return Sweeps(runs, checked(retention, is_encrypted=keyring is not None))
