"""kill -9 while entities are called: the counter equals the additions, each counts once."""

from __future__ import annotations

import random
import signal
import time

from tests.api.helpers import end_processes, python

CODE = """
import asyncio, sys
from agnt5 import AsyncClient, Entity, Runtime, query, workflow

store, runs, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class Counter(Entity):
    async def add(self, n=1):
        total = self.state.get("total", 0)
        await asyncio.sleep(0.001)
        self.state.set("total", total + n)
        return total + n

    @query
    async def total(self):
        return self.state.get("total", 0)

@workflow
async def adds(ctx):
    await Counter("runs").add()
    await ctx.session.state.update("count", lambda n: n + 1, 0)
    ctx.state.set("done", True)
    await Counter("runs").add()
    return [ctx.state.get("done"), await ctx.session.state.get("count")]

async def main():
    async with Runtime(store, grace=0):
        client = AsyncClient()
        print("READY", flush=True)
        known = {each.run_id for each in await client.list_runs(limit=1000)}
        for n in range(runs):
            if f"r{n}" not in known:
                given = {"run_id": f"r{n}", "session_id": "s"}
                await client.submit("adds", {}, "workflow", **given)
        async def call(n):
            await client.entity("Counter", "calls").add(idempotency_key=f"c{n}")
            print("ACK", n, flush=True)
        await asyncio.gather(*map(call, range(calls)))
        results = [await client.wait_for_result(f"r{n}") for n in range(runs)]
        assert all(each.is_success and each.output[0] for each in results), results
        counts = [each.output[1] for each in results]
        print("END", await Counter("runs").total(), await Counter("calls").total(), max(counts))

asyncio.run(main())
"""


def test_every_addition_counts_once_whenever_the_process_dies(tmp_path):
    """Workflows, sessions and clients with ids of their own."""
    runs, calls, chance = 60, 60, random.Random(3)
    arguments = (f"sqlite:///{tmp_path}/store.db", runs, calls)
    acknowledged: set[str] = set()
    try:
        for _ in range(5):
            process = python(CODE, *arguments)
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n", process.stderr
            time.sleep(chance.uniform(0.0, 0.2))
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate(timeout=30)
            assert process.returncode == -signal.SIGKILL, "it was too quick"
            acknowledged |= {line for line in out.splitlines() if line.startswith("ACK")}
        process = python(CODE, *arguments)
        out, error = process.communicate(timeout=60)
        assert not error
        *lines, last = out.splitlines()
        acknowledged |= {line for line in lines if line.startswith("ACK")}
        assert len(acknowledged) == calls
        assert last == f"END {2 * runs} {calls} {runs}"
    finally:
        end_processes()
