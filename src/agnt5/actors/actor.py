"""One actor's life: started, receiving, stopped. A stopped actor answers every letter left."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import Context
from typing import Generic, TypeVar

from agnt5.actors.mailbox import Envelope, Mailbox, Reply

C = TypeVar("C")

CAPACITY = 10_000


class Actor(ABC, Generic[C]):
    """Owns state, reads one mailbox, handles all that lies in it as one batch.

    There is no task per actor: a parked actor must cost nothing and a message must not cost a task
    switch, so the first letter schedules one call on the loop, in the house's own context.
    """

    def __init__(self, address: str, context: Context, capacity: int = CAPACITY) -> None:
        self.address = address
        self.stopped: BaseException | None = None
        self._context = context
        self._mailbox: Mailbox[C] = Mailbox(capacity)
        self._scheduled = False
        self._ready = True
        self._loop = asyncio.get_running_loop()

    def tell(self, command: C, reply: Reply | None = None, *, edge: bool = False) -> None:
        """Put a command into the mailbox. Must be called on the loop's thread.

        Raises:
            OverloadedError: When it comes from the edge and the mailbox is full.
        """
        if self.stopped is not None:
            if reply is not None:
                reply(self.stopped)
            return
        envelope = Envelope(command, reply)
        if edge:
            self._mailbox.put_from_edge(envelope, self.address)
        else:
            self._mailbox.put(envelope)
        if not self._scheduled and self._ready:
            self._scheduled = True
            self._loop.call_soon(self._drain, context=self._context)

    def hold(self) -> None:
        """Take letters but do not read them yet."""
        self._ready = False

    def release(self) -> None:
        """Read letters again."""
        self._ready = True
        if len(self._mailbox) and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain, context=self._context)

    @property
    def is_idle(self) -> bool:
        """Whether no letter waits."""
        return not len(self._mailbox)

    def stop(self, reason: BaseException) -> None:
        """Read no more; answer every letter in the box with the reason. Idempotent."""
        if self.stopped is None:
            self.stopped = reason
        for envelope in self._mailbox.take_all():
            if envelope.reply is not None:
                envelope.reply(reason)

    def _drain(self) -> None:
        self._scheduled = False
        if self.stopped is not None or not self._ready:
            return
        batch = self._mailbox.take_all()
        if not batch:
            return
        try:
            self.receive(batch)
        except Exception as error:  # noqa: BLE001 - an actor's crash is its supervisor's business
            for envelope in batch:
                if envelope.reply is not None:
                    envelope.reply(error)
            self.crashed(error)

    @abstractmethod
    def receive(self, batch: Sequence[Envelope[C]]) -> None:
        """Handle these letters."""

    @abstractmethod
    def crashed(self, error: Exception) -> None:
        """This actor has failed: tell the supervisor."""
