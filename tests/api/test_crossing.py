"""Asking something of a loop from another thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from agnt5.crossing import ask_from_afar


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_result_and_an_error_come_back(loop):
    async def double(n):
        return 2 * n

    async def fail():
        raise ValueError("no")

    assert ask_from_afar(loop, lambda: double(4)).result(10) == 8
    with pytest.raises(ValueError, match="no"):
        ask_from_afar(loop, fail).result(10)


def test_cancelling_goes_both_ways(loop):
    begun, ended = threading.Event(), threading.Event()

    async def wait():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    answer = ask_from_afar(loop, wait)
    assert begun.wait(10)
    assert answer.cancel()
    assert ended.wait(10)

    async def give_up():
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        ask_from_afar(loop, give_up).result(10)


def test_nothing_is_begun_that_was_cancelled_before(loop):
    held, asked = threading.Event(), []

    async def ask():
        asked.append(1)

    loop.call_soon_threadsafe(held.wait)
    answer = ask_from_afar(loop, ask)
    assert answer.cancel()
    held.set()
    ask_from_afar(loop, lambda: asyncio.sleep(0)).result(10)
    assert asked == []


def test_a_thread_that_is_interrupted_leaves_no_coroutine_behind(loop, monkeypatch):
    """``SystemExit`` of a signal handler may come between any two instructions."""

    def interrupted(*_):
        raise SystemExit

    async def ask():
        pass

    made = []
    monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(SystemExit):
        ask_from_afar(loop, lambda: made.append(1) or ask())
    monkeypatch.undo()
    assert made == []
