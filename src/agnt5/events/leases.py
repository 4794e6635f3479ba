"""The Leases port: who may append to the streams of a scope, and with which fencing epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

STORE_SCOPE = "store"
"""The scope of the whole store: who owns it may append, and rebuild the index."""

CLAIMED, TAKEN_OVER, LOST, RELEASED = "claimed", "taken_over", "lost", "released"
"""What becomes of a lease. Taken over is one whose owner before has ended without releasing it;
lost is one that another has claimed since."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write in a scope. A greater epoch of the same scope makes a smaller one void."""

    scope: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who has a store open, or had it last."""

    owner: str | None
    """As the lease names it, ``host:pid``; None when the last owner has released it."""
    epoch: int
    """How often the store was opened to write in it."""
    is_open: bool | None
    """Whether somebody has it open now; None when that cannot be told from here."""
    pid: int | None = None
    """The process that has it open, or that ended without releasing it; None when there is none, or
    it cannot be told."""
    since: int | None = None
    """When that process opened it, microseconds since the epoch."""

    @property
    def has_expired(self) -> bool:
        """Whether the last owner has ended without releasing the store: it was killed."""
        return self.is_open is False and self.owner is not None and self.pid is not None


class Tenure:
    """What becomes of the lease under which a log writes, for those who tell of it.

    The log writes it down, on whichever thread; one other reads.
    """

    def __init__(self, store: str) -> None:
        self.store = store
        """Where the store lies."""
        self.lease: Lease | None = None
        """The one that stands, as far as is known here; None for a log that only looks."""
        self._untold: deque[str] = deque()

    def begin(self, lease: Lease, *, before: str) -> None:
        """The lease was claimed; ``before`` is who had not released the one before."""
        was_ours = self.lease is not None
        self.lease = lease
        self._untold.append(TAKEN_OVER if before and not was_ours else CLAIMED)

    def end(self, how: str) -> None:
        """It is over: ``LOST`` or ``RELEASED``. Does nothing if it was over before."""
        if self.lease is not None:
            self.lease = None
            self._untold.append(how)

    def news(self) -> Iterator[str]:
        """What has happened since this was asked last, in order."""
        while self._untold:
            yield self._untold.popleft()


class Leases(Protocol):
    """Ownership. Every transaction of an owner checks that its epoch still stands."""

    def claim(self, scope: str, owner: str) -> Lease:
        """Become the owner, with a new epoch. Raises StoreInUseError while another owner lives."""
        ...

    def current(self, scope: str) -> Lease | None:
        """The last lease that was given, or None."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it up. Does nothing if it is no longer ours."""
        ...


@runtime_checkable
class Owned(Protocol):
    """What a log may tell of its owner besides: one that several processes can look at."""

    @property
    def tenure(self) -> Tenure:
        """The lease under which this log writes, and what became of it."""
        ...

    def ownership(self) -> Ownership:
        """Who has the store, whoever that is. Blocks for a moment. Raises StoreError."""
        ...


def owned(log: object | None) -> Owned | None:
    """The store under a log that can tell of its owner, or None."""
    while log is not None and not isinstance(log, Owned):
        log = getattr(log, "inner", None)
    return log
