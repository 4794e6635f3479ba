"""What an engine must be able to do, and the step that every engine executes."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Config:
    """What an adapter is told when it starts."""

    dir: str  # a private data directory; survives a kill and a restart
    variant: str = ""


class StepLog:
    """Every step of every engine calls mark(); nothing else is in a step.

    Times are kept in memory. After open(), a line per executed step is also appended to a file,
    which survives kill -9 and shows steps that were executed again.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self._fd: int | None = None

    def open(self, path: str) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)

    def mark(self, run_id: str, step: int) -> int:
        self.times.append(time.perf_counter())
        if self._fd is not None:
            os.write(self._fd, f"{run_id} {step}\n".encode())
        return step

    def reset(self) -> None:
        self.times.clear()

    async def reached(self, count: int, limit: float) -> float:
        """Wait until so many steps have run; when the last of them ran."""
        end = time.perf_counter() + limit
        while len(self.times) < count:
            if time.perf_counter() > end:
                raise TimeoutError(f"{len(self.times)} of {count} steps after {limit:.0f} s")
            await asyncio.sleep(0.01)
        return self.times[count - 1]


STEPS = StepLog()


async def bounded(work: Callable[[Any], Awaitable[Any]], items: Iterable[Any], limit: int) -> None:
    """Call work(item) for all items, at most so many at a time."""
    rest = iter(items)

    async def lane() -> None:
        for item in rest:
            await work(item)

    await asyncio.gather(*(lane() for _ in range(limit)))


class Adapter(ABC):
    """One engine. A step is `STEPS.mark(run_id, i)`, recorded durably."""

    @abstractmethod
    async def start(self, config: Config) -> None:
        """Start the runtime and its worker; unfinished runs resume."""

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    async def run(self, run_id: str, steps: int) -> None:
        """Start a run of sequential steps and wait for its result."""

    @abstractmethod
    async def fan_out(self, run_id: str, width: int) -> None:
        """One run with so many steps in parallel; wait for its result."""

    @abstractmethod
    async def start_parked(self, run_id: str, steps: int) -> None:
        """Start a run that does the steps, waits for a signal, does one more and ends.

        Returns once the run is accepted.
        """

    @abstractmethod
    async def signal(self, run_id: str) -> None: ...

    @abstractmethod
    async def join(self, run_id: str) -> None:
        """Wait until the engine reports the run complete."""

    async def start_waiting(self, run_id: str, steps: int) -> None:
        """The same, but it waits for a person, where an engine tells one from a signal."""
        await self.start_parked(run_id, steps)

    async def answer(self, run_id: str) -> None:
        """The person answers."""
        await self.signal(run_id)

    async def signal_all(self, run_ids: list[str]) -> None:
        await bounded(self.signal, run_ids, 100)

    async def answer_all(self, run_ids: list[str]) -> None:
        await bounded(self.answer, run_ids, 100)

    async def join_all(self, run_ids: list[str]) -> None:
        await asyncio.gather(*(self.join(run_id) for run_id in run_ids))
