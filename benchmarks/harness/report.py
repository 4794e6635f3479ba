"""Result lines to one table: medians, ratios against the peers, gates and goals."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from harness.environments import ENGINES

SUBJECT, PEERS = "agnt5", ("dbos", "langgraph")
COUNTED = {"steps_missed", "steps_repeated"}
PASS, MISS = "✓", "✗"


@dataclass(frozen=True)
class Row:
    workload: str
    metric: str
    label: str
    ratios: tuple[float, float] | None = None  # gate: so many times better than each peer
    limit: float | None = None  # gate: a value of its own
    goal: float | None = None
    more_is_better: bool = False
    compared: bool = True  # whether a ratio says anything


ROWS = (
    Row("W1", "p50_ms", "W1 run of one step, p50, ms", (3, 2), goal=1.0),
    Row("W1", "p99_ms", "W1 p99, ms"),
    Row("W2", "ms_per_step", "W2 sequential step, ms", (4, 2), goal=0.3),
    Row("W3", "steps_per_s", "W3 steps/s, 100 runs at once", (10, 5), None, 10_000, True),
    Row("W3", "cpu_us_per_step", "W3 CPU per step, us"),
    Row("W3", "peak_mb", "W3 peak memory, MB", limit=70, goal=50),
    Row("W4", "s", "W4 one run of parallel steps, s", (14, 4), goal=0.04),
    Row("W5", "restart_to_done_s", "W5 crash, restart to all done, s", (14, 4), goal=0.35),
    Row("W5", "steps_missed", "W5 steps missed", limit=0, compared=False),
    Row("W5", "steps_repeated", "W5 steps repeated", limit=0, compared=False),
    Row("W6", "growth", "W6 growth: last / first tenth", limit=1.15, goal=1.05),
    Row("W6", "restart_to_done_s", "W6 long run, restart to done, s", (6, 3), goal=0.2),
    Row("W6", "steps_missed", "W6 steps missed", limit=0, compared=False),
    Row("W6", "steps_repeated", "W6 steps repeated", limit=0, compared=False),
    Row("W7", "import_s", "W7 import, s", limit=0.20, goal=0.12),
    Row("W7", "cold_start_s", "W7 process to first run done, s", limit=0.30, goal=0.18),
    Row("W7", "idle_mb", "W7 idle memory, MB", limit=50, goal=38),
    Row("W8", "parked_per_s", "W8 runs parked per second", None, 2_000, 6_000, True),
    Row("W8", "kb_per_run", "W8 memory per parked run, KB", limit=6, goal=1),
    Row("W8", "disk_bytes_per_run", "W8 disk per parked run, bytes", limit=1_500, goal=800),
    Row("W8", "threads", "W8 threads", compared=False),
    Row("W8", "answered_s", "W8 answer all, to all done, s"),
    Row("W8", "answered_peak_mb", "W8 peak memory while answering, MB"),
    Row("syncs", "fsyncs_per_step_sequential", "fsyncs per step, one run"),
    Row("syncs", "fsyncs_per_single_run", "fsyncs per run of one step"),
    Row("syncs", "fsyncs_per_step_100_runs", "fsyncs per step, 100 runs", limit=0.1, goal=0.03),
)
HEAD = ("metric", *ENGINES, "vs dbos", "vs langgraph", "gate", "goal")


def number(x: float) -> str:
    if x == 0:
        return "0"
    digits = 0 if abs(x) >= 100 else 1 if abs(x) >= 10 else 2 if abs(x) >= 0.1 else 3
    return f"{x:,.{digits}f}"


class Report:
    """The medians of a round, and what is to be said of them."""

    def __init__(self, records: Iterable[dict]) -> None:
        values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self.errors: list[str] = []
        self.missed_gates: list[str] = []
        self._failed: set[tuple[str, str]] = set()
        for record in records:
            engine, workload = record["engine"], record["workload"]
            if "error" in record:
                self.errors.append(f"{engine} {workload} failed: {record['error']}")
                self._failed.add((engine, workload))
            else:
                values[workload, record["metric"], engine].append(record["value"])
        # One step missed or repeated in any round counts; it is not a matter of medians.
        self._value = {
            key: max(got) if key[1] in COUNTED else med(got) for key, got in values.items()
        }

    @property
    def wrong(self) -> list[str]:
        """Steps that were missed or repeated."""
        return [
            f"{engine} {workload}: {metric} = {value:.0f}"
            for (workload, metric, engine), value in self._value.items()
            if metric in COUNTED and value
        ]

    def table(self) -> str:
        rows = [self._row(row) for row in ROWS if self._measured(row)]
        table = [HEAD, *rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
        lines = [
            "| "
            + " | ".join(
                line(cell, width, i)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            + " |"
            for row in table
        ]
        rule = (
            "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
        )
        return "\n".join([lines[0], rule, *lines[1:]])

    def _measured(self, row: Row) -> bool:
        return any(
            (row.workload, row.metric, e) in self._value or (e, row.workload) in self._failed
            for e in ENGINES
        )

    def _row(self, row: Row) -> list[str]:
        values = {e: self._value.get((row.workload, row.metric, e)) for e in ENGINES}
        cells = [
            number(value)
            if value is not None
            else "failed"
            if (e, row.workload) in self._failed
            else "-"
            for e, value in values.items()
        ]
        own, ratios = values[SUBJECT], [self._ratio(row, peer) for peer in PEERS]
        shown = [f"{r:.1f}x" if r is not None else "-" for r in ratios]
        return [row.label, *cells, *shown, self._gate(row, own, ratios), goal(row, own)]

    def _ratio(self, row: Row, peer: str) -> float | None:
        """How many times better than the peer."""
        own = self._value.get((row.workload, row.metric, SUBJECT))
        other = self._value.get((row.workload, row.metric, peer))
        if not row.compared or not own or not other:
            return None
        return own / other if row.more_is_better else other / own

    def _gate(self, row: Row, own: float | None, ratios: list[float | None]) -> str:
        if row.ratios is not None:
            text = ", ".join(f"{want:g}x" for want in row.ratios)
            known = [(r, want) for r, want in zip(ratios, row.ratios, strict=True) if r is not None]
            if own is None or len(known) < len(PEERS):
                return f"{text} ?"
            good = all(r >= want for r, want in known)
        elif row.limit is not None:
            text = bound(row, row.limit)
            if own is None:
                return f"{text} ?"
            good = own >= row.limit if row.more_is_better else own <= row.limit
        else:
            return ""
        if not good:
            self.missed_gates.append(row.label)
        return f"{text} {PASS if good else MISS}"


def goal(row: Row, own: float | None) -> str:
    if row.goal is None:
        return ""
    if own is None:
        return f"{bound(row, row.goal)} ?"
    good = own >= row.goal if row.more_is_better else own <= row.goal
    return f"{bound(row, row.goal)} {PASS if good else MISS}"


def bound(row: Row, value: float) -> str:
    return f"{'>=' if row.more_is_better else '<='} {value:,g}"


def line(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def med(values: list[float]) -> float:
    return statistics.median(values)
