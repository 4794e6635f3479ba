"""Replays a finished run once, in memory: it must end as it did, and do nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from agnt5.actors.executor import Attempt, Cancel
from agnt5.actors.ports import Handler
from agnt5.events.codec import encode_fact
from agnt5.events.log import Append, Chain
from agnt5.events.projections import changes_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.testing.apart import off_this_loop
from agnt5.testing.disk import Disk, SimulatedLog
from agnt5.testing.house import SimulatedRuntime
from agnt5.testing.inline import SimulatedBus
from agnt5.testing.loop import NoRestError, VirtualClock, VirtualLoop
from agnt5.testing.seen import canonical, waiting

History = list[tuple[f.RunFact, int]]


class _IdleBus(SimulatedBus):
    """Starts no attempt: a replay calls no function."""

    def send_attempt(self, handler: Handler, command: Attempt | Cancel) -> None:
        """Nobody executes it."""


@dataclass
class _Replay:
    run_id: str
    history: History
    loop: VirtualLoop

    async def play(self) -> str | None:
        disk, kept = Disk(), self.history[:-1]
        record(disk, self.run_id, kept)
        log = SimulatedLog(disk)
        clock = VirtualClock(self.loop, self.history[-1][1])
        runtime = SimulatedRuntime(log, clock, prefix="again.")
        runtime.bus_class = _IdleBus
        over = self.loop.create_future()
        self.loop.at_rest = lambda has_alarm: self._at_rest(disk, over, has_alarm)
        await runtime.start()
        try:
            await over
        finally:
            self.loop.at_rest = bool
            log.bury()
            await runtime.aclose(0)
        return self._difference(disk.history(self.run_id), len(kept))

    def _at_rest(self, disk: Disk, over: asyncio.Future[None], has_alarm: bool) -> bool:
        if self.run_id not in disk.ended and has_alarm:
            return True
        if not over.done():
            over.set_result(None)
        return False

    def _difference(self, now: History, known: int) -> str | None:
        was, is_now = self.history[-1][0], now[-1][0]
        if isinstance(is_now, f.RunSuspended):
            return is_now.report
        owed = fold(self.run_id, self.history[:-1]).open
        for fact, _ in now[known:]:
            if isinstance(fact, f.Request) and fact.key not in owed:
                return f"it asked for {fact.topic} {fact.key!r}, which the run did not"
        if not isinstance(is_now, f.Terminal):
            return f"it does not end: {waiting(fold(self.run_id, now))}"
        if _told(was) != _told(is_now):
            return f"it ended with {_told(is_now)}, the run with {_told(was)}"
        return None


def _told(fact: f.RunFact) -> str:
    match fact:
        case f.RunCompleted():
            return canonical(fact.output)
        case f.RunContinued():
            return canonical([fact.input, fact.state])
        case f.RunFailed():
            error = fact.error if isinstance(fact.error, dict) else {}
            return f"{error.get('type')}: {error.get('message')}"
        case _:
            return fact.topic


def record(disk: Disk, run_id: str, history: History) -> None:
    """Write a history on a disk, with its index."""
    state = RunState(run_id)
    for number, (fact, at) in enumerate(history):
        evolve(state, fact, at)
        raw = encode_fact(fact, at, f"again-{number}")
        append = Append(run_id, number, [raw], changes_of(state, [fact]), Chain(), lambda _: None)
        disk.write(append)
        if append.error is not None:
            raise append.error


def replay_again(run_id: str, history: History) -> str | None:
    """Replay a finished run from its log without its last fact.

    Args:
        run_id: The run.
        history: All its facts, with their times. Unfinished runs are not looked at.

    Returns:
        What was different, or None.
    """
    if not history or not isinstance(history[-1][0], f.Terminal):
        return None
    if any(isinstance(fact, f.ChildStarted) for fact, _ in history):
        return None  # its children are other streams
    return off_this_loop(lambda: _replayed(run_id, history))


def _replayed(run_id: str, history: History) -> str | None:
    loop = VirtualLoop()
    loop.set_exception_handler(lambda *_: None)
    logger = logging.getLogger("agnt5")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        return loop.run_until_complete(_Replay(run_id, history, loop).play())
    except NoRestError as error:
        return str(error)
    finally:
        logger.setLevel(level)
        loop.close()
