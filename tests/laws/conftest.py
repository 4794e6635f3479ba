"""The laws' own components, in registries that hold nothing else."""

from __future__ import annotations

import pytest
from tests.laws import programs

from agnt5 import FunctionRegistry, WorkflowRegistry


@pytest.fixture(autouse=True)
def registries():
    """Names are taken once per process, so every test begins with the laws' components."""
    programs.install()
    yield
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
