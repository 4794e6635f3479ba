"""Whether a store holds together: every stream is read and folded, and held against the index.

The reading is done here, once for all checks; what is looked at is in :mod:`agnt5.store_checks`.
Memory does not grow with the store: one stream is looked at after the other, a fact at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final, cast

from agnt5.events.base import Fact
from agnt5.events.chain_check import ChainReport
from agnt5.events.entity.facts import ENTITY_FACTS, EntityFact, EntitySnapshot
from agnt5.events.entity.state import EntityState
from agnt5.events.entity.state import evolve as evolve_entity
from agnt5.events.entity.streams import is_entity_stream
from agnt5.events.index import NO_RUN
from agnt5.events.log import LogView, StoredFact
from agnt5.events.run.facts import (
    RUN_FACTS,
    ChildFinished,
    Request,
    RunCompleted,
    RunContinued,
    RunFact,
    RunParked,
    RunQueued,
    RunResumed,
    RunStarted,
)
from agnt5.events.run.state import Phase, RunState, evolve
from agnt5.events.schedule.decider import is_schedule_stream
from agnt5.events.schedule.facts import SCHEDULE_FACTS
from agnt5.events.shredded import decode_any_shown
from agnt5.exceptions import AGNT5Error, RunNotFoundError, StoreCorruptError
from agnt5.privacy_errors import EncryptionKeyError

MAX_FINDINGS: Final = 1000
"""Findings that are told; more are counted."""
MAX_HARMLESS: Final = 20
"""The same, of each kind that is harmless: they must not hide what is not."""

_REBUILD = "The log is the truth: agnt5 rebuild-index builds the index again."
_RESTORE = (
    "Stop writing, keep a copy of the file, and restore a backup, or export what can be read."
)
ADVICE: Final[dict[str, str]] = {
    "file": f"The file is damaged. {_RESTORE}",
    "version": f"Events were lost, added or exchanged. {_RESTORE}",
    "position": f"Events were exchanged. {_RESTORE}",
    "event_id": f"Events were copied or changed. {_RESTORE}",
    "fact": f"An event was changed, or a newer agnt5 wrote it. {_RESTORE}",
    "order": f"Events were lost, added, exchanged or changed. {_RESTORE}",
    "column": f"A column of an event was changed. {_RESTORE}",
    "row": _REBUILD,
    "key": _REBUILD,
    "debt": _REBUILD,
    "parent": "Nothing is wrong with the run itself. Import its parent to look at both.",
    "sealed": "Only the chain was looked at. To have it read, give AGNT5_ENCRYPTION_KEYS.",
    "child": "Nothing is wrong with the run itself. Import its child to look at both.",
}
"""What to do about each kind of finding."""

HARMLESS: Final = frozenset({"parent", "child", "sealed"})
"""Kinds that are told, and make no store unsound: what an import of some runs leaves, and what only
the chain was held against.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold.

    Attributes:
        kind: A key of ``ADVICE``, such as ``"row"``.
        what: What was found, and what was expected.
        run_id: The run, or the stream of an entity or a schedule; None for the whole store.
        version: The event, counted from 1; None for the whole run.
    """

    kind: str
    what: str
    run_id: str | None = None
    version: int | None = None

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE.get(self.kind, _RESTORE)

    @property
    def is_harmless(self) -> bool:
        """Whether the store is sound all the same."""
        return self.kind in HARMLESS

    def __str__(self) -> str:
        """One line: where, and what."""
        place = "the store" if self.run_id is None else f"run {self.run_id}"
        if self.run_id is not None and self.run_id.startswith(NO_RUN):
            place = f"stream {self.run_id}"
        event = "" if self.version is None else f", event {self.version}"
        return f"{self.kind}: {place}{event}: {self.what}"

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "kind": self.kind,
            "run_id": self.run_id,
            "version": self.version,
            "what": self.what,
            "advice": self.advice,
            "harmless": self.is_harmless,
        }


@dataclass(slots=True)
class Verification:
    """What was looked at, and what was found.

    Attributes:
        runs: How many runs.
        others: How many streams of entities and schedules.
        events: How many events of all of them.
        keys: How many keys of the index.
        findings: What does not hold; at most ``MAX_FINDINGS``, and ``MAX_HARMLESS`` of what is
            harmless of each kind.
        counts: How much does not hold, by kind, without a limit.
        chain: What the hash chain says; None if that was not asked for.
    """

    runs: int = 0
    others: int = 0
    events: int = 0
    keys: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    chain: ChainReport | None = None

    @property
    def ok(self) -> bool:
        """Whether everything holds; what is harmless does not count."""
        is_whole = self.chain is None or self.chain.ok
        return is_whole and all(kind in HARMLESS for kind in self.counts)

    def __str__(self) -> str:
        """A line for each finding, one for each kind with what to do, and the counts."""
        lines = [str(finding) for finding in self.findings]
        missing = self.counts.total() - len(self.findings)
        if missing:
            lines.append(f"and {missing} more")
        lines += [f"{kind} ({self.counts[kind]}): {ADVICE[kind]}" for kind in sorted(self.counts)]
        lines += [] if self.chain is None else [str(self.chain)]
        sound = "sound" if self.ok else "NOT SOUND"
        return "\n".join(
            [*lines, f"{sound}: {self.runs} runs, {self.events} events, {self.keys} keys"]
        )

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "ok": self.ok,
            "runs": self.runs,
            "others": self.others,
            "events": self.events,
            "keys": self.keys,
            "counts": dict(self.counts),
            "findings": [finding.as_json() for finding in self.findings],
            "chain": None if self.chain is None else {"ok": self.chain.ok, **asdict(self.chain)},
        }


@dataclass(slots=True)
class Stream:
    """A stream that is being read."""

    name: str
    version: int = 0
    """Of the last event; what comes next should have the next one."""
    run: RunState | None = None
    """Of a run: what its events add up to. None once they do not."""
    entity: EntityState | None = None
    """The same of an entity."""
    is_sealed: bool = False
    """Whether it is encrypted, and its key is not given."""

    @property
    def is_run(self) -> bool:
        """Whether it is a run's."""
        return not self.name.startswith(NO_RUN)


