"""What the tests of actors share."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from agnt5.events.log import Append, Chain, RawFact

HOUSE = copy_context()


async def turns(count: int = 20) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def turns_until(condition, most: int = 200) -> int:
    """How many turns of the loop it takes until something is true."""
    for n in range(most):
        if condition():
            return n
        await asyncio.sleep(0)
    raise AssertionError("it did not come true")


class Letters(list):
    """Replies: what each was told."""

    def reply(self, name=None):
        """A reply that notes what it is told."""
        return lambda error: self.append(error if name is None else (name, error))


def append(stream="r1", settled=None, *, urgent=True) -> Append:
    """An append of one fact."""
    note = (lambda _: None) if settled is None else settled
    raw = RawFact("RunParked", b"{}", 0, f"{stream}-e")
    return Append(stream, 0, [raw], (), Chain(), note, urgent=urgent)


class Desk:
    """A log that takes groups and settles them when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.taken: list[list[Append]] = []
        self.sink = None

    def start(self, sink) -> None:
        """Begin."""
        self.sink = sink

    def append(self, requests) -> None:
        """Take a group."""
        self.groups.append([request.stream for request in requests])
        self.taken.append(list(requests))

    def settle(self) -> None:
        """Everything that was taken is durable."""
        taken, self.taken = self.taken, []
        for group in taken:
            self.sink(group)
