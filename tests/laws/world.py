"""Plays a program through any number of crashes, and says what was wrong about it.

A *life* is one incarnation of the runtime, from its opening to its end or its crash. Time stands
still in it until nothing moves any more, and jumps to the next alarm then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tests.api.helpers import waits_for_machine
from tests.laws.crashing_log import TERMINAL, Crash, CrashingLog, Disk

from agnt5 import Runtime
from agnt5.actors.clock import ManualClock
from agnt5.events.keys import idempotency_key
from agnt5.events.projections import row_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.exceptions import AGNT5Error
from agnt5.payloads import decode, decode_error
from agnt5.runs import NewRun
from agnt5.store_checks import all_checks
from agnt5.verification import verify_view

RUN = "run-1"
QUIET = 24
"""Turns without any progress after which nothing will move by itself."""
STALL_LIMIT = 2.0
T = TypeVar("T")


class Stuck(Exception):
    """Nothing moves, and nothing will."""


class _Complaints(logging.Handler):
    """What the engine logs at WARNING or above is a complaint, unless the process has died."""

    def __init__(self, life: Life) -> None:
        super().__init__(logging.WARNING)
        self.life = life

    def emit(self, record: logging.LogRecord) -> None:
        if not self.life.log.crashed and not self.life.over:
            self.life.world.wrong(f"the engine logged: {record.getMessage()}")


class Life:
    """One incarnation."""

    def __init__(self, world: World, log: CrashingLog, park_after: float) -> None:
        self.world = world
        self.log = log
        self.clock = ManualClock(world.now)
        self.runtime = Runtime(
            log,
            clock=self.clock,
            park_after=park_after,
            stall_limit=world.stall_limit,
            grace=0.0,
        )
        self.executed: list[str] = []
        """Idempotency keys of the steps whose code began to run."""
        self.settled_before = {idempotency_key(RUN, op) for _, op in world.disk.settled}
        """Of the steps that had an outcome, or were given up, when it began."""
        self.active = 0
        self.over = False
        self.crashed = False

    async def pass_time(self, seconds: float) -> None:
        """Take time of the manual clock."""
        woken = asyncio.get_running_loop().create_future()
        due_at = self.clock.now() + int(seconds * 1e6)
        alarm = self.clock.call_at(due_at, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            alarm.cancel()

    def progress(self) -> tuple[int, ...]:
        """Changes whenever anything moves."""
        bus = self.runtime._bus
        moves = sum(a.script.moves for a in bus.runs.values() if a.script is not None)
        return (self.log.handed, self.log.count, moves, len(self.executed), len(bus.runs))

    def waits_for_machine(self) -> bool:
        """Whether a thread, or a few milliseconds of lingering, will bring something."""
        return waits_for_machine(self.runtime)


class World:
    """One program, one disk, all its lives."""

    quiet = QUIET
    kind = "workflow"
    """Of the component that is run."""
    is_deployed = False
    """Whether newer code is there from the first life on."""

    def __init__(
        self,
        program: Any,
        *,
        disk: Disk | None = None,
        latency: int = 0,
        park_after: float = 1.0,
        afterlife: int = 3,
        stall_limit: float = STALL_LIMIT,
        name: str = "laws_program",
        now: int = 1_700_000_000_000_000,
        given: dict[str, Any] | None = None,
    ) -> None:
        self.program = program
        self.given = given or {}
        """What the run is submitted with: its session, its user."""
        self.disk = disk or Disk()
        self.lives: list[Life] = []
        self.passes: list[list[tuple[object, ...]]] = []
        """What the body observed, in order, each time it ran from its top."""
        self.problems: list[str] = []
        self.stall_limit = stall_limit
        self.now = now
        self._latency = latency
        self._park_after = park_after
        self._afterlife = afterlife
        self._name = name
        self._settled_keys: dict[str, str] = {}
        self._settled_seen = 0

    @property
    def life(self) -> Life:
        """The incarnation of now."""
        return self.lives[-1]

    def wrong(self, problem: str) -> None:
        """Something must not be."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _asyncio_complains(self, _: object, context: dict[str, Any]) -> None:
        self.wrong(f"asyncio reports: {context.get('message')} {context.get('exception')!r}")

    def begins(self, key: str, label: str) -> Life:
        """A step's code begins to run. ``key`` is its idempotency key."""
        life = self.life
        life.executed.append(key)
        topic = self._settled(key)
        # An attempt may begin in the very turn in which it is given up, or its deadline, which may
        # have passed while nobody lived, is recorded.
        just = topic != "StepCompleted" and key not in life.settled_before
        if topic is not None and not just and not life.over:
            self.wrong(f"{label} ran although the log holds its {topic}")
        return life

    def _settled(self, key: str) -> str | None:
        settled = self.disk.settled
        if len(settled) != self._settled_seen:
            for (run, op), topic in list(settled.items())[self._settled_seen :]:
                self._settled_keys[idempotency_key(run, op)] = topic
            self._settled_seen = len(settled)
        return self._settled_keys.get(key)

    async def live(
        self,
        crash: Crash | None = None,
        meanwhile: Callable[[Life], Coroutine[Any, Any, object]] | None = None,
    ) -> Life:
        """Open a runtime on what is recorded, and let it live until the run ends or it crashes.

        ``meanwhile`` is what somebody outside does at the same time.
        """
        global _current
        _current = self
        log = CrashingLog(self.disk, crash=crash, latency=self._latency)
        life = Life(self, log, self._park_after)
        self.lives.append(life)
        complaints = _Complaints(life)
        logging.getLogger("agnt5").addHandler(complaints)
        asyncio.get_running_loop().set_exception_handler(self._asyncio_complains)
        before = asyncio.all_tasks()
        asked: list[asyncio.Future[Any]] = []
        await life.runtime.start()
        try:
            if RUN not in self.disk.log.run_ids():
                new = NewRun(self._name, {}, self.kind, run_id=RUN, **self.given)
                asked.append(asyncio.ensure_future(life.runtime.runs.submit(new)))
            if meanwhile is not None:
                asked.append(asyncio.ensure_future(meanwhile(life)))
            await self._drive(life, asked)
        finally:
            if life.log.crashed:
                life.crashed = True
                for _ in range(self._afterlife):
                    await asyncio.sleep(0)
            life.over = True
            log.die()
            await life.runtime.aclose(0)
            for answer in asked:
                try:
                    await answer
                except AGNT5Error:
                    if not life.crashed:
                        raise
            self.now = max(self.now, life.clock.now())
            logging.getLogger("agnt5").removeHandler(complaints)
        for _ in range(3):
            await asyncio.sleep(0)
        if left := asyncio.all_tasks() - before:
            self.wrong(f"tasks were left over: {left}")
        self.check_store()
        return life

    def check_store(self) -> None:
        """Whatever a life has left, and however it ended: log and index hold together."""
        with self.disk.log.view() as view:
            for finding in verify_view(view, all_checks()).findings:
                self.wrong(f"verify says: {finding}")

    async def _drive(self, life: Life, asked: Sequence[asyncio.Future[Any]]) -> None:
        log, bus = life.log, life.runtime._bus
        quiet, waited, last = 0, 0.0, life.progress()
        while not log.crashed:
            busy = bus.runs or log.pending or life.active or not all(a.done() for a in asked)
            if not busy and self._is_over():
                return
            await asyncio.sleep(0)
            progress = life.progress()
            if progress != last or log.pending or life.active:
                quiet, waited, last = 0, 0.0, progress
                continue
            quiet += 1
            if quiet < self.quiet:
                continue
            if not life.waits_for_machine() and life.clock.jump():
                quiet = 0
                continue
            await asyncio.sleep(0.001)
            waited += 0.001
            if waited > self.stall_limit + 0.5:
                raise Stuck(self.describe())

    def _is_over(self) -> bool:
        last = self.disk.log.last(RUN)
        return last is not None and (last.topic in TERMINAL or last.topic == "RunSuspended")

    def outcome(self) -> tuple[str, str]:
        """How the run ended, with types."""
        facts = self.disk.facts(RUN)
        match facts[-1] if facts else None:
            case f.RunCompleted() as last:
                return "completed", repr(decode(last.output))
            case f.RunFailed() as last:
                error = decode_error(last.error)
                return "failed", f"{type(error).__module__}.{type(error).__qualname__}: {error}"
            case f.RunCancelled() as last:
                return "cancelled", str(last.reason)
            case f.RunSuspended() as last:
                return "suspended", last.report
            case last:
                return "unfinished", repr(last)

    def check_history(self) -> None:
        """What must be true of every log."""
        stored = self.disk.log.read(RUN)
        facts = self.disk.facts(RUN)
        if [row.version for row in stored] != list(range(1, len(stored) + 1)):
            self.wrong("versions have gaps")
        ends = [i for i, fact in enumerate(facts) if isinstance(fact, f.Terminal)]
        if ends != [len(facts) - 1]:
            self.wrong(f"terminal facts at {ends} of {len(facts)}: {facts[-3:]}")
        asked: set[str] = set()
        settled: set[str] = set()
        for fact in facts:
            key = getattr(fact, "key", None)
            if isinstance(fact, f.Request):
                if key in asked:
                    self.wrong(f"{key!r} was requested twice")
                asked.add(key)
            elif isinstance(fact, f.Outcome | f.OperationCancelled):
                if key not in asked or key in settled:
                    self.wrong(f"{fact} settles what is not open")
                settled.add(key)
        state = fold(RUN, self.disk.history(RUN))
        if self.disk.log.run_row(RUN) != row_of(state):
            self.wrong(f"the index says {self.disk.log.run_row(RUN)}, the log {row_of(state)}")

    def check_passes(self) -> None:
        """Every pass must begin by observing what the ones before it have observed."""
        known: list[tuple[object, ...]] = []
        for number, seen in enumerate(self.passes):
            for at, (before, now) in enumerate(zip(known, seen, strict=False)):
                if before != now:
                    self.wrong(f"observation {at} was {before}, and in pass {number} {now}")
                    return
            known = max(known, seen, key=len)
        if self.passes and len(self.passes[-1]) < len(known):
            missing = known[len(self.passes[-1]) :]
            self.wrong(f"the last pass did not observe again: {missing}")

    def describe(self) -> str:
        """The program, the log and the traces, for people."""
        lines = [f"program: {self.program}"]
        lines += [f"  {n}: {fact}" for n, fact in enumerate(self.disk.facts(RUN), 1)]
        for number, seen in enumerate(self.passes):
            lines.append(f"pass {number}:")
            lines += [f"  {what}" for what in seen]
        return "\n".join(lines)


