"""How a store and its runs are: what is large, what does not move, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Final

from agnt5.answers import when
from agnt5.events.care import Care, StoreFigures
from agnt5.events.codec import decode_fact, decode_history
from agnt5.events.index import NO_RUN, PAUSED, RunRow, last_of_chain
from agnt5.events.log import EventLog, LogView, StoredFact, StreamSize
from agnt5.events.query import EventQuery
from agnt5.events.run.facts import RunFact, RunPaused, RunSuspended
from agnt5.events.run.state import OpKind, RunState, fold
from agnt5.exceptions import AGNT5Error
from agnt5.limits import Limits
from agnt5.owners import owner_text

BIGGEST: Final = 10
"""Runs that are named as the largest."""
MOST: Final = 20
"""Complaints of one kind that are told; more are counted."""
_LOOKED_AT: Final = 1000
"""Runs of which it is looked at in detail what they wait for."""
_PAGE: Final = 100
_SECOND: Final = 1_000_000
_OVERDUE_US: Final = 60 * _SECOND
_MIB: Final = 1024 * 1024
_PERIODS: Final = {"minute": 60, "hour": 3600, "day": 86_400}

ADVICE: Final[dict[str, str]] = {
    "suspended": "Mend what its report says, then start the program again or resume it; or cancel.",
    "paused": "Somebody has stopped it: resume it when it may go on, or cancel it.",
    "stuck": "Look at it with explain. If a program executes it, its code may hang outside of"
    " durable calls; if it was accepted and has not begun, a queue or max_active_runs is full.",
    "overdue": "Its time has come, and nobody has woken it: start a program that executes it.",
    "forsaken": "What it waits for can come no more: cancel it, and report it with its history.",
    "owing": "Another run has not heard of its end: start a program that executes both.",
    "large": "An endless loop goes on with ctx.continue_as_new, much work goes to child runs.",
    "no owner": "Start the program that executes these runs.",
    "expired": "Its process was killed, or the machine went down. Nothing is lost: who opens the"
    " store next takes over, and what was under way goes on as its policy says.",
    "wal": "A program reads the store for long, or a disk is slow: end long readers.",
    "free": "agnt5 vacuum gives it back to the disk, while no program has the store open.",
    "disk": "Free some space: where nothing can be written, nothing goes on.",
    "schema": "It is brought up to date when a runtime opens it. Make a copy before, if in doubt.",
}
"""What to do, by the kind of complaint."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something to look after.

    Attributes:
        kind: A key of ``ADVICE``, such as ``"suspended"``.
        what: What was found.
        run_id: The run; None for the whole store.
    """

    kind: str
    what: str
    run_id: str | None = None

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE[self.kind]

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}: {self.what if self.run_id is None else f'{self.run_id}: {self.what}'}"


@dataclass(slots=True)
class Diagnosis:
    """How a store is.

    Attributes:
        runs: How many runs, by status.
        events: How many events were recorded in the last ``minute``, ``hour`` and ``day``.
        biggest: The streams of which most is recorded.
        store: What it takes on the disk, and who has it; None for a store in memory.
        complaints: What to look after; at most ``MOST`` of a kind.
        counts: How much there is to look after, by kind, without a limit.
    """

    runs: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    biggest: list[StreamSize] = field(default_factory=list)
    store: StoreFigures | None = None
    complaints: list[Complaint] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether there is nothing to look after."""
        return not self.counts

    def add(self, complaint: Complaint) -> None:
        """One more thing to look after."""
        self.counts[complaint.kind] += 1
        if self.counts[complaint.kind] <= MOST:
            self.complaints.append(complaint)

    def __str__(self) -> str:
        """Figures, then complaints, then what to do."""
        lines = [f"runs: {_listed(self.runs) or 'none'}"]
        lines.append(
            "events in the last " + ", ".join(f"{k}: {n:,}" for k, n in self.events.items())
        )
        if self.store is not None:
            lines.append(_of_store(self.store))
        lines += [
            f"among the largest: {each.stream}: {each.facts:,} events, {each.size:,} bytes"
            for each in self.biggest[:3]
        ]
        lines += [str(complaint) for complaint in self.complaints]
        lines += [f"{kind} ({number}): {ADVICE[kind]}" for kind, number in self.counts.items()]
        return "\n".join([*lines, "nothing to look after"] if self.ok else lines)

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "ok": self.ok,
            "runs": self.runs,
            "events": self.events,
            "biggest": [asdict(each) for each in self.biggest],
            "store": None if self.store is None else asdict(self.store),
            "counts": dict(self.counts),
            "complaints": [
                {"kind": c.kind, "run_id": c.run_id, "what": c.what, "advice": c.advice}
                for c in self.complaints
            ],
        }


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(numbers.items()))


