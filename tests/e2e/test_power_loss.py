"""A power cut takes the end of the write-ahead file: only the tail of the log may be missing."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from tests.e2e import worker
from tests.e2e.evidence import (
    TERMINAL,
    Process,
    Row,
    check_ended,
    check_streams,
    check_witness,
    read_rows,
    read_witness,
)

from agnt5 import AsyncClient, Runtime
from agnt5.events.codec import decode_history
from agnt5.events.run.state import fold
from agnt5.events.stores import open_store

CUTS = 6
"""At random, of each of the two files."""
EDGES = (1, 31, 32, 33)
"""Around the header of a -wal, which has 32 bytes."""


def interrupted(folder: Path, seed: int, runs: int, ended: int) -> list[Row]:
    """Kill a worker once it has got some way; the facts that it has left."""
    process = Process("linger", folder, seed, runs)
    try:
        assert process.said("READY")
        for run_id in (worker.run_of(index)[0] for index in range(runs)):
            assert process.said(f"ACK {run_id}"), process.error
        # Far enough: so many runs have ended, at least.
        while sum(row.topic in TERMINAL for row in read_rows(folder / "store.db")) < ended:
            assert process.popen.poll() is None, process.error
    finally:
        assert process.kill()
    # A copy: whoever opens a file may fold its -wal.
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        return read_rows(Path(copy) / "store.db")


def cut(source: Path, target: Path, length: int, damage: str) -> None:
    """A copy of a store, as a power cut may leave it: no -shm, and the end of the -wal missing."""
    target.mkdir()
    shutil.copy(source / "store.db", target / "store.db")
    wal = (source / "store.db-wal").read_bytes()
    rest = {"gone": b"", "zeros": b"\0" * (len(wal) - length)}[damage]
    (target / "store.db-wal").write_bytes(wal[:length] + rest)


async def check_cut(folder: Path, before: list[Row]) -> int:
    """What is left is a prefix, every stream folds, every run in it ends; how many facts are left.

    A prefix of the whole log, not only of each stream: runs that vanished were its tail.
    """
    looked_at = folder.with_name(f"{folder.name}-looked-at")
    shutil.copytree(folder, looked_at)
    left = read_rows(looked_at / "store.db")
    assert left == before[: len(left)]
    streams = check_streams(left)
    log = open_store(f"sqlite:///{looked_at}/store.db")
    try:
        for run_id, facts in streams.items():
            assert fold(run_id, decode_history(log.read(run_id))).version == len(facts)
    finally:
        log.close()

    worker.install(folder / "witness.txt")
    async with Runtime(f"sqlite:///{folder}/store.db", park_after=0.2) as runtime:
        client = AsyncClient(runtime=runtime)
        assert {run.run_id for run in await client.list_runs(limit=1000)} == set(streams)
        for run_id in streams:
            response = await client.wait_for_result(run_id, 30)
            assert response.is_success, (run_id, response)

    after = read_rows(folder / "store.db")
    assert after[: len(left)] == left
    ended = check_streams(after)
    assert set(ended) == set(streams)
    check_ended(ended, streams)
    witnessed = read_witness(folder / "witness.txt")
    recorded = {(row.stream, row.step) for row in left if row.topic == "StepCompleted"}
    assert not [line for line in witnessed if (line.stream, line.key) in recorded]
    check_witness(after[len(left) :], witnessed)
    return len(left)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("folded", [False, True], ids=["new", "folded"])
async def test_a_cut_write_ahead_file(tmp_path, folded):
    """Law 1 after a power loss: the log loses its tail at most, never its middle or its sense.

    A new store has everything in its -wal, even its tables. In the other, what an earlier process
    wrote has been folded into the database.
    """
    seed = 1 + folded
    source = tmp_path / "source"
    source.mkdir()
    kept = []
    if folded:
        kept = interrupted(source, seed, 12, 3)
        open_store(f"sqlite:///{source}/store.db").close()
        assert not (source / "store.db-wal").exists()
    before = interrupted(source, seed, 30 if folded else 12, 15 if folded else 3)
    assert len(before) > 100
    size = (source / "store.db-wal").stat().st_size
    rng = random.Random(seed)
    edges = () if folded else (*EDGES, size - 1)
    lengths = [0, size, *(rng.randrange(size) for _ in range(CUTS)), *edges]
    left = []
    for number, length in enumerate(lengths):
        folder = tmp_path / f"cut-{number}"
        cut(source, folder, length, ("gone", "zeros")[number % 2])
        left.append(await check_cut(folder, before))
    print(f"\n{len(before)} facts, {size} bytes of -wal, left after the cuts: {left}")  # noqa: T201
    assert left[0] == len(kept)
    assert left[1] == len(before), "nothing was cut, and something is missing"
    assert len(set(left)) > 2, "the cuts have cut off nothing"
