"""An SDK that is set up for one test: its spans and its metrics, in memory."""

from __future__ import annotations

from weakref import WeakSet

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.telemetry.tools import Spans, new_spans

from agnt5 import EntityRegistry, FunctionRegistry, ToolRegistry, WorkflowRegistry
from agnt5.telemetry import gauges, house, meters


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
    # The runtime of a `Client` stays open until its process ends, also one of an earlier test.
    houses: WeakSet[gauges.Gauges] = WeakSet()
    for module in (gauges, house, meters):
        monkeypatch.setattr(module, "open_houses", houses)
    provider = MeterProvider([found])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    yield found
    provider.shutdown()
