"""A runtime in memory on a thread of its own, whose time is virtual: what tests talk to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from agnt5.client import AsyncClient, Client
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.exceptions import ConfigurationError, RuntimeClosedError, RunTimeoutError
from agnt5.runtime import Runtime
from agnt5.testing.disk import Disk, SimulatedLog
from agnt5.testing.faults import Dice
from agnt5.testing.house import SimulatedRuntime
from agnt5.testing.loop import START_US, VirtualClock, VirtualLoop
from agnt5.testing.seen import waiting

T = TypeVar("T")
PATIENCE_S = 1.0
"""Real seconds that a client waits for a run that nothing will move, unless another thread does."""


class Simulation:
    """A runtime for tests: in memory, without threads of its own, on virtual time.

    Time passes only while a client waits, and then at once: a month of ``ctx.sleep`` takes
    milliseconds. Between two calls of the test it stands still; :meth:`advance` moves it.
    The same seed is the same run.

    Args:
        seed: Of what comes late or twice; 0, the default, is calm.
        options: As for :class:`agnt5.Runtime`: ``park_after``, ``queues``, ``default_retries``...

    >>> from agnt5 import workflow
    >>> @workflow
    ... async def patient(ctx) -> str:
    ...     await ctx.sleep(30 * 86_400)
    ...     return "done"
    >>> with Simulation() as simulation:
    ...     simulation.client.run("patient", component_type="workflow").output
    'done'
    """

    def __init__(self, *, seed: int = 0, **options: Any) -> None:
        for name in ("store", "clock", "durability"):
            if name in options:
                raise ConfigurationError(f"a simulation has its own {name}: leave it out")
        self.disk = Disk()
        self.client: Client = _SimulatedClient(self)
        self.async_client: AsyncClient = _SimulatedAsyncClient(self)
        self._dice = Dice(seed)
        self._options = options
        self._lives = 0
        self._runtime: _CountedRuntime | None = None
        self._log: SimulatedLog | None = None
        self._ghosts: list[_CountedRuntime] = []
        self._loop: VirtualLoop | None = None
        self._thread: threading.Thread | None = None
        self._until: tuple[float, asyncio.Future[None]] | None = None

    # Opening and closing.

    def __enter__(self) -> Self:
        """Open it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def start(self) -> None:
        """Open it.

        Raises:
            RuntimeClosedError: When it is open already.
        """
        if self._thread is not None:
            raise RuntimeClosedError("this simulation is open already")
        loop = self._loop = VirtualLoop()
        loop.at_rest = self._at_rest
        loop.on_patience = self._nothing_comes
        self._thread = threading.Thread(target=self._serve, name="agnt5-simulation", daemon=True)
        self._thread.start()
        self._ask(self._open)

    def close(self) -> None:
        """Close it. What was recorded can still be read. Idempotent."""
        loop, thread, self._thread = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _serve(self) -> None:
        loop = self._loop
        assert loop is not None  # noqa: S101 - made before the thread
        asyncio.set_event_loop(loop)
        loop.run_forever()

    async def _open(self) -> None:
        assert self._loop is not None  # noqa: S101 - this runs on it
        log = SimulatedLog(self.disk, dice=self._dice, life=self._lives)
        runtime = _CountedRuntime(
            log,
            VirtualClock(self._loop),
            dice=self._dice,
            prefix=f"life{self._lives}." if self._lives else "",
            **self._options,
        )
        self._lives += 1
        await runtime.start()
        self._runtime, self._log = runtime, log

    async def _end(self) -> None:
        assert self._loop is not None  # noqa: S101 - this runs on it
        self._loop.at_rest = bool
        for runtime in (*self._ghosts, self._runtime):
            if runtime is not None:
                await runtime.aclose()
        self._ghosts.clear()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # What tests do.

    @property
    def runtime(self) -> Runtime:
        """The present incarnation.

        Raises:
            RuntimeClosedError: When the simulation is not open.
        """
        return self._present

    @property
    def _present(self) -> _CountedRuntime:
        if self._runtime is None or self._thread is None:
            raise RuntimeClosedError("this simulation is not open: enter it with 'with'")
        return self._runtime

    @property
    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return datetime.fromtimestamp(self._microseconds() / 1e6, UTC)

    def _microseconds(self) -> int:
        return START_US if self._loop is None else START_US + round(self._loop.time() * 1e6)

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that is due meanwhile.

        Args:
            seconds: How long, 0 or more.

        Raises:
            ConfigurationError: When it is negative.
        """
        if not seconds >= 0:
            raise ConfigurationError(f"time goes on by 0 seconds or more, not by {seconds!r}")
        self._ask(lambda: self._advance(seconds))

    async def _advance(self, seconds: float) -> None:
        assert self._loop is not None  # noqa: S101 - this runs on it
        arrived: asyncio.Future[None] = self._loop.create_future()
        self._until = (self._loop.time() + seconds, arrived)
        await arrived

    def crash(self) -> None:
        """The process dies at once, and another one opens the same store."""
        self._ask(self._crash)

    async def _crash(self) -> None:
        runtime, log = self._present, self._log
        assert log is not None  # noqa: S101 - it came with the runtime
        log.bury()
        await runtime.aclose(0)
        await self._open()

    def take_over(self) -> None:
        """Another runtime takes the store over; the old one lives on, and loses what it writes."""
        self._ask(self._take_over)

    async def _take_over(self) -> None:
        self._ghosts.append(self._present)
        await self._open()

    def history(self, run_id: str) -> list[f.RunFact]:
        """Everything recorded of a run; also when the simulation is closed."""
        return self.disk.facts(run_id)

    def waits_for(self) -> str:
        """What the unfinished runs wait for, in words."""
        log = self.disk.log
        said = [
            f"run {run_id} of {row.component!r}: {waiting(fold(run_id, self.disk.history(run_id)))}"
            for run_id in log.run_ids()
            if (row := log.run_row(run_id)) is not None and row.finished_at is None
        ]
        return "; ".join(said) or "no run is under way"

    def _ask(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = self._loop
        if loop is None or self._thread is None:
            raise RuntimeClosedError("this simulation is not open: enter it with 'with'")
        return asyncio.run_coroutine_threadsafe(ask(), loop).result()

    # When time passes. On the loop.

    def _at_rest(self, has_alarm: bool) -> bool:
        loop = self._loop
        assert loop is not None  # noqa: S101 - it asks
        if self._until is not None:
            upto, arrived = self._until
            due_at = loop.next_alarm()
            if due_at is not None and due_at <= upto:
                return True
            self._until = None
            loop.jump(upto)
            arrived.set_result(None)
            return False
        waits = self._runtime is not None and bool(self._runtime.waiting)
        loop.patience_s = PATIENCE_S if waits and not has_alarm else None
        return waits and has_alarm

    def _nothing_comes(self) -> None:
        if self._runtime is not None:
            self._runtime.give_up(self.waits_for())


class _CountedRuntime(SimulatedRuntime):
    """Knows which clients wait for it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.waiting: set[asyncio.Task[Any]] = set()
        self._given_up: str | None = None

    def call(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the runtime's loop, from another thread, and wait for it."""
        return super().call(lambda: self._counted(ask))

    async def call_async(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the runtime's loop, from whichever loop this is, and await it."""
        return await super().call_async(lambda: self._counted(ask))

    async def _counted(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.ensure_future(ask())
        self.waiting.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._given_up is None:
                raise
            msg = (
                f"nothing will ever move again, and a client waits: {self._given_up}. Send what"
                " it waits for before you wait for its end, or start it with submit()."
            )
            raise RunTimeoutError(msg) from None
        finally:
            self.waiting.discard(task)

    def give_up(self, why: str) -> None:
        """Whoever waits waits in vain."""
        self._given_up = why
        for task in self.waiting:
            task.cancel()


class _SimulatedClient(Client):
    """A client of the present incarnation, whichever that is."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation

    @property
    def runtime(self) -> Runtime:
        """The present incarnation."""
        return self._simulation.runtime


class _SimulatedAsyncClient(AsyncClient):
    """The same, awaited."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation

    @property
    def runtime(self) -> Runtime:
        """The present incarnation."""
        return self._simulation.runtime
