"""The writer thread of a SQLite store: group commit, patience with lazy appends and bad disks.

What is queued while one transaction commits goes into the next one. An idle writer sleeps without
a timeout. It wakes by the clock only while lazy appends linger or a disk in trouble is to be tried.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue

from agnt5.events.log import Append, Chain, Sink
from agnt5.events.stores.sqlite_commit import Committer
from agnt5.events.stores.sqlite_errors import again, passes, translate
from agnt5.exceptions import StaleEpochError, StoreError

logger = logging.getLogger("agnt5.store")

MAX_EVENTS = 2000
LINGER_S = 0.004
FIRST_DELAY_S = 0.05
MAX_DELAY_S = 2.0


class _Job:
    """Something else to do on the writer's thread, for which its caller waits."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._done = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - raised again where the caller waits
            self._error = error
        self._done.set()

    def wait(self) -> None:
        self._done.wait()
        if self._error is not None:
            raise self._error


class Writer:
    """Takes appends, writes them in groups, hands them to the sink when they are settled."""

    def __init__(self, path: str, committer: Committer) -> None:
        self._path = path
        self._committer = committer
        self._queue: SimpleQueue[Sequence[Append] | _Job | None] = SimpleQueue()
        self._held: deque[Append] = deque()  # taken from the queue, not yet written
        self._lock = threading.Lock()  # nothing may be queued behind the stop mark
        self._closed = False
        self._sink: Sink | None = None
        self._thread: threading.Thread | None = None
        # From here on: the thread's own.
        self._stopping = False
        self._in_haste = False
        self._linger_until: float | None = None
        self._refusal: StoreError | None = None
        self._trouble: StoreError | None = None
        self._delay = 0.0
        self._retry_at = 0.0

    def start(self, sink: Sink) -> None:
        """Begin to write, with what was handed over before."""
        with self._lock:
            if self._closed or self._thread is not None:
                raise StoreError(f"The log of {self._path} was started before, or is closed.")
            self._sink = sink
            name = f"agnt5-store-{os.path.basename(self._path)}"
            # A daemon: a program that forgets close() must end all the same.
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def append(self, requests: Sequence[Append]) -> None:
        """Queue appends."""
        with self._lock:
            if self._closed:
                raise StoreError(f"The log of {self._path} is closed.")
            self._queue.put(requests)

    def call(self, work: Callable[[], None]) -> None:
        """Do something else on the write connection, and wait for it."""
        with self._lock:
            if self._closed:
                raise StoreError(f"The log of {self._path} is closed.")
            if self._thread is None:
                work()
                return
            job = _Job(work)
            if self._thread is not threading.current_thread():
                self._queue.put(job)
        if self._thread is threading.current_thread():
            job.run()
        job.wait()

    def close(self) -> None:
        """Write what was handed over, or fail it, and end the thread."""
        with self._lock:
            self._closed = True
            if self._thread is None:
                return
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping or self._held:
            self._gather()
            self._flush()

    def _gather(self) -> None:
        """Take all that is queued; wait as long as nothing has to be written."""
        self._drain()
        while (patience := self._patience()) != 0:
            try:
                self._take(self._queue.get(timeout=patience))
            except Empty:
                return
            self._drain()

    def _drain(self) -> None:
        for _ in range(self._queue.qsize()):
            self._take(self._queue.get())

    def _take(self, item: Sequence[Append] | _Job | None) -> None:
        if item is None:
            self._stopping = True
        elif isinstance(item, _Job):
            item.run()
        else:
            self._held.extend(item)
            # In trouble, only those from the edge are in a hurry: the others wait for the disk.
            hasty = "edge" if self._trouble else "urgent"
            self._in_haste = self._in_haste or any(getattr(each, hasty) for each in item)
            if self._linger_until is None:
                self._linger_until = time.monotonic() + LINGER_S

    def _patience(self) -> float | None:
        """Seconds until something must be written; None if nothing is there to write."""
        if self._stopping or self._in_haste:
            return 0
        if not self._held:
            return None
        if self._delay:
            return max(0, self._retry_at - time.monotonic())
        if self._linger_until is None or len(self._held) >= MAX_EVENTS:
            return 0
        return max(0, self._linger_until - time.monotonic())

    def _flush(self) -> None:
        """Write all that is held, unless the disk refuses."""
        self._in_haste = False
        self._linger_until = None
        commits = self._committer.commits
        if self._trouble is not None and not self._write(self._take_edges()):
            return
        while self._held:
            if not self._write(self._next_batch()) and not self._stopping:
                self._delay = min(self._delay * 2, MAX_DELAY_S) or FIRST_DELAY_S
                self._retry_at = time.monotonic() + self._delay
                return
        self._delay = 0
        if self._trouble is not None and self._committer.commits > commits:
            logger.info("%s can be written again.", self._path)
            self._trouble = None

    def _take_edges(self) -> list[Append]:
        """Take out those from the edge. They fail at once, after one honest try."""
        edges: list[Append] = []
        others: deque[Append] = deque()
        waiting: set[Chain] = set()
        for append in self._held:
            if append.edge and append.chain not in waiting:
                edges.append(append)
            else:
                waiting.add(append.chain)
                others.append(append)
        self._held = others
        return edges

    def _next_batch(self) -> list[Append]:
        batch = [self._held.popleft()]
        events = len(batch[0].facts)
        while self._held and events + len(self._held[0].facts) <= MAX_EVENTS:
            batch.append(self._held.popleft())
            events += len(batch[-1].facts)
        return batch

    def _write(self, batch: Sequence[Append]) -> bool:
        """Write a group and settle it. False: the disk is in trouble, and some are held again."""
        live = [append for append in batch if self._may_be_written(append)]
        error: StoreError
        try:
            losers = self._committer.commit(live) if live else {}
        except StaleEpochError as stale:
            self._refusal = error = stale
        except sqlite3.Error as said:
            error = translate(said, self._path)
            landed = self._committer.landed(live)
            if landed is not None:
                self._settle_written(batch, landed)
                return True
            if passes(said):
                self._hold(batch, live, error)
                return False
        except Exception as bug:  # the thread must live on, or every waiter would hang
            logger.exception("A group of %d appends could not be written.", len(batch))
            error = StoreError(f"{self._path} could not be written: {bug!r}")
        else:
            self._settle_written(batch, losers)
            return True
        for append in live:
            _fail(append, again(error, append.stream, append.after))
        self._settle(batch)
        return True

    def _may_be_written(self, append: Append) -> bool:
        error = append.chain.broken or self._refusal
        if error is None:
            return True
        _fail(append, again(error, append.stream, append.after))
        return False

    def _hold(self, batch: Sequence[Append], live: Sequence[Append], error: StoreError) -> None:
        """The disk refused: fail what may not wait, keep the rest in order for the next try."""
        if self._trouble is None:
            logger.warning("Appends wait until %s can be written: %s", self._path, error)
        self._trouble = error
        kept: list[Append] = []
        for append in live:
            if append.edge or append.chain.broken is not None or self._stopping:
                _fail(append, again(error, append.stream, append.after))
            else:
                kept.append(append)
        self._held.extendleft(reversed(kept))
        waiting = set(kept)
        self._settle([append for append in batch if append not in waiting])

    def _settle_written(self, batch: Sequence[Append], losers: Mapping[Append, StoreError]) -> None:
        for append, loss in losers.items():
            _fail(append, loss)
        self._settle(batch)

    def _settle(self, batch: Sequence[Append]) -> None:
        if not batch or self._sink is None:
            return
        try:
            self._sink(batch)
        except Exception:
            logger.exception("The sink of settled appends failed.")


def _fail(append: Append, error: StoreError) -> None:
    append.error = error
    if append.chain.broken is None:
        append.chain.broken = error