async def play(program: Any, crashes: Sequence[Crash] = (), **options: Any) -> World:
    """Play a program to its end, through these crashes, one per life."""
    world = World(program, **options)
    for crash in crashes:
        if not (await world.live(crash)).crashed:
            break
    if not world.disk.ended:
        await world.live()
    return world


async def replay(world: World) -> World:
    """A pure replay of a finished run: its log without the terminal fact, in a new process."""
    again = World(
        world.program,
        disk=world.disk.without_last(RUN),
        name=world._name,
        stall_limit=world.stall_limit,
        now=world.now,
    )
    await again.live()
    life = again.life
    # What was still open when the run ended is owed again: it may run, and nothing else may.
    cut = world.disk.history(RUN)[:-1]
    owed = fold(RUN, cut).open
    if ran := set(life.executed) - {idempotency_key(RUN, key) for key in owed}:
        again.wrong(f"the replay ran {len(ran)} steps")
    written = again.disk.facts(RUN)[len(cut) : -1]
    if other := [fact for fact in written if getattr(fact, "key", None) not in owed]:
        again.wrong(f"the replay wrote {other}")
    if again.outcome() != world.outcome():
        again.wrong(f"the replay ended with {again.outcome()}, the run with {world.outcome()}")
    if again.passes != world.passes[-1:]:
        again.passes[:0] = world.passes[-1:]
        again.check_passes()
        if not again.problems:
            again.wrong("the replay observed more than the run, or took several passes")
    return again


