"""A program whose bodies leave tasks and children behind is killed again and again."""

from __future__ import annotations

import random

import pytest
from tests.api.helpers import python

from agnt5.events.codec import decode_any
from agnt5.events.run.facts import ChildStarted, EventEmitted, RunCompleted, RunSuspended
from agnt5.events.stores import open_store

RUNS = 10
PROGRAM = """
import asyncio, random, sys
from agnt5 import Client, function, workflow

@function
async def say(n: int) -> int:
    await asyncio.sleep(random.random() * 0.002)
    return n

@function
async def endless() -> None:
    await asyncio.sleep(3600)

@workflow
async def alone(ctx, n: int) -> int:
    return await ctx.step(say, n)

@workflow
async def leaving(ctx, n: int) -> int:
    async def behind() -> None:
        for k in range(30):
            # Real time, that no log knows of.
            await asyncio.sleep(random.random() * 0.004)
            await ctx.step(say, k)

    tasks = [asyncio.create_task(behind()) for _ in range(3)]
    ctx.step(endless)
    total = 0
    for k in range(4):
        total += await ctx.step(say, k)
    await asyncio.sleep(random.random() * 0.2)
    ctx.emit("left", {"total": total})
    ctx.child(alone, n, run_id=f"alone-{n}", on_parent_end="abandon")
    return total + len(tasks)

client = Client(store=sys.argv[1])
for n in range(int(sys.argv[2])):
    client.submit("leaving", {"n": n}, "workflow", run_id=f"run-{n}", idempotency_key=f"k-{n}")
print("begun", flush=True)
for n in range(int(sys.argv[2])):
    print(client.wait_for_result(f"run-{n}").output, flush=True)
for n in range(int(sys.argv[2])):
    assert client.wait_for_result(f"alone-{n}").output == n
print("done", flush=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_run_ends_and_every_child_begins(file_store, seed):
    dice = random.Random(seed)
    for _ in range(4):
        process = python(PROGRAM, file_store, RUNS)
        for _ in range(dice.randrange(1, RUNS)):
            process.stdout.readline()
        process.kill()
        process.wait()
    process = python(PROGRAM, file_store, RUNS)
    out, err = process.communicate(timeout=40)
    assert out.endswith("done\n"), err
    log = open_store(file_store)
    try:
        for n in range(RUNS):
            facts = [decode_any(row) for row in log.read(f"run-{n}")]
            assert not [fact for fact in facts if isinstance(fact, RunSuspended)]
            assert isinstance(facts[-1], RunCompleted)
            assert facts[-1].output == 9
            assert sum(isinstance(fact, EventEmitted) for fact in facts) == 1
            assert sum(isinstance(fact, ChildStarted) for fact in facts) == 1
            assert isinstance(decode_any(log.last(f"alone-{n}")), RunCompleted)
    finally:
        log.close()
