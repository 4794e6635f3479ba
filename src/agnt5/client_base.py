"""What every part of a client rests on: the runtime that serves it, and how it is asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agnt5.exceptions import ConfigurationError, RuntimeClosedError
from agnt5.hosting import find_runtime
from agnt5.runtime import Runtime

T = TypeVar("T")


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
        runtime = self.runtime
        if runtime.is_here:
            msg = (
                "Client blocks, and was called on the thread whose event loop executes the runs:"
                " they would wait for each other for ever. Use AsyncClient here."
            )
            raise RuntimeClosedError(msg)
        try:
            return runtime.call(lambda: ask(runtime))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; unfinished runs go on when the program starts again\n")
            raise Interrupted(130) from None


class AwaitingClient(ClientBase):
    """Asks from any event loop, and awaits."""

    async def _ask(self, ask: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
        runtime = self.runtime
        return await runtime.call_async(lambda: ask(runtime))
