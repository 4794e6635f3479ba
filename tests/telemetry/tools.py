"""Spans as tests look at them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Spans:
    """What a provider was told."""

    def __init__(self, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
        self.provider = provider
        self._exporter = exporter

    def __iter__(self):
        return iter(self._exporter.get_finished_spans())

    def clear(self) -> None:
        """Forget them."""
        self._exporter.clear()

    @property
    def names(self) -> list[str]:
        """In alphabetical order."""
        return sorted(span.name for span in self)

    def one(self, name: str, **attributes: Any) -> ReadableSpan:
        """The one span of this name (and with these attributes, ``_`` for a dot)."""
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        found = [s for s in self if s.name == name and wanted.items() <= dict(s.attributes).items()]
        assert len(found) == 1, f"{len(found)} spans {name!r} in {self.names}"
        return found[0]

    def tree(self, parent: int | None = None) -> list[Any]:
        """Names in order of time, each followed by what is inside, if anything."""
        found: list[Any] = []
        for span in sorted(self, key=lambda s: (s.start_time, s.end_time)):
            if (span.parent.span_id if span.parent else None) == parent:
                inside = self.tree(span.context.span_id)
                found.append((span.name, inside) if inside else span.name)
        return found


def new_spans(**options: Any) -> Spans:
    """A provider that keeps what it is told."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider, exporter)


def repeated(spans: Any) -> list[int]:
    """Ids that several spans have."""
    counts = Counter((span.context.trace_id, span.context.span_id) for span in spans)
    return [place[1] for place, number in counts.items() if number > 1]


def metric(reader: Any, name: str) -> dict[tuple[str, ...], Any]:
    """The points of a metric by the values of their attributes: counts of histograms."""
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for each in scope.metrics:
                if each.name == name:
                    return {
                        tuple(str(v) for _, v in sorted(p.attributes.items())): getattr(
                            p, "count", getattr(p, "value", None)
                        )
                        for p in each.data.data_points
                    }
    return {}
