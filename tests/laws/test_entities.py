"""Entities under crashes, judged by a history checker: one writer per key, no lost update.

Runs of one session and clients from outside add to the same counters; the process dies at random
appends, before or after one is on disk, and begins again. Whoever has no answer asks again with the
same id. In the end every addition counts exactly once, and the answers form one order that agrees
with the order in which calls were made and answered.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash, CrashingLog, Disk

from agnt5 import (
    AsyncClient,
    Entity,
    EntityRegistry,
    Runtime,
    RuntimeClosedError,
    StateConflictError,
    StoreError,
    WorkflowRegistry,
    query,
    workflow,
)
from agnt5.exceptions import ExecutionError

KEYS = ("k0", "k1")
_ticks = itertools.count()


@dataclass
class History:
    """What was called, and what was answered."""

    plain: dict[str, bool] = field(default_factory=dict)
    """Whether the write of each run that rested on a read of its own was taken."""
    inside: dict[str, int] = field(default_factory=dict)
    overlaps: list[str] = field(default_factory=list)
    writes: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Key, tick of the call, tick of the answer, the total that was answered."""
    reads: list[tuple[str, int, int, int]] = field(default_factory=list)

    def check(self, totals: dict[str, int]) -> None:
        """One order of all additions explains every answer."""
        assert not self.overlaps
        for key in KEYS:
            writes = [each for each in self.writes if each[0] == key]
            answers = sorted(total for *_, total in writes)
            assert len(set(answers)) == len(answers), "two additions got the same answer"
            assert not answers or answers[-1] <= totals[key]
            for (_, _, done, one), (_, asked, _, other) in itertools.permutations(writes, 2):
                assert not done < asked or one < other, "an answer is older than the call"
            for _, asked, done, seen in (each for each in self.reads if each[0] == key):
                before = [total for _, _, end, total in writes if end < asked]
                after = [total for _, begin, _, total in writes if begin > done]
                assert seen >= max(before, default=0), "a read misses what was answered before"
                assert seen < min(after, default=10**9), "a read sees what was asked later"


def define(history: History) -> None:
    """The counter, which watches over its own calls, and a workflow that uses it."""
    EntityRegistry.clear()
    WorkflowRegistry.clear()

    class Watched(Entity):
        async def add(self, turns: int = 1) -> int:
            inside = history.inside
            inside[self.key] = inside.get(self.key, 0) + 1
            if inside[self.key] > 1:
                history.overlaps.append(self.key)
            try:
                total = self.state.get("total", 0)
                for _ in range(turns):
                    await asyncio.sleep(0)
                self.state.set("total", total + 1)
                return total + 1
            finally:
                inside[self.key] -= 1

        @query
        async def read(self) -> int:
            return self.state.get("total", 0)

    @workflow(name="adds")
    async def adds(ctx, keys: list):
        own = [Watched(key).add() for key in keys]
        await ctx.session.state.update("count", lambda n: n + 1, 0)
        await ctx.user.state.set(ctx.run_id, True)
        plain = await ctx.session.state.get("plain", 0)
        try:
            await ctx.session.state.set("plain", plain + 1)
        except StateConflictError:
            plain = None
        await asyncio.gather(*own)
        return plain is not None


class Outside:
    """Clients, who ask again until they have an answer."""

    def __init__(self, history: History, calls: list[tuple[str, int]]) -> None:
        self.history = history
        self.open = {f"call-{n}": call for n, call in enumerate(calls)}

    async def work(self, client: AsyncClient) -> None:
        """Make every call that has no answer yet, at the same time."""
        await asyncio.gather(*(self._call(client, name) for name in list(self.open)))

    async def _call(self, client: AsyncClient, name: str) -> None:
        key, turns = self.open[name]
        remote = client.entity("Watched", key)
        asked = next(_ticks)
        total = await remote.add(turns=turns, idempotency_key=name)
        self.history.writes.append((key, asked, next(_ticks), total.output))
        del self.open[name]
        asked = next(_ticks)
        seen = await remote.read()
        self.history.reads.append((key, asked, next(_ticks), seen.output))


async def live(disk: Disk, outside: Outside, runs: dict[str, list[str]], crash, latency) -> bool:
    """One life of the process; whether it has ended all there is to do."""
    outside.history.inside.clear()
    log = CrashingLog(disk, crash=crash, latency=latency)
    runtime = Runtime(log, grace=0)
    await runtime.start()
    client = AsyncClient(runtime=runtime)

    async def everything() -> None:
        for run_id, keys in runs.items():
            if run_id not in disk.log.run_ids():
                given = {"session_id": "s", "user_id": "u", "run_id": run_id}
                await client.submit("adds", {"keys": keys}, "workflow", **given)
        await outside.work(client)
        for run_id in runs:
            response = await client.wait_for_result(run_id, 20)
            assert response.is_success, response.error
            outside.history.plain[run_id] = response.output

    working = asyncio.ensure_future(everything())
    while not working.done() and not log.crashed:
        await asyncio.sleep(0.0005)
    log.die()
    await runtime.aclose()
    done = not log.crashed or (working.done() and not working.cancelled())
    try:
        async with asyncio.timeout(5):
            await working
    except (StoreError, RuntimeClosedError, ExecutionError, asyncio.CancelledError):
        return False
    return done


async def lives(calls, runs, crashes, latency) -> None:
    history, disk = History(), Disk()
    define(history)
    outside = Outside(history, calls)
    for append, recorded in crashes:
        await live(disk, outside, runs, Crash(append, recorded), latency)
    assert await live(disk, outside, runs, None, latency), "the last life has ended nothing"

    totals = dict.fromkeys(KEYS, 0)
    for key, _ in calls:
        totals[key] += 1
    for keys in runs.values():
        for key in keys:
            totals[key] += 1
    async with Runtime(disk.log) as runtime:
        client = AsyncClient(runtime=runtime)
        for key, expected in totals.items():
            assert (await client.entity("Watched", key).read()).output == expected
    history.check(totals)
    session = runtime_state(disk, "$entity/$session/s")
    assert session.get("count", 0) == len(runs)
    assert session.get("plain", 0) == sum(history.plain.values())
    assert set(runtime_state(disk, "$entity/$user/u")) == set(runs)


def runtime_state(disk: Disk, stream: str):
    """The fold of a whole stream, snapshots and all."""
    from agnt5.events.codec import decode_any
    from agnt5.events.entity.state import fold

    return fold(decode_any(row) for row in disk.log.read(stream)).values


keys = st.sampled_from(KEYS)


@pytest.mark.timeout(300)
@settings(deadline=None)
@given(
    calls=st.lists(st.tuples(keys, st.integers(0, 3)), max_size=8),
    runs=st.lists(st.lists(keys, max_size=3), max_size=4),
    crashes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=4),
    latency=st.sampled_from([0, 3]),
)
def test_every_addition_counts_once_whatever_dies(calls, runs, crashes, latency):
    """Laws 1 and 2: what was answered is kept, and what was asked twice is done once."""
    logging.getLogger("agnt5").setLevel(logging.CRITICAL)
    try:
        named = {f"run-{n}": wanted for n, wanted in enumerate(runs)}
        asyncio.run(lives(calls, named, crashes, latency))
    finally:
        logging.getLogger("agnt5").setLevel(logging.NOTSET)
        EntityRegistry.clear()
        WorkflowRegistry.clear()
