"""The conformance kit of stores: what every event log must do, for whoever writes one."""

from __future__ import annotations

from importlib.util import find_spec

for _name in ("hypothesis", "pytest"):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f"agnt5.testing.stores needs {_name}. Install the extra: "
            f"pip install 'agnt5-actors[testing]'.",
            name=_name,
        )

import pytest

# Before it is imported: its tests say what they have found, as those of a user's own files do.
pytest.register_assert_rewrite("agnt5.testing.stores.contract")

from agnt5.testing.stores.check import check_store
from agnt5.testing.stores.contract import LogContract
from agnt5.testing.stores.driving import Driver, Sunk, make_append, make_facts, make_row
from agnt5.testing.stores.killing import check_killed
from agnt5.testing.stores.port import LAWS, Faults, Moment, OpenStore, Store, StoreConformanceError

__all__ = [
    "LAWS",
    "Driver",
    "Faults",
    "LogContract",
    "Moment",
    "OpenStore",
    "Store",
    "StoreConformanceError",
    "Sunk",
    "check_killed",
    "check_store",
    "make_append",
    "make_facts",
    "make_row",
]
