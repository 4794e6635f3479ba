"""When a body has come to rest: no task of it has moved for a few turns of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from agnt5.actors.branch import Body

QUIET_TURNS = 4
"""No chain of callbacks between two moves of a body is longer: a future of a future of a future."""


class Rest:
    """Watches one body, when asked to."""

    __slots__ = ("_body", "_context", "_loop", "_then", "_watching", "reached")

    def __init__(self, body: Body, then: Callable[[], None], context: Context) -> None:
        self.reached = False
        """True within ``then``, until something is handed to the body."""
        self._body = body
        self._then = then
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._watching = False

    def wait(self) -> None:
        """Call ``then`` once the body is at rest."""
        if not self._watching:
            self._watching = True
            self._loop.call_soon(self._watch, self._body.moves, 0, context=self._context)

    def _watch(self, moves: int, quiet: int) -> None:
        body = self._body
        if moves != body.moves:
            quiet = 0
        if quiet < QUIET_TURNS and not body.closed:
            self._loop.call_soon(self._watch, body.moves, quiet + 1, context=self._context)
            return
        self._watching, self.reached = False, True
        body.calm = len(body.guards) <= 1
        self._then()
        self.reached = False
