"""Builds the house and tears it down: the one place that knows every part by name."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from agnt5.actors.branch import chain_task_factory
from agnt5.actors.bus import Bus, BusSettings
from agnt5.actors.clock import Clock, SystemClock
from agnt5.actors.run import CLOSED, RunSettings
from agnt5.events.log import EventLog
from agnt5.events.stores import open_store
from agnt5.exceptions import ConfigurationError, RuntimeClosedError
from agnt5.maintenance import rebuild_log_index
from agnt5.runs import Runs

DEFAULT_STORE = "sqlite:///.agnt5/agnt5.db"
STORE_VARIABLE = "AGNT5_STORE"

T = TypeVar("T")


def store_url(store: str | None) -> str:
    """The store that is meant: the argument, else ``AGNT5_STORE``, else a file under ``.agnt5``."""
    return store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class Settings:
    """How a runtime behaves. Seconds and bytes."""

    durability: str = "full"
    grace: float = 10.0
    park_after: float = 1.0
    max_active_runs: int = 10_000
    max_payload_bytes: int = 8 * 1024 * 1024
    stall_limit: float = 10.0
    threads: int = 64
    strict_idempotency: bool = False

    def __post_init__(self) -> None:
        for name in ("grace", "park_after", "stall_limit"):
            if not getattr(self, name) >= 0:
                msg = f"{name} takes seconds, 0 or more, not {getattr(self, name)!r}"
                raise ConfigurationError(msg)
        for name in ("max_active_runs", "max_payload_bytes", "threads"):
            if getattr(self, name) < 1:
                msg = f"{name} takes a number of at least 1, not {getattr(self, name)!r}"
                raise ConfigurationError(msg)


class Runtime:
    """Executes runs in this process, beside whatever else its event loop does.

    Args:
        store: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``memory://``; by default
            the variable ``AGNT5_STORE``, else ``sqlite:///.agnt5/agnt5.db``.
        durability: ``"full"``: a result is on disk before anybody sees it, power loss included.
            ``"process"``: survives the death of the process, but a power loss may take the last
            commits with it.
        grace: On closing, seconds that running attempts get to end.
        park_after: Seconds after which a run that only waits leaves memory.
        max_active_runs: Runs in memory at once; more are accepted durably and begin later.
        max_payload_bytes: The largest recorded value.
        stall_limit: On replay, seconds after which a body that does not move has diverged.
        threads: Threads for synchronous functions.
        strict_idempotency: Refuse a known idempotency key that comes with another input, instead
            of answering with the earlier run.
        clock: Where time comes from; the machine's clock by default.

    Raises:
        ConfigurationError: When a setting is wrong.

    >>> import asyncio
    >>> from agnt5 import AsyncClient, function
    >>> @function
    ... async def double(n: int) -> int:
    ...     return 2 * n
    >>> async def main() -> int:
    ...     async with Runtime(store="memory://"):
    ...         return (await AsyncClient().run("double", {"n": 21})).output
    >>> asyncio.run(main())
    42
    """

    def __init__(
        self,
        store: str | EventLog | None = None,
        *,
        durability: str = "full",
        grace: float = 10.0,
        park_after: float = 1.0,
        max_active_runs: int = 10_000,
        max_payload_bytes: int = 8 * 1024 * 1024,
        stall_limit: float = 10.0,
        threads: int = 64,
        strict_idempotency: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.store = store_url(store) if isinstance(store, str | None) else ""
        self.settings = Settings(
            durability,
            grace,
            park_after,
            max_active_runs,
            max_payload_bytes,
            stall_limit,
            threads,
            strict_idempotency,
        )
        self.runs = Runs(strict_idempotency=strict_idempotency)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._log: EventLog | None = None if isinstance(store, str | None) else store
        self._clock = clock or SystemClock()
        self._bus: Bus | None = None
        self._thread = 0
        self._pid = 0
        self._undo: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        """Open the store and take up every unfinished run."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, with the grace."""
        await self.aclose()

    async def start(self) -> None:
        """Open the store and take up every unfinished run.

        Raises:
            StoreError: When the store cannot be opened.
            RuntimeClosedError: When it is open already.
        """
        if self._bus is not None:
            msg = "this runtime is open already"
            raise RuntimeClosedError(msg)
        settings = self.settings
        log = self._log
        if log is None:
            log = await asyncio.to_thread(open_store, self.store, durability=settings.durability)
        self._log = log
        self.loop = asyncio.get_running_loop()
        self._thread, self._pid = threading.get_ident(), os.getpid()
        self._undo = chain_task_factory(self.loop)
        try:
            self._bus = self._open_bus(log)
        except BaseException:
            self._undo()
            log.close()
            self._log = None
            raise
        _open.append(self)

    def _open_bus(self, log: EventLog) -> Bus:
        settings = self.settings
        bus = Bus(
            log,
            self.runs.components,
            self.runs,
            clock=self._clock,
            context=copy_context(),
            settings=BusSettings(
                RunSettings(int(settings.park_after * 1e6), settings.stall_limit),
                settings.max_active_runs,
                settings.threads,
            ),
            payload_limit=settings.max_payload_bytes,
        )
        self.runs.open(bus)
        bus.open()
        return bus

    async def aclose(self, grace: float | None = None) -> None:
        """Stop: running attempts get the grace, everything is recorded, nothing is lost.

        Args:
            grace: Seconds; the runtime's setting by default.
        """
        bus, self._bus = self._bus, None
        if bus is None:
            return
        if self in _open:
            _open.remove(self)
        with anyio.CancelScope(shield=True):
            await bus.close(self.settings.grace if grace is None else grace)
            self.runs.close(CLOSED)
            if self._log is not None:
                # On the loop: at the exit of the interpreter no other thread takes work any more.
                self._log.close()
            self._log = None
        if self._undo is not None:
            self._undo()

    async def serve(self) -> None:
        """Execute runs until SIGINT or SIGTERM, then close with the grace. For worker programs."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        try:
            if self._bus is None:
                await self.start()
            await stop.wait()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            await self.aclose()

    @property
    def is_here(self) -> bool:
        """Whether the caller is on the runtime's own thread."""
        return threading.get_ident() == self._thread

    @property
    def is_of_this_process(self) -> bool:
        """Whether it was opened here, and not in the process from which this one was forked."""
        return self._pid == os.getpid()

    def check_process(self) -> None:
        """Refuse to serve a forked child.

        Raises:
            RuntimeClosedError: In a process other than the one that started it.
        """
        if self._pid and os.getpid() != self._pid:
            msg = (
                f"this runtime lives in process {self._pid}; the present process was forked from it"
                " and has no threads of it. Start processes with the 'spawn' method, or open a"
                " runtime of their own with a store of their own."
            )
            raise RuntimeClosedError(msg)

    def call(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the runtime's loop, from another thread, and wait for it."""
        self.check_process()
        if self.loop is None or self._bus is None:
            raise CLOSED
        return asyncio.run_coroutine_threadsafe(ask(), self.loop).result()

    async def call_async(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the runtime's loop, from whichever loop this is, and await it."""
        self.check_process()
        if self.loop is None or self._bus is None:
            raise CLOSED
        if asyncio.get_running_loop() is self.loop:
            return await ask()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), self.loop))


