"""Where the time of a step goes: W3 (runs of 10 steps, 100 at a time) on agnt5.

    .venv/bin/python benchmarks/profile_steps.py [--rounds 6] [--durability full] [--top 25]

Three views, each of the same work in a fresh store:

1. Without a profiler: wall time and CPU per step, and the CPU of each thread. These are the figures
   to quote; the other two only say what they consist of.
2. Sampled: every millisecond, the innermost Python frame of each thread, weighted with the CPU that
   the thread used since the sample before. What C code (SQLite, orjson) costs is counted with the
   Python function that called it, or with the next one to begin: Python handles a signal when a
   function begins or a loop turns. The overhead is small; read shares, and small ones in groups.
3. cProfile of the event loop's thread: calls per step, and C functions under their own names. Its
   overhead is a multiple of the work and favours big functions: read the calls, not the times.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from harness.api import Config, bounded
from harness.engines.agnt5 import Agnt5

STEPS, AT_ONCE = 10, 100
INTERVAL_S = 0.001
RESULTS = Path(__file__).resolve().parent / "results"
Place = tuple[str, str, int]  # function, file, line


def cpu_of_threads() -> dict[int, float]:
    """Seconds on a CPU by native thread id."""
    used = {}
    for task in Path("/proc/self/task").iterdir():
        used[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return used


class Sampler:
    """Samples by a timer signal, which Python handles in its main thread, here the loop's."""

    def __init__(self) -> None:
        self.own: dict[str, Counter[Place]] = defaultdict(Counter)
        self._clocks: dict[int, tuple[str, int]] = {}
        self._before: dict[int, float] = {}
        self._main = threading.main_thread().ident or 0

    def start(self) -> None:
        for thread in threading.enumerate():  # none begins or ends while the work goes on
            ident = thread.ident or 0
            self._clocks[ident] = (thread.name, time.pthread_getcpuclockid(ident))
            self._before[ident] = time.clock_gettime(self._clocks[ident][1])
        signal.signal(signal.SIGALRM, self._sample)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL_S, INTERVAL_S)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _sample(self, _number: int, interrupted: FrameType | None) -> None:
        frames = sys._current_frames()  # noqa: SLF001 - documented
        for ident, (name, clock) in self._clocks.items():
            now = time.clock_gettime(clock)
            frame = interrupted if ident == self._main else frames.get(ident)
            if frame is not None:
                self.own[name][place_of(frame)] += now - self._before[ident]
            self._before[ident] = now
        # The handler's own time is not the work's.
        self._before[self._main] = time.clock_gettime(self._clocks[self._main][1])


def place_of(frame: FrameType) -> Place:
    code = frame.f_code
    if code.co_filename == "<string>":  # a dataclass's: all of them have the same name
        owner = type(frame.f_locals.get("self")).__name__
        return f"{owner}.{code.co_name} (generated)", code.co_filename, 0
    return code.co_qualname, code.co_filename, code.co_firstlineno


class Calls:
    """cProfile, as the others are driven."""

    def __init__(self) -> None:
        self.profile = cProfile.Profile()
        self.start, self.stop = self.profile.enable, self.profile.disable


async def work(runs: int, rounds: int, durability: str, start: Callable, stop: Callable) -> float:
    """The workload, several times; seconds."""
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix="work-") as home:
        engine = Agnt5()
        await engine.start(Config(home, durability))
        try:
            await engine.run("warm", 100)
            begin = time.perf_counter()
            start()
            for number in range(rounds):
                names = (f"{number}-{i}" for i in range(runs))
                await bounded(lambda name: engine.run(name, STEPS), names, AT_ONCE)
            stop()
            return time.perf_counter() - begin
        finally:
            await engine.stop()


def plain(given: argparse.Namespace, steps: int) -> None:
    names: dict[int, str] = {}
    before: dict[int, float] = {}
    after: dict[int, float] = {}

    def stop() -> None:
        after.update(cpu_of_threads())
        names.update({t.native_id or 0: t.name for t in threading.enumerate()})

    start = lambda: before.update(cpu_of_threads())  # noqa: E731
    seconds = asyncio.run(work(given.runs, given.rounds, given.durability, start, stop))
    print(f"{steps} steps, durability {given.durability}: {steps / seconds:,.0f} steps/s")
    print(f"{seconds / steps * 1e6:9.1f} us per step, wall")
    for native, used in sorted(after.items(), key=lambda item: -item[1]):
        spent = used - before.get(native, 0)
        if spent > seconds / 1000:
            name = names.get(native, "not Python's")
            print(f"{spent / steps * 1e6:9.1f} us per step, CPU of thread {name}")


def sampled(given: argparse.Namespace, steps: int) -> None:
    sampler = Sampler()
    work_done = work(given.runs, given.rounds, given.durability, sampler.start, sampler.stop)
    seconds = asyncio.run(work_done)
    print(f"\nSampled ({seconds / steps * 1e6:.1f} us per step, wall). CPU us per step, own:")
    for thread, own in sorted(sampler.own.items(), key=lambda item: -item[1].total()):
        total = own.total()
        if total < seconds / 100:
            continue
        print(f"\n  thread {thread}: {total / steps * 1e6:.1f}")
        by_file: Counter[str] = Counter()
        for (_, path, _), spent in own.items():
            by_file[place(path)] += spent
        for (name, path, line), spent in own.most_common(given.top):
            share = spent / total
            print(f"{spent / steps * 1e6:9.2f} {share:6.1%}  {name}  {place(path)}:{line}")
        print("  by file:")
        for where, spent in by_file.most_common(12):
            print(f"{spent / steps * 1e6:9.2f} {spent / total:6.1%}  {where}")


def called(given: argparse.Namespace, steps: int) -> None:
    calls = Calls()
    asyncio.run(work(given.runs, given.rounds, given.durability, calls.start, calls.stop))
    stats = pstats.Stats(calls.profile).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    print(f"\ncProfile of the loop's thread: {total / steps * 1e6:.1f} us per step with overhead")
    print("   own us  cum us  calls per step")
    top = sorted(stats.items(), key=lambda item: -item[1][2])[: given.top]
    for (path, number, name), (_, count, own, whole, _) in top:
        where = "" if path == "~" else f"{place(path)}:{number}"
        times = f"{own / steps * 1e6:9.2f}{whole / steps * 1e6:8.1f}{count / steps:10.2f}"
        print(f"{times}  {name}  {where}")
    everything = sum(count for _, count, _, _, _ in stats.values())
    print(f"{everything / steps:27.1f}  calls per step in all")


def place(path: str) -> str:
    """A path from the package on."""
    parts = Path(path).parts
    for anchor in ("site-packages", "src", "benchmarks", f"python3.{sys.version_info[1]}"):
        if anchor in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(anchor) :])
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the time of a step of agnt5 goes.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--durability", choices=("full", "process"), default="full")
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    steps = given.runs * given.rounds * STEPS
    plain(given, steps)
    sampled(given, steps)
    called(given, steps)


if __name__ == "__main__":
    main()
