"""What a snapshot of a run would save, and what it would cost: the figures of store.md.

python -m benchmarks.snapshots
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from agnt5.events.codec import decode_history, encode_fact
from agnt5.events.log import RawFact
from agnt5.events.run import facts as f
from agnt5.events.run.annals import annals_of
from agnt5.events.run.state import fold
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.testing.stores.driving import Driver, make_append

STEPS = (500, 5_000, 50_000)
EVERY = 500
"""Facts between two snapshots."""
_GROUP = 2000


def best_ms(work: Callable[[], object], times: int = 3) -> float:
    """The shortest of some passes, milliseconds."""
    passes: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        passes.append(time.perf_counter() - started)
    return min(passes) * 1000


def history(steps: int) -> list[RawFact]:
    """A run under way with so many steps."""
    facts: list[f.RunFact] = [
        f.RunQueued(component="order", kind="workflow", input={"n": 1}),
        f.RunStarted(definition="d"),
    ]
    for n in range(steps):
        key = f":charge#{n}"
        asked = f.StepScheduled(key=key, name="charge", function="charge", input=[{"amount": n}])
        facts += (asked, f.StepCompleted(key=key, output={"ok": True, "id": n}, duration_us=100))
    return [encode_fact(fact, 1000 + n, f"{steps}.{n}") for n, fact in enumerate(facts)]


def measure(driver: Driver[SqliteLog], steps: int) -> str:
    """One line for a run with so many steps."""
    run_id, raw = f"r{steps}", history(steps)
    for start in range(0, len(raw), _GROUP):
        errors = driver.put(make_append(run_id, start, raw[start : start + _GROUP]))
        assert errors == [None]
    rows = driver.log.read(run_id)
    facts = decode_history(rows)
    settled = orjson.dumps(fold(run_id, facts).settled)
    calls = annals_of(run_id, facts).calls.values()
    shown = orjson.dumps([call.request.model_dump(mode="json") for call in calls])
    written = sum(len(settled) * n // len(raw) for n in range(EVERY, len(raw), EVERY))
    size = sum(len(row.state) for row in rows)
    return (
        f"{len(raw):>8,} {best_ms(lambda: driver.log.read(run_id)):>8.1f}"
        f" {best_ms(lambda: decode_history(rows)):>10.1f}"
        f" {best_ms(lambda: fold(run_id, facts)):>8.1f}"
        f" {size / 1024:>9.0f} {len(settled) / 1024:>10.0f} {written / 1024:>12.0f}"
        f" {len(shown) / 1024:>10.0f}"
    )


def main() -> None:
    """Print the table."""
    print("         |        milliseconds        |                   KiB")
    print("   facts     read    decoded   folded |  the log   snapshot  one per 500   of annals")
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder) / "store.db")
        driver = Driver(log)
        for steps in STEPS:
            print(measure(driver, steps))
        log.close()


if __name__ == "__main__":
    main()