class Check:
    """Something to look at. Inherit, and say what does not hold; nothing by default.

    Every method may read more of the view that :meth:`begin` was given. What was written together
    is seen together.
    """

    def begin(self, view: LogView, *, whole: bool) -> Iterable[Finding]:  # noqa: ARG002
        """Before the first stream. ``whole``: all of the store is read, and not only some runs."""
        return ()

    def fact(self, stream: Stream, row: StoredFact, fact: Fact | None) -> Iterable[Finding]:  # noqa: ARG002
        """An event, after it was folded; the fact is None if it cannot be read."""
        return ()

    def stream(self, stream: Stream) -> Iterable[Finding]:  # noqa: ARG002
        """A stream has been read to its end."""
        return ()

    def end(self, told: Verification) -> Iterable[Finding]:  # noqa: ARG002
        """Everything has been read."""
        return ()


def verify_view(
    view: LogView,
    checks: Sequence[Check],
    run_ids: Sequence[str] | None = None,
    *,
    needs_keys: bool = True,
) -> Verification:
    """Read a store, or some runs of it, and tell what does not hold.

    Raises:
        RunNotFoundError: When one of the runs is not there at all.
        EncryptionKeyError: When something is encrypted, its key is not given, and ``needs_keys``.
        StoreError: When the disk fails. What is damaged is a finding.
    """
    if run_ids is not None:
        _check_known(view, run_ids)
    told = Verification()
    try:
        for finding in _read(view, checks, run_ids, told):
            if finding.kind == "sealed" and needs_keys:
                raise EncryptionKeyError(finding.what, run_id=finding.run_id or "")
            told.counts[finding.kind] += 1
            most = MAX_HARMLESS if finding.is_harmless else MAX_FINDINGS
            if told.counts[finding.kind] <= most and len(told.findings) < MAX_FINDINGS:
                told.findings.append(finding)
    except StoreCorruptError as error:
        told.counts["file"] += 1
        told.findings.append(Finding("file", f"nothing more can be read: {error}"))
    return told


