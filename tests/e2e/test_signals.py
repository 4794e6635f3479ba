"""SIGTERM, SIGINT and kill -9 to real programs: quiet ends, no lost run, one owner of a store."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from tests.e2e import worker
from tests.e2e.evidence import (
    TERMINAL,
    Process,
    check_ended,
    check_streams,
    check_witness,
    read_rows,
    read_witness,
)

RUNS = 12
LONG = {run_id for _, run_id in worker.OUTLASTING}
EVERYTHING = {run_id for run_id, *_ in worker.submissions(RUNS)}
NUMBERS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)


def stopped(mode: str, folder: Path, number: signal.Signals) -> Process:
    """A program that got a signal while two long attempts were under way."""
    process = Process(mode, folder, 0, RUNS)
    ready = process.said("READY") and process.said("BEGUN", times=2)
    sent = time.monotonic()
    process.popen.send_signal(number)
    process.end(30)
    assert ready, process.error
    assert time.monotonic() - sent < 8, "waited for more than the attempts that were under way"
    assert process.acknowledged == EVERYTHING
    return process


def check_grace(folder: Path) -> None:
    """The attempts that were under way have ended and are recorded; not everything has ended."""
    streams = check_streams(read_rows(folder / "store.db"))
    assert set(streams) == EVERYTHING
    for run_id in LONG:
        done = [fact.state["output"] for fact in streams[run_id] if fact.topic == "StepCompleted"]
        assert done[:1] == ["slow"], streams[run_id]
    assert any(facts[-1].topic not in TERMINAL for facts in streams.values()), "nothing to resume"


def check_end(folder: Path) -> None:
    """Everything has ended well, and no attempt of the long steps was begun twice."""
    rows, witnessed = read_rows(folder / "store.db"), read_witness(folder / "witness.txt")
    check_ended(check_streams(rows), EVERYTHING)
    check_witness(rows, witnessed)
    long = [line.stream for line in witnessed if line.stream in LONG and ":slow" in line.key]
    assert sorted(long) == sorted(LONG)


def finish(folder: Path, number: signal.Signals) -> Process:
    """Serve until every run has ended; then a signal finds nothing to wait for."""
    process = Process("serve", folder, 0, RUNS)
    try:
        assert process.said("READY"), process.error
        while not _all_ended(folder):
            assert process.popen.poll() is None, process.error
    finally:
        process.popen.send_signal(number)
        process.end(30)
    assert (process.popen.returncode, process.error) == (0, "")
    return process


def _all_ended(folder: Path) -> bool:
    rows = read_rows(folder / "store.db")
    return sum(row.topic in TERMINAL for row in rows) == len(EVERYTHING)


@NUMBERS
def test_serve(tmp_path, number):
    """``Runtime.serve()``: exit code 0, a silent stderr, the grace; the next start ends it.

    The long attempts end, on the loop and on a thread.
    """
    first = stopped("serve", tmp_path, number)
    assert (first.popen.returncode, first.error) == (0, "")
    assert first.lines[-1] == "CLOSED"
    check_grace(tmp_path)

    second = finish(tmp_path, number)
    assert "BEGUN" not in second.lines
    check_end(tmp_path)


@NUMBERS
def test_a_plain_script(tmp_path, number):
    """A script with ``Client``: the usual exit code, no traceback, the grace, no loss."""
    first = stopped("script", tmp_path, number)
    expected = {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert first.popen.returncode == expected, first.error
    assert "Traceback" not in first.error
    assert "DONE" not in first.lines
    check_grace(tmp_path)

    second = Process("script", tmp_path, 0, RUNS)
    assert second.end(60) == 0, second.error
    assert second.error == ""
    assert second.lines[-1] == "DONE"
    assert "BEGUN" not in second.lines
    check_end(tmp_path)


@NUMBERS
def test_a_signal_at_the_start(tmp_path, number):
    """A signal as soon as ``serve`` can take one, while it starts its first steps: all the same."""
    first = Process("serve", tmp_path, 0, RUNS)
    ready = first.said("READY")
    first.popen.send_signal(number)
    first.end(30)
    assert ready, first.error
    assert (first.popen.returncode, first.error) == (0, "")
    finish(tmp_path, number)
    check_end(tmp_path)


def test_two_processes(tmp_path):
    """A store has one owner: the second is told by whom it is held; kill -9 frees it at once."""
    first = Process("serve", tmp_path, 0, RUNS)
    try:
        assert first.said("READY"), first.error
        refused = Process("serve", tmp_path, 0, RUNS)
        assert refused.end(30) == 1
        last = refused.error.splitlines()[-1]
        assert "StoreInUseError" in last
        assert f"{tmp_path}/store.db is in use by another process (pid {first.pid})" in last
        assert refused.lines == []
        assert first.popen.poll() is None
    finally:
        killed = first.kill()
    assert killed
    # Nobody tries again: the first that asks after the kill gets it.
    finish(tmp_path, signal.SIGTERM)
    rows = read_rows(tmp_path / "store.db")
    check_ended(check_streams(rows), EVERYTHING)
    check_witness(rows, read_witness(tmp_path / "witness.txt"))