def _of_store(store: StoreFigures) -> str:
    return (
        f"store: {store.path}, {store.size:,} bytes ({store.free_size:,} free), WAL"
        f" {store.wal_size:,}, schema {store.schema_version}\n"
        f"owner: {owner_text(store.ownership)}, epoch {store.ownership.epoch}"
    )


def examine(log: EventLog, limits: Limits, now: int, stuck_after_us: int) -> Diagnosis:
    """Look at a whole log. Reads all rows of the index; blocks for a while.

    Args:
        log: The log, which may be in use.
        limits: Of its runs.
        now: The time, microseconds since the epoch.
        stuck_after_us: Of a run that could go on: how long nothing may happen.

    Raises:
        StoreError: When it cannot be read.
    """
    found = Diagnosis()
    layer: object | None = log
    while layer is not None and not isinstance(layer, Care):
        layer = getattr(layer, "inner", None)
    if layer is not None:
        found.store = layer.figures()
    for name, seconds in _PERIODS.items():
        since = now - seconds * _SECOND
        found.events[name] = sum(log.count(EventQuery(since=since), None).values())
    with log.view() as view:
        found.biggest = view.sizes(BIGGEST)
        ready = _look_at_runs(found, log, view, now - stuck_after_us, now)
        _look_at_sizes(found, limits)
    if found.store is not None:
        _look_at_store(found, found.store, ready)
    return found


def _look_at_runs(
    found: Diagnosis, log: EventLog, view: LogView, stuck_before: int, now: int
) -> int:
    """Answers how many runs only wait for somebody to execute them."""
    statuses, waiting, ready = Counter[str](), 0, 0
    for row in view.run_rows():
        statuses[row.status] += 1
        ready += _is_ready(row, now)
        if row.finished_at is not None:
            if row.owes:
                ended = f"it ended at {when(row.finished_at):%Y-%m-%d %H:%M:%S} UTC"
                found.add(Complaint("owing", ended, row.run_id))
        elif row.status == "suspended":
            found.add(Complaint("suspended", _reason(log, row.run_id), row.run_id))
        elif row.status == PAUSED:
            _look_at_paused(found, log, row, stuck_before)
        elif not row.parked:
            _look_at_runnable(found, log, row, stuck_before)
        elif row.wake_at is None:
            waiting += 1
            if waiting <= _LOOKED_AT:
                _look_at_waits(found, log, view, row.run_id)
        elif row.wake_at < now - _OVERDUE_US:
            due = f"it should have gone on at {when(row.wake_at):%Y-%m-%d %H:%M:%S} UTC"
            found.add(Complaint("overdue", due, row.run_id))
    found.runs = dict(statuses)
    return ready


def _is_ready(row: RunRow, now: int) -> bool:
    if row.finished_at is not None or row.status in {"suspended", PAUSED}:
        return False
    return not row.parked or (row.wake_at is not None and row.wake_at <= now)


def _reason(log: EventLog, run_id: str) -> str:
    row = _newest(log, run_id, RunSuspended)
    if row is None:
        return "no reason is on record: see verify"
    try:
        fact = decode_fact(row)
    except AGNT5Error as error:
        return str(error)
    assert isinstance(fact, RunSuspended)  # noqa: S101 - its topic says so
    return f"{fact.reason}: {fact.report.partition(chr(10))[0]}"


