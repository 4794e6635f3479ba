"""The workloads. Each takes a session and yields pairs of a metric and its value."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.api import Config
from harness.environments import ROOT, Engine
from harness.process import Process

Metrics = Iterator[tuple[str, float]]


@dataclass(frozen=True)
class Sizes:
    single: int = 200
    chain: int = 100
    chains: int = 5
    runs: int = 500
    steps: int = 10
    limit: int = 100
    width: int = 500
    parked: int = 500
    history: int = 2000
    scale: int = 10_000
    timeout: float = 900


QUICK = Sizes(single=40, chain=50, chains=2, runs=100, width=100, parked=50, history=200, scale=500)


class Session:
    """One engine with fresh state: a data directory, and at most one live process."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.data = engine, home, home / "data"
        shutil.rmtree(home, ignore_errors=True)
        self.data.mkdir(parents=True)
        self._process: Process | None = None

    def start(self, effects: Path | None = None, under: tuple[str, ...] = ()) -> Process:
        """Start the process under test and its runtime; the one before is killed."""
        self.kill()
        argv = [*under, self.engine.python, "-m", "harness.host", self.engine.module]
        process = self._process = Process(argv, self.home / "host.log", ROOT)
        config = asdict(Config(str(self.data), self.engine.variant))
        process.call("start", config=config, effects=str(effects) if effects else None)
        return process

    def process(self) -> Process:
        """The live process, or a new one."""
        alive = self._process is not None and self._process.alive
        return self._process if alive and self._process is not None else self.start()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def disk(self) -> int:
        files = (p.stat() for p in self.data.rglob("*") if p.is_file())
        return sum(s.st_blocks * 512 for s in files)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def w7_footprint(session: Session, sizes: Sizes) -> Metrics:
    """First, while nothing has run: import, start to first completed run, idle memory."""
    process = session.start()
    process.call("chain", steps=1, tag="cold", wait=sizes.timeout)
    yield "cold_start_s", time.perf_counter() - process.spawned
    time.sleep(3)
    yield "idle_mb", process.call("memory")["rss_mb"]
    process.quit()

    def wall(code: str) -> float:
        begin = time.perf_counter()
        env = {**os.environ, "PYTHONPATH": ""}
        subprocess.run([session.engine.python, "-c", code], check=True, cwd=session.home, env=env)
        return time.perf_counter() - begin

    code = f"import {session.engine.imports}"
    wall(code)  # writes the byte code
    pairs = [(wall(code), wall("pass")) for _ in range(5)]
    yield (
        "import_s",
        statistics.median(a for a, _ in pairs) - statistics.median(b for _, b in pairs),
    )


def w1_single(session: Session, sizes: Sizes) -> Metrics:
    process = session.process()
    process.call("single", n=10, tag="warm")
    got = process.call("single", n=sizes.single, tag="w1", wait=sizes.timeout)
    latencies = sorted(got["latency_s"])
    yield "p50_ms", statistics.median(latencies) * 1e3
    yield "p99_ms", latencies[max(0, int(len(latencies) * 0.99) - 1)] * 1e3


def w2_chain(session: Session, sizes: Sizes) -> Metrics:
    process = session.process()
    process.call("chain", steps=sizes.chain, tag="w2warm", wait=sizes.timeout)
    each = [
        process.call("chain", steps=sizes.chain, tag=f"w2-{i}", wait=sizes.timeout)["s"]
        for i in range(sizes.chains)
    ]
    yield "ms_per_step", statistics.median(each) / sizes.chain * 1e3


def w3_throughput(session: Session, sizes: Sizes) -> Metrics:
    shape = {"runs": sizes.runs, "steps": sizes.steps, "limit": sizes.limit}
    got = session.process().call("throughput", **shape, tag="w3", wait=sizes.timeout)
    steps = sizes.runs * sizes.steps
    yield "steps_per_s", steps / got["s"]
    yield "peak_mb", got["peak_mb"]
    yield "cpu_us_per_step", got["cpu_s"] / steps * 1e6


