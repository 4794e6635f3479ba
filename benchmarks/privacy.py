"""What encryption, the hash chain and signed heads cost: steps of many runs at once, and one run.

    .venv/bin/python benchmarks/privacy.py [--repeat 3]

Prints a table of medians. The settings take turns, so that a machine that is busy for a while is
busy for all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from agnt5 import AsyncClient, HashChain, Keyring, Runtime, SigningKey, WorkflowContext, function
from agnt5 import workflow as workflow_of

RUNS, STEPS, SINGLE = 100, 40, 200


@function
async def mark(n: int) -> int:
    return n


@workflow_of
async def many(ctx: WorkflowContext, steps: int) -> int:
    for n in range(steps):
        await ctx.step(mark, n)
    return steps


def settings() -> dict[str, dict[str, object]]:
    """What is given to the runtime, by name."""
    ring = Keyring({"k1": Keyring.new_key()})
    key = SigningKey(SigningKey.new_secret())
    return {
        "off": {},
        "encryption": {"encryption": ring},
        "chain": {"chain": True},
        "chain, heads": {"chain": HashChain(key)},
        "all": {"encryption": ring, "chain": HashChain(key)},
    }


async def measure(path: Path, given: dict[str, object]) -> tuple[float, float, int, float]:
    """Steps per second, milliseconds of a run of one step, events, CPU us per step."""
    async with Runtime(f"sqlite:///{path}", **given) as runtime:
        client = AsyncClient(runtime=runtime)

        async def run(steps: int) -> None:
            done = await client.run("many", {"steps": steps}, "workflow")
            assert done.output == steps

        await run(1)
        begun, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(run(STEPS) for _ in range(RUNS)))
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        single: list[float] = []
        for _ in range(SINGLE):
            begun = time.perf_counter()
            await run(1)
            single.append(time.perf_counter() - begun)
        events = await client.count_events()
    steps = RUNS * STEPS
    return steps / took, statistics.median(single) * 1000, events, cpu / steps * 1e6


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for n in range(repeat):
        for name, given in settings().items():
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                path = Path(folder) / f"{n}.db"
                rate, single, events, cpu = asyncio.run(measure(path, given))
                size = path.stat().st_size / events
            found.setdefault(name, []).append((rate, single, size, cpu))
    print("| setting | steps/s | CPU per step, us | run of one step, p50, ms | bytes per event |")
    print("|---|--:|--:|--:|--:|")
    for name, values in found.items():
        rate, single, size, cpu = (
            statistics.median(column) for column in zip(*values, strict=True)
        )
        print(f"| {name} | {rate:,.0f} | {cpu:.0f} | {single:.2f} | {size:.0f} |")


if __name__ == "__main__":
    main()
