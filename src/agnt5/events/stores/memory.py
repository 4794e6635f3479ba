"""A log that forgets with the process, on the library's in-memory recorder. For tests and trials.

An append is settled within the call. ``close`` and ``start`` again: the facts are still there, as
after a restart.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOApplicationRecorder

from agnt5.events.index import NO_RUN, IndexChange, KeyBinding, RunRow
from agnt5.events.leases import STORE_SCOPE, Lease
from agnt5.events.log import (
    Append,
    Beginning,
    Collected,
    LogView,
    Removal,
    Sink,
    StoredFact,
)
from agnt5.events.matching import group_of, matches
from agnt5.events.query import EventQuery
from agnt5.events.stores.memory_index import MemoryIndex
from agnt5.events.stores.memory_look import MemoryView
from agnt5.events.stores.memory_vault import MemoryVault
from agnt5.exceptions import StaleEpochError, StoreError, VersionConflictError

logger = logging.getLogger("agnt5.store")


@dataclass(frozen=True)
class _Event(StoredEvent):
    fact: StoredFact


class MemoryLog(MemoryIndex):
    """The EventLog and Leases ports in memory. Thread-safe."""

    def __init__(self, *, owner: str = "memory") -> None:
        super().__init__()
        self.owner = owner
        self.commits = 0
        self.events_written = 0
        self.recorder = POPOApplicationRecorder()
        self.vault = MemoryVault(lambda: self._facts)
        self._tails: dict[str, int] = {}
        self._facts: list[StoredFact] = []  # by position
        self._highest = 0
        self._leases: dict[str, Lease] = {}
        self._epochs: dict[str, int] = {}
        self._sink: Sink | None = None
        self._waiting: list[Append] = []  # handed over before the start
        self._settled: deque[Sequence[Append]] = deque()
        self._delivering = False
        self._closed = False
        self._lease = self.claim(STORE_SCOPE, owner)

    # Writing

    def start(self, sink: Sink) -> None:
        """Begin to write, with what was handed over before; after a close, begin again."""
        with self._lock:
            if self._sink is not None:
                raise StoreError("The log in memory was started before.")
            if self._closed:
                self._closed = False
                self._lease = self.claim(STORE_SCOPE, self.owner)
            self._sink = sink
            waiting, self._waiting = self._waiting, []
        self.append(waiting)

    def append(self, requests: Sequence[Append]) -> None:
        """Write appends, in order, and settle them."""
        if not requests:
            return
        with self._lock:
            if self._closed:
                raise StoreError("The log in memory is closed.")
            if self._sink is None:
                self._waiting.extend(requests)
                return
            for append in requests:
                self._write(append)
            self.commits += 1
            self._settled.append(requests)
        self._deliver(self._sink)

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Drop every index row and write these."""
        with self._lock:
            self._check_lease()
            before = self._runs, self._keys
            self._runs, self._keys = {}, {}
            try:
                self._apply(rows)
            except StoreError:
                self._runs, self._keys = before
                raise

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, with their rows and keys."""
        with self._lock:
            if self._closed:
                raise StoreError("The log in memory is closed.")
            self._check_lease()
            gone = [each for each in removals if self._tails.get(each.stream) == each.version]
            for each in gone:
                del self._tails[each.stream]
                self._runs.pop(each.stream, None)
                for scope in each.keys:
                    bound = self._keys.get(scope)
                    if bound is not None and bound.run_id == each.stream:
                        del self._keys[scope]
            self._facts = [fact for fact in self._facts if fact.stream in self._tails]
            # The library's recorder cannot delete, so it begins anew.
            self.recorder = POPOApplicationRecorder()
            self.recorder.insert_events([_event_of(fact) for fact in self._facts])
            return [each.stream for each in gone]

    def collect(self) -> Collected:
        """There is nothing: payloads are not kept apart from the facts."""
        return Collected()

    def claim(self, scope: str, owner: str) -> Lease:
        """Become the owner of a scope, with a new epoch, as on a SQLite store."""
        with self._lock:
            self._epochs[scope] = self._epochs.get(scope, 0) + 1
            lease = self._leases[scope] = Lease(scope, owner, self._epochs[scope])
            if scope == STORE_SCOPE and owner == self.owner:
                self._lease = lease
            return lease

    def release(self, lease: Lease) -> None:
        """Give a lease up. Does nothing if it is no longer ours."""
        with self._lock:
            if self._leases.get(lease.scope) == lease:
                del self._leases[lease.scope]

    def close(self) -> None:
        """Give up ownership. What was written stays for the next start."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._sink = None
                self.release(self._lease)

    def _deliver(self, sink: Sink) -> None:
        # A sink may append. What that settles is delivered after the group it came from, in order.
        while True:
            with self._lock:
                if self._delivering or not self._settled:
                    return
                self._delivering = True
                group = self._settled.popleft()
            try:
                sink(group)
            except Exception:
                logger.exception("The sink of settled appends failed.")
            finally:
                self._delivering = False

    def _write(self, append: Append) -> None:
        try:
            if append.chain.broken is not None:
                raise _again(append.chain.broken, append)
            self._check_lease()
            if self._tails.get(append.stream, 0) == append.after:
                self._check_new(append)
                self._insert(append)
            elif not self._is_ours(append):
                raise VersionConflictError(append.stream, append.after)
        except StoreError as error:
            append.error = error
            append.chain.broken = append.chain.broken or error

    def _check_lease(self) -> None:
        if self._leases.get(STORE_SCOPE) != self._lease:
            raise StaleEpochError(
                f"The log in memory has another owner now (we had epoch {self._lease.epoch})."
            )

    def _check_new(self, append: Append) -> None:
        """Refuse it, before anything of it is written."""
        begins = append.begins
        if begins is not None and begins.stream in self._tails:
            raise VersionConflictError(append.stream, append.after)
        more = () if begins is None else begins.changes
        bindings = [each for each in (*append.changes, *more) if isinstance(each, KeyBinding)]
        keys = dict(self._keys) if bindings else {}
        for binding in bindings:
            _bind(keys, binding)

    def _insert(self, append: Append) -> None:
        for key in append.data_keys:
            self.vault.put(key)
        self._insert_stream(append, append.after)
        if append.begins is not None:
            self._insert_stream(append.begins, 0)

    def _insert_stream(self, append: Append | Beginning, after: int) -> None:
        position, version = self._highest, after
        events: list[_Event] = []
        for raw in append.facts:
            position, version = position + 1, version + 1
            fact = StoredFact(
                append.stream,
                version,
                position,
                raw.topic,
                raw.state,
                raw.at,
                raw.event_id,
                raw.step,
            )
            events.append(_event_of(fact))
        if events:
            self.recorder.insert_events(events)
            self._tails[append.stream] = version
            self._facts += [event.fact for event in events]
            self._highest = position
        self.events_written += len(events)
        self._apply(append.changes)

    def _apply(self, changes: Sequence[IndexChange]) -> None:
        for change in changes:
            if isinstance(change, RunRow):
                self._runs[change.run_id] = change
            else:
                _bind(self._keys, change)

    def _is_ours(self, append: Append) -> bool:
        if not append.facts:
            return False
        there = self.read(append.stream, after=append.after, limit=1)
        return bool(there) and there[0].event_id == append.facts[0].event_id

    # Reading

    def read(
        self, stream: str, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        if limit is not None and limit <= 0:  # the library takes 0 for no limit
            return []
        events = self.recorder.select_events(stream, gt=after, lte=upto, limit=limit)
        return [event.fact for event in events if isinstance(event, _Event)]

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams as of one moment; an unknown one is empty."""
        with self._lock:
            return {stream: self.read(stream) for stream in streams}

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        for event in self.recorder.select_events(stream, desc=True, limit=1):
            if isinstance(event, _Event):
                return event.fact
        return None

    def position(self) -> int:
        """The highest position that any fact was given; 0 if there never was one."""
        return self._highest

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for."""
        return list(islice(self._asked(query), limit))

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``."""
        runs = self._runs
        return dict(
            Counter(
                None if by is None else group_of(by, fact, runs.get(fact.stream))
                for fact in self._asked(query)
            )
        )

    def _asked(self, query: EventQuery) -> Iterator[StoredFact]:
        facts = self._facts
        begin = bisect_right(facts, query.after, key=_position_of)
        end = None if query.upto is None else bisect_right(facts, query.upto, key=_position_of)
        facts = facts[begin:end]
        for fact in reversed(facts) if query.backward else facts:
            if matches(query, fact, self._runs.get(fact.stream)):
                yield fact

    def has_stream(self, stream: str) -> bool:
        """Whether anything was appended to it."""
        return stream in self._tails

    def forget_key(self, scope: str) -> bool:
        """Drop a key, which names a run somewhere else from now on; whether there was one."""
        with self._lock:
            return self._keys.pop(scope, None) is not None

    def view(self) -> AbstractContextManager[LogView]:
        """Look at everything as of one moment."""
        with self._lock:
            return nullcontext(MemoryView(self._facts, self._runs, self._keys))

    def run_ids(self) -> list[str]:
        """Every run that the log has a stream of, in id order."""
        with self._lock:
            return sorted(stream for stream in self._tails if not stream.startswith(NO_RUN))

    def other_streams(self) -> list[str]:
        """Every stream that is no run's, in order."""
        with self._lock:
            return sorted(stream for stream in self._tails if stream.startswith(NO_RUN))

    def current(self, scope: str) -> Lease | None:
        """The lease that stands, or None."""
        return self._leases.get(scope)


_position_of = attrgetter("position")


def _event_of(fact: StoredFact) -> _Event:
    return _Event(fact.stream, fact.version, fact.topic, fact.state, fact)


def _bind(keys: dict[str, KeyBinding], binding: KeyBinding) -> None:
    bound = keys.get(binding.scope)
    if bound is not None and bound.run_id != binding.replaces:
        raise VersionConflictError(binding.scope, 0)
    # As read back from a table: what it replaced is history.
    keys[binding.scope] = KeyBinding(binding.scope, binding.run_id, binding.input_digest)


def _again(error: StoreError, append: Append) -> StoreError:
    if isinstance(error, VersionConflictError):
        return VersionConflictError(append.stream, append.after)
    return type(error)(*error.args)
