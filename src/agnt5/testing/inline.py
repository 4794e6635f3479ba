"""What waits for threads in a real house, done on the loop: so one seed is one run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from random import Random
from typing import Any

from agnt5.actors.bus import Bus
from agnt5.actors.executor import Attempt, Cancel, Result
from agnt5.actors.family import Family
from agnt5.actors.ids import Ids
from agnt5.actors.ports import AttemptInfo, Handler
from agnt5.actors.reader import Extent, OnRead, Reader
from agnt5.actors.threads import Threads
from agnt5.events.log import EventLog
from agnt5.testing.faults import Dice


class InlineReader(Reader):
    """Reads in the next turn of the loop, in the order in which it was asked."""

    def __init__(self, log: EventLog, context: Context) -> None:
        super().__init__(log, context)
        self._asked: list[tuple[str, OnRead, Extent]] = []

    def _ask(self, stream: str, on_read: OnRead, extent: Extent) -> None:
        if not self._asked:
            self._loop.call_soon(self._read, context=self._context)
        self._asked.append((stream, on_read, extent))

    def _read(self) -> None:
        asked, self._asked = self._asked, []
        self._answer(asked)


class InlineThreads(Threads):
    """Calls blocking functions at once, as if their thread had taken no time."""

    async def call(self, function: Callable[[], Any]) -> Any:
        """The result of a blocking call, in a copy of the caller's context."""
        await asyncio.sleep(0)
        return copy_context().run(off_loop, function)


def off_loop(function: Callable[[], Any]) -> Any:
    """Call it as on another thread: there is no running loop, ``asyncio.run`` works."""
    running = asyncio.get_running_loop()
    events = sys.modules["asyncio.events"]
    events._set_running_loop(None)  # noqa: SLF001 - offered to those who implement loops
    try:
        return function()
    finally:
        events._set_running_loop(running)  # noqa: SLF001 - the same


class SeededIds(Ids):
    """Ids that count, so that two runs of one seed are equal to the letter."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._runs = count(1)
        self._numbers = count(1)
        self._said = prefix

    def run_id(self) -> str:
        """``run-1``, ``run-2`` and so on."""
        return f"{self._said}run-{next(self._runs)}"

    def event_id(self) -> str:
        """Unique in this simulation."""
        return f"{self._said}e{next(self._numbers):x}"


class SimulatedBus(Bus):
    """A bus without threads, whose executors start late and report late, or twice, by the dice."""

    dice: Dice = Dice()
    prefix: str = ""

    def __init__(self, log: EventLog, *args: Any, **kwargs: Any) -> None:
        super().__init__(log, *args, **kwargs)
        self._reader = InlineReader(log, self._context)
        self.family = Family(self, self._reader)
        self._threads = InlineThreads(1)
        self.ids = SeededIds(self.prefix)

    def send_attempt(self, handler: Handler, command: Attempt | Cancel) -> None:
        """To the executor of a function, some turns later."""
        if self.dice.is_calm or isinstance(command, Cancel):
            super().send_attempt(handler, command)
            return
        info = command.info
        dice = self.dice.at("attempt", info.run_id, info.key, str(info.attempt))
        command.report = self._lately(dice, command.report)
        later(self.dice.turns(dice), lambda: self._send(handler, command))

    def _send(self, handler: Handler, command: Attempt) -> None:
        # Meanwhile the run may have left: its attempt must not begin then.
        if not command.cancelled and not self.closing:
            super().send_attempt(handler, command)

    def _lately(
        self, dice: Random, report: Callable[[AttemptInfo, Result], None]
    ) -> Callable[[AttemptInfo, Result], None]:
        turns, again = self.dice.turns(dice), self.dice.is_doubled(dice)

        def reported(info: AttemptInfo, result: Result) -> None:
            later(turns, lambda: report(info, result))
            if again:
                later(turns * 2 + 3, lambda: report(info, result))

        return reported


def later(turns: int, call: Callable[[], None]) -> None:
    """Call it that many turns of the loop from now; at once for none."""
    if turns <= 0:
        call()
    else:
        asyncio.get_running_loop().call_soon(later, turns - 1, call)
