"""What every test may rely on: Hypothesis' profiles and asyncio as the loop."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from agnt5 import EntityRegistry, FunctionRegistry, ToolRegistry, WorkflowRegistry

# No deadline and no `too_slow`: a test that reaches a disk is as slow as the disk.
for name, examples in {"dev": 50, "ci": 200, "night": 2000}.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=name == "ci",
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In the background of a shell it is ignored, and every child would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "dev")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop that bodies are written for: they may use asyncio's own tools."""
    return "asyncio"


@pytest.fixture(autouse=True, scope="module")
def registered_by_modules():
    """What fixtures of a module clear away is there again for the tests of the next one."""
    yield from _kept()


@pytest.fixture(autouse=True)
def registered():
    """What a module registers when it is imported is still there for the tests of that module."""
    yield from _kept()


def _kept():
    every = (FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry)
    for registry in every:
        registry.all()  # classes are registered when somebody looks
    everything = [thing for registry in every for thing in vars(registry).values()]
    tables = [thing for thing in everything if isinstance(thing, dict)]
    before = [_copied(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.update(entries)


def _copied(table):
    return {name: dict(it) if isinstance(it, dict) else it for name, it in table.items()}
