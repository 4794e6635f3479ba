"""Counts and measures. Imported only where the program has imported OpenTelemetry.

Everything but the gauges follows from what was appended. Gauges are asked for by a reader of
metrics, on its own thread, whenever it wants them; nobody else pays for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from agnt5.events.log import Append
from agnt5.telemetry import spans as s
from agnt5.telemetry.current import looked_up
from agnt5.telemetry.gauges import Gauges, Measured, open_houses
from agnt5.telemetry.spans import SCOPE, SpanRecord

logger = logging.getLogger("agnt5.telemetry")

_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    3600,
)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Meters:
    """Our instruments of one provider."""

    def __init__(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter(SCOPE)

        def seconds(name: str, what: str) -> metrics.Histogram:
            return meter.create_histogram(
                name, "s", what, explicit_bucket_boundaries_advisory=_SECONDS
            )

        def gauge(name: str, unit: str, what: str, ask: _Ask) -> None:
            meter.create_observable_gauge(name, [_observing(ask)], unit, what)

        self._accepted = meter.create_counter("agnt5.runs.accepted", "{run}", "Runs accepted")
        self._queue_time = seconds("agnt5.run.queue_time", "From acceptance to the first turn")
        self._durations = {
            s.RUN: seconds("agnt5.run.duration", "From acceptance to the end"),
            s.STEP: seconds("agnt5.step.duration", "A step with all its attempts"),
            s.ATTEMPT: seconds("agnt5.attempt.duration", "One attempt of a step"),
        }
        self._waits = seconds("agnt5.wait.duration", "What a body waits for from outside")
        self._late = seconds("agnt5.wake.lag", "By how much a timer or a timeout was late")
        self._appends = seconds(
            "agnt5.append.duration", "From the first decision of a commit to its being on record"
        )
        self._batches = meter.create_histogram(
            "agnt5.append.batch_size",
            "{append}",
            "Appends that share a commit",
            explicit_bucket_boundaries_advisory=_SIZES,
        )
        self._failures = meter.create_counter(
            "agnt5.append.failures", "{append}", "Appends that the store has refused"
        )
        self._replays = seconds("agnt5.replay.duration", "How long a body took to be where it was")
        self._leases = meter.create_counter(
            "agnt5.lease.events", "{event}", "What became of leases of stores"
        )
        gauge("agnt5.lease.epoch", "{epoch}", "How often a store was opened", lambda h: h.epochs())
        gauge("agnt5.runs.active", "{run}", "Runs in memory", lambda house: house.runs())
        gauge("agnt5.queue.depth", "{run}", "Runs that wait for a place", lambda h: h.queues())
        gauge("agnt5.attempts", "{attempt}", "Attempts at executors", lambda h: h.attempts())
        gauge("agnt5.append.pending", "{append}", "Appends not on record", lambda h: h.appends())

    def appended(self, settled: Sequence[Append], now: int) -> None:
        """A group of appends was settled at a time (microseconds)."""
        self._batches.record(len(settled))
        decided: list[int] = []
        for append in settled:
            if append.error is not None:
                self._failures.add(1, {"error.type": append.error.code})
            elif append.facts:
                decided.append(append.facts[0].at)
        if decided:
            # Once for all that share a commit: noting a number costs an SDK as much as a fact us.
            self._appends.record(max(0, now - min(decided)) / 1e6)

    def lease(self, event: str) -> None:
        """A lease was claimed, taken over, lost or released."""
        self._leases.add(1, {"agnt5.lease.event": event})

    def accepted(self, component: str, kind: str) -> None:
        """A run was accepted."""
        self._accepted.add(1, {"agnt5.component": component, "agnt5.component.kind": kind})

    def started(self, component: str, kind: str, waited_us: int) -> None:
        """A run has begun."""
        said = {"agnt5.component": component, "agnt5.component.kind": kind}
        self._queue_time.record(max(0, waited_us) / 1e6, said)

    def replayed(self, seconds: float) -> None:
        """A replay has come to its end."""
        self._replays.record(seconds)

    def told(self, record: SpanRecord) -> None:
        """A span has ended."""
        said = {"agnt5.outcome": record.outcome}
        if record.kind == s.RUN:
            for name in ("agnt5.component", "agnt5.component.kind"):
                said[name] = str(record.attributes[name])
        elif record.kind in {s.STEP, s.ATTEMPT}:
            said["agnt5.step.name"] = str(record.attributes["agnt5.step.name"])
        else:
            said["agnt5.wait"] = record.kind
        self._durations.get(record.kind, self._waits).record(record.seconds, said)
        if record.late_us is not None:
            self._late.record(max(0, record.late_us) / 1e6, said)


_Ask = Callable[[Gauges], Iterable[Measured]]


def _observing(ask: _Ask) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        # Two runtimes of one process that say the same are added up.
        found: dict[tuple[tuple[str, str], ...], int] = {}
        for house in list(open_houses):
            for number, said in ask(house):
                place = tuple(sorted(said.items()))
                found[place] = found.get(place, 0) + number
        return [Observation(number, dict(place)) for place, number in found.items()]

    return observe


_known: tuple[object, Meters | None] = (None, None)


def meters_now() -> Meters | None:
    """Our instruments of the provider that is set; None while none is set."""
    global _known  # noqa: PLW0603 - the provider is one of the whole process, too
    provider = looked_up(metrics.get_meter_provider)
    if provider is not _known[0]:
        _known = (provider, _meters_of(provider))
    return _known[1]


def _meters_of(provider: metrics.MeterProvider | None) -> Meters | None:
    if provider is None or type(provider).__module__.startswith(metrics.__name__):
        return None  # the API's own stand-ins, which tell nobody
    try:
        return Meters(provider)
    except Exception:
        logger.exception("the provider %r gives no meter, so that agnt5 tells it nothing", provider)
        return None
