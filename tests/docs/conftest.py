"""Documentation runs in an empty folder, with names of its own and a store that forgets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agnt5 import FunctionRegistry, ToolRegistry, WorkflowRegistry
from agnt5.hosting import close_hosted


@pytest.fixture(autouse=True)
def a_fresh_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGNT5_STORE", "memory://")
    monkeypatch.delenv("AGNT5_GATEWAY_URL", raising=False)
    functions, workflows = FunctionRegistry.all(), WorkflowRegistry.all()
    _forget()
    yield
    close_hosted()
    _forget()
    for function in functions.values():
        FunctionRegistry.register(function)
    for workflow in workflows.values():
        WorkflowRegistry.register(workflow)


def _forget() -> None:
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    ToolRegistry.clear()
