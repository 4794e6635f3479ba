"""Leases of a store: who holds which, and that epochs only grow."""

from __future__ import annotations

from collections.abc import Callable

from agnt5.events.leases import STORE_SCOPE, Lease
from agnt5.exceptions import StaleEpochError, StoreError, StoreInUseError
from agnt5.testing.stores.comparing import same
from agnt5.testing.stores.driving import make_append
from agnt5.testing.stores.port import Store, StoreConformanceError
from agnt5.testing.stores.watch import Watch

Lapse = Callable[[Store, str], None]


class Ownership:
    """The leases that were given, over all lives of a store."""

    def __init__(self) -> None:
        self.given: list[Lease] = []
        self._current: dict[str, Lease | None] = {}

    def begin(self, store: Store) -> None:
        """The store was opened: by that it has claimed the whole store, with a new epoch."""
        lease = store.current(STORE_SCOPE)
        if lease is None or lease.owner != store.owner:
            raise StoreConformanceError(
                "owner",
                f"A store that was opened owns the scope {STORE_SCOPE!r}. Its owner is "
                f"{store.owner!r}, current({STORE_SCOPE!r}) answers {lease!r}.",
            )
        self._take(STORE_SCOPE, lease)
        # Other leases may have run out meanwhile.
        for scope in self._current:
            if store.current(scope) is None:
                self._current[scope] = None

    def claim(self, store: Store, scope: str, owner: str, lapse: Lapse | None) -> Lease:
        """Claim a scope; if another owner lives, once its lease has run out."""
        try:
            lease = store.claim(scope, owner)
        except StoreInUseError as refused:
            self.check(store)
            if lapse is None:
                raise StoreConformanceError(
                    "owner",
                    f"claim({scope!r}, {owner!r}) was refused: {refused} Give "
                    f"Faults(lapse=...), so that the kit can let a lease run out.",
                ) from refused
            lapse(store, scope)
            lease = store.claim(scope, owner)
        same("owner", "claim() by its scope and owner", (lease.scope, lease.owner), (scope, owner))
        self._take(scope, lease)
        return lease

    def release(self, store: Store, scope: str, age: int) -> None:
        """Give up a lease of a scope, the last one or one before it; only the last one counts."""
        leases = [lease for lease in self.given if lease.scope == scope]
        lease = leases[max(0, len(leases) - 1 - age)]
        store.release(lease)
        if self._current.get(scope) == lease:
            self._current[scope] = None

    def check(self, store: Store) -> None:
        """The lease that stands is the last one that was given, unless it was given up."""
        for scope, lease in self._current.items():
            same("owner", f"current({scope!r})", store.current(scope), lease)

    def check_refusal(self, refused: StoreError) -> None:
        """A second one was not let in."""
        if not isinstance(refused, StoreInUseError):
            raise StoreConformanceError(
                "owner",
                f"A store that is open was opened again: {type(refused).__name__}: {refused} "
                f"Expected was StoreInUseError, or that the first one loses it.",
            ) from refused

    def check_loser(self, first: Store, watch: Watch, patience_s: float) -> None:
        """The store that was opened first can write nothing more."""
        append = make_append("loser")
        try:
            first.append([append])
            settled = watch.take(patience_s)
        finally:
            first.close()
        if settled is not append or not isinstance(append.error, StaleEpochError):
            raise StoreConformanceError(
                "owner",
                f"Two have the store open. The append of the first one had to be refused with "
                f"StaleEpochError; it ended with {append.error!r}.",
            )

    def _take(self, scope: str, lease: Lease) -> None:
        epochs = [old.epoch for old in self.given if old.scope == scope]
        if epochs and lease.epoch <= max(epochs):
            raise StoreConformanceError(
                "owner", f"{lease} was given, after the epoch {max(epochs)} of the same scope."
            )
        self.given.append(lease)
        self._current[scope] = lease
