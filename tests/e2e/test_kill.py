"""kill -9 at any instant, again and again: no run is lost, no recorded step is repeated."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e import worker
from tests.e2e.evidence import (
    Counts,
    Process,
    check_ended,
    check_streams,
    check_witness,
    read_rows,
    read_witness,
)

CI = os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "night"} or os.environ.get("CI") == "true"
ROUNDS = 8 if CI else 2
KILLS = 26 if CI else 20
"""Of one round: one store, one process after the other."""
NEW_RUNS = 4
"""That each incarnation of the worker adds, so that there is always work to be killed in."""


@dataclass
class Round:
    """What one store has been through."""

    kills: int
    early: int
    runs: int
    counts: Counts


def one_round(folder: Path, seed: int) -> Round:
    """Kill the workers of one store, let the last one finish, and judge what is there."""
    folder.mkdir()
    rng = random.Random(seed)
    acknowledged: set[str] = set()
    kills = early = 0
    while kills < KILLS:
        process = Process("work", folder, rng.randrange(2**32), NEW_RUNS * (kills + 1))
        if rng.random() < 0.1:
            time.sleep(rng.uniform(0.0, 0.25))  # the instant of the kill: while it starts
        else:
            delay = rng.uniform(0.005, 0.4 if rng.random() < 0.25 else 0.15)
            if process.said("READY"):
                time.sleep(delay)  # the instant of the kill
        killed = process.kill()
        assert killed or "DONE" in process.lines, _complaint(process, folder, seed)
        assert "Traceback" not in process.error, _complaint(process, folder, seed)
        acknowledged |= process.acknowledged
        kills += killed
        early += "READY" not in process.lines
    total = NEW_RUNS * KILLS
    last = Process("work", folder, rng.randrange(2**32), total)
    assert last.end() == 0, _complaint(last, folder, seed)
    assert "DONE" in last.lines
    assert last.error == ""

    rows = read_rows(folder / "store.db")
    streams = check_streams(rows)
    acknowledged |= last.acknowledged
    everything = {worker.run_of(index)[0] for index in range(total)}
    assert acknowledged == everything
    assert set(streams) == everything
    check_ended(streams, acknowledged)
    counts = check_witness(rows, read_witness(folder / "witness.txt"))
    return Round(kills, early, total, counts)


def _complaint(process: Process, folder: Path, seed: int) -> str:
    said = process.lines[-3:]
    return f"seed {seed}, {folder}: {process.popen.returncode}, {said}, {process.error}"


@pytest.mark.timeout(170)
def test_kill_9_at_any_instant(tmp_path):
    """Laws 1, 2, 3 and 9 from outside: real processes, SIGKILL, the file, and a witness.

    Whatever was acknowledged ends, with the right output and one history. A step whose result is
    recorded does not run again; a step that a crash cut off shows the same idempotency key; one
    with ``recovery="fail"`` runs at most once.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        rounds = list(pool.map(lambda n: one_round(tmp_path / f"{n}", 1000 + n), range(ROUNDS)))
    kills = sum(each.kills for each in rounds)
    cut_off = sum(each.counts.cut_off for each in rounds)
    steps = sum(each.counts.steps for each in rounds)
    unknown = sum(each.counts.unknown for each in rounds)
    early = sum(each.early for each in rounds)
    print(  # noqa: T201 - shown with -s: how much the test has seen
        f"\n{kills} kills ({early} before ready), {sum(r.runs for r in rounds)} runs,"
        f" {steps} recorded steps, {cut_off} attempts cut off, {unknown} outcomes unknown,"
        f" {time.monotonic() - began:.1f} s"
    )
    assert kills >= (200 if CI else 40)
    assert cut_off >= kills // 10, "the kills have hit hardly any step"
    assert unknown > 0


def test_the_judge_sees(tmp_path):
    """What the checks above are for, they find: each sort of damage, done to an honest history."""
    process = Process("work", tmp_path, 1, 6)
    assert process.end() == 0, process.error
    rows, witnessed = read_rows(tmp_path / "store.db"), read_witness(tmp_path / "witness.txt")
    streams = check_streams(rows)
    check_ended(streams, streams)
    assert check_witness(rows, witnessed).cut_off == 0

    done = next(row for row in rows if row.topic == "StepCompleted")
    line = next(line for line in witnessed if (line.stream, line.key) == (done.stream, done.step))
    again = line._replace(at_us=done.at + 1)
    failed = next(row for row in rows if row.topic == "StepAttemptFailed")
    first = next(w for w in witnessed if (w.stream, w.key) == (failed.stream, failed.step))
    once = next(line for line in witnessed if "at_most_once" in line.key)
    for wrong, message in [
        ([*witnessed, again], "ran again"),
        ([*witnessed, first._replace(at_us=failed.at + 1)], "ran again"),
        ([*witnessed, once], "at most once"),
        ([each for each in witnessed if each is not line], "nobody did it"),
        ([line._replace(idempotency_key="0" * 32)], "Witnessed"),
    ]:
        with pytest.raises(AssertionError, match=message):
            check_witness(rows, wrong)

    last = next(row for row in rows if row.topic == "RunCompleted")
    for wrong in (
        [row for row in rows if row is not done],
        [*rows, last._replace(version=last.version + 1)],
        [*rows, last],
        [*rows, done._replace(version=last.version + 1)],
    ):
        with pytest.raises(AssertionError):
            check_streams(wrong)
    for damaged in (
        {run_id: facts for run_id, facts in streams.items() if run_id != last.stream},
        streams | {last.stream: streams[last.stream][:-1]},
        streams | {last.stream: [*streams[last.stream][:-1], last._replace(state={"output": []})]},
    ):
        with pytest.raises((AssertionError, ValueError)):
            check_ended(damaged, streams)
