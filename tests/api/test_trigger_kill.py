"""A program that emits events is killed again and again, and emits them again each time."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.api.helpers import python

from agnt5.events.codec import decode_any
from agnt5.events.run.facts import RunCompleted
from agnt5.events.stores import open_store

EVENTS = 12
PROGRAM = """
import sys
from agnt5 import Client, workflow
from agnt5.types import event

def declare(name):
    @workflow(name=name, triggers=[event("e")])
    async def handler(ctx, n: int) -> int:
        return await ctx.step("work", lambda: n)

for name in ("one", "two", "three"):
    declare(name)

client = Client(store=sys.argv[1])
ids = []
for n in range(int(sys.argv[2])):
    ids += [run.run_id for run in client.emit_event("e", {"n": n}, dedupe_id=f"d-{n}")]
    print(n, flush=True)
for run_id in ids:
    assert client.wait_for_result(run_id).is_success
print("done", flush=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", [1, 2])
def test_each_event_starts_each_workflow_once(file_store, seed):
    dice = random.Random(seed)
    for _ in range(4):
        process = python(PROGRAM, file_store, EVENTS)
        for _ in range(dice.randrange(1, EVENTS)):
            process.stdout.readline()
        # The next event is being written now, or its runs are under way.
        process.kill()
        process.wait()
    process = python(PROGRAM, file_store, EVENTS)
    out, err = process.communicate(timeout=40)
    assert out.endswith("done\n"), err
    log = open_store(file_store)
    try:
        counted = Counter()
        for run_id in log.run_ids():
            history = [decode_any(row) for row in log.read(run_id)]
            assert isinstance(history[-1], RunCompleted)
            counted[history[0].component, history[0].input["n"]] += 1
    finally:
        log.close()
    expected = {(name, n): 1 for name in ("one", "two", "three") for n in range(EVENTS)}
    assert counted == expected


CRON = """
import asyncio, sys
from agnt5 import Runtime, workflow
from agnt5.actors.clock import ManualClock

@workflow(cron="* * * * *", cron_missed="all")
async def tick(ctx) -> None:
    await ctx.step("work", lambda: print("tick", flush=True))

async def main():
    clock = ManualClock(int(sys.argv[2]))
    async with Runtime(sys.argv[1], clock=clock):
        for _ in range(int(sys.argv[3])):
            await asyncio.sleep(0.005)
            clock.advance(60)
        await asyncio.sleep(0.5)
        print("done", flush=True)

asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_a_schedule_across_kills_starts_each_time_once(file_store):
    """Time is the clock's: each life begins some minutes after the one before."""
    begin, dice = 1_700_000_000_000_000, random.Random(3)
    python(CRON, file_store, begin, 0).communicate(timeout=40)
    for life in range(1, 5):
        process = python(CRON, file_store, begin + life * 300 * 10**6, 4)
        for _ in range(dice.randrange(1, 4)):
            process.stdout.readline()
        process.kill()
        process.wait()
    out, err = python(CRON, file_store, begin + 1800 * 10**6, 0).communicate(timeout=40)
    assert out.endswith("done\n"), err
    log = open_store(file_store)
    try:
        histories = [[decode_any(row) for row in log.read(run_id)] for run_id in log.run_ids()]
    finally:
        log.close()
    assert all(isinstance(history[-1], RunCompleted) for history in histories)
    due = sorted(history[0].origin["due_at"] for history in histories)
    first = begin + 40 * 10**6  # 22:14
    assert due == [first + n * 60 * 10**6 for n in range(30)]
