"""When a run that only waits leaves memory: after a grace, and only from rest."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from agnt5.actors.clock import Alarm, Clock
from agnt5.actors.rest import Rest
from agnt5.actors.script import Script
from agnt5.events.run.decider import is_waiting, next_wake
from agnt5.events.run.state import RunState

_LOOK_AGAIN_US = 50_000
"""A body that waits for something of its own is not asked all the time whether it still does."""


class Parked(Protocol):
    """The actor whose run may be parked."""

    state: RunState
    script: Script | None

    @property
    def may_park(self) -> bool:
        """Whether nothing is in motion: no letter, no append."""
        ...

    def park(self) -> None:
        """Record that it is parked, and leave."""
        ...


class Parking:
    """Watches one run, and parks it."""

    def __init__(
        self, actor: Parked, clock: Clock, context: Context, grace_us: Callable[[], int]
    ) -> None:
        self._actor = actor
        self._clock = clock
        self._context = context
        self._grace_us = grace_us
        self._alarm: Alarm | None = None
        self._moves_at_rest = -1

    def consider(self) -> None:
        """Everything is durable: if the run only waits, it may leave memory after a grace."""
        script = self._actor.script
        if script is None or script.closed or not is_waiting(self._actor.state):
            return
        self._later(script, self._grace_us())

    def stop(self) -> None:
        """Do not park it."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _later(self, script: Script, delay_us: int) -> None:
        self.stop()
        self._moves_at_rest = script.moves
        due_at = self._clock.now() + delay_us
        wake_at = next_wake(self._actor.state)
        if wake_at is None or wake_at > due_at:
            at_rest = Rest(script, self._park, self._context)  # it may be about to move
            self._alarm = self._clock.call_at(due_at, at_rest.wait)

    def _park(self) -> None:
        self._alarm = None
        actor, script = self._actor, self._actor.script
        if script is None or not actor.may_park:
            return
        if script.moves != self._moves_at_rest or not script.only_waits:
            if is_waiting(actor.state) and not script.closed:
                self._later(script, max(self._grace_us(), _LOOK_AGAIN_US))
            return
        actor.park()
