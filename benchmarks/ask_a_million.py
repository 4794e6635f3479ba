"""How fast a log of a million events answers: ten named questions, in SQL and in Python.

    .venv/bin/python benchmarks/ask_a_million.py [--events 1000000] [--file /tmp/million.db]

The file is built through the log's own append, with the engine's own facts and index rows: runs of
eight steps, of which every tenth waits for a person, every tenth for a signal, every twentieth
tries a step again and every fiftieth fails. It is kept and used again when it is there.

Each question is asked three times on a warm cache; the median counts. Memory is the growth of
VmHWM, from before the first question to after the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from agnt5 import AsyncClient, Runtime
from agnt5.events.base import Fact
from agnt5.events.codec import encode_fact
from agnt5.events.log import Append, Chain
from agnt5.events.projections import changes_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.events.stores.sqlite import SqliteLog

BEGIN_US = 1_750_000_000_000_000
STEPS = 8
GROUP = 200
PEOPLE = ("ada", "bob", "carol", "dan")


def one_run(n: int) -> list[Fact]:
    """What the run number n has gone through."""
    user = f"user-{n % 1000}"
    facts: list[Fact] = [
        f.RunQueued(component=f"flow{n % 5}", kind="workflow", input={"n": n}, user_id=user),
        f.RunStarted(definition="0123456789abcdef"),
    ]
    for i in range(STEPS):
        key = f":charge#{i}"
        given = [{"order": n, "line": i, "of": "a dozen items of some length"}]
        facts.append(f.StepScheduled(key=key, name="charge", function="charge", input=given))
        if i == 0 and n % 20 == 0:
            error = {"type": "builtins:ConnectionError", "message": "refused", "args": ["refused"]}
            facts.append(f.StepAttemptFailed(key=key, attempt=0, error=error, retry_at=BEGIN_US))
            facts.append(f.StepStarted(key=key, attempt=1))
        output = {"paid": n * 100 + i, "receipt": f"r-{n}-{i}"}
        attempt = int(i == 0 and n % 20 == 0)
        facts.append(f.StepCompleted(key=key, output=output, attempt=attempt, duration_us=n % 977))
    if n % 10 == 1:
        key, actor = ":wait_for_user#0", PEOPLE[n // 10 % 4]
        facts.append(f.UserInputRequested(key=key, question=f"pay {n}?", shown="d"))
        if n % 100 != 1:
            facts.append(f.UserReplied(key=key, answer="yes", actor=actor, shown="d"))
    if n % 10 == 2:
        facts.append(f.SignalAwaited(key=":signal:go#0", name="go"))
        facts.append(f.SignalReceived(signal_id=f"s{n}", name="go"))
        facts.append(f.SignalConsumed(key=":signal:go#0", signal_id=f"s{n}"))
    if n % 100 == 1:
        return [*facts, f.RunParked()]  # still waits
    if n % 50 == 3:
        error = {"type": "builtins:ValueError", "message": "not enough", "args": ["not enough"]}
        return [*facts, f.RunFailed(error=error)]
    return [*facts, f.RunCompleted(output=n)]


def build(path: Path, events: int) -> None:
    """Append whole runs until there are so many events."""
    log = SqliteLog(path, durability="process")
    settled: SimpleQueue[Any] = SimpleQueue()
    log.start(settled.put)
    n = written = waiting = 0
    while written < events:
        group: list[Append] = []
        for _ in range(GROUP):
            facts, run_id = one_run(n), f"run-{n:08d}"
            at = BEGIN_US + n * 1_000_000
            raw = [encode_fact(fact, at + i * 1000, f"{n:x}.{i:x}") for i, fact in enumerate(facts)]
            state = fold(run_id, [(fact, at + i * 1000) for i, fact in enumerate(facts)])
            changes = changes_of(state, facts)
            group.append(Append(run_id, 0, raw, changes, Chain(), lambda _: None))
            n, written = n + 1, written + len(raw)
        log.append(group)
        waiting += len(group)
        while waiting > 10 * GROUP:
            waiting -= len(settled.get(timeout=60))
    log.close()


def peak_kb() -> int:
    """The most memory that this process has ever had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def sql_questions(last: str) -> dict[str, str]:
    """The questions in SQL; ``last`` is a time close to the end."""
    return {
        "1 one run, all its steps": "SELECT * FROM agnt5_steps WHERE run_id='run-00012345'",
        "2 what one person answered": "SELECT * FROM agnt5_approvals WHERE actor='ada'",
        "3 what waits for a person": "SELECT * FROM agnt5_approvals WHERE status='open'",
        "4 which attempts failed": "SELECT run_id, step_key, payload FROM agnt5_events "
        "WHERE topic='StepAttemptFailed'",
        "5 which runs failed, and why": "SELECT run_id, error_message FROM agnt5_runs "
        "WHERE status='failed'",
        "6 all that was of one user": "SELECT e.* FROM agnt5_runs r JOIN agnt5_events e "
        "USING (run_id) WHERE r.user_id='user-77'",
        "7 what was waiting at a moment": "SELECT * FROM agnt5_waits WHERE "
        f"begun_at<='{last}' AND (ended_at IS NULL OR ended_at>='{last}')",
        "8 events by day": "SELECT substr(recorded_at,1,10), count(*) FROM agnt5_events GROUP BY 1",
        "9 slowest steps of all": "SELECT run_id, step_key, duration_us FROM agnt5_steps "
        "ORDER BY duration_us DESC LIMIT 10",
        "10 the last hundred events": "SELECT * FROM agnt5_events ORDER BY position DESC LIMIT 100",
    }


