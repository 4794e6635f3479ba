"""What a log must do, on plain dicts. Written from the port's words; it knows of no other log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from agnt5.events.index import NO_RUN, UNFINISHED, IndexChange, KeyBinding, RunRow
from agnt5.events.log import Append, Chain, RawFact, Removal
from agnt5.exceptions import StaleEpochError, StoreError, VersionConflictError


class Fate(Enum):
    """What becomes of an append that meets no trouble."""

    WRITTEN = "written"
    KNOWN = "there already"
    LOST = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What must become of an append, and with which errors it may be refused."""

    fate: Fate
    error: type[StoreError] | None = None
    about: frozenset[tuple[str, int]] = frozenset()
    """For a version conflict: the streams or keys that it may name, and the expected versions."""
    law: str = "versions"
    """Which law is broken if something else becomes of it."""


_WRITTEN = Verdict(Fate.WRITTEN)
_KNOWN = Verdict(Fate.KNOWN)


@dataclass(slots=True)
class Model:
    """The state of a store as it must be, once all that was handed over is settled."""

    streams: dict[str, list[RawFact]] = field(default_factory=dict)
    rows: dict[str, RunRow] = field(default_factory=dict)
    keys: dict[str, KeyBinding] = field(default_factory=dict)
    volatile: set[str] = field(default_factory=set)
    """Streams whose first append was volatile: a restart may forget them, whole."""
    fenced: bool = False
    """Another owner has claimed the store: nothing more may be written."""
    broken: dict[Chain, type[StoreError]] = field(default_factory=dict)
    """With which error the chains of this life broke."""

    def tail(self, stream: str) -> int:
        """The version of the last fact of a stream; 0 if there is none."""
        return len(self.streams.get(stream, ()))

    def judge(self, append: Append) -> Verdict:
        """What must become of an append that is decided now."""
        broke = self.broken.get(append.chain)
        if broke is not None:
            about = frozenset({(append.stream, append.after)})
            return Verdict(Fate.LOST, broke, about, "chain")
        is_refused = isinstance(append.error, StaleEpochError)
        if self.fenced and (is_refused or not self._is_private(append)):
            return Verdict(Fate.LOST, StaleEpochError, law="owner")
        taken = self._taken_keys(append.changes)
        if self.tail(append.stream) != append.after:
            if self._is_there(append):
                return _KNOWN
            about = frozenset({(append.stream, append.after), *((scope, 0) for scope in taken)})
            return Verdict(Fate.LOST, VersionConflictError, about)
        is_there = append.begins is not None and self.tail(append.begins.stream) > 0
        if taken or is_there:
            about = frozenset((scope, 0) for scope in taken)
            if is_there:
                about |= {(append.stream, append.after)}
            return Verdict(Fate.LOST, VersionConflictError, about, "atomic" if is_there else "keys")
        return _WRITTEN

    def apply(self, append: Append) -> None:
        """Write it, without a question."""
        if append.facts:
            known = self.streams.setdefault(append.stream, [])
            if not known and append.volatile:
                self.volatile.add(append.stream)
            known.extend(append.facts)
        self._change(append.changes)
        if append.begins is not None:
            self.streams[append.begins.stream] = list(append.begins.facts)
            self._change(append.begins.changes)

    def break_chain(self, chain: Chain, error: type[StoreError]) -> None:
        """One of its appends has failed."""
        self.broken.setdefault(chain, error)

    def rebuild(self, changes: Sequence[IndexChange]) -> None:
        """Drop every row and key, and write these."""
        self.rows, self.keys = {}, {}
        self._change(changes)

    def forget(self, stream: str) -> None:
        """A volatile stream is gone, with its row and its keys."""
        self.volatile.discard(stream)
        del self.streams[stream]
        self.rows.pop(stream, None)
        self.keys = {scope: key for scope, key in self.keys.items() if key.run_id != stream}

    def remove(self, removals: Sequence[Removal]) -> list[str]:
        """Streams that end where they must are gone, with their rows and those keys of theirs."""
        gone = [
            each for each in removals if each.version and self.tail(each.stream) == each.version
        ]
        for each in gone:
            del self.streams[each.stream]
            self.rows.pop(each.stream, None)
            for scope in each.keys:
                if scope in self.keys and self.keys[scope].run_id == each.stream:
                    del self.keys[scope]
        return [each.stream for each in gone]

    def new_life(self) -> None:
        """The store was opened again: it is owned again, and the chains of before are no more."""
        self.fenced = False
        self.broken = {}

    def _taken_keys(self, changes: Iterable[IndexChange]) -> list[str]:
        names = {scope: key.run_id for scope, key in self.keys.items()}
        taken: list[str] = []
        for change in changes:
            if isinstance(change, KeyBinding):
                if names.get(change.scope) not in (None, change.replaces):
                    taken.append(change.scope)
                names[change.scope] = change.run_id
        return taken

    def _is_private(self, append: Append) -> bool:
        # What lies in this process' memory alone needs no fence.
        return append.volatile or append.stream in self.volatile

    def _is_there(self, append: Append) -> bool:
        if not append.facts:
            return False
        there = self.streams.get(append.stream, [])[append.after : append.after + 1]
        return [fact.event_id for fact in there] == [append.facts[0].event_id]

    def _change(self, changes: Iterable[IndexChange]) -> None:
        for change in changes:
            if isinstance(change, RunRow):
                self.rows[change.run_id] = change
            else:
                self.keys[change.scope] = replace(change, replaces=None)

    # Lookups

    def unfinished(self) -> list[RunRow]:
        """Rows of runs that have not ended, in id order."""
        return [row for _, row in sorted(self.rows.items()) if row.status in UNFINISHED]

    def runnable(self) -> list[RunRow]:
        """Rows of runs that belong in memory."""
        return [r for r in self.unfinished() if not r.parked and r.status != "suspended"]

    def suspended(self) -> list[str]:
        """Ids of suspended runs."""
        return [row.run_id for row in self.unfinished() if row.status == "suspended"]

    def owing(self) -> list[str]:
        """Ids of runs that may owe others a report."""
        return sorted(run_id for run_id, row in self.rows.items() if row.owes)

    def wakes(self) -> list[tuple[int, str]]:
        """When which parked run is due, in order."""
        parked = [row for row in self.unfinished() if row.parked]
        return sorted((row.wake_at, row.run_id) for row in parked if row.wake_at is not None)

    def list_runs(
        self,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRow]:
        """Rows, the greatest id first."""
        found: list[RunRow] = []
        for run_id in sorted(self.rows, reverse=True):
            row = self.rows[run_id]
            if before is not None and run_id >= before:
                continue
            if status is not None and row.status != status:
                continue
            if component is not None and row.component != component:
                continue
            if parent_run_id is not None and row.parent_run_id != parent_run_id:
                continue
            found.append(row)
        return found[:limit]

    def ended(
        self,
        before: int,
        component: str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunRow]:
        """Rows of runs that ended before a time, in id order."""
        found: list[RunRow] = []
        for run_id, row in sorted(self.rows.items()):
            is_over = row.finished_at is not None and row.finished_at < before
            is_meant = component in (None, row.component) and status in (None, row.status)
            if is_over and is_meant and run_id > after:
                found.append(row)
        return found[:limit]

    def lasts_of_chain(self, chain: str) -> list[RunRow]:
        """Rows of runs that may be the last one of a chain; of a real one there is one."""
        rows = (row for row in self.rows.values() if row.chain == chain)
        return [row for row in rows if row.continued_to is None]

    def run_ids(self) -> list[str]:
        """Streams of runs."""
        return sorted(name for name in self.streams if not name.startswith(NO_RUN))

    def other_streams(self) -> list[str]:
        """Streams that are no run's."""
        return sorted(name for name in self.streams if name.startswith(NO_RUN))
