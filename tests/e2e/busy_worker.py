"""A worker that is stopped again and again: busy_worker.py STORE WITNESS ROUND RUNS MODE."""

from __future__ import annotations

import asyncio
import sys

from tests.e2e import work

from agnt5 import AsyncClient, InvalidInputError, Runtime, RuntimeClosedError


async def submit(client: AsyncClient, name: str, n: int, run_id: str) -> None:
    """Accept a run, unless a former process has accepted it already."""
    try:
        await client.submit(name, {"n": n}, "workflow", run_id=run_id)
    except InvalidInputError:
        return
    work.note("accepted", run_id)


async def work_through(client: AsyncClient, number: str, runs: str) -> None:
    """Submit the runs of a round, wait for all of them, say so."""
    ids = []
    for n in range(int(runs)):
        name = work.NAMES[n % len(work.NAMES)]
        ids.append(f"{name}-{number}-{n}")
        await submit(client, name, n, ids[-1])
    for run_id in ids:
        await client.wait_for_result(run_id)
    sys.stdout.write("done\n")
    sys.stdout.flush()


async def main(store: str, witness: str, number: str, runs: str, mode: str) -> None:
    """Work in one of three ways: undisturbed, until a signal comes, or careless of how it ends."""
    work.open_witness(witness)
    runtime = Runtime(f"sqlite:///{store}", park_after=0.02, grace=10)
    await runtime.start()
    client = AsyncClient(runtime=runtime)
    serving = None if mode == "run" else asyncio.create_task(runtime.serve())
    await asyncio.sleep(0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        await work_through(client, number, runs)
    except RuntimeClosedError:
        # A careless program ends here, while the attempts still have their grace.
        if mode == "careless":
            return
    if serving is not None:
        await serving
    else:
        await runtime.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
