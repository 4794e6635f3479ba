"""The contract of event logs as a class of tests, to inherit from."""

from __future__ import annotations

from collections.abc import Callable

from agnt5.testing.stores.check import check_store
from agnt5.testing.stores.contract.appends import AppendContract
from agnt5.testing.stores.contract.forgetting import ForgetContract
from agnt5.testing.stores.contract.lookups import LookupContract
from agnt5.testing.stores.contract.opening import MakeLog
from agnt5.testing.stores.contract.readers import ReaderContract
from agnt5.testing.stores.contract.rebuilt import RebuildContract
from agnt5.testing.stores.port import OpenStore

__all__ = ["LogContract", "MakeLog"]


class LogContract(AppendContract, ForgetContract, LookupContract, ReaderContract, RebuildContract):
    """All that a store must do: examples, readers beside writers, rebuilds, random histories.

    Inherit in a file of tests, and give a fixture ``open_store``: a function that opens the store
    of a place, see `agnt5.testing.stores.OpenStore`. `faults` and `max_examples` are attributes of
    the class; a fixture ``drop`` may give what removes a place.
    """

    def test_random_histories(
        self, open_store: OpenStore, drop: Callable[[str], None] | None
    ) -> None:
        check_store(open_store, faults=self.faults, drop=drop, max_examples=self.max_examples)
