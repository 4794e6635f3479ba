"""How much a run, and an entity, may grow before it is stopped and its author told what to do."""

from __future__ import annotations

from dataclasses import dataclass, fields

from agnt5.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of each run and of each entity. None: no limit.

    At half of one a warning is logged. At a limit the run is suspended: nothing is lost, it can go
    on when the limit is larger, and it can be cancelled. A run that is asked to stop may grow on,
    to clean up.

    Args:
        events: Of one run, 100,000 by default. Each is read and folded when the run is taken up.
        size: Bytes of what the events of one run say, 256 MiB by default.
        open_calls: Calls of one run that have no outcome yet, 10,000 by default.
        waiting_calls: Calls of one entity that wait for their turn, 10,000 by default. The next one
            is refused with :class:`agnt5.OverloadedError`; nothing was written.

    Raises:
        ConfigurationError: When one of them is no number of at least 1.

    Example:
        >>> Limits(events=5000).open_calls
        10000
    """

    events: int | None = 100_000
    size: int | None = 256 * 1024 * 1024
    open_calls: int | None = 10_000
    waiting_calls: int | None = 10_000

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            known = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and (not known or value < 1):
                msg = f"the limit {each.name} is a number of at least 1, or None, not {value!r}"
                raise ConfigurationError(msg)
