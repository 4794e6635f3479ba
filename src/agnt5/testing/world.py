"""Plays a schedule: one run, through its crashes, to its end, and says what came of it.

A *life* is one incarnation of the runtime, from its opening to the end of everything or its crash.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from agnt5.exceptions import AGNT5Error, StoreError
from agnt5.new_run import NewRun
from agnt5.testing.disk import Disk, SimulatedLog
from agnt5.testing.effects import RECORDER, Effect, Effects
from agnt5.testing.faults import Dice
from agnt5.testing.house import SimulatedRuntime
from agnt5.testing.loop import NoRestError, VirtualClock, VirtualLoop
from agnt5.testing.memory import Memory
from agnt5.testing.outside import Outside
from agnt5.testing.schedule import Crash, Schedule
from agnt5.testing.subject import Subject

RUN = "run-1"
NEVER_S = 3e8
FAR_S = 1e8
"""An alarm so many seconds ahead (three years) is one to wait for in vain."""
MOST_EVENTS = 20_000
MOST_JUMPS = 200_000


class ProcessDied(asyncio.CancelledError):
    """Ends the code of a simulated process at the moment of its death."""


@dataclass(frozen=True)
class Death:
    """A crash that came to pass."""

    crash: Crash
    version: int
    """How many events of the run were on record."""
    lost: tuple[str, ...] = ()
    """Topics of what was about to be recorded."""
    effect: Effect | None = None
    """What had just happened."""


@dataclass
class Life:
    """One incarnation."""

    number: int
    log: SimulatedLog
    runtime: SimulatedRuntime
    over: asyncio.Future[str]
    crash: Crash | None
    effects: int = 0
    closed: bool = False

    def end(self, how: str) -> None:
        """It is over: ``ended``, ``died``, ``stuck`` or ``endless``."""
        if not self.over.done():
            self.over.set_result(how)

    def fail(self, error: BaseException) -> None:
        """The test itself is wrong."""
        if not self.over.done():
            self.over.set_exception(error)


class World:
    """One schedule, one disk, all its lives."""

    def __init__(
        self, subject: Subject, schedule: Schedule, loop: VirtualLoop, memory: Memory
    ) -> None:
        self.subject = subject
        self.schedule = schedule
        self.loop = loop
        self.memory = memory
        self.disk = Disk()
        self.effects: list[Effect] = []
        self.sinks: dict[str, Effects] = {}
        self.lives: list[Life] = []
        self.forgotten: dict[str, None] = {}
        """Names of what the dying processes had in their modules."""
        self.deaths: list[Death] = []
        self.how = "unfinished"
        """``ended``, ``stuck`` (nothing will ever move again) or ``endless``."""
        self._clock = VirtualClock(loop)
        self._outside = Outside(self.disk, RUN, schedule.circumstances.moments, loop)
        self._ghost: Life | None = None
        """An incarnation that has lost the disk and does not know it yet."""

    async def play(self) -> None:
        """Play it."""
        crashes: list[Crash | None] = [*self.schedule.crashes, None]
        self.memory.forget()
        for number, crash in enumerate(crashes):
            life = self._new_life(number, crash)
            self.how = await self._live(life)
            if self.how != "died":
                break
            if crash is not None and crash.when != "evicted":
                self.forgotten.update(dict.fromkeys(self.memory.forget()))
        await self._lay_to_rest()

    def _new_life(self, number: int, crash: Crash | None) -> Life:
        around = self.schedule.circumstances
        dice = Dice(around.seed)
        log = SimulatedLog(self.disk, dice=dice, life=number)
        runtime = SimulatedRuntime(
            log,
            self._clock,
            dice=dice,
            failing=around.failing,
            prefix=f"life{number}.",
            # A run that leaves memory by itself would do so in the calm run, too: see "evicted".
            park_after=NEVER_S,
        )
        life = Life(number, log, runtime, self.loop.create_future(), crash)
        log.dies = partial(self._dies, life)
        log.on_death = lambda: life.end("died")
        self.lives.append(life)
        return life

    async def _live(self, life: Life) -> str:
        RECORDER.set(_Recorder(self, life))
        self.loop.at_rest = partial(self._at_rest, life)
        await life.runtime.start()
        opening = asyncio.ensure_future(self._open(life))
        try:
            how = await life.over
        finally:
            self.loop.at_rest = bool
            self._outside.close()
            opening.cancel()
            await self._lay_to_rest()
        if how == "died" and life.crash is not None and life.crash.when == "takeover":
            self._ghost = life
        else:
            await self._close(life)
        return how

    async def _lay_to_rest(self) -> None:
        ghost, self._ghost = self._ghost, None
        if ghost is not None:
            await self._close(ghost)

    async def close(self) -> None:
        """Close every incarnation that is still open. Idempotent."""
        for life in self.lives:
            await self._close(life)

    @staticmethod
    async def _close(life: Life) -> None:
        if life.closed:
            return
        life.closed = True
        life.log.bury()
        await life.runtime.aclose(0)

    async def _open(self, life: Life) -> None:
        subject, runtime = self.subject, life.runtime
        given = self.schedule.circumstances.input
        new = NewRun(subject.name, given, subject.kind, RUN, **subject.given)
        while not self.disk.log.has_stream(RUN):
            try:
                await runtime.runs.submit(new)
            except StoreError:
                if life.log.died or not life.log.is_owner:
                    return
                await asyncio.sleep(0)  # a full disk: try again, before time passes
            except AGNT5Error as error:
                life.fail(error)
                return
        self._outside.open(runtime, life.fail)

    def _dies(self, life: Life, number: int, recorded: bool, lost: tuple[str, ...]) -> bool:
        crash = life.crash
        if crash is None or crash.number != number or life.log.died:
            return False
        match crash.when:
            case "before" if not recorded:
                self._death(crash, lost)
                return True
            case "after" | "evicted" if recorded:
                self._death(crash, ())
                return True
            case "takeover" if not recorded and life.log.is_owner:
                self._death(crash, lost)
                self.disk.owner = None
                life.end("died")
                return False
            case _:
                return False

    def _death(self, crash: Crash, lost: tuple[str, ...], effect: Effect | None = None) -> None:
        last = self.disk.log.last(RUN)
        self.deaths.append(Death(crash, last.version if last else 0, lost, effect))

    def meet(self, sink: Effects) -> None:
        """A sink is used: if it is new here, it begins empty."""
        if sink.name not in self.sinks:
            self.sinks[sink.name] = sink
            sink.clear()

    def record(self, life: Life, sink: Effects, effect: Effect) -> None:
        """Something was done in this life.

        Raises:
            ProcessDied: When the process is to die of it, or is dead already.
        """
        if life.closed or life.log.died:
            raise ProcessDied
        done = replace(effect, life=life.number)
        self.meet(sink)
        self.effects.append(done)
        sink.all.append(done)
        number, life.effects = life.effects, life.effects + 1
        crash = life.crash
        if crash is not None and crash.when == "effect" and crash.number == number:
            self._death(crash, (), done)
            life.log.crash()
            raise ProcessDied

    def _at_rest(self, life: Life, has_alarm: bool) -> bool:
        """Nothing is left to do: is it over, stuck, or may time pass?"""
        runtime = life.runtime
        if life.over.done():
            return False
        if self.disk.appends > MOST_EVENTS or self.loop.jumps > MOST_JUMPS:
            life.end("endless")
            return False
        if self.disk.is_over(RUN) and not runtime.is_busy:
            life.end("ended")
            return False
        due_at = self.loop.next_alarm()
        if not has_alarm or due_at is None or due_at - self.loop.time() > FAR_S:
            life.end("ended" if self.disk.is_over(RUN) else "stuck")
            return False
        return True


@dataclass(frozen=True)
class _Recorder:
    """Takes what is done in one life."""

    world: World
    life: Life

    def meet(self, sink: Effects) -> None:
        self.world.meet(sink)

    def record(self, sink: Effects, effect: Effect) -> None:
        self.world.record(self.life, sink, effect)


def play(subject: Subject, schedule: Schedule, memory: Memory | None = None) -> World:
    """Play a schedule in an event loop of its own, on this thread, which must have none."""
    loop = VirtualLoop()
    loop.set_exception_handler(_ignored)
    world = World(subject, schedule, loop, memory or Memory(()))
    logger = logging.getLogger("agnt5")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # what hundreds of dying processes say is no news
    try:
        loop.run_until_complete(world.play())
    except NoRestError:
        world.how = "endless"
    finally:
        _tear_down(loop, world)
        logger.setLevel(level)
        loop.close()
    return world


def _tear_down(loop: VirtualLoop, world: World) -> None:
    """Close what an error, or a body that turns in a circle, has left open."""
    loop.at_rest = bool
    with suppress(NoRestError):
        loop.run_until_complete(world.close())
    for task in (left := asyncio.all_tasks(loop)):
        task.cancel()
    if left:
        with suppress(NoRestError):
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def _ignored(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What a dying process leaves behind is no news."""
