"""Names are taken once per process, so every test begins with none."""

from __future__ import annotations

import pytest

from agnt5 import EntityRegistry, FunctionRegistry, ToolRegistry, WorkflowRegistry


@pytest.fixture(autouse=True)
def registries():
    for registry in (FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry):
        registry.clear()
    yield
    for registry in (FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry):
        registry.clear()
