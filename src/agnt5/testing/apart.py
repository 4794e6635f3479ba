"""Plays simulations where no event loop is running, and no search of hypothesis."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def off_this_loop(call: Callable[[], T]) -> T:
    """Call it here, or on a thread of its own where an event loop runs, or hypothesis draws."""
    if not _is_loop_running() and not _is_property_running():
        return call()
    results: list[T] = []
    errors: list[BaseException] = []
    context = copy_context()

    def work() -> None:
        try:
            results.append(context.run(call))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            errors.append(error)

    thread = threading.Thread(target=work, name="agnt5-simulation", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_property_running() -> bool:
    """Whether hypothesis would complain of a search within its own."""
    hypothesis = sys.modules.get("hypothesis")
    return hypothesis is not None and bool(hypothesis.currently_in_test_context())
