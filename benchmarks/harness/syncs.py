"""Counts the fsyncs of an engine: a number that the noise of the machine hardly touches."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator

from harness.workloads import Session

CALL = re.compile(r"\b(?:fsync|fdatasync|sync_file_range)\(")


def available() -> bool:
    return shutil.which("strace") is not None


def count(session: Session) -> Iterator[tuple[str, float]]:
    """Fsyncs per step of 100 steps in a row, per run of one step, per step of 100 runs x 10 steps.

    The process is started under strace and stops only at these calls, so that the rest of it goes
    at its ordinary pace; 20 warm-up steps are not counted.
    """
    trace = session.home / "strace"
    calls = "trace=fsync,fdatasync,sync_file_range"
    under = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", calls, "-e", "signal=none")
    process = session.start(under=(*under, "-o", str(trace)))
    process.call("chain", steps=20, tag="warm")

    def seen() -> int:
        time.sleep(0.5)  # what the engine still writes belongs to the steps before
        return len(CALL.findall(trace.read_text(encoding="ascii", errors="replace")))

    before = seen()
    process.call("chain", steps=100, tag="one")
    between = seen()
    yield "fsyncs_per_step_sequential", (between - before) / 100
    process.call("single", n=20, tag="single")
    singles = seen()
    yield "fsyncs_per_single_run", (singles - between) / 20
    process.call("throughput", runs=100, steps=10, limit=100, tag="many")
    yield "fsyncs_per_step_100_runs", (seen() - singles) / 1000
    process.quit()
