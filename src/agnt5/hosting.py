"""Runtimes on threads of their own, for programs without an event loop; one per store."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import signal
import threading

from agnt5.runtime import Runtime, home, open_runtimes
from agnt5.store_address import store_url

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

    Whoever is executed by a runtime gets that one, also while it closes.

    Raises:
        StoreError: When the store cannot be opened.
    """
    # A step that calls a client while its runtime closes must not end up at another store.
    here = home.get()
    if here is not None and _same_store(here, store):
        return here
    for runtime in reversed(open_runtimes):
        if _same_store(runtime, store):
            return runtime
    url = store_url(store)
    with _hosting:
        known = _hosted.get(url)
        if known is not None and known.pid == os.getpid() and known.runtime in open_runtimes:
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
