"""Measure agnt5 and two peers on this machine, and print one table. See README.md.

python benchmarks/run.py                      # W1 to W7 three times, W8 once
python benchmarks/run.py --quick              # a smoke run
python benchmarks/run.py --engines agnt5 --workloads W3,syncs --repeat 1
python benchmarks/run.py --table FILE         # the table of an earlier round
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import syncs
from harness.environments import ENGINES, REPOSITORY, ROOT, Engine, prepare
from harness.report import Report
from harness.workloads import GROUPS, QUICK, Session, Sizes

DEFAULT = "W1,W2,W3,W4,W5,W6,W7,W8,syncs"
ONCE = {"W8"}
"""Minutes long for some peers: measured in the first round only."""
Emit = Callable[..., None]
Part = Callable[[Session], Iterator[tuple[str, float]]]


def measure(engine: Engine, parts: dict[str, Part], home: Path, emit: Emit) -> None:
    """Some workloads on one engine, with fresh state. What fails is recorded, the rest goes on."""
    with contextlib.closing(Session(engine, home / engine.name)) as session:
        for name, part in parts.items():
            begin = time.perf_counter()
            try:
                for metric, value in part(session):
                    emit(engine=engine.name, workload=name, metric=metric, value=value)
            except Exception as error:  # noqa: BLE001 - one engine must not end the round
                traceback.print_exc()
                text = f"{type(error).__name__}: {error}"
                emit(engine=engine.name, workload=name, error=text)
                with contextlib.suppress(OSError):
                    sys.stderr.write((session.home / "host.log").read_text()[-2000:])
                session.kill()
            took = time.perf_counter() - begin
            print(f"  {engine.name} {name}: {took:.1f} s", file=sys.stderr, flush=True)


def rounds(repeat: int, wanted: set[str], sizes: Sizes) -> Iterator[tuple[int, dict[str, Part]]]:
    """What to measure, in the order in which every engine is to do it before the next thing."""
    for number in range(repeat):
        for group in GROUPS:
            chosen = {
                name: lambda session, work=work: work(session, sizes)
                for name, work in group.items()
                if name in wanted and not (number and name in ONCE)
            }
            if chosen:
                yield number, chosen
    if "syncs" in wanted and syncs.available():
        yield 0, {"syncs": syncs.count}


def ready(names: list[str], emit: Emit) -> list[Engine]:
    """The engines whose environments could be made."""
    engines = []
    for name in names:
        try:
            prepare(ENGINES[name])
        except subprocess.CalledProcessError as error:
            emit(engine=name, workload="setup", error=f"no environment: {error}")
        else:
            engines.append(ENGINES[name])
    return engines


def source() -> str:
    """A digest of agnt5 as it lies here: the environment runs it in place."""
    digest = hashlib.sha256()
    for path in sorted((REPOSITORY / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def machine() -> str:
    git = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        revision = subprocess.run(git, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = "of an unknown revision"
    return (
        f"agnt5 {revision}. {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}."
    )


def conclude(records: list[dict], *, strict: bool) -> int:
    """The table and what is to be said of it; the exit status."""
    report = Report(record for record in records if "engine" in record)
    print(report.table())
    print("\nRatios: how many times better agnt5 is than the peer. Values: medians.")
    for record in records:
        if note := record.get("note"):
            print(note)
    for text in (*report.errors, *report.wrong):
        print(f"WRONG: {text}")
    return int(bool(report.errors or report.wrong or (strict and report.missed_gates)))


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure agnt5 and its peers on this machine.")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--workloads", default=DEFAULT, help=f"default: {DEFAULT}")
    parser.add_argument("--repeat", type=int, help="default: 3, and 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="small workloads: does it work?")
    parser.add_argument("--strict", action="store_true", help="a missed gate fails the command")
    parser.add_argument("--work", type=Path, help="data directory, on the disk to be measured")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only print FILE's table")
    given = parser.parse_args()
    unknown = set(given.engines.split(",")) - set(ENGINES)
    if unknown:
        parser.error(f"unknown engines: {', '.join(unknown)}; known: {', '.join(ENGINES)}")
    return given


def main() -> int:
    given = arguments()
    if given.table:
        return conclude(read(given.table), strict=given.strict)
    if sys.platform != "linux":
        raise SystemExit("the harness reads /proc: it runs on Linux only")
    # The peers were compiled when they were installed; agnt5 runs in place, and must be once.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    wanted = set(given.workloads.split(","))
    repeat = given.repeat or (1 if given.quick else 3)
    results = ROOT / "results"
    results.mkdir(exist_ok=True)
    path = results / time.strftime("%Y-%m-%d-%H%M%S.jsonl")
    records: list[dict] = []
    with path.open("w", encoding="utf-8") as file:

        def emit(**record: object) -> None:
            records.append(record)
            file.write(json.dumps({**record, "at": round(time.time(), 1)}) + "\n")
            file.flush()

        before = source()
        emit(note=machine())
        if given.quick:
            emit(note="A quick run: smaller workloads, so gates and goals are no verdict.")
        if "syncs" in wanted and not syncs.available():
            emit(note="fsyncs per step: strace not found (apt-get install strace)")
        engines = ready(given.engines.split(","), emit)
        with tempfile.TemporaryDirectory(prefix="work-", dir=given.work or results) as home:
            sizes = QUICK if given.quick else Sizes()
            for turn, (number, parts) in enumerate(rounds(repeat, wanted, sizes)):
                # Engine by engine for each group, beginning with another one each time.
                shift = turn % len(engines) if engines else 0
                for engine in engines[shift:] + engines[:shift]:
                    print(f"round {number + 1}: {engine.name}", file=sys.stderr, flush=True)
                    measure(engine, parts, Path(home), emit)
        if source() != before:
            emit(note="NOTE: agnt5 was edited while it was measured; its column mixes versions.")
    print(f"raw results: {path}\n", file=sys.stderr)
    return conclude(records, strict=given.strict)


if __name__ == "__main__":
    raise SystemExit(main())
