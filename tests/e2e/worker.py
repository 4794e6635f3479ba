"""A worker process that is killed again and again: worker.py STORE WITNESS ROUND RUNS MODE."""

from __future__ import annotations

import asyncio
import sys

from tests.e2e import work

from agnt5 import AsyncClient, InvalidInputError, Runtime


async def submit(client: AsyncClient, name: str, n: int, run_id: str) -> None:
    """Accept a run, unless a former process has accepted it already."""
    try:
        await client.submit(name, {"n": n}, "workflow", run_id=run_id)
    except InvalidInputError:
        return
    work.note("accepted", run_id)


async def main(store: str, witness: str, number: str, runs: str, mode: str) -> None:
    """Submit the runs of a round, wait for all of them, say so."""
    work.open_witness(witness)
    runtime = Runtime(f"sqlite:///{store}", park_after=0.02, grace=10)
    await runtime.start()
    client = AsyncClient(runtime=runtime)
    print("ready", flush=True)
    serving = asyncio.create_task(runtime.serve()) if mode == "serve" else None
    ids = []
    for n in range(int(runs)):
        name = work.NAMES[n % len(work.NAMES)]
        ids.append(f"{name}-{number}-{n}")
        await submit(client, name, n, ids[-1])
    for run_id in ids:
        await client.wait_for_result(run_id)
    print("done", flush=True)
    if serving is not None:
        await serving
    else:
        await runtime.aclose()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except Exception as error:
        if type(error).__name__ != "RuntimeClosedError":
            raise
