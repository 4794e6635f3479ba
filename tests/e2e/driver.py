"""Starts workers, kills them, and judges what is left: the log and the witness."""

from __future__ import annotations

import os
import random
import selectors
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import work

from agnt5.events.codec import decode_fact
from agnt5.events.run import facts as f
from agnt5.events.stores.sqlite import SqliteLog

ROOT = Path(__file__).resolve().parents[2]
TERMINAL = (f.RunCompleted, f.RunFailed, f.RunCancelled)


@dataclass
class Site:
    """A store, its witness file, and the processes that work there."""

    folder: Path
    runs: int
    kills: int = 0
    rounds: int = 0
    graceful: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    @property
    def witness(self) -> Path:
        return self.folder / "witness"

    def start(self, mode: str = "run") -> subprocess.Popen[str]:
        """A worker for the present round."""
        paths = [os.environ.get("PYTHONPATH", ""), str(ROOT / "src"), str(ROOT)]
        arguments = [self.store, self.witness, self.rounds, self.runs, mode]
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.e2e.busy_worker", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def kill_until(self, kills: int, rng: random.Random) -> None:
        """Kill workers at random moments; a round that was completed is followed by the next."""
        while self.kills < kills:
            worker = self.start()
            if rng.random() < 0.8:
                said(worker, "ready", 30)
                if said(worker, "done", rng.uniform(0.05, 0.4)):
                    self._ended_well(worker)
                    self.rounds += 1
                    continue
            else:
                # At the start: while it opens the store, or reads and replays.
                time.sleep(rng.uniform(0, 0.5))
            worker.kill()
            _, err = worker.communicate()
            self.kills += 1
            if err:
                self.problems.append(err)

    def terminate(self, number: int, rng: random.Random, mode: str) -> None:
        """Ask a worker to stop at a random moment: it must end well."""
        worker = self.start(mode)
        said(worker, "ready", 30)
        if said(worker, "done", rng.uniform(0.0, 0.3)):
            self.rounds += 1
        worker.send_signal(number)
        self._ended_well(worker)
        self.graceful += 1

    def finish(self) -> None:
        """One worker that nobody disturbs, for every round."""
        for number in range(self.rounds + 1):
            self.rounds = number
            self._ended_well(self.start())

    def _ended_well(self, worker: subprocess.Popen[str]) -> None:
        _, err = worker.communicate(timeout=60)
        if worker.returncode or err:
            self.problems.append(f"exit code {worker.returncode}: {err}")


def said(worker: subprocess.Popen[str], word: str, seconds: float) -> bool:
    """Whether a worker says a word within a time."""
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if selector.select(left):
                line = worker.stdout.readline()
                if not line:
                    return False
                if line.strip() == word:
                    return True
    return False


def histories(store: Path) -> dict[str, list[tuple[f.RunFact, int, int]]]:
    """Every run of a store: its facts with their versions and times."""
    log = SqliteLog(store, readonly=True)
    try:
        stored = log.read_many(log.run_ids())
        return {
            run_id: [(decode_fact(fact), fact.version, fact.at) for fact in facts]
            for run_id, facts in stored.items()
        }
    finally:
        log.close()


def judge_log(store: Path) -> list[str]:
    """What is wrong with the log: each run completed, right, contiguous, nothing recorded twice."""
    found = []
    for run_id, history in histories(store).items():
        facts = [fact for fact, _, _ in history]
        found += [f"{run_id}: {problem}" for problem in judge_history(run_id, facts, history)]
    return found


def judge_history(run_id, facts, history):
    """What is wrong with one run."""
    if [version for _, version, _ in history] != list(range(1, len(history) + 1)):
        yield "its versions are not contiguous"
    last = facts[-1]
    name, _, n = run_id.split("-")
    if not isinstance(last, f.RunCompleted):
        yield f"it did not complete: {last!r}"
    elif last.output != work.expected(name, int(n)):
        yield f"its output is {last.output!r}"
    if sum(isinstance(fact, TERMINAL) for fact in facts) != 1:
        yield "it ended more than once"
    ended = [fact.key for fact in facts if isinstance(fact, f.StepCompleted | f.StepFailed)]
    if len(ended) != len(set(ended)):
        yield "a step has two outcomes"
    failed = [fact for fact in facts if isinstance(fact, f.StepAttemptFailed)]
    if [fact.attempt for fact in failed] != ([0, 1] if name == "retrying" else []):
        yield f"{len(failed)} attempts failed"
    yield from judge_times(history)


def judge_times(history):
    """Retries and sleeps that ended too early."""
    due_at = {}
    for fact, _, at in history:
        match fact:
            case f.StepAttemptFailed():
                due_at[fact.key] = fact.retry_at
                if fact.retry_at - at != 20_000:
                    yield f"{fact.key}: the delay is {fact.retry_at - at} us"
            case f.TimerScheduled():
                due_at[fact.key] = fact.due_at
            case f.StepStarted() | f.TimerFired() if at < due_at[fact.key]:
                yield f"{fact.key}: {fact.topic} was early"
            case _:
                pass


def judge_witness(site: Site) -> list[str]:
    """Runs that were accepted and are gone; steps that ran again after they had been recorded."""
    from agnt5.events.keys import idempotency_key

    found = []
    recorded = {}
    known = histories(site.store)
    for run_id, history in known.items():
        for fact, _, at in history:
            if isinstance(fact, f.StepCompleted):
                recorded[idempotency_key(run_id, fact.key)] = (run_id, fact.key, at)
    for line in site.witness.read_text().splitlines():
        at, _, kind, run_id, *rest = line.split()
        if kind == "accepted" and run_id not in known:
            found.append(f"{run_id} was accepted and is lost")
        if kind == "step" and rest[0] in recorded:
            _, key, completed = recorded[rest[0]]
            if int(at) > completed:
                found.append(f"{run_id}: {key} ran {int(at) - completed} us after its record")
    return found


def executions(site: Site) -> dict[str, int]:
    """How often each attempt of each step was begun."""
    counted = defaultdict(int)
    for line in site.witness.read_text().splitlines():
        _, _, kind, _, *rest = line.split()
        if kind == "step":
            counted[" ".join(rest)] += 1
    return counted
