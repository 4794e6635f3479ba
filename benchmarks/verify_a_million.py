"""How long it takes to look after a store of a million events, and how much memory.

    .venv/bin/python benchmarks/verify_a_million.py [--events 1000000] [--file /tmp/million.db]

The file is the one of ``ask_a_million.py``, and is built if it is not there. A copy of it is
verified, examined, opened, pruned of a tenth of its runs, verified again and vacuumed. Memory is
the peak of the process (VmHWM), after each.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from ask_a_million import BEGIN_US, build, peak_kb

from agnt5 import AsyncClient, Runtime, vacuum_store, verify_store
from agnt5.operating import Onlooker, Operator

RUNS_PRUNED = 5000


async def examined(store: str) -> str:
    """What the doctor counts."""
    async with Onlooker(store) as runtime:
        return str(dict((await AsyncClient(runtime=runtime).doctor()).counts))


async def opened(store: str) -> str:
    """Open and close a runtime that executes runs."""
    async with Runtime(store):
        return ""


async def pruned(store: str, folder: Path) -> str:
    """Delete the oldest runs into files."""
    before_us = BEGIN_US + RUNS_PRUNED * 1_000_000
    older_than = timedelta(microseconds=time.time_ns() // 1000 - before_us)
    async with Operator(store) as runtime:
        client = AsyncClient(runtime=runtime)
        return str(await client.prune(older_than, archive=folder)).partition("\n")[0]


def timed(name: str, work: Callable[[], object]) -> None:
    """Do it, and print how long it took."""
    begin = time.perf_counter()
    said = str(work()).splitlines()[-1:]
    seconds = time.perf_counter() - begin
    print(f"| {name} | {seconds:.2f} | {peak_kb() // 1024} | {''.join(said)} |", flush=True)


def main() -> None:
    """Build, then do one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, default=Path(tempfile.gettempdir(), "million.db"))
    given = parser.parse_args()
    if not given.file.exists():
        build(given.file, given.events)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(given.file, folder / "store.db")
        store = f"sqlite:///{folder}/store.db"
        print("| what | s | MB at most | |\n|---|---:|---:|---|")
        timed("verify", lambda: verify_store(store))
        timed("doctor", lambda: asyncio.run(examined(store)))
        timed("start and close a runtime", lambda: asyncio.run(opened(store)))
        timed("prune", lambda: asyncio.run(pruned(store, folder / "old")))
        timed("verify", lambda: verify_store(store))
        timed("vacuum", lambda: vacuum_store(store))


if __name__ == "__main__":
    main()
