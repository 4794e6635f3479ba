"""Builds the house and tears it down: the one place that knows every part by name."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio

from agnt5.actors.branch import chain_task_factory
from agnt5.actors.bus import Bus
from agnt5.actors.clock import Clock, SystemClock
from agnt5.actors.executor import AttemptDefaults
from agnt5.actors.run import CLOSED
from agnt5.actors.settings import BusSettings, RunSettings
from agnt5.contract_watch import ContractWatch, OnViolation
from agnt5.contracts import Contract
from agnt5.conversations import Conversations
from agnt5.crossing import ask_from_afar
from agnt5.desks import Desks, sweeps_of
from agnt5.entity_desk import DESK, RuntimeDesk
from agnt5.events.log import EventLog
from agnt5.events.stores import beside_memory, encrypted
from agnt5.exceptions import ConfigurationError, RuntimeClosedError
from agnt5.flow import Queue
from agnt5.function_context import enter_runtime
from agnt5.ingress import Ingress
from agnt5.keyring import Keyring
from agnt5.limits import Limits
from agnt5.opened_stores import open_private
from agnt5.policies import Backoff, Retries, retry_policy
from agnt5.run_streams import RunStreams
from agnt5.runs import Runs
from agnt5.runtime_privacy import privacy_of
from agnt5.runtime_settings import Settings, several, step_defaults
from agnt5.schedules import Schedules
from agnt5.signing import HashChain
from agnt5.store_address import named_or_given
from agnt5.telemetry.current import carrying
from agnt5.telemetry.house import Telemetry
from agnt5.triggers import Secrets
from agnt5.webhooks import MAX_WEBHOOK_BYTES

if TYPE_CHECKING:
    from agnt5.retention import Retention

T = TypeVar("T")


class Runtime(Desks):
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
        queues: The queues of this runtime, see :class:`agnt5.Queue`.
        default_retries: For functions that set no ``retries``, in the same forms; one attempt if
            not given. What held when a step was asked for is recorded with it.
        default_backoff: For functions that set no ``backoff``.
        default_timeout_ms: For one attempt of a function without ``timeout_ms``, milliseconds.
        webhook_secrets: By source, with what its webhooks are signed: a secret or several, while
            one takes the place of another. By default ``AGNT5_WEBHOOK_SECRET_<SOURCE>``.
        max_webhook_bytes: The largest body of a webhook; 1 MiB by default.
        contracts: What must hold of every run, see :mod:`agnt5.contracts`.
        on_violation: Called with each violation, on the runtime's loop; it must not block.
        encryption: The keys with which payloads are encrypted, see :class:`agnt5.Keyring`; by
            default those in ``AGNT5_ENCRYPTION_KEYS``, if it is set.
        chain: Begin a hash chain over every run, see :class:`agnt5.HashChain`; True for one without
            signed heads. A chain that a store has goes on by itself.
        retention: By component, how long runs are kept once they have ended; ``"*"`` for all that
            are not named. Without one they are kept for ever. See :class:`agnt5.Retention`.
        limits: How much a run and an entity may grow, see :class:`agnt5.Limits`.
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

    bus_class: type[Bus] = Bus
    loop: asyncio.AbstractEventLoop | None = None
    _bus: Bus | None = None
    _undo: Callable[[], None] | None = None
    _thread = _pid = 0

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
        queues: Iterable[Queue] = (),
        default_retries: Retries = None,
        default_backoff: Backoff = None,
        default_timeout_ms: int | None = None,
        webhook_secrets: Mapping[str, Secrets] | None = None,
        max_webhook_bytes: int = MAX_WEBHOOK_BYTES,
        contracts: Iterable[Contract] = (),
        on_violation: OnViolation | None = None,
        encryption: Keyring | None = None,
        chain: HashChain | bool | None = None,
        retention: Mapping[str, Retention] | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.store, self._log = named_or_given(store)
        self.settings = Settings(
            durability,
            grace,
            park_after,
            max_active_runs,
            max_payload_bytes,
            stall_limit,
            threads,
            strict_idempotency,
            default_timeout_ms,
            several(queues),
            limits or Limits(),
        )
        self._defaults = step_defaults(default_retries, default_backoff)
        self._default_policy = retry_policy(default_retries)
        super().__init__(Runs(self.settings.queues, strict_idempotency=strict_idempotency))
        self.entities, self.schedules = RuntimeDesk(), Schedules(self.runs)
        self.ingress = Ingress(self.runs, webhook_secrets, max_webhook_bytes)
        self.conversations, self.streams = Conversations(self.runs), RunStreams(self.runs)
        self.contracts = ContractWatch(contracts, on_violation)
        self._secrets, self._clock = privacy_of(encryption, chain), clock or SystemClock()
        self._sweeps = sweeps_of(self.runs, retention, self._secrets.keyring)
        self.telemetry = Telemetry(self._clock)

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
            StoreError: When the store cannot be opened; ``StoreInUseError`` when another process
                owns it, ``EncryptionKeyError`` when a key is missing.
            ConfigurationError: When the address of the store is wrong, or ``chain`` is given with a
                store that is open already.
            RuntimeClosedError: When this runtime is open already.
        """
        if self._bus is not None:
            msg = "this runtime is open already"
            raise RuntimeClosedError(msg)
        log = self._log
        if log is None:
            now, durability = self._clock.now(), self.settings.durability
            log = await asyncio.to_thread(
                open_private, self.store, self._secrets, now, durability=durability
            )
        elif (chain := self._secrets.chain) is not None and chain.begins:
            raise ConfigurationError("chain is for a store that the runtime opens by its address")
        else:
            log = encrypted(log, self._secrets.keyring, self._clock.now())
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
        if self._bus.executes:
            open_runtimes.append(self)

    def _open_bus(self, log: EventLog) -> Bus:
        settings = self.settings
        limit_ms = settings.default_timeout_ms
        context = copy_context()
        context.run(enter_runtime)
        self.telemetry.move_in(context)
        # What runs in this house finds its entities here, whatever else is open in the process.
        context.run(DESK.set, self.entities)
        context.run(home.set, self)
        bus = self.bus_class(
            self.contracts.open(beside_memory(log)),
            self.runs.components,
            self.runs,
            clock=self._clock,
            context=context,
            settings=BusSettings(
                RunSettings(
                    int(settings.park_after * 1e6),
                    settings.stall_limit,
                    self._defaults,
                    settings.limits,
                ),
                settings.max_active_runs,
                settings.threads,
                settings.queues,
                AttemptDefaults(limit_ms and limit_ms / 1000, self._default_policy),
                (*self.contracts.listeners, self.telemetry.hear),
            ),
            payload_limit=settings.max_payload_bytes,
        )
        self.telemetry.open(bus)
        self.runs.open(bus)
        self.entities.open(bus)
        bus.open()
        if bus.executes:
            self.schedules.open()
            if self._sweeps is not None:
                self._sweeps.open()
        return bus

    async def aclose(self, grace: float | None = None) -> None:
        """Stop: running attempts get the grace, everything is recorded, nothing is lost.

        Closing twice is the same as once.

        Args:
            grace: Seconds; the runtime's setting by default.
        """
        bus, self._bus = self._bus, None
        if bus is None:
            return
        if self in open_runtimes:
            open_runtimes.remove(self)
        with anyio.CancelScope(shield=True):
            self.schedules.close()
            if self._sweeps is not None:
                self._sweeps.close()
            await bus.close(self.settings.grace if grace is None else grace)
            self.runs.close(CLOSED)
            self.entities.close()
            self.conversations.close(CLOSED)
            self.contracts.close()
            await self.telemetry.close()
            if self._log is not None:
                # On the loop: at the exit of the interpreter no other thread takes work any more.
                self._log.close()
                self.telemetry.tell_lease()
            self._log = None
        if self._undo is not None:
            self._undo()

    async def serve(self) -> None:
        """Execute runs until SIGINT or SIGTERM, then close with the grace. For worker programs.

        It opens the store itself, unless :meth:`start` has done so. Call it on the main thread:
        only there can Python hear signals.

        Raises:
            StoreError: When the store cannot be opened.
        """
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
        """Run something on the runtime's loop, from another thread, and wait for it.

        Raises:
            RuntimeClosedError: When it is not open, or was opened by the process before a fork.
        """
        return ask_from_afar(self._open_loop(), carrying(ask)).result()

    async def call_async(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the runtime's loop, from whichever loop this is, and await it.

        Raises:
            RuntimeClosedError: When it is not open, or was opened by the process before a fork.
        """
        loop = self._open_loop()
        if asyncio.get_running_loop() is loop:
            return await ask()
        return await asyncio.wrap_future(ask_from_afar(loop, carrying(ask)))

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        self.check_process()
        if self.loop is None:
            msg = (
                "this runtime has not been opened: enter `async with Runtime(...)`, or await its"
                " start(), before a client uses it"
            )
            raise RuntimeClosedError(msg)
        if self._bus is None:
            raise CLOSED
        return self.loop


home: ContextVar[Runtime | None] = ContextVar("agnt5_home", default=None)
"""The runtime in which the caller is executed, be it open or about to close."""

open_runtimes: list[Runtime] = []
"""Of this process, and of the process from which it was forked."""
