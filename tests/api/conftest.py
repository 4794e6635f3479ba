"""What the tests of the public surface share: empty registries, and a fresh store of each sort."""

from __future__ import annotations

import pytest
from tests.api.helpers import end_processes

from agnt5 import FunctionRegistry, ToolRegistry, WorkflowRegistry
from agnt5.events.stores.memory import MemoryLog


@pytest.fixture(autouse=True)
def registries():
    """Names are taken once per process, so every test begins with none."""
    for registry in (FunctionRegistry, WorkflowRegistry, ToolRegistry):
        registry.clear()
    yield
    for registry in (FunctionRegistry, WorkflowRegistry, ToolRegistry):
        registry.clear()


@pytest.fixture(autouse=True)
def processes():
    """A failed test leaves no process behind."""
    yield
    end_processes()


@pytest.fixture(params=["sqlite", "memory"])
def store(request, tmp_path):
    """What ``Runtime`` takes; opened again it holds what was recorded before."""
    if request.param == "memory":
        return MemoryLog()
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def file_store(tmp_path):
    """The address of a fresh SQLite store."""
    return f"sqlite:///{tmp_path}/store.db"
