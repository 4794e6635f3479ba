"""The telemetry of a runtime: hears what was appended, and tells whoever is set up to be told.

OpenTelemetry is looked for at every group of appends, since a program may set it up at any time;
where it is not imported, that is one look into a dictionary. Nothing that happens here can touch a
run.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING

from agnt5.actors.bus import Bus
from agnt5.actors.clock import Clock
from agnt5.actors.ports import AttemptInfo
from agnt5.actors.tracing import TRACING
from agnt5.events.leases import Tenure, owned
from agnt5.events.log import Append, EventLog
from agnt5.events.run import facts as f
from agnt5.events.traces import span_id_of
from agnt5.telemetry.current import TRACE_API, leave
from agnt5.telemetry.gauges import Gauges, open_houses

if TYPE_CHECKING:
    from agnt5.telemetry.feed import Feed
    from agnt5.telemetry.meters import Meters
    from agnt5.telemetry.run_spans import RunSpans
    from agnt5.telemetry.spans import SpanRecord
    from agnt5.telemetry.tracer import RunTrace, Tracer

logger = logging.getLogger("agnt5.telemetry")

_PATIENCE_S = 5.0
"""How long a closing house waits for what it reads again of its runs."""

_UNMEASURED = "agnt5 could not measure something"
"""Readers, views and exemplars are code of users, as samplers and processors are."""

_ACCEPTED = f.RunQueued | f.RunForked | f.RunContinued
"""Whatever a run continues as is accepted with its last fact."""
_COUNTED = _ACCEPTED | f.RunStarted
"""These are counted though they end no span."""

_entered: ContextVar[RunTrace | None] = ContextVar("agnt5_run_trace", default=None)
"""Of the run whose body calls."""


class Telemetry:
    """Spans and metrics of one runtime. Lives on its loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log: EventLog | None = None
        self._feed: Feed | None = None
        self._gauges: Gauges | None = None
        self._tenure: Tenure | None = None
        self._since_opening = False
        """Somebody was there to be told all the time."""
        self._meters: Meters | None = None
        self._tracer: Tracer | None = None

    def move_in(self, house: Context) -> None:
        """Let what is executed in a house find its spans, and none of whoever opened it."""
        house.run(leave)
        house.run(TRACING.set, self)

    def open(self, bus: Bus) -> None:
        """Begin to follow the runs of a bus."""
        store = owned(bus.log)
        self._tenure = None if store is None else store.tenure
        self._log, self._gauges = bus.log, Gauges(bus, self._tenure)
        open_houses.add(self._gauges)
        self.tell_lease()
        self._since_opening = _tracer() is not None or _meters() is not None

    async def close(self) -> None:
        """Tell what is known, and follow nothing any more."""
        if self._gauges is not None:
            open_houses.discard(self._gauges)
        self._log = None
        if self._feed is not None:
            await self._feed.close(_PATIENCE_S)
            self._feed = None

    def hear(self, settled: Sequence[Append]) -> None:
        """Appends are durable, or have failed."""
        # Once for all of them: to look for a provider that is not set takes as long as to measure.
        meters, tracer = self._meters, self._tracer = _meters(), _tracer()
        if meters is None and tracer is None:
            self._since_opening = False
            if self._feed is not None:
                self._feed.forget()
            return
        if meters is not None:
            try:
                meters.appended(settled, self._clock.now())
            except Exception:
                logger.exception(_UNMEASURED)
            self.tell_lease()
        feed = self._feed or self._open_feed()
        if feed is not None:
            feed.hear(settled, since_opening=self._since_opening)

    def tell_lease(self) -> None:
        """Tell what became of the lease of the store; later, while there is nobody to be told."""
        meters = _meters()
        if meters is not None and self._tenure is not None:
            for event in self._tenure.news():
                try:
                    meters.lease(event)
                except Exception:
                    logger.exception(_UNMEASURED)

    def _open_feed(self) -> Feed | None:
        if self._log is None:
            return None
        from agnt5.telemetry.feed import Feed  # noqa: PLC0415 - not in programs without an SDK

        self._feed = Feed(self._log, self._told)
        return self._feed

    def _told(self, run: RunSpans, fact: f.RunFact, at: int, ended: Sequence[SpanRecord]) -> None:
        queued = run.queued
        if queued is None or not (ended or isinstance(fact, _COUNTED)):
            return
        meters, tracer = self._meters, self._tracer
        if meters is not None:
            try:
                _measure(meters, queued, fact, at - run.began_at, ended)
            except Exception:
                logger.exception(_UNMEASURED)
        if tracer is not None and ended:
            place = tracer.trace_of(run.run_id, queued)
            for record in ended:
                try:
                    tracer.tell(place, record)
                except Exception:
                    logger.exception("span %s of run %s was not told", record.name, run.run_id)

    # What is executed asks for its span.

    def enter_body(self, info: AttemptInfo, is_replaying: Callable[[], bool]) -> None:
        """From here on it is the body of a run that calls."""
        tracer = _tracer()
        if tracer is None or info.queued is None:
            return
        from agnt5.telemetry.tracer import BodySpan, enter  # noqa: PLC0415 - it is there

        run = tracer.trace_of(info.run_id, info.queued)
        _entered.set(run)
        enter(BodySpan(run, is_replaying))

    def enter_attempt(self, info: AttemptInfo) -> None:
        """From here on it is an attempt of a step that calls."""
        if TRACE_API not in sys.modules:  # asked once for every attempt
            return
        tracer = _tracer()
        if tracer is not None and info.queued is not None:
            run = tracer.trace_of(info.run_id, info.queued)
            tracer.enter(run, span_id_of(info.run_id, info.key, info.attempt))

    def enter_inside(self, run_id: str, key: str, attempt: int | None) -> None:
        """From here on it is an inline step of the body, or the handler of an update."""
        tracer, run = _tracer(), _entered.get()
        if tracer is not None and run is not None and run.run_id == run_id:
            tracer.enter(run, span_id_of(run_id, key, attempt))

    def is_sampled(self, run_id: str, queued: f.RunQueued | None) -> bool | None:
        """Whether the spans of a run are wanted; None: there is nobody to ask."""
        tracer = _tracer()
        if tracer is None or queued is None:
            return None
        return tracer.trace_of(run_id, queued).flags.sampled

    def replayed(self, seconds: float) -> None:
        """A replay has come to its end."""
        meters = _meters()
        if meters is not None:
            try:
                meters.replayed(seconds)
            except Exception:
                logger.exception(_UNMEASURED)


def _measure(
    meters: Meters, queued: f.RunQueued, fact: f.RunFact, age: int, ended: Sequence[SpanRecord]
) -> None:
    if isinstance(fact, _ACCEPTED):
        meters.accepted(queued.component, queued.kind)
    elif isinstance(fact, f.RunStarted):
        meters.started(queued.component, queued.kind, age)
    for record in ended:
        meters.told(record)


def _tracer() -> Tracer | None:
    if TRACE_API not in sys.modules:  # what has_opentelemetry asks
        return None
    from agnt5.telemetry.tracer import tracer_now  # noqa: PLC0415 - see the module docstring

    return tracer_now()


def _meters() -> Meters | None:
    if "opentelemetry.metrics" not in sys.modules:
        return None
    from agnt5.telemetry.meters import meters_now  # noqa: PLC0415 - see the module docstring

    return meters_now()
