"""``parallel`` and ``gather``: built on nothing but the step of the context that they are given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

Checkpoint = Callable[[str, Any], "asyncio.Future[Any]"]
"""Makes a named step of an awaitable."""


def parallel_all(
    checkpoint: Checkpoint, awaitables: Sequence[Awaitable[Any] | AsyncGenerator[Any, None]]
) -> asyncio.Future[list[Any]]:
    """Wait for all, in argument order; the first error is raised, the others keep running."""
    return asyncio.gather(
        *(_durable(checkpoint, f"parallel_{i}", each) for i, each in enumerate(awaitables))
    )


def gather_all(
    checkpoint: Checkpoint, awaitables: Mapping[str, Awaitable[Any] | AsyncGenerator[Any, None]]
) -> Coroutine[Any, Any, dict[str, Any]]:
    """Wait for all, by name. The identities are fixed now, not when it is awaited."""
    calls = [_durable(checkpoint, name, each) for name, each in awaitables.items()]
    return _named(list(awaitables), calls)


async def _named(names: list[str], calls: list[asyncio.Future[Any]]) -> dict[str, Any]:
    return dict(zip(names, await asyncio.gather(*calls), strict=True))


def _durable(checkpoint: Checkpoint, name: str, awaitable: Any) -> asyncio.Future[Any]:
    """A durable call passes through; anything else becomes a step under its name."""
    if asyncio.isfuture(awaitable) and hasattr(awaitable, "key"):
        return awaitable
    if asyncio.isfuture(awaitable) and hasattr(awaitable, "_children"):
        return awaitable
    if getattr(awaitable, "is_durable", False):
        waiting: asyncio.Future[Any] = asyncio.ensure_future(awaitable)
        return waiting
    return checkpoint(name, awaitable)
