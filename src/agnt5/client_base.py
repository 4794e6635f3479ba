"""What every part of a client rests on: the runtime that serves it, and how it is asked."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from agnt5.exceptions import ConfigurationError, RuntimeClosedError
from agnt5.hosting import find_runtime
from agnt5.runtime import Runtime

T = TypeVar("T")


class Feed(Protocol):
    """What gives things in portions, on the runtime's loop."""

    async def take(self) -> list[Any]:
        """The next portion; empty at the end."""
        ...

    async def close(self) -> None:
        """Take no more."""
        ...


Open = Callable[[Runtime], Coroutine[Any, Any, Feed]]


class Interrupted(SystemExit, KeyboardInterrupt):
    """Ctrl-C while a client waited.

    Also a KeyboardInterrupt; uncaught, it ends the program quietly with status 130.
    """


class ClientBase:
    """How a client finds its runtime."""

    def __init__(
        self,
        gateway_url: str | None = None,
        timeout: float | None = None,
        api_key: str | None = None,
        tenant_id: str | None = None,
        deployment_id: str | None = None,
        *,
        store: str | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        if api_key is not None and not api_key.startswith("agnt5_sk_"):
            msg = "an api_key starts with 'agnt5_sk_'"
            raise ValueError(msg)
        self.api_key = api_key
        self.tenant_id = tenant_id
        self.deployment_id = deployment_id
        self.gateway_url = gateway_url or os.environ.get("AGNT5_GATEWAY_URL")
        if self.gateway_url:
            msg = (
                f"this version of agnt5 runs embedded and cannot speak to a gateway"
                f" ({self.gateway_url}); leave gateway_url and AGNT5_GATEWAY_URL unset"
            )
            raise ConfigurationError(msg)
        self.timeout = timeout
        self._store = store
        self._given = runtime

    @property
    def runtime(self) -> Runtime:
        """The runtime that serves this client; started on first use if the process has none."""
        return self._given or find_runtime(self._store)


class BlockingClient(ClientBase):
    """Asks from another thread than the runtime's, and waits."""

    def _ask(self, ask: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
        try:
            runtime = self.runtime
            if runtime.is_here:
                msg = (
                    "Client blocks, and was called on the thread whose event loop executes the"
                    " runs: they would wait for each other for ever. Use AsyncClient here."
                )
                raise RuntimeClosedError(msg)
            return runtime.call(lambda: ask(runtime))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; unfinished runs go on when the program starts again\n")
            raise Interrupted(130) from None

    def _listen(self, start: Open) -> Iterator[Any]:
        # Opened at once, so that bad input is refused here and not at the first item.
        return _Portions(self._ask, self._ask(start))


class _Portions(Iterator[Any]):
    """What a feed gives, one by one."""

    def __init__(self, ask: Callable[[Any], Any], feed: Feed) -> None:
        self._ask = ask
        self._feed = feed
        self._ready: deque[Any] = deque()
        self._over = False

    def __next__(self) -> Any:
        if not self._ready and not self._over:
            try:
                self._ready += self._ask(lambda _: self._feed.take())
            except BaseException:
                self.close()
                raise
            if not self._ready:
                self.close()
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """Listen no more."""
        self._ready.clear()
        if not self._over:
            self._over = True
            with suppress(RuntimeClosedError):
                self._ask(lambda _: self._feed.close())


class AwaitingClient(ClientBase):
    """Asks from any event loop, and awaits."""

    async def _ask(self, ask: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
        runtime = self.runtime
        return await runtime.call_async(lambda: ask(runtime))

    async def _listen(self, start: Open) -> AsyncGenerator[Any, None]:
        feed = await self._ask(start)
        try:
            while ready := await self._ask(lambda _: feed.take()):
                for each in ready:
                    yield each
        finally:
            with suppress(RuntimeClosedError):
                await self._ask(lambda _: feed.close())
