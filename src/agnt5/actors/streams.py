"""What runs say while they are under way: deltas and news, in memory only, never on the log.

Each run that says something, or is listened to, has a channel: the latest entries, bounded. A
listener that is slow makes a generator wait, for a bounded time in all; then it loses the oldest
entries, which it is told. All of it lives on one loop; threads hand over to that loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from dataclasses import dataclass
from itertools import count
from typing import Any
from weakref import WeakSet

from pydantic import JsonValue

from agnt5.payloads import encode

CAPACITY = 4096
"""Entries that a channel keeps."""
PATIENCE_S = 1.0
"""How long a full channel waits for its listeners, until these have caught up again."""
_BREATH = 64
"""Items after which a generator that never waits lets the loop turn."""


@dataclass(slots=True, frozen=True)
class Entry:
    """One thing that was said."""

    event_type: str
    step: str
    attempt: int
    execution: str
    """Differs each time an attempt is begun, also when a restart begins the same one again."""
    offset: int
    data: JsonValue
    version: int
    """Of the run's stream when it was said: what was recorded before comes before."""


class Channel:
    """The latest entries of one run."""

    def __init__(self, version: int) -> None:
        self.entries: deque[Entry] = deque()
        self.first = 0
        """The number of the oldest entry that is kept."""
        self.version = version
        """Of the run's stream, as far as it is durable."""
        self.listeners: WeakSet[Listener] = WeakSet()
        self.impatient = False
        """It has waited for its listeners in vain, and they have not caught up since."""
        self._moved: asyncio.Event | None = None

    @property
    def next(self) -> int:
        """The number of the entry that comes next."""
        return self.first + len(self.entries)

    def add(self, entry: Entry) -> None:
        """Say something."""
        if len(self.entries) >= CAPACITY:
            self.entries.popleft()
            self.first += 1
        self.entries.append(entry)
        self.wake()

    def wake(self) -> None:
        """There is something new."""
        for listener in self.listeners:
            listener.news.set()

    def taken(self) -> None:
        """A listener has moved."""
        if self.impatient and all(each.at >= self.next for each in self.listeners):
            self.impatient = False
        if self._moved is not None:
            self._moved.set()

    async def room(self) -> None:
        """Wait until the next entry pushes out nothing that a listener has not heard."""
        if len(self.entries) < CAPACITY or self.impatient:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                while any(each.at <= self.first for each in self.listeners):
                    if self._moved is None or self._moved.is_set():
                        self._moved = asyncio.Event()
                    await self._moved.wait()
        except TimeoutError:
            self.impatient = True


class Listener:
    """Hears one run from now on, and what its channel still holds."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.at = channel.first
        self.news = asyncio.Event()
        channel.listeners.add(self)

    def take(self) -> list[Entry]:
        """What was said since it last asked."""
        channel = self.channel
        begin = max(0, self.at - channel.first)
        found = [channel.entries[i] for i in range(begin, len(channel.entries))]
        self.at = channel.next
        channel.taken()
        return found

    def close(self) -> None:
        """Hear no more."""
        self.channel.listeners.discard(self)
        self.channel.taken()


class Streams:
    """The channels of a house."""

    def __init__(self, name: str, context: Context, version_of: Callable[[str], int]) -> None:
        self.channels: dict[str, Channel] = {}
        self._name = name
        self._context = context
        self._version_of = version_of
        self._executions = count()
        self._left: set[str] = set()
        """Runs that are not in memory while somebody listens to them, or still speaks for them."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def channel(self, run_id: str) -> Channel:
        """The channel of a run."""
        found, version = self.channels.get(run_id), self._version_of(run_id)
        if found is None:
            found = self.channels[run_id] = Channel(version)
        # Of a run that is not in memory, or not yet, nobody would say that it has left.
        (self._left.discard if version else self._left.add)(run_id)
        return found

    def listen(self, run_id: str) -> Listener:
        """Listen to a run."""
        return Listener(self.channel(run_id))

    def execution(self) -> str:
        """The name of an execution of an attempt."""
        return f"{self._name}{next(self._executions):x}"

    def say(self, run_id: str, event_type: str, step: str, attempt: int, data: JsonValue) -> None:
        """News of a step or of a body; from any thread."""
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(
                self.say, run_id, event_type, step, attempt, data, context=self._context
            )
            return
        channel = self.channel(run_id)
        channel.add(Entry(event_type, step, attempt, "", 0, data, channel.version))

    def durable(self, run_id: str, version: int) -> None:
        """A run's stream is durable up to a version."""
        channel = self.channels.get(run_id)
        if channel is not None:
            channel.version = version
            channel.wake()

    def wake(self) -> None:
        """The house is closed: those who listen find that out."""
        for channel in self.channels.values():
            channel.wake()

    def left(self, run_id: str) -> None:
        """A run is not in memory any more; those who listen keep what they have not heard."""
        if run_id in self.channels:
            self._left.add(run_id)
        self.sweep()

    def sweep(self) -> None:
        """Forget what is said of runs that are not in memory and to which nobody listens."""
        for each in [each for each in self._left if not self.channels[each].listeners]:
            self._left.discard(each)
            del self.channels[each]

    async def collect(
        self, generator: AsyncGenerator[object, Any], run_id: str, step: str, attempt: int
    ) -> list[object]:
        """Say each item of a generator when it is yielded; all of them, in the end."""
        execution, items = self.execution(), list[object]()

        def said(stage: str, data: JsonValue = None) -> None:
            channel = self.channel(run_id)
            at = len(items)
            version = channel.version
            channel.add(Entry(f"output.{stage}", step, attempt, execution, at, data, version))

        said("start")
        async with contextlib.aclosing(generator):
            async for item in generator:
                said("delta", encode(item, where=f"item {len(items)} of step {step!r}"))
                items.append(item)
                if len(items) % _BREATH == 0:
                    await asyncio.sleep(0)
                channel = self.channels.get(run_id)
                if channel is not None:
                    await channel.room()
        said("stop")
        return items


async def collect(
    generator: AsyncGenerator[object, Any],
    streams: Streams | None,
    run_id: str,
    step: str,
    attempt: int,
) -> list[object]:
    """The items of a generator; said on the way, where there is somebody to say them to."""
    if streams is not None:
        return await streams.collect(generator, run_id, step, attempt)
    async with contextlib.aclosing(generator):
        return [item async for item in generator]
