"""Starts and kills workers, and judges what they leave: the file and the witness, from outside."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.api.helpers import python
from tests.e2e import worker

from agnt5.events.keys import idempotency_key
from agnt5.payloads import decode

WORKER = Path(__file__).with_name("worker.py")
TERMINAL = {"RunCompleted", "RunFailed", "RunCancelled"}


class Process:
    """A worker in a process of its own; everything that it says is kept."""

    def __init__(self, mode: str, folder: Path, seed: int, count: int) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._over = False
        arguments = (mode, folder / "store.db", folder / "witness.txt", seed, count)
        self.popen: subprocess.Popen[str] = python(WORKER, *arguments, cwd=folder)
        self.pid = self.popen.pid
        self.error = ""
        self._threads = [threading.Thread(target=each) for each in (self._listen, self._complain)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _complain(self) -> None:
        assert self.popen.stderr is not None
        self.error = self.popen.stderr.read()

    def said(self, word: str, times: int = 1, seconds: float = 60) -> bool:
        """Wait until it has said something so often, or has ended; whether it has."""
        with self._news:
            self._news.wait_for(lambda: self._over or self.lines.count(word) >= times, seconds)
            return self.lines.count(word) >= times

    def end(self, seconds: float = 100) -> int:
        """Wait until it has ended."""
        try:
            return self.popen.wait(seconds)
        finally:
            if self.popen.returncode is None:
                self.popen.kill()
                self.popen.wait()
            for thread in self._threads:
                thread.join()
            for pipe in (self.popen.stdout, self.popen.stderr):
                assert pipe is not None
                pipe.close()

    def kill(self) -> bool:
        """SIGKILL, and wait; whether it was still alive to be killed."""
        self.popen.kill()
        return self.end() == -9

    @property
    def acknowledged(self) -> set[str]:
        """The runs whose submit has returned."""
        return {line.removeprefix("ACK ") for line in self.lines if line.startswith("ACK ")}


class Row(NamedTuple):
    """A stored fact, as it lies in the file."""

    position: int
    stream: str
    version: int
    topic: str
    state: dict[str, Any]
    at: int
    step: str | None


class Witnessed(NamedTuple):
    """An attempt, as its own step has seen it."""

    stream: str
    key: str
    idempotency_key: str
    attempt: int
    at_us: int


def read_rows(path: Path) -> list[Row]:
    """Every fact of a store, in order; an empty list for a store without tables."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return []
        found = connection.execute(
            "SELECT rowid, originator_id, originator_version, topic, state, recorded_at, step "
            "FROM stored_events ORDER BY rowid"
        ).fetchall()
    finally:
        connection.close()
    return [Row(*row[:4], json.loads(row[4]), *row[5:]) for row in found]


def read_witness(path: Path) -> list[Witnessed]:
    """Every attempt that has begun."""
    lines = path.read_text().splitlines() if path.exists() else []
    parts = [line.split(" ") for line in lines]
    return [Witnessed(s, k, i, int(a), int(ns) // 1000) for s, k, i, a, ns in parts]


def streams_of(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The facts of each run."""
    streams: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        streams[row.stream].append(row)
    return dict(streams)


def check_streams(rows: list[Row]) -> dict[str, list[Row]]:
    """Versions are contiguous from 1, each outcome is recorded once, nothing follows an end."""
    streams = streams_of(rows)
    for run_id, facts in streams.items():
        versions = [fact.version for fact in facts]
        assert versions == list(range(1, len(facts) + 1)), f"{run_id}: {versions}"
        assert facts[0].topic == "RunQueued", run_id
        ends = [fact.version for fact in facts if fact.topic in TERMINAL]
        assert ends in ([], [len(facts)]), f"{run_id} ends at {ends} of {len(facts)}"
        for topics in ({"StepCompleted", "StepFailed"}, {"StepScheduled"}, {"TimerFired"}):
            keys = [fact.step for fact in facts if fact.topic in topics]
            assert len(keys) == len(set(keys)), f"{run_id}: {topics} twice of one key: {keys}"
    return streams


def check_ended(streams: dict[str, list[Row]], run_ids: Iterable[str]) -> None:
    """These runs are in the log, have ended well, and with the right output."""
    for run_id in run_ids:
        assert run_id in streams, f"{run_id} is lost"
        first, last = streams[run_id][0], streams[run_id][-1]
        assert last.topic == "RunCompleted", f"{run_id} ended with {last.topic}: {last.state}"
        output = decode(last.state.get("output"), where=run_id)
        if run_id.startswith("outlasts"):
            assert output == ["slow", "second"], f"{run_id}: {output}"
        else:
            given = first.state["input"]["n"]
            component = first.state["component"]
            assert worker.is_right(component, given, output), f"{run_id}: {output}"


@dataclass(frozen=True)
class Counts:
    """How much was looked at, lest a check pass because it saw nothing."""

    steps: int
    cut_off: int
    unknown: int


def check_witness(rows: list[Row], witnessed: list[Witnessed]) -> Counts:
    """No recorded step, nor a recorded attempt, has run again; every attempt showed one identity.

    Completed: what an attempt of this step wrote after the record would be a repetition. What it
    wrote before are attempts that a crash cut off.
    """
    seen: dict[tuple[str, str], list[Witnessed]] = defaultdict(list)
    for line in witnessed:
        seen[line.stream, line.key].append(line)
        expected = idempotency_key(line.stream, line.key)
        assert line.idempotency_key in {expected, "-"}, line
    policy = {(r.stream, r.step): r.state for r in rows if r.topic == "StepScheduled"}
    steps = cut_off = unknown = 0
    for row in rows:
        if row.topic not in {"StepCompleted", "StepFailed", "StepAttemptFailed"}:
            continue
        lines = seen.get((row.stream, row.step or ""), [])
        attempt = row.state.get("attempt", 0)
        if row.topic == "StepAttemptFailed":
            lines = [line for line in lines if line.attempt <= attempt]
        late = [line for line in lines if line.at_us > row.at]
        assert not late, f"ran again after its record {row}: {late}"
        if row.topic == "StepAttemptFailed":
            continue
        steps += 1
        scheduled = policy.get((row.stream, row.step), {})
        if scheduled.get("recovery") == "fail":
            assert len(lines) <= 1, f"at most once, but: {lines}"
            unknown += row.topic == "StepFailed"
        elif scheduled.get("function"):
            mine = [line for line in lines if line.attempt == attempt]
            assert mine, f"recorded, and nobody did it: {row}"
        numbers = [line.attempt for line in lines]
        assert numbers == sorted(numbers), f"attempts went back: {lines}"
        cut_off += len(numbers) - len(set(numbers))
    return Counts(steps, cut_off, unknown)