Ask = Callable[[AsyncClient], Awaitable[int]]


async def number_of(events: AsyncIterator[Any], limit: int | None = None) -> int:
    """How many events there are, without keeping them."""
    found = 0
    async for _ in events:
        found += 1
        if found == limit:
            break
    return found


async def waiting_at(client: AsyncClient, moment: datetime) -> int:
    """Waits that had begun and were not over."""
    open_now: set[tuple[str, str | None]] = set()
    asked = ["UserInputRequested", "SignalAwaited"]
    over = ["UserReplied", "SignalConsumed"]
    async for event in client.events(topics=[*asked, *over], until=moment):
        place = event.run_id, event.step_key
        ends = event.event_type in ("approval.resolved", "workflow.resumed", "signal.consumed")
        (open_now.discard if ends else open_now.add)(place)
    return len(open_now)


def python_questions(last: datetime) -> dict[str, Ask]:
    """The same in Python, and a walk over everything."""

    async def days(client: AsyncClient) -> int:
        return len(await client.count_events_by("day"))

    return {
        "1 one run, all its steps": lambda c: number_of(c.events(run_id="run-00012345")),
        "2 what one person answered": lambda c: number_of(c.events(actor="ada")),
        "3 what waits for a person": lambda c: number_of(
            c.events(status="awaiting_user_input", event_types="approval.requested")
        ),
        "4 which attempts failed": lambda c: number_of(c.events(topics="StepAttemptFailed")),
        "5 which runs failed, and why": lambda c: number_of(c.events(event_types="run.failed")),
        "6 all that was of one user": lambda c: number_of(c.events(user_id="user-77")),
        "7 what was waiting at a moment": lambda c: waiting_at(c, last),
        "8 events by day": days,
        "9 walk over 100,000 events": lambda c: number_of(c.events(), 100_000),
        "10 the last hundred events": lambda c: number_of(c.events(backward=True), 100),
    }


def timed_sql(path: Path, questions: dict[str, str]) -> Iterator[tuple[str, float, int]]:
    """Seconds, and rows, of each."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        for name, sql in questions.items():
            seconds, rows = [], 0
            for _ in range(3):
                begin = time.perf_counter()
                rows = sum(1 for _ in reader.execute(sql))
                seconds.append(time.perf_counter() - begin)
            yield name, statistics.median(seconds), rows


async def timed_python(path: Path, questions: dict[str, Ask]) -> list[tuple[str, float, int]]:
    """Seconds, and results, of each."""
    found: list[tuple[str, float, int]] = []
    begin = time.perf_counter()
    async with Runtime(f"sqlite:///{path}") as runtime:
        found.append(("opening the runtime", time.perf_counter() - begin, 0))
        client = AsyncClient(runtime=runtime)
        for name, ask in questions.items():
            seconds, results = [], 0
            for _ in range(3):
                begin = time.perf_counter()
                results = await ask(client)
                seconds.append(time.perf_counter() - begin)
            found.append((name, statistics.median(seconds), results))
    return found


def main() -> int:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path, default=Path(tempfile.gettempdir(), "million.db"))
    given = parser.parse_args()
    if not given.file.exists():
        begin = time.perf_counter()
        build(given.file, given.events)
        print(f"built in {time.perf_counter() - begin:.0f} s")
    size = given.file.stat().st_size / 1e6
    with closing(sqlite3.connect(given.file)) as reader:
        events, runs = (
            reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("stored_events", "runs")
        )
        last_us = reader.execute("SELECT max(recorded_at) FROM stored_events").fetchone()[0]
    last = datetime.fromtimestamp(last_us / 1e6 - 60, UTC)
    print(f"{events:,} events of {runs:,} runs, {size:.0f} MB, SQLite {sqlite3.sqlite_version}")
    before = peak_kb()
    asked = asyncio.run(timed_python(given.file, python_questions(last)))
    after = peak_kb()
    in_sql = list(timed_sql(given.file, sql_questions(f"{last:%Y-%m-%dT%H:%M:%S.%fZ}")))
    for title, rows in (("Python", asked), ("SQL", in_sql)):
        print(f"\n| {title} | ms | results |\n|---|---:|---:|")
        for name, seconds, results in rows:
            print(f"| {name} | {seconds * 1000:,.1f} | {results:,} |")
    print(f"\nmemory: {before / 1024:.0f} MB before, {after / 1024:.0f} MB at most in Python")
    print(json.dumps({"events": events, "python": asked, "sql": in_sql}), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
