"""Asks something of an event loop from another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def ask_from_afar(
    loop: asyncio.AbstractEventLoop, ask: Callable[[], Coroutine[Any, Any, T]]
) -> Future[T]:
    """Run something on a loop; cancelling the answer cancels it.

    The coroutine is made over there, unlike that of ``asyncio.run_coroutine_threadsafe``: one made
    here is left unawaited when a signal ends this thread in between, and Python complains of it.
    """
    answer: Future[T] = Future()

    def begin() -> None:
        if answer.cancelled():
            return
        task = loop.create_task(ask())
        answer.add_done_callback(lambda _: _follow(answer, loop, task))
        task.add_done_callback(lambda _: _pass_on(task, answer))

    loop.call_soon_threadsafe(begin)
    return answer


def _follow(answer: Future[T], loop: asyncio.AbstractEventLoop, task: asyncio.Task[T]) -> None:
    if answer.cancelled() and not loop.is_closed():
        loop.call_soon_threadsafe(task.cancel)


def _pass_on(task: asyncio.Task[T], answer: Future[T]) -> None:
    if task.cancelled():
        answer.cancel()
        return
    error = task.exception()
    if not answer.set_running_or_notify_cancel():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(task.result())
