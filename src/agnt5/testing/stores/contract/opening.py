"""How a class of contract tests comes to its stores."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from agnt5.events.leases import Lease
from agnt5.testing.stores.driving import Driver
from agnt5.testing.stores.ownership import Ownership
from agnt5.testing.stores.port import Faults, OpenStore, Store
from agnt5.testing.stores.trial import Ground

MakeLog = Callable[[], Store]
"""Opens a new, empty store."""


def bound_to(log: Store, scope: str) -> str:
    """The run that a key names."""
    binding = log.key_binding(scope)
    assert binding is not None
    return binding.run_id


class Opening:
    """The fixtures of the contract. A subclass gives ``open_store``.

    Attributes:
        faults: The trouble that the store's author can make.
        max_examples: How many random histories; by default as Hypothesis' profile says.
    """

    faults: Faults = Faults()
    max_examples: int | None = None

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Opens the store of a place. Raises TypeError unless the subclass gives its own."""
        raise TypeError(
            f"{type(self).__name__} needs a fixture `open_store` that answers a function: it takes "
            f"the name of a place and opens the store there."
        )

    @pytest.fixture
    def drop(self) -> Callable[[str], None] | None:
        """Removes a place; by default nothing is removed."""
        return None

    @pytest.fixture
    def make_log(
        self, open_store: OpenStore, drop: Callable[[str], None] | None
    ) -> Generator[MakeLog, None, None]:
        """Opens a store at a place of its own."""
        ground = Ground(open_store, self.faults)
        places: list[str] = []

        def make() -> Store:
            places.append(ground.new_place())
            return open_store(places[-1])

        yield make
        if drop is not None:
            for place in places:
                drop(place)

    @pytest.fixture
    def d(self, make_log: MakeLog) -> Generator[Driver[Store], None, None]:
        """A new store, started with a sink to wait on; it is closed at the end."""
        log = make_log()
        yield Driver(log)
        log.close()

    def claim(self, log: Store, scope: str, owner: str) -> Lease:
        """Claim a scope from another owner, once its lease has run out if that is needed."""
        return Ownership().claim(log, scope, owner, self.faults.lapse)
