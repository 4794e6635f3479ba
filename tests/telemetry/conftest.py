"""An SDK that is set up for one test: its spans and its metrics, in memory."""

from __future__ import annotations

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.telemetry.tools import Spans, new_spans

from agnt5 import EntityRegistry, FunctionRegistry, ToolRegistry, WorkflowRegistry


@pytest.fixture(autouse=True)
def registries():
    """Names are taken once per process, so every test begins with none."""
    for registry in (FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry):
        registry.clear()
    yield
    for registry in (FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry):
        registry.clear()


@pytest.fixture
def spans(monkeypatch) -> Spans:
    """What is told to a tracer provider."""
    found = new_spans()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)
    return found


@pytest.fixture
def reader(monkeypatch):
    """What is told to a meter provider."""
    found = InMemoryMetricReader()
    provider = MeterProvider([found])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    yield found
    provider.shutdown()
