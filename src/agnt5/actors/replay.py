"""A body that asks again for what its log holds: the walk, the calls kept back, the patience.

Divergence is: a body with a single task that awaits a call of which the log knows nothing while
the log still expects another one; a body that ended too soon; or one that has not moved within the
stall limit although it has asked for something new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from agnt5.actors.branch import Body, StepFuture
from agnt5.actors.parkable import waits_only_for
from agnt5.actors.tracing import replayed
from agnt5.events.keys import enclosing_keys
from agnt5.events.run import commands as c
from agnt5.events.run.facts import Note
from agnt5.events.run.report import Divergence, divergence_report
from agnt5.events.run.walk import Delivery, Walk

MakeCommand = Callable[[], c.RunCommand]


class Replay:
    """One replay of one body, from its first line to the end of its history."""

    def __init__(
        self,
        walk: Walk,
        known: set[str],
        body: Body,
        diverged: Callable[[str], None],
        *,
        context: Context,
        stall_limit_s: float,
    ) -> None:
        self.owed: dict[str, int] = {}
        """Attempts to start once the body has asked for their steps again."""
        self._walk = walk
        self._known = known
        self._body = body
        self._diverged = diverged
        self._context = context
        self._stall_limit_s = stall_limit_s
        self._held: dict[str, MakeCommand] = {}
        self._lines: dict[str, str | None] = {}
        self._notes: set[str] = set()
        self._said: set[str] = set()
        """Recorded notes that the body has made again."""
        self._judging = False
        self._unheard = False
        """The body has asked for something since the walk last went on."""
        self._stall: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    @property
    def time(self) -> int:
        """When the fact that was passed last was decided, microseconds since the epoch."""
        return self._walk.time

    @property
    def is_over(self) -> bool:
        """Whether every recorded fact has been passed."""
        return self._walk.is_over

    def knows(self, key: str) -> bool:
        """Whether the log holds this operation."""
        return key in self._known

    def ask(self, key: str, make_command: MakeCommand, line: str | None) -> None:
        """The body has called for an operation."""
        self._held[key] = make_command
        self._lines[key] = line
        self._unheard = True
        self._walk.ask(key)

    def said(self, key: str) -> None:
        """The body has made a recorded note again."""
        self._said.add(key)

    def went_on(self) -> bool:
        """Whether an earlier pass of the body has done something that this one has yet to do."""
        return self._walk.went_on(self._said)

    def add_note(self, note: Note) -> None:
        """The body has said something that the log does not hold: it follows when that is over."""
        self._notes.add(note.key)
        self._held[note.key] = lambda: c.AddNote(note)
        self._walk.ask(note.key)

    def give_up(self, key: str) -> None:
        """The body has stopped waiting for an operation."""
        self._walk.give_up(key)

    def advance(self) -> Delivery | None:
        """The next thing to hand over; None when the body must move first, or it is over."""
        self._unheard = False
        delivery = self._walk.advance()
        if delivery is None and not self._walk.is_over:
            self._wait_for_body()
        return delivery

    def finish(self) -> bool:
        """The body has ended: whether the history ends there, too."""
        return self._walk.finish({guard.path for guard in self._body.guards})

    def unrecorded(self) -> list[c.RunCommand]:
        """What the log does not hold: waits that were given up, then new calls, in their order."""
        given_up = self._walk.given_up
        new = [key for key in self._walk.held() if key not in given_up]
        return [*map(c.AbandonOperation, given_up), *(self._held[key]() for key in new)]

    def unentered(self) -> list[str]:
        """The owed inline step inside which the next recorded request was made, if any."""
        key = getattr(self._walk.expected, "key", None)
        if not isinstance(key, str):
            return []
        return [outer for outer in enclosing_keys(key) if outer in self.owed][:1]

    def divergence(self, how: str) -> Divergence:
        """What the log expects, and what the body has asked for instead."""
        held = [key for key in self._walk.held() if key not in self._notes]
        asked = tuple((key, self._lines.get(key)) for key in held)
        return Divergence(how, self._walk.expected, asked)

    def report(self, component: str, where: str, how: str) -> str:
        """What a person reads about a divergence."""
        return divergence_report(self._body.run_id, component, where, self.divergence(how))

    def end(self) -> None:
        """The history is over, and the body goes on by itself."""
        self.close()
        replayed(self._context, self._loop.time() - self._began)

    def close(self) -> None:
        """Wait no more."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _wait_for_body(self) -> None:
        if len(self._held) > len(self._notes) and not self._judging:
            self._judging = True
            self._loop.call_soon(self._judge, context=self._context)
        if self._stall is None:
            self._stall = self._loop.call_later(
                self._stall_limit_s, self._stalled, self._body.moves, context=self._context
            )

    def _judge(self) -> None:
        """A single task that awaits a call which the log does not hold can never ask for more."""
        self._judging = False
        if self._unheard or self._body.closed or self._walk.is_over:
            return
        if len(self._body.guards) != 1 or self.unentered():
            # An inline step that is owed, and not begun yet, will ask for what the log expects.
            return
        (guard,) = self._body.guards
        waiting = guard.waiting_on
        if isinstance(waiting, StepFuture) and not waiting.done() and self._is_new(waiting.key):
            self._diverged("asked for something else")

    def _stalled(self, moves: int) -> None:
        self._stall = None
        if self._body.closed or self._walk.is_over:
            return
        has_not_moved = moves == self._body.moves
        if has_not_moved and (any(map(self._is_new, self._held)) or self._waits_for_us()):
            self._diverged("waits for something else")
        else:
            self._wait_for_body()

    def _waits_for_us(self) -> bool:
        """Nothing but an outcome could move it, and those lie behind what it will not ask."""
        return waits_only_for(self._body.guards, StepFuture)

    def _is_new(self, key: str) -> bool:
        known = key in self._walk.claimed or key in self._notes
        return key in self._held and not known