def _newest(log: EventLog, run_id: str, kind: type[RunFact]) -> StoredFact | None:
    """Its last event of a kind. Looked for from the end: such a run may be very long."""
    newest = log.last(run_id)
    upto = 0 if newest is None else newest.version
    while upto > 0:
        after = max(0, upto - _PAGE)
        for row in reversed(log.read(run_id, after=after, upto=upto)):
            if row.topic.partition(";")[0] == kind.topic:
                return row
        upto = after
    return None


def _look_at_paused(found: Diagnosis, log: EventLog, row: RunRow, before: int) -> None:
    pause = _newest(log, row.run_id, RunPaused)
    since = row.created_at if pause is None else pause.at
    if since < before:
        at = f"{when(since):%Y-%m-%d %H:%M:%S} UTC"
        found.add(Complaint("paused", f"it stands still since {at}", row.run_id))


def _look_at_runnable(found: Diagnosis, log: EventLog, row: RunRow, before: int) -> None:
    newest = log.last(row.run_id)
    last = row.created_at if newest is None else newest.at
    if last < before:
        at = f"{when(last):%Y-%m-%d %H:%M:%S} UTC"
        found.add(
            Complaint("stuck", f"it is {row.status}, and nothing happened since {at}", row.run_id)
        )


def _look_at_waits(found: Diagnosis, log: EventLog, view: LogView, run_id: str) -> None:
    """A person and a signal may always come; a child that is over comes no more."""
    try:
        state = fold(run_id, decode_history(view.read(run_id)))
    except (AGNT5Error, LookupError, ValueError, TypeError, AttributeError):
        return  # verify tells of it
    lost = list(_lost_children(log, view, state))
    if state.open and len(lost) == len(state.open):
        found.add(Complaint("forsaken", f"it waits for {', '.join(lost)}, long over", run_id))


def _lost_children(log: EventLog, view: LogView, state: RunState) -> Iterator[str]:
    for op in state.open.values():
        if op.kind is OpKind.CHILD and op.child is not None:
            child = view.run_row(last_of_chain(log, op.child.child_run_id))
            if child is not None and child.finished_at is not None and not child.owes:
                yield child.run_id


def _look_at_sizes(found: Diagnosis, limits: Limits) -> None:
    for each in found.biggest:
        if each.stream.startswith(NO_RUN):
            continue
        for number, limit, what in (
            (each.facts, limits.events, "events"),
            (each.size, limits.size, "bytes"),
        ):
            if limit is not None and number * 2 >= limit:
                text = f"it has {number:,} {what}, and the limit is {limit:,}"
                found.add(Complaint("large", text, each.stream))


def _look_at_store(found: Diagnosis, store: StoreFigures, ready: int) -> None:
    unfinished = sum(found.runs.get(name, 0) for name in ("queued", "running"))
    if store.ownership.is_open is False and unfinished:
        what = f"nobody has it open, and {unfinished:,} runs could go on, {ready:,} of them now"
        found.add(Complaint("no owner", what))
    if store.ownership.has_expired:
        found.add(Complaint("expired", owner_text(store.ownership)))
    if store.wal_size > max(64 * _MIB, store.size // 2):
        found.add(Complaint("wal", f"{store.wal_size:,} bytes lie beside the file"))
    if store.free_size > max(16 * _MIB, store.size // 4):
        found.add(Complaint("free", f"{store.free_size:,} of {store.size:,} bytes hold nothing"))
    if store.disk_free < max(64 * _MIB, store.wal_size):
        found.add(Complaint("disk", f"the disk has {store.disk_free:,} bytes left"))
    if store.schema_version < store.newest_schema:
        text = f"it has schema {store.schema_version}, and this agnt5 writes {store.newest_schema}"
        found.add(Complaint("schema", text))
