"""A bounded queue with one reader.

Letters from the edge are refused when the box is full; letters from inside are not, because an
actor that could not report would deadlock the house, and what is inside is bounded by what the
edge has let in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agnt5.exceptions import OverloadedError

C = TypeVar("C")

Reply = Callable[[BaseException | None], None]
"""Told None once everything that the command led to is durable, or the error that refused it."""


@dataclass(slots=True)
class Envelope(Generic[C]):
    """A command, and where its answer goes."""

    command: C
    reply: Reply | None = None


class Mailbox(Generic[C]):
    """Commands for one actor."""

    __slots__ = ("_letters", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._letters: list[Envelope[C]] = []

    def put(self, envelope: Envelope[C]) -> None:
        """Add a letter from inside."""
        self._letters.append(envelope)

    def put_from_edge(self, envelope: Envelope[C], owner: str) -> None:
        """Add a letter from outside.

        Raises:
            OverloadedError: When the box is full.
        """
        if len(self._letters) >= self.capacity:
            msg = f"{owner} has {self.capacity} commands waiting; nothing was written: try later"
            raise OverloadedError(msg)
        self._letters.append(envelope)

    def take_all(self) -> list[Envelope[C]]:
        """Every letter, oldest first."""
        letters, self._letters = self._letters, []
        return letters

    def __len__(self) -> int:
        return len(self._letters)
