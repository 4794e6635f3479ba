"""The trace of a run and the ids of its spans: derived, so that every process finds the same ones.

A run without a caller has a trace of its own, named by its id; one that somebody started inside a
trace belongs to that, and the context it was started in is in its first fact, as W3C Trace Context
writes it. Nothing here knows how spans are exported.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
MAX_TRACESTATE = 512
"""Characters; the recommendation has nobody carry more."""
_REMEMBERED = 4096
"""Ids: each is asked for several times while its span is open."""


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A span elsewhere: what a ``traceparent`` says."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def read_traceparent(text: str | None) -> TraceParent | None:
    """What a ``traceparent`` says; None for one that says nothing, as the recommendation wants.

    >>> str(read_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> read_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01") is None
    True
    """
    found = None if text is None else _TRACEPARENT.fullmatch(text)
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    if not int(found[2], 16) or not int(found[3], 16):
        return None
    return TraceParent(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


@lru_cache(_REMEMBERED)
def trace_id_of(run_id: str, traceparent: str | None) -> str:
    """The trace that a run belongs to, 32 hex digits: the caller's, else its own.

    A stable contract, as :func:`span_id_of` is: a run under way must find its trace again.
    """
    caller = read_traceparent(traceparent)
    return _hex(f"trace\n{run_id}", 16) if caller is None else caller.trace_id


@lru_cache(_REMEMBERED)
def span_id_of(run_id: str, key: str = "", attempt: int | None = None) -> str:
    """The id of a span, 16 hex digits: of a run, of an operation, or of an attempt of that."""
    return _hex(f"span\n{run_id}\n{key}\n{'' if attempt is None else attempt}", 8)


def _hex(text: str, size: int) -> str:
    found = hashlib.sha256(text.encode()).digest()[:size]
    # An id of zeros means that there is none.
    return found.hex() if any(found) else "01" * size


def child_traceparent(run_id: str, traceparent: str | None, key: str, *, sampled: bool) -> str:
    """The context in which a run starts another one: the span of the call that wants it."""
    return str(TraceParent(trace_id_of(run_id, traceparent), span_id_of(run_id, key), sampled))