async def verdict(
    program: Any,
    crashes: Sequence[Crash] = (),
    expected: tuple[str, str] | None = None,
    *,
    pure: bool = True,
    **options: Any,
) -> World:
    """Play, and check everything that must be true of one history."""
    world = await play(program, crashes, **options)
    world.check_history()
    world.check_passes()
    if world.outcome()[0] == "suspended":
        world.wrong(f"the run was suspended: {world.outcome()[1]}")
    if expected is not None and world.outcome() != expected:
        world.wrong(f"ended with {world.outcome()}, calmly with {expected}")
    if pure and not world.problems:
        world.problems += (await replay(world)).problems
    return world


def boundaries(world: World) -> list[Crash]:
    """A crash before and after every append of a calm run."""
    return [
        Crash(n, recorded) for n in range(world.lives[0].log.count) for recorded in (False, True)
    ]


def some(things: Sequence[T], limit: int, seed: int = 0) -> list[T]:
    """All of them, or as many as the limit says, chosen for ever the same."""
    if len(things) <= limit:
        return list(things)
    return random.Random(seed).sample(list(things), limit)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run in an event loop of its own."""
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


def seen(value: object) -> Any:
    """A value with its types, as text."""
    if isinstance(value, BaseExceptionGroup):
        return f"{type(value).__name__}[{', '.join(map(seen, value.exceptions))}]"
    if isinstance(value, BaseException):
        return f"{type(value).__module__}.{type(value).__qualname__}({value})"
    return f"{type(value).__module__}.{type(value).__qualname__}:{value!r}"


_current: World | None = None


def current() -> World:
    """The world in which user code runs."""
    assert _current is not None
    return _current
