"""In which span somebody calls, read without importing OpenTelemetry; and how that crosses threads.

Whoever has not imported OpenTelemetry has no span either: that is what makes asking free.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from agnt5.events.traces import MAX_TRACESTATE, TraceParent, read_traceparent

T = TypeVar("T")

logger = logging.getLogger("agnt5.telemetry")


@dataclass(frozen=True, slots=True)
class Caller:
    """The span in which something is asked for, as W3C Trace Context writes it."""

    traceparent: str | None = None
    tracestate: str | None = None


NOBODY = Caller()
TRACE_API = "opentelemetry.trace"

_carried: ContextVar[Caller | None] = ContextVar("agnt5_caller", default=None)
"""Of a question that came from another thread, or in a request: the span of whoever asks."""


def has_opentelemetry() -> bool:
    """Whether the program has imported OpenTelemetry: without it there can be no provider."""
    return TRACE_API in sys.modules


_unfound: set[object] = set()
"""What was asked for a provider and has failed: it would fail at every call, and take long."""


def looked_up(ask: Callable[[], T]) -> T | None:
    """The provider that is set; None when the one that the environment names cannot be made.

    OpenTelemetry makes that one when it is asked for first, and raises what comes of it.
    """
    if ask in _unfound:
        return None
    try:
        return ask()
    except Exception:
        _unfound.add(ask)
        logger.exception("OpenTelemetry's provider cannot be had, so that agnt5 tells it nothing")
        return None


def calling() -> Caller:
    """The span of whoever asks; of nobody, when there is none."""
    carried = _carried.get()
    if carried is not None:
        return carried
    if not has_opentelemetry():
        return NOBODY
    from opentelemetry import trace  # noqa: PLC0415 - it is there, and would cost each start

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return NOBODY
    parent = TraceParent(
        trace.format_trace_id(context.trace_id),
        trace.format_span_id(context.span_id),
        context.trace_flags.sampled,
    )
    state = context.trace_state.to_header() or None
    return Caller(str(parent), state if state and len(state) <= MAX_TRACESTATE else None)


def calling_with(headers: Mapping[str, str]) -> Caller:
    """The span of whoever asks with a request, whose headers are given by lower-case name."""
    caller = calling()
    parent = read_traceparent(headers.get("traceparent")) if caller is NOBODY else None
    if parent is None:
        return caller
    state = headers.get("tracestate", "")
    return Caller(str(parent), state if 0 < len(state) <= MAX_TRACESTATE else None)


def leave() -> None:
    """From here on no span is current: what is started here was asked for by nobody."""
    _carried.set(None)
    if has_opentelemetry():
        from opentelemetry import context  # noqa: PLC0415 - as above

        context.attach(context.Context())


def carrying(
    ask: Callable[[], Coroutine[Any, Any, T]], caller: Caller | None = None
) -> Callable[[], Coroutine[Any, Any, T]]:
    """The same question, asked in the caller's span wherever it is asked, in a task of its own."""
    found = calling() if caller is None else caller
    if found is NOBODY:
        return ask

    async def asked() -> T:
        token = _carried.set(found)
        try:
            return await ask()
        finally:
            _carried.reset(token)

    return asked