def w4_fan_out(session: Session, sizes: Sizes) -> Metrics:
    process = session.process()
    process.call("fan_out", width=10, tag="w4warm")
    yield "s", process.call("fan_out", width=sizes.width, tag="w4", wait=sizes.timeout)["s"]


def executed(effects: Path, tag: str) -> tuple[int, int]:
    """How many different steps were executed, and how often one was executed again."""
    lines = effects.read_text(encoding="ascii").splitlines()
    seen = Counter(line for line in lines if line.startswith(f"{tag}-"))
    return len(seen), seen.total() - len(seen)


def crash(session: Session, sizes: Sizes, tag: str, runs: int, steps: int) -> Iterator:
    """Runs park at a signal, `kill -9`, restart, signal all. Yields metrics, then step gaps."""
    effects, limit = session.home / f"effects-{tag}", sizes.timeout - 30
    before = session.start(effects)
    # Long enough for engines that unload an idle run to have done so.
    park = {"runs": runs, "steps": steps, "tag": tag, "limit": limit, "settle": 3}
    parked = before.call("park", **park, wait=sizes.timeout)
    before.kill()
    after = session.start(effects)
    ready = time.perf_counter() - after.spawned
    got = after.call("release", runs=runs, tag=tag, limit=limit, wait=sizes.timeout)
    yield "restart_to_done_s", time.perf_counter() - after.spawned
    yield "restart_to_ready_s", ready
    yield "signal_to_done_s", got["done_s"]
    distinct, again = executed(effects, tag)
    yield "steps_missed", runs * (steps + 1) - distinct
    yield "steps_repeated", again
    after.quit()
    if gaps := parked.get("step_gaps_s"):
        edge = len(gaps) // 10
        first, last = gaps[:edge], gaps[-edge:]
        yield "first_ms_per_step", statistics.median(first) * 1e3
        yield "last_ms_per_step", statistics.median(last) * 1e3
        # Of medians: a checkpoint of SQLite stops one step for the time of a hundred.
        yield "growth", statistics.median(last) / statistics.median(first)
        yield "growth_of_means", sum(last) / sum(first)


def w5_recovery(session: Session, sizes: Sizes) -> Metrics:
    yield from crash(session, sizes, "w5", sizes.parked, 5)


def w6_history(session: Session, sizes: Sizes) -> Metrics:
    yield from crash(session, sizes, "w6", 1, sizes.history)


def w8_scale(session: Session, sizes: Sizes) -> Metrics:
    process = session.start()
    process.call("chain", steps=1, tag="warm")
    rss, disk = process.call("memory")["rss_mb"], session.disk()
    limit = sizes.timeout - 30
    park = {"runs": sizes.scale, "steps": 1, "tag": "w8", "limit": limit}
    got = process.call("park", **park, settle=3, person=True, wait=sizes.timeout)
    yield "parked_per_s", sizes.scale / got["parked_s"]
    yield "kb_per_run", (got["rss_mb"] - rss) * 1024 / sizes.scale
    yield "disk_bytes_per_run", (session.disk() - disk) / sizes.scale
    yield "threads", got["threads"]
    done = process.call("answer", runs=sizes.scale, tag="w8", limit=limit, wait=sizes.timeout)
    yield "answered_s", done["done_s"]
    yield "answered_peak_mb", done["peak_mb"]


# The workloads of a group share a session: state accumulates inside a group only.
# W7 comes first, while nothing has run.
GROUPS: list[dict[str, Callable[[Session, Sizes], Metrics]]] = [
    {"W7": w7_footprint, "W1": w1_single, "W2": w2_chain, "W3": w3_throughput, "W4": w4_fan_out},
    {"W5": w5_recovery},
    {"W6": w6_history},
    {"W8": w8_scale},
]
