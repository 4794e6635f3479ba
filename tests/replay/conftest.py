"""Names are taken once per process, so every test begins with none, and gives back what it found."""

from __future__ import annotations

import pytest

from agnt5 import EntityRegistry, FunctionRegistry, ToolRegistry, WorkflowRegistry

REGISTRIES = (FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry)


@pytest.fixture(autouse=True)
def registries():
    before = [(registry, registry.all()) for registry in REGISTRIES]
    for registry in REGISTRIES:
        registry.clear()
    yield
    for registry, known in before:
        registry.clear()
        for each in known.values():
            registry.register(each)
