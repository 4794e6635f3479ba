"""The process under test: one engine's client and worker.

Started by the runner inside the engine's environment. Reads one JSON command per line on stdin and
answers one JSON line on stdout. Everything is timed in here.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from harness.api import STEPS, Adapter, Config, bounded

clock = time.perf_counter


def memory() -> dict[str, float]:
    want = {"VmRSS": "rss_mb", "VmHWM": "peak_mb"}
    out: dict[str, float] = {"threads": threading.active_count()}
    with Path("/proc/self/status").open(encoding="ascii") as status:
        for line in status:
            key, _, rest = line.partition(":")
            if key in want:
                out[want[key]] = round(int(rest.split()[0]) / 1024, 1)
    return out


class Host:
    """The commands that the runner may send."""

    def __init__(self, adapter: Adapter) -> None:
        self.engine = adapter

    async def start(self, config: dict, effects: str | None = None) -> dict:
        if effects:
            STEPS.open(effects)
        begin = clock()
        await self.engine.start(Config(**config))
        return {"start_s": clock() - begin}

    async def memory(self) -> dict:
        return memory()

    @staticmethod
    def executed(count: int) -> None:
        """What did not execute its steps must not pass for fast."""
        if len(STEPS.times) != count:
            raise AssertionError(f"{len(STEPS.times)} steps executed instead of {count}")
        STEPS.reset()

    async def single(self, n: int, tag: str) -> dict:
        STEPS.reset()
        latencies = []
        for i in range(n):
            begin = clock()
            await self.engine.run(f"{tag}-{i}", 1)
            latencies.append(clock() - begin)
        self.executed(n)
        return {"latency_s": latencies}

    async def chain(self, steps: int, tag: str) -> dict:
        STEPS.reset()
        begin = clock()
        await self.engine.run(tag, steps)
        seconds = clock() - begin
        self.executed(steps)
        return {"s": seconds}

    async def throughput(self, runs: int, steps: int, limit: int, tag: str) -> dict:
        STEPS.reset()
        cpu, begin = time.process_time(), clock()
        await bounded(lambda i: self.engine.run(f"{tag}-{i}", steps), range(runs), limit)
        seconds = clock() - begin
        cpu = time.process_time() - cpu
        self.executed(runs * steps)
        return {"s": seconds, "cpu_s": cpu, **memory()}

    async def fan_out(self, width: int, tag: str) -> dict:
        STEPS.reset()
        begin = clock()
        await self.engine.fan_out(tag, width)
        seconds = clock() - begin
        self.executed(width)
        return {"s": seconds}

    async def park(
        self, runs: int, steps: int, tag: str, limit: float, settle: float, person: bool = False
    ) -> dict:
        STEPS.reset()
        start = self.engine.start_waiting if person else self.engine.start_parked
        begin = clock()
        await bounded(lambda i: start(f"{tag}-{i}", steps), range(runs), 100)
        last = await STEPS.reached(runs * steps, limit)
        gaps = [b - a for a, b in itertools.pairwise(STEPS.times)]
        await asyncio.sleep(settle)
        out = {"parked_s": last - begin, **memory()}
        return {**out, "step_gaps_s": gaps} if runs == 1 else out

    async def release(self, runs: int, tag: str, limit: float) -> dict:
        """After a restart: signal every parked run, wait for all to complete."""
        ids = [f"{tag}-{i}" for i in range(runs)]
        STEPS.reset()
        begin = clock()
        await self.engine.signal_all(ids)
        await STEPS.reached(runs, limit)
        await asyncio.wait_for(self.engine.join_all(ids), limit)
        return {"done_s": clock() - begin, **memory()}

    async def answer(self, runs: int, tag: str, limit: float) -> dict:
        """A person answers every waiting run; wait until all of them are complete."""
        ids = [f"{tag}-{i}" for i in range(runs)]
        STEPS.reset()
        begin = clock()
        await self.engine.answer_all(ids)
        await STEPS.reached(runs, limit)
        await asyncio.wait_for(self.engine.join_all(ids), limit)
        return {"done_s": clock() - begin, **memory()}

    async def stop(self) -> dict:
        await self.engine.stop()
        return {}


async def serve(module: str, reply_fd: int) -> None:
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def pump() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    begin = clock()
    host = Host(importlib.import_module(module).create())
    boot = {"import_s": clock() - begin}
    threading.Thread(target=pump, daemon=True).start()
    reply(reply_fd, boot)
    while line := await lines.get():
        command = json.loads(line)
        op = command.pop("op")
        try:
            answer = await getattr(host, op)(**command)
        except Exception as error:  # noqa: BLE001 - the runner is told
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        reply(reply_fd, answer)
        if op == "stop":
            break


def reply(fd: int, answer: dict) -> None:
    data = (json.dumps(answer) + "\n").encode()
    while data:
        data = data[os.write(fd, data) :]


def main() -> None:
    # Engines print banners: keep the protocol on a descriptor of its own.
    reply_fd = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(serve(sys.argv[1], reply_fd))
    os._exit(0)


if __name__ == "__main__":
    main()
