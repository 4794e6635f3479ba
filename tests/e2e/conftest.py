"""End-to-end tests share their workers' components; nothing of them stays in the registries."""

from __future__ import annotations

import pytest

from agnt5 import FunctionRegistry, WorkflowRegistry


@pytest.fixture(autouse=True)
def registries():
    """Names are taken once per process."""
    yield
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