def _check_known(view: LogView, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        if view.run_row(run_id) is None and not view.read(run_id, upto=1):
            raise RunNotFoundError(f"there is no run {run_id!r} in this store")


def _read(
    view: LogView, checks: Sequence[Check], run_ids: Sequence[str] | None, told: Verification
) -> Iterator[Finding]:
    for check in checks:
        yield from check.begin(view, whole=run_ids is None)
    for name, rows in groupby(view.facts(run_ids), key=attrgetter("stream")):
        stream = Stream(name)
        if stream.is_run:
            stream.run = RunState(name)
            told.runs += 1
        else:
            stream.entity = EntityState() if is_entity_stream(name) else None
            told.others += 1
        for row in rows:
            told.events += 1
            yield from _take(stream, row, checks)
        for check in checks:
            yield from check.stream(stream)
    for check in checks:
        yield from check.end(told)


def _take(stream: Stream, row: StoredFact, checks: Sequence[Check]) -> Iterator[Finding]:
    fact: Fact | None = None
    try:
        fact = decode_any_shown(row)
    except EncryptionKeyError as error:
        # That is no damage, and is said once.
        if not stream.is_sealed:
            yield Finding("sealed", str(error), stream.name, row.version)
        stream.run, stream.entity, stream.is_sealed = None, None, True
    except (AGNT5Error, TypeError) as error:
        yield Finding("fact", str(error), stream.name, row.version)
        stream.run = stream.entity = None
    problem = None if fact is None else _fold(stream, row, fact)
    if problem is not None:
        yield Finding("order", problem, stream.name, row.version)
        stream.run = stream.entity = None
    for check in checks:
        yield from check.fact(stream, row, fact)
    stream.version = row.version


_KINDS = (
    (lambda name: not name.startswith(NO_RUN), RUN_FACTS, "run"),
    (is_entity_stream, ENTITY_FACTS, "entity"),
    (is_schedule_stream, SCHEDULE_FACTS, "schedule"),
)


_PHASES: dict[type[Fact], Phase] = {
    RunStarted: Phase.QUEUED,
    RunParked: Phase.RUNNING,
    RunResumed: Phase.SUSPENDED,
    RunCompleted: Phase.RUNNING,
    RunContinued: Phase.RUNNING,
}
"""What a run must be before it; for facts that would fold whatever it is."""


def _fold(stream: Stream, row: StoredFact, fact: Fact) -> str | None:
    """Fold one more fact; or say why it cannot stand where it stands."""
    for is_of, facts, what in _KINDS:
        if is_of(stream.name) and type(fact) not in facts:
            return f"a {row.topic} is no event of a {what}"
    try:
        if stream.run is not None:
            return _fold_run(stream.run, row, cast("RunFact", fact))
        entity = stream.entity
        if entity is not None:
            if isinstance(fact, EntitySnapshot) and (
                fact.values != entity.values or fact.versions != entity.versions
            ):
                return "what the entity is said to hold is not what its events add up to"
            stream.entity = evolve_entity(entity, cast("EntityFact", fact))
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        return f"a {row.topic} cannot follow what comes before it: {error!r}"
    return None


def _fold_run(state: RunState, row: StoredFact, fact: RunFact) -> str | None:
    if isinstance(fact, RunQueued) != (state.version == 0):
        return f"a run begins with RunQueued and has it once, and this is a {row.topic}"
    if state.is_finished:
        return f"the run has ended before, and then comes a {row.topic}"
    phase = _PHASES.get(type(fact), state.phase)
    if isinstance(fact, RunResumed) and state.pause is not None:
        phase = state.phase  # whatever it was when it was paused
    phase = Phase.RUNNING if isinstance(fact, Request) else phase
    if state.phase is not phase:
        return f"a {row.topic} comes to a run that is {state.phase.name}, and not {phase.name}"
    if isinstance(fact, ChildFinished) and fact.key not in state.children:
        return f"it tells of the child {fact.key!r}, which was not asked for"
    evolve(state, fact, row.at)
    return None
