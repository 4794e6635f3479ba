"""Whether a body waits for us and for nothing else, so that it may leave memory.

A task waits for us if what it awaits is a durable call, another task of the body, or one of
asyncio's own ways to wait for several of these. Everything else is taken for real work (a socket,
a timer, a lock): such a body stays where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from agnt5.actors.branch import Guard

_STRUCTURAL = {
    ("asyncio.taskgroups", "__aexit__"),
    ("anyio._backends._asyncio", "__aexit__"),
    ("anyio._backends._asyncio", "_wait"),
}
_WAIT = ("asyncio.tasks", "_wait")


def waits_only_for(guards: Iterable[Guard], ours: type[asyncio.Future[Any]]) -> bool:
    """Whether every task of these waits for futures of our class, or for one another."""
    guards = list(guards)
    tasks = {guard.task for guard in guards}
    return all(_is_ours(guard.waiting_on, guard, tasks, ours) for guard in guards)


def _is_ours(
    waiting: object, guard: Guard, tasks: set[asyncio.Task[Any] | None], ours: type[Any]
) -> bool:
    if isinstance(waiting, ours):
        return not cast("asyncio.Future[Any]", waiting).done()
    if isinstance(waiting, asyncio.Task):
        return waiting in tasks
    children: Any = getattr(waiting, "_children", None)
    if isinstance(children, list):
        return all(child.done() or _is_ours(child, guard, tasks, ours) for child in children)
    return _waits_structurally(guard)


def _waits_structurally(guard: Guard) -> bool:
    inner: Any = guard.task.get_coro() if guard.task is not None else None
    while getattr(inner, "cr_await", None) is not None:
        following = inner.cr_await
        if getattr(following, "cr_frame", None) is None:
            break
        inner = following
    frame = getattr(inner, "cr_frame", None)
    if frame is None:
        return False
    place = (frame.f_globals.get("__name__"), frame.f_code.co_name)
    if place == _WAIT:
        # asyncio.wait: with a timeout among its locals it waits for time, too.
        return frame.f_locals.get("timeout_handle") is None
    return place in _STRUCTURAL
