"""What to do when an actor fails: begin it again from the log, later each time, or give it up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agnt5.actors.clock import Alarm, Clock
from agnt5.exceptions import StoreError, VersionConflictError

logger = logging.getLogger("agnt5.supervisor")

MAX_RESTARTS = 5
_FIRST_DELAY_US = 50_000
_FORGET_AFTER_US = 60_000_000


@dataclass(slots=True)
class _Record:
    restarts: int
    last_at: int
    alarm: Alarm | None = None


def restart_delay_us(restarts: int) -> int:
    """How long to wait before restart number ``restarts`` (from 0)."""
    return 0 if restarts == 0 else int(_FIRST_DELAY_US * 2 ** (restarts - 1))


class Supervisor:
    """Watches the actors of runs. One that fails does not touch the others."""

    def __init__(
        self,
        clock: Clock,
        restart: Callable[[str], None],
        give_up: Callable[[str, BaseException], None],
    ) -> None:
        self._clock = clock
        self._restart = restart
        self._give_up = give_up
        self._records: dict[str, _Record] = {}

    def failed(self, run_id: str, error: BaseException) -> None:
        """An incarnation of a run has failed: restart it, or give it up after several restarts."""
        now = self._clock.now()
        record = self._records.get(run_id)
        if record is None or now - record.last_at > _FORGET_AFTER_US:
            record = self._records[run_id] = _Record(0, now)
        if record.restarts >= MAX_RESTARTS:
            logger.error("run %s failed %d times: %s", run_id, record.restarts + 1, error)
            del self._records[run_id]
            self._give_up(run_id, error)
            return
        if isinstance(error, VersionConflictError):
            logger.warning("run %s: %s; reading it again", run_id, error)
        else:
            expected = isinstance(error, StoreError)
            logger.error(
                "run %s failed: %s; it begins again from its log",
                run_id,
                error,
                exc_info=None if expected else error,
            )
        due_at = now + restart_delay_us(record.restarts)
        record.restarts, record.last_at = record.restarts + 1, now
        record.alarm = self._clock.call_at(due_at, lambda: self._restart(run_id))

    def ended(self, run_id: str) -> None:
        """A run has ended: forget its failures."""
        record = self._records.pop(run_id, None)
        if record is not None and record.alarm is not None:
            record.alarm.cancel()

    def close(self) -> None:
        """Restart nothing any more."""
        for run_id in list(self._records):
            self.ended(run_id)
