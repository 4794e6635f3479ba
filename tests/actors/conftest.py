"""The loop's timers, taken into the hand: nothing here sleeps in real time."""

from __future__ import annotations

import asyncio

import pytest


class Later:
    """Calls that were put off."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, delay, callback, *args, context=None):
        call = Call(delay, callback, args)
        self.calls.append(call)
        return call

    @property
    def delays(self) -> list[float]:
        """How long those that are still to be made were put off."""
        return [call.delay for call in self.calls]

    def fire(self) -> None:
        """Make the calls that were put off until now."""
        calls, self.calls = self.calls, []
        for call in calls:
            if not call.cancelled:
                call.callback(*call.args)


class Call:
    """One of them."""

    def __init__(self, delay, callback, args) -> None:
        self.delay, self.callback, self.args = delay, callback, args
        self.cancelled = False

    def cancel(self) -> None:
        """Do not make it."""
        self.cancelled = True


@pytest.fixture
async def later(monkeypatch):
    """``loop.call_later`` puts calls here."""
    calls = Later()
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", calls)
    return calls
