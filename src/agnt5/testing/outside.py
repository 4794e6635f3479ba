"""Who stands outside of a simulated run: sends signals, answers questions, cancels.

Whoever is outside does not crash with the runtime: what was not acknowledged is sent again to the
next incarnation, with the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from agnt5.events.run.commands import SubmitAnswer
from agnt5.events.run.facts import UserInputRequested
from agnt5.events.run.state import RunState, fold
from agnt5.exceptions import ConfigurationError, InvalidInputError, RuntimeClosedError, StoreError
from agnt5.runtime import Runtime
from agnt5.testing.disk import Disk
from agnt5.testing.schedule import Moment

_AGAIN_S = 1.0
_TURNS = 500
"""Longer than the latest append takes."""


class Outside:
    """Everything that comes from outside, until it is acknowledged."""

    def __init__(
        self,
        disk: Disk,
        run_id: str,
        moments: Sequence[Moment],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._disk = disk
        self._run_id = run_id
        self._loop = loop
        self._start = self._loop.time()
        self._due = {n: each for n, each in enumerate(moments) if each.kind != "answer"}
        """Not acknowledged yet."""
        self._answers = [each for each in moments if each.kind == "answer"]
        self._used: dict[str, int] = {}
        """How many questions of a text were given an answer."""
        self._chosen: dict[tuple[str, str], tuple[Moment, float]] = {}
        """What each question that was asked is answered with, and when, in the loop's time."""
        self._answered: set[tuple[str, str]] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._asked: set[tuple[str, str]] = set()
        self._runtime: Runtime | None = None
        self._fail: Callable[[BaseException], object] = lambda _: None

    def open(self, runtime: Runtime, fail: Callable[[BaseException], object]) -> None:
        """Begin to talk to a new incarnation; ``fail`` is told what the test has got wrong."""
        self._runtime, self._fail = runtime, fail
        self._asked.clear()
        runtime.runs.watchers.append(_Watching(self))
        # One after the other: what comes at the same time comes in the same order in each life.
        self._begin(self._tell_all(runtime))
        self.look()

    def close(self) -> None:
        """It is gone: stop waiting for it."""
        self._runtime = None
        for task in self._under_way:
            task.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether something was sent and not acknowledged yet."""
        return bool(self._under_way)

    def look(self) -> None:
        """Answer the questions that are open and were not seen before."""
        runtime = self._runtime
        if runtime is None or not self._answers:
            return
        for run_id in self._disk.log.run_ids():
            for op in fold(run_id, self._disk.history(run_id)).open.values():
                place = (run_id, op.key)
                if op.question is None or place in self._answered or place in self._asked:
                    continue
                chosen = self._answer_to(place, op.question)
                if chosen is not None:
                    self._asked.add(place)
                    self._begin(self._answer(runtime, place, *chosen))

    def _answer_to(
        self, place: tuple[str, str], asked: UserInputRequested
    ) -> tuple[Moment, float] | None:
        if place not in self._chosen:
            fitting = [
                each
                for each in self._answers
                if each.name == asked.question or fnmatchcase(asked.question, each.name)
            ]
            if not fitting:
                return None
            used = self._used.get(asked.question, 0)
            self._used[asked.question] = used + 1
            moment = fitting[min(used, len(fitting) - 1)]
            self._chosen[place] = (moment, self._loop.time() + moment.after_s)
        return self._chosen[place]

    def _begin(self, telling: Any) -> None:
        task = asyncio.ensure_future(telling)
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _tell_all(self, runtime: Runtime) -> None:
        for number, moment in sorted(self._due.items(), key=lambda each: each[1].after_s):
            await self._until(self._start + moment.after_s)
            await self._tell(runtime, number, moment)

    async def _until(self, due_at: float) -> None:
        await asyncio.sleep(max(0.0, due_at - self._loop.time()))

    async def _tell(self, runtime: Runtime, number: int, moment: Moment) -> None:
        while runtime is self._runtime:
            try:
                if moment.kind == "cancel":
                    await runtime.runs.cancel(self._run_id, moment.name or None)
                else:
                    signal_id = f"outside-{number}"
                    value = moment.value
                    await runtime.runs.signal(self._run_id, moment.name, value, signal_id)
            except StoreError:
                await asyncio.sleep(_AGAIN_S)
            except InvalidInputError:
                break  # the run has ended: nobody wants it any more
            except RuntimeClosedError:
                return  # this incarnation is gone; the next one is told
            else:
                break
        else:
            return
        self._due.pop(number, None)

    async def _answer(
        self, runtime: Runtime, place: tuple[str, str], moment: Moment, due_at: float
    ) -> None:
        await self._until(due_at)
        run_id, key = place
        while runtime is self._runtime:
            try:
                asked = self._question(place)
                actor = asked.assignees[0] if asked and asked.assignees else "simulation"
                about = SubmitAnswer(None, key, actor, None, None, None)
                await runtime.conversations.answer(run_id, moment.value, about)
            except StoreError:
                await asyncio.sleep(_AGAIN_S)
            except InvalidInputError as error:
                if await self._stays_open(runtime, place):
                    msg = f"the test's answer {moment.value!r} does not fit: {error}"
                    raise ConfigurationError(msg) from error
                break  # the question is over
            except RuntimeClosedError:
                return
            else:
                break
        else:
            return
        self._answered.add(place)

    async def _stays_open(self, runtime: Runtime, place: tuple[str, str]) -> bool:
        """Whether the question is open, and no outcome of it is on its way to the disk."""
        for _ in range(_TURNS):
            if runtime is not self._runtime or self._question(place) is None:
                return False
            await asyncio.sleep(0)
        return True

    def _question(self, place: tuple[str, str]) -> UserInputRequested | None:
        """The question, as long as it is open."""
        run_id, key = place
        asked = fold(run_id, self._disk.history(run_id)).open.get(key)
        return None if asked is None else asked.question


class _Watching:
    """Sees when a run waits for a person."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def ended(self, state: RunState, terminal: object) -> None:
        """Not its business."""

    def paused(self, state: RunState) -> None:  # noqa: ARG002 - the port's shape
        """A run waits for a person, or is suspended."""
        self._outside.look()

    def answered(self, state: RunState, answer: object) -> None:
        """Not its business."""