def rebuild_index(store: str | None = None) -> int:
    """Drop the index tables of a store and build them again from its log.

    The log is the truth and the index only makes it quick to search: this loses nothing. No
    runtime may have the store open.

    Args:
        store: As for :class:`Runtime`.

    Returns:
        How many runs the store holds.

    Raises:
        StoreError: When the store is in use, or cannot be read or written.
    """
    log = open_store(store_url(store))
    try:
        return rebuild_log_index(log)
    finally:
        log.close()


_open: list[Runtime] = []
_hosted: dict[str, HostedRuntime] = {}
_hosting = threading.Lock()


class HostedRuntime:
    """A runtime on a thread of its own, for programs without an event loop."""

    def __init__(self, store: str) -> None:
        self.runtime = Runtime(store)
        self.pid = os.getpid()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="agnt5-runtime", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until the runtime is open."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def close(self) -> None:
        """Close with the grace, and wait. Idempotent."""
        if self.pid != os.getpid() or self._loop is None or self._stop is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to whoever started the thread
            self._error = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self.runtime:
            self._ready.set()
            await self._stop.wait()


def _same_store(runtime: Runtime, store: str | None) -> bool:
    return runtime.is_of_this_process and (store is None or runtime.store == store)


def find_runtime(store: str | None = None) -> Runtime:
    """The runtime of this process (for a store), or a new one on a thread of its own.

    Raises:
        StoreError: When the store cannot be opened.
    """
    for runtime in reversed(_open):
        if _same_store(runtime, store):
            return runtime
    url = store_url(store)
    with _hosting:
        known = _hosted.get(url)
        if known is not None and known.pid == os.getpid() and known.runtime in _open:
            return known.runtime
        host = HostedRuntime(url)
        host.start()
        _hosted[url] = host
    _exit_cleanly_on_sigterm()
    return host.runtime


def close_hosted() -> None:
    """Close every runtime that a client has started in this process, with the grace."""
    for host in list(_hosted.values()):
        host.close()
    _hosted.clear()


def _exit_cleanly_on_sigterm() -> None:
    """A script that uses a client has no handler: let SIGTERM end it by way of atexit."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _close_at_exit() -> None:
    """Close before the interpreter stops the thread pools that running attempts may use.

    ``atexit`` comes after that: an attempt would fail in its grace, for no fault of its own. The
    hook that ``concurrent.futures`` uses itself comes before; the last one registered is first.
    """
    importlib.import_module("concurrent.futures.thread")
    register = getattr(threading, "_register_atexit", atexit.register)
    register(close_hosted)


_close_at_exit()
