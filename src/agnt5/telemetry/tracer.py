"""Hands spans to the SDK of OpenTelemetry. Imported only where the program has imported that.

The ids of our spans are derived, so that the parts of a trace that several processes tell fit
together. An SDK asks its generator for ids: for the moment in which a span of ours begins, the
generator of our own tracer gives ours.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace

from agnt5.events.run.facts import RunQueued
from agnt5.events.traces import TraceParent, read_traceparent, span_id_of, trace_id_of
from agnt5.telemetry.current import looked_up
from agnt5.telemetry.run_spans import run_attributes, run_name
from agnt5.telemetry.spans import SCOPE, SpanLink, SpanRecord

logger = logging.getLogger("agnt5.telemetry")

_REMEMBERED = 4096
"""Runs of which it is known whether they are wanted."""

_UNFIT = (
    "the provider %r makes spans whose ids cannot be chosen, so that agnt5 tells it nothing: use"
    " opentelemetry.sdk.trace.TracerProvider, or one that extends it"
)


@dataclass(frozen=True, slots=True)
class RunTrace:
    """Where the spans of one run belong."""

    run_id: str
    trace_id: int
    flags: trace.TraceFlags
    caller: trace.SpanContext | None
    """The span in which the run was started."""
    is_wanted: bool
    """Whether its spans are told at all; it may be so although they are not sampled."""

    def span(self, span_id: str) -> trace.SpanContext:
        """A span of the run, as a parent."""
        state = None if self.caller is None else self.caller.trace_state
        return trace.SpanContext(
            self.trace_id,
            int(span_id, 16),
            is_remote=False,
            trace_flags=self.flags,
            trace_state=state,
        )


class _ChosenIds:
    """Gives the ids that are chosen on this thread just now, and else those of the SDK."""

    def __init__(self, original: Any) -> None:
        self._original = original
        self._chosen = threading.local()

    def choose(self, trace_id: int | None, span_id: int | None) -> None:
        """Give these to the next span of this thread; None: the SDK's."""
        self._chosen.trace_id, self._chosen.span_id = trace_id, span_id

    def generate_span_id(self) -> int:
        """The id of a new span."""
        chosen: int | None = getattr(self._chosen, "span_id", None)
        return chosen or int(self._original.generate_span_id())

    def generate_trace_id(self) -> int:
        """The id of a new trace."""
        chosen: int | None = getattr(self._chosen, "trace_id", None)
        return chosen or int(self._original.generate_trace_id())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class Tracer:
    """Our tracer of one provider."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        if not isinstance(tracer.id_generator, _ChosenIds):
            tracer.id_generator = _ChosenIds(tracer.id_generator)
        self._ids: _ChosenIds = tracer.id_generator
        self._known: dict[tuple[str | None, ...], RunTrace] = {}

    def trace_of(self, run_id: str, queued: RunQueued) -> RunTrace:
        """Where the spans of a run belong, and whether the sampler wants them.

        It is asked with what every process knows of the run, so that all get the same answer; and
        once while the run is on people's minds.
        """
        # Runs of several stores may have the same id.
        key = (
            run_id,
            queued.component,
            queued.kind,
            queued.traceparent,
            queued.tracestate,
            queued.session_id,
        )
        found = self._known.get(key)
        if found is None:
            found = self._ask_for(run_id, queued)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found

    def _ask_for(self, run_id: str, queued: RunQueued) -> RunTrace:
        caller = _remote(read_traceparent(queued.traceparent), queued.tracestate)
        trace_id = int(trace_id_of(run_id, queued.traceparent), 16)
        try:
            result = self._tracer.sampler.should_sample(
                _within(caller),
                trace_id,
                run_name(queued),
                trace.SpanKind.INTERNAL,
                run_attributes(run_id, queued),
                (),
            )
            flag = trace.TraceFlags.SAMPLED if result.decision.is_sampled() else 0
            is_wanted = result.decision.is_recording()
        except Exception:
            logger.exception("the sampler has failed: of run %s nothing is told now", run_id)
            flag, is_wanted = 0, False
        return RunTrace(run_id, trace_id, trace.TraceFlags(flag), caller, is_wanted)

    def enter(self, run: RunTrace, span_id: str) -> None:
        """Make a span of a run the current one, in the context of the caller."""
        enter(trace.NonRecordingSpan(run.span(span_id)))

    def tell(self, run: RunTrace, record: SpanRecord) -> None:
        """A span has ended."""
        if not run.is_wanted:
            return
        parent = run.caller if record.parent_id is None else run.span(record.parent_id)
        self._ids.choose(run.trace_id, int(record.span_id, 16))
        try:
            span: trace.Span = self._tracer.start_span(
                record.name,
                _within(parent),
                attributes=record.attributes,
                links=[_link(each) for each in record.links] if record.links else None,
                start_time=record.began_at * 1000,
                record_exception=False,
                set_status_on_exception=False,
            )
        finally:
            self._ids.choose(None, None)
        if span.is_recording():
            _describe(span, record)
        # The clock of another process may have been ahead of this one's.
        span.end(max(record.began_at, record.ended_at) * 1000)


class BodySpan(trace.NonRecordingSpan):
    """What is current in a body: the span of its run; unwanted while the body replays.

    So a span that the body itself begins is not told again by a sampler that asks its parent.
    """

    def __init__(self, run: RunTrace, is_replaying: Callable[[], bool]) -> None:
        live = run.span(span_id_of(run.run_id))
        super().__init__(live)
        self._is_replaying = is_replaying
        self._silent = trace.SpanContext(
            live.trace_id, live.span_id, is_remote=False, trace_flags=trace.TraceFlags(0)
        )

    def get_span_context(self) -> trace.SpanContext:
        """Where it is, and whether what is inside of it is wanted."""
        return self._silent if self._is_replaying() else super().get_span_context()


def enter(span: trace.Span) -> None:
    """Make a span the current one, in the context of the caller."""
    contexts.attach(trace.set_span_in_context(span))


def _describe(span: trace.Span, record: SpanRecord) -> None:
    for event in record.events:
        span.add_event(event.name, dict(event.attributes), event.at * 1000)
    error = record.error
    if error is None:
        return
    said = {"exception.type": error.type, "exception.message": error.message}
    if error.stacktrace is not None:
        said["exception.stacktrace"] = error.stacktrace
    span.add_event("exception", said, record.ended_at * 1000)
    span.set_attribute("error.type", error.type)
    text = f"{error.type}: {error.message}" if error.message else error.type
    span.set_status(trace.Status(trace.StatusCode.ERROR, text))


def _link(link: SpanLink) -> trace.Link:
    return trace.Link(_context_of(link.to), {"agnt5.link": link.why})


def _within(parent: trace.SpanContext | None) -> contexts.Context:
    if parent is None:
        return contexts.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), contexts.Context())


def _context_of(parent: TraceParent, state: str | None = None) -> trace.SpanContext:
    return trace.SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.sampled else 0),
        trace_state=trace.TraceState.from_header([state]) if state else None,
    )


def _remote(parent: TraceParent | None, state: str | None) -> trace.SpanContext | None:
    return None if parent is None else _context_of(parent, state)


_known: tuple[object, Tracer | None] = (None, None)
"""The provider that was asked last, and what came of it."""


def tracer_now() -> Tracer | None:
    """Our tracer of the provider that is set; None while none is set."""
    global _known  # noqa: PLW0603 - the provider is one of the whole process, too
    provider = looked_up(trace.get_tracer_provider)
    if provider is not _known[0]:
        _known = (provider, _tracer_of(provider))
    return _known[1]


def _tracer_of(provider: trace.TracerProvider | None) -> Tracer | None:
    if provider is None or type(provider).__module__ == trace.__name__:
        return None  # the API's own stand-ins, which tell nobody
    try:
        tracer = provider.get_tracer(SCOPE)
    except Exception:
        logger.exception(
            "the provider %r gives no tracer, so that agnt5 tells it nothing", provider
        )
        return None
    if isinstance(tracer, trace.NoOpTracer):
        return None
    if not hasattr(tracer, "id_generator") or not hasattr(tracer, "sampler"):
        logger.warning(_UNFIT, provider)
        return None
    return Tracer(tracer)
