"""Beside a durable log: the runs that want no durability, in a log in memory.

Which log a stream belongs to is said by its first append, and holds for its whole life. A store in
which nobody asks for such a run never has the second log.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter

from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.log import Append, EventLog, Removal, Sink, StoredFact
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.passing import PassingLog

_IS_VOLATILE = attrgetter("volatile")


class VolatileLog(PassingLog[EventLog]):
    """The EventLog port over two logs, of which the second one forgets with the process.

    What is not said here is asked of the durable one alone: positions of two logs have no common
    order, and streams that are no run's are always durable.
    """

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._memory: MemoryLog | None = None
        self._sink: Sink | None = None

    # Writing

    def start(self, sink: Sink) -> None:
        """Begin to write to the durable log."""
        self._sink = sink
        self._log.start(sink)

    def append(self, requests: Sequence[Append]) -> None:
        """Hand each append to the log that its stream belongs to; in each, their order is kept."""
        memory = self._memory
        if memory is None:
            if not any(map(_IS_VOLATILE, requests)):
                self._log.append(requests)
                return
            memory = self._begin()
        kept: list[Append] = []
        # One by one: what follows the first append of a stream may come along with it.
        for each in requests:
            # An id that is taken on the disk is taken: the append fails there, as it would.
            is_new = each.volatile and self._log.last(each.stream) is None
            if is_new or memory.has_stream(each.stream):
                memory.append([each])
            else:
                self._follow_keys(memory, each)
                kept.append(each)
        if kept:
            self._log.append(kept)

    def _begin(self) -> MemoryLog:
        memory = self._memory = MemoryLog(owner="volatile")
        if self._sink is not None:
            memory.start(self._sink)
        return memory

    def _follow_keys(self, memory: MemoryLog, append: Append) -> None:
        """A key that named a run in memory and now names a durable one: the disk never knew it."""
        if not any(isinstance(change, KeyBinding) for change in append.changes):
            return
        changes: list[IndexChange] = []
        for change in append.changes:
            taken = change
            if isinstance(change, KeyBinding) and memory.forget_key(change.scope):
                known = self._log.key_binding(change.scope)
                taken = replace(change, replaces=known.run_id if known else None)
            changes.append(taken)
        append.changes = changes

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Drop every index row and write these, each to the log that its run belongs to."""
        memory = self._memory
        if memory is None:
            self._log.rebuild(rows)
            return
        apart = [row for row in rows if memory.has_stream(row.run_id)]
        self._log.rebuild([row for row in rows if not memory.has_stream(row.run_id)])
        memory.rebuild(apart)

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, each from the log that it belongs to: two transactions at most."""
        memory = self._memory
        if memory is None:
            return self._log.forget(removals)
        apart = [each for each in removals if memory.has_stream(each.stream)]
        kept = [each for each in removals if each not in apart]
        gone = {*(self._log.forget(kept) if kept else ()), *memory.forget(apart)}
        return [each.stream for each in removals if each.stream in gone]

    def close(self) -> None:
        """Close the durable log, and forget the other one."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()
        self._log.close()

    # Reading

    def _of(self, stream: str) -> EventLog:
        memory = self._memory
        return self._log if memory is None or not memory.has_stream(stream) else memory

    def read(
        self, stream: str, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        return self._of(stream).read(stream, after=after, upto=upto, limit=limit)

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams, in one go."""
        memory = self._memory
        if memory is None:
            return self._log.read_many(streams)
        apart = [stream for stream in streams if memory.has_stream(stream)]
        kept = [stream for stream in streams if stream not in apart] if apart else streams
        found = {**(self._log.read_many(kept) if kept else {}), **memory.read_many(apart)}
        return {stream: found[stream] for stream in streams}

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        return self._of(stream).last(stream)

    def run_row(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""
        return self._of(run_id).run_row(run_id)

    def last_of_chain(self, chain: str) -> RunRow | None:
        """The last run of a chain, or None. A chain is on the disk as a whole, or in memory."""
        return self._of(chain).last_of_chain(chain)

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None; in memory it was named later."""
        memory = self._memory
        bound = None if memory is None else memory.key_binding(scope)
        return self._log.key_binding(scope) if bound is None else bound

    def runnable(self) -> list[RunRow]:
        """Runs that belong in memory, in id order."""
        rows = self._log.runnable()
        if self._memory is not None:
            rows = sorted([*rows, *self._memory.runnable()], key=_id_of)
        return rows

    def suspended(self) -> list[str]:
        """Ids of suspended runs, in id order."""
        memory = self._memory
        found = self._log.suspended()
        return found if memory is None else sorted([*found, *memory.suspended()])

    def owing(self) -> list[str]:
        """Ids of runs that have ended and may owe other runs a report, in id order."""
        memory = self._memory
        found = self._log.owing()
        return found if memory is None else sorted([*found, *memory.owing()])

    def due(self, now: int) -> list[str]:
        """Ids of parked, unfinished runs whose ``wake_at`` has come; those of a log in order."""
        memory = self._memory
        found = self._log.due(now)
        return found if memory is None else [*found, *memory.due(now)]

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest ``wake_at`` later than ``after`` of any parked, unfinished run."""
        memory = self._memory
        wakes = [self._log.next_wake(after)]
        if memory is not None:
            wakes.append(memory.next_wake(after))
        return min((wake for wake in wakes if wake is not None), default=None)

    def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRow]:
        """Rows of both, the newest (greatest id) first."""
        logs: list[EventLog] = [self._log]
        if self._memory is not None:
            logs.append(self._memory)
        found = [
            log.list_runs(
                status=status,
                component=component,
                parent_run_id=parent_run_id,
                limit=limit,
                before=before,
            )
            for log in logs
        ]
        return list(heapq.merge(*found, key=_id_of, reverse=True))[:limit]

    def ended(
        self,
        before: int,
        *,
        component: str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunRow]:
        """Rows of both, in id order."""
        logs: list[EventLog] = [self._log]
        if self._memory is not None:
            logs.append(self._memory)
        found = [
            log.ended(before, component=component, status=status, after=after, limit=limit)
            for log in logs
        ]
        return list(heapq.merge(*found, key=_id_of))[:limit]

    def run_ids(self) -> list[str]:
        """Every run that one of them has a stream of, in id order."""
        memory = self._memory
        more = () if memory is None else memory.run_ids()
        return sorted(chain(self._log.run_ids(), more))


def _id_of(row: RunRow) -> str:
    return row.run_id
