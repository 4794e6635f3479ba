"""What telemetry costs: CPU of the event loop for a step, with this and that set up.

    .venv/bin/python benchmarks/telemetry.py [--repeat 3] [--rounds 6]

200 runs of 10 steps, 100 at a time, in a process of its own for each setting; exporters throw away
what they get. A step is two spans, four recorded numbers, and where it logs a record. The settings
take turns; the least of all rounds is told, since whatever else the machine does only adds to it.
The cost of a span and of a number to the SDK alone, with the attributes of ours, is told below.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

RUNS, AT_ONCE, STEPS, ALONE = 200, 100, 10, 3000
SETTINGS = ("off", "api", "unsampled", "spans", "metrics", "logs", "all")
ATTRIBUTES = {
    "agnt5.run.id": "06610c67171377cce34946a2f5",
    "agnt5.step.key": ":mark#0",
    "agnt5.line": "telemetry.py:60",
    "agnt5.step.name": "mark",
    "agnt5.step.recovery": "retry",
    "agnt5.step.function": "mark",
    "agnt5.attempt": 0,
    "agnt5.outcome": "completed",
}


def set_up(setting: str) -> None:
    """What a program with this setting does first."""
    if setting in {"off", "alone"}:
        return
    from opentelemetry import metrics, trace  # noqa: PLC0415 - its import is part of the setting

    if setting in {"spans", "all", "unsampled"}:
        trace.set_tracer_provider(tracer_provider(wanted=setting != "unsampled"))
    if setting in {"metrics", "all"}:
        metrics.set_meter_provider(meter_provider())
    if setting in {"logs", "all"}:
        logging.getLogger("agnt5").addHandler(log_handler())
        logging.getLogger("agnt5").setLevel("INFO")
        logging.getLogger("agnt5").propagate = False


def tracer_provider(*, wanted: bool):
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - see set_up
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415 - see set_up
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON  # noqa: PLC0415 - see set_up

    class Away(SpanExporter):
        def export(self, _):
            return SpanExportResult.SUCCESS

    provider = TracerProvider(sampler=ALWAYS_ON if wanted else ALWAYS_OFF)
    provider.add_span_processor(BatchSpanProcessor(Away(), max_queue_size=65_536))
    return provider


def meter_provider():
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - see set_up
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415 - see set_up

    return MeterProvider([InMemoryMetricReader()])


def log_handler() -> logging.Handler:
    from opentelemetry.sdk._logs import (  # noqa: PLC0415 - see set_up
        LoggerProvider,
        LoggingHandler,
    )

    return LoggingHandler(logging.INFO, LoggerProvider())


async def work(rounds: int) -> float:
    """Microseconds of CPU that the loop's thread takes for a step, at the least."""
    from agnt5 import (  # noqa: PLC0415 - after the setting
        AsyncClient,
        FunctionContext,
        Runtime,
        WorkflowContext,
        function,
        workflow,
    )

    does_log = bool(logging.getLogger("agnt5").handlers)

    @function
    async def mark(ctx: FunctionContext, n: int) -> int:
        if does_log:
            ctx.logger.info("marking")
        return n

    @workflow
    async def many(ctx: WorkflowContext) -> int:
        return sum([await ctx.step(mark, n) for n in range(STEPS)])

    found = []
    with tempfile.TemporaryDirectory() as home:
        async with Runtime(f"sqlite:///{home}/s.db", durability="process"):
            client = AsyncClient()
            gate = asyncio.Semaphore(AT_ONCE)

            async def one() -> None:
                async with gate:
                    await client.run("many", {}, "workflow")

            for _ in range(rounds + 1):
                begin = time.thread_time()
                await asyncio.gather(*(one() for _ in range(RUNS)))
                found.append((time.thread_time() - begin) / RUNS / STEPS * 1e6)
    return min(found[1:])


def least(act: Callable[[], object], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        begin = time.thread_time()
        for _ in range(ALONE):
            act()
        found.append((time.thread_time() - begin) / ALONE * 1e6)
    return min(found)


def alone(rounds: int) -> tuple[float, float]:
    """What the SDK takes for a span and for a number."""
    tracer = tracer_provider(wanted=True).get_tracer("x")
    numbers = meter_provider().get_meter("x").create_histogram("x")
    said = {name: ATTRIBUTES[name] for name in ("agnt5.outcome", "agnt5.step.name")}
    span = least(lambda: tracer.start_span("attempt mark", attributes=ATTRIBUTES).end(), rounds)
    return span, least(lambda: numbers.record(1.0, said), rounds)


def measured(setting: str, rounds: int) -> list[float]:
    command = [sys.executable, __file__, "--setting", setting, "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(each) for each in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description="What telemetry costs a step.")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--setting", choices=(*SETTINGS, "alone"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.setting is not None:
        set_up(given.setting)
        if given.setting == "alone":
            print(*alone(given.rounds))
        else:
            print(asyncio.run(work(given.rounds)))
        return
    found: dict[str, list[float]] = {}
    for _ in range(given.repeat):
        for setting in SETTINGS:
            found.setdefault(setting, []).extend(measured(setting, given.rounds))
    off = min(found["off"])
    for setting, values in found.items():
        print(f"{setting:10} {min(values):7.1f} us of CPU per step {min(values) - off:+8.1f}")
    span, number = measured("alone", given.rounds)
    print(f"\nthe SDK alone: {span:.1f} us for a span, {number:.1f} us for a number")


if __name__ == "__main__":
    main()
