"""How a paused run leaves memory: it hears and asks nothing more, and what is under way may end.

The body that was there is given up as a crash would give it up. When the run goes on it begins
again from the log, where everything is that it was told.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Protocol

from agnt5.actors.script import Script

_SOON_S = 0.002
_LATEST_S = 0.25
"""Between two looks at an inline step that has not ended, or at letters that lie there."""


class Retired(Protocol):
    """The actor whose body is given up."""

    script: Script | None

    @property
    def has_attempts(self) -> bool:
        """Whether executors have attempts of it."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is in motion: no letter, no append."""
        ...

    @property
    def has_left(self) -> bool:
        """Whether it is out of memory, or on its way."""
        ...

    def leave(self) -> None:
        """Leave memory."""
        ...


class Retiring:
    """Watches one run that was paused, until it may leave."""

    def __init__(self, actor: Retired, context: Context) -> None:
        self.is_on = False
        """The body hears and asks nothing more."""
        self.comes_back = False
        """It shall go on, from the log, when it has left."""
        self._actor = actor
        self._context = context
        self._pause_s = _SOON_S
        self._look: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The run is paused."""
        self.is_on, self.comes_back = True, False
        script = self._actor.script
        if script is not None:
            script.frozen = True

    def come_back(self) -> None:
        """The run goes on: in a new incarnation, as soon as this one has nothing under way."""
        if self.is_on:
            self.comes_back = True
            self.consider()

    def consider(self) -> None:
        """Leave, if everything has ended."""
        if not self.is_on or self._look is not None or self._actor.has_left:
            return
        if self._actor.has_attempts:
            return  # the report of an attempt is a letter, after which one looks again
        script = self._actor.script
        if self._actor.is_quiet and (script is None or not script.is_busy):
            self._actor.leave()
            return
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(self._pause_s, self._look_again, context=self._context)
        self._pause_s = min(2 * self._pause_s, _LATEST_S)

    def close(self) -> None:
        """Look no more, until somebody has it consider anew."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_again(self) -> None:
        self._look = None
        self.consider()
