"""From the facts of a run to its spans. Pure: what a span says follows from what is on record.

A span is told when the fact that ends it is seen, whole, so that no process needs to remember what
another one has begun. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from agnt5.events.traces import TraceParent

SCOPE = "agnt5"
"""The name of our tracer and of our meter."""

Attribute = str | int | bool
"""What an attribute of ours may be."""

RUN, STEP, ATTEMPT = "run", "step", "attempt"
SLEEP, SIGNAL, QUESTION, CHILD, UPDATE = "sleep", "signal", "question", "child", "update"
KINDS = (RUN, STEP, ATTEMPT, SLEEP, SIGNAL, QUESTION, CHILD, UPDATE)
"""What spans there are."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span."""

    name: str
    at: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A span that has to do with this one and is not its parent."""

    to: TraceParent
    why: str
    """``retry`` of the attempt before; ``sender`` of a signal, an answer, an update, a request; the
    run of which this is a ``fork``, or which it ``continues``."""


@dataclass(frozen=True, slots=True)
class SpanError:
    """What went wrong, as it is on record."""

    type: str
    message: str
    stacktrace: str | None = None


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A span, from its beginning to its end."""

    kind: str
    name: str
    span_id: str
    parent_id: str | None
    """In the trace of the run; None: the span in which the run was started, if there is one."""
    began_at: int
    ended_at: int
    outcome: str
    attributes: Mapping[str, Attribute]
    events: Sequence[SpanEvent] = ()
    links: Sequence[SpanLink] = ()
    error: SpanError | None = None
    late_us: int | None = None
    """By how much it ended after its time, where it had one."""

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max(0, self.ended_at - self.began_at) / 1e6


def error_of(recorded: JsonValue) -> SpanError:
    """What a recorded exception says."""
    if not isinstance(recorded, dict):
        return SpanError("Exception", str(recorded))
    name = str(recorded.get("type", "Exception")).removeprefix("builtins:").replace(":", ".")
    lines = recorded.get("traceback")
    return SpanError(name, str(recorded.get("message", "")), None if lines is None else str(lines))
