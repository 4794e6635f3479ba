"""Who waits for which run: until it has ended, or until it cannot go on by itself."""

from __future__ import annotations

import asyncio

from agnt5.events.run.state import Phase, RunState
from agnt5.exceptions import AGNT5Error

Waiter = asyncio.Future[RunState]


class Waiters:
    """Futures by run. They belong to the loop of the runtime."""

    def __init__(self) -> None:
        self._patient: dict[str, list[Waiter]] = {}
        self._impatient: dict[str, list[Waiter]] = {}
        self._moved: dict[Waiter, str] = {}
        """Who waits for another run now than the one it asked for."""

    def expect(self, run_id: str, waiter: Waiter, *, pauses: bool) -> None:
        """Tell it of the end of a run (with ``pauses``: or that it cannot go on by itself)."""
        (self._impatient if pauses else self._patient).setdefault(run_id, []).append(waiter)

    def drop(self, run_id: str, waiter: Waiter | None) -> None:
        """Nobody waits with it any more."""
        if waiter is None:
            return
        waiter.cancel()
        run_id = self._moved.pop(waiter, run_id)
        for waiters in (self._patient, self._impatient):
            futures = waiters.get(run_id, [])
            if waiter in futures:
                futures.remove(waiter)
                if not futures:
                    del waiters[run_id]

    def ended(self, state: RunState) -> None:
        """A run has ended. If it went on as another one, those who wait for it wait for that."""
        if state.successor is not None:
            self._move(state.run_id, state.successor)
            return
        _tell(self._patient, state)
        _tell(self._impatient, state)

    def _move(self, run_id: str, successor: str) -> None:
        for waiters in (self._patient, self._impatient):
            futures = waiters.pop(run_id, [])
            if futures:
                waiters.setdefault(successor, []).extend(futures)
                self._moved.update(dict.fromkeys(futures, successor))

    def paused(self, state: RunState) -> None:
        """A run waits for a person, or is suspended."""
        _tell(self._impatient, state)
        if state.phase is Phase.SUSPENDED:
            _tell(self._patient, state)

    def close(self, reason: AGNT5Error) -> None:
        """Whoever waits waits in vain."""
        for waiters in (self._patient, self._impatient):
            for futures in waiters.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(reason)
            waiters.clear()


def _tell(waiters: dict[str, list[Waiter]], state: RunState) -> None:
    for future in waiters.pop(state.run_id, ()):
        if not future.done():
            future.set_result(state)
