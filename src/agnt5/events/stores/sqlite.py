"""A log in one SQLite file, for one process at a time. Durable on return of the sink.

Nothing is acknowledged before it is on disk (``durability="full"``); with ``"process"`` a power cut
may lose the last commits, while the death of the process loses nothing.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

from agnt5.events.care import StoreFigures, Vacuumed
from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.leases import STORE_SCOPE, Lease, Ownership, Tenure
from agnt5.events.log import Append, Collected, LogView, Removal, Sink, StoredFact
from agnt5.events.query import Cell, EventQuery, SqlAnswer
from agnt5.events.stores.sqlite_ask import ask_sqlite
from agnt5.events.stores.sqlite_blobs import BLOB_THRESHOLD
from agnt5.events.stores.sqlite_care import figures_of, vacuum
from agnt5.events.stores.sqlite_chain import begin_chain
from agnt5.events.stores.sqlite_commit import Committer
from agnt5.events.stores.sqlite_errors import translate
from agnt5.events.stores.sqlite_evidence import Evidence, sign_last
from agnt5.events.stores.sqlite_lock import StoreLock
from agnt5.events.stores.sqlite_look import look
from agnt5.events.stores.sqlite_mode import look_mode
from agnt5.events.stores.sqlite_owner import ownership_of
from agnt5.events.stores.sqlite_reader import Reader
from agnt5.events.stores.sqlite_recorder import Datastore, Recorder
from agnt5.events.stores.sqlite_schema import make_file, make_folder, migrate
from agnt5.events.stores.sqlite_vault import SqliteVault, scrub
from agnt5.events.stores.sqlite_writer import Writer
from agnt5.exceptions import ConfigurationError, StoreError, StoreReadOnlyError
from agnt5.signing import HashChain

T = TypeVar("T")

_DURABILITIES = ("full", "process")
# Connections of a parent, seen from its forked child: closing them here would disturb the parent.
_not_ours: list[object] = []


class SqliteLog(Evidence):
    """The EventLog and Leases ports on one file. Opening it takes the store for this process."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: str = "full",
        owner: str | None = None,
        readonly: bool = False,
        create: bool = True,
        blob_threshold: int = BLOB_THRESHOLD,
        chain: HashChain | None = None,
    ) -> None:
        """Open the file, and create it unless it is there.

        Args:
            path: The database file. Beside it lie ``-wal``, ``-shm`` and ``.lock``.
            durability: ``full`` or ``process``, see the module.
            owner: Who we are, for the lease table and for error texts.
            readonly: Only look: no lock, no lease, nothing created. A writer may be at work.
            create: False: it must be there.
            blob_threshold: Facts of more bytes keep their long payloads apart, once each.
            chain: Begin a hash chain, or go on with it as said here. One that was begun goes on in
                any case.
        """
        if durability not in _DURABILITIES:
            raise ConfigurationError(
                f"durability={durability!r} is unknown. Use 'full' (survives a power cut) or "
                f"'process' (faster; survives a crash of the process, not a power cut)."
            )
        self.path = os.fspath(path)
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}"
        self._pid = os.getpid()
        self._closed = False
        self._lock: StoreLock | None = None
        self._writer: Writer | None = None
        looked = look_mode(self.path, readonly=readonly) if readonly or not create else ""
        mode = self._mode = looked if readonly else "rw"
        self._reader = Reader(self.path, mode=mode)
        self._recorder = Recorder(Datastore(self.path, mode=mode))
        self._committer = Committer(self.path, durability, self._recorder, threshold=blob_threshold)
        if not readonly:
            self._open(chain)

    def _open(self, chain: HashChain | None) -> None:
        make_folder(self.path)
        self._lock = StoreLock(self.path)
        try:
            make_file(self.path)
            migrate(self._committer.connection, self.path)
            self._committer.claim(STORE_SCOPE, self.owner, adopt=True)
            scrub(self._committer)
            self._committer.chain = begin_chain(self._committer.connection, chain)
        except sqlite3.Error as error:
            self._abort()
            raise translate(error, self.path) from error
        except BaseException:
            self._abort()
            raise
        self._writer = Writer(self.path, self._committer)

    def _abort(self) -> None:
        self._committer.close()
        if self._lock is not None:
            self._lock.release()

    @property
    def is_readonly(self) -> bool:
        """Whether it was opened only to look."""
        return self._writer is None

    @property
    def commits(self) -> int:
        """Transactions of appends since the log was opened."""
        return self._committer.commits

    @property
    def events_written(self) -> int:
        """Facts made durable since the log was opened."""
        return self._committer.events_written

    @property
    def recorder(self) -> Recorder:
        """The library's view of the log, to read notifications from. Do not insert with it."""
        self._check_process()
        return self._recorder

    @property
    def tenure(self) -> Tenure:
        """The lease under which this log writes, and what became of it."""
        return self._committer.tenure

    @property
    def vault(self) -> SqliteVault:
        """The data keys of an encrypted store."""
        return SqliteVault(self._reading(), self._committer, self._call)

    # Writing

    def start(self, sink: Sink) -> None:
        """Begin to write. Settled appends go to the sink, from the writer's thread.

        A log that was opened only to look has none, and refuses them when they come.
        """
        self._check_process()
        if self._writer is not None:
            self._writer.start(sink)

    def append(self, requests: Sequence[Append]) -> None:
        """Hand over appends, in order."""
        self._writing().append(requests)

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Drop every index row and write these, in one transaction."""
        self._call(lambda: self._committer.rebuild(rows))

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, with their rows and keys, in one transaction."""
        return self._call(lambda: self._committer.forget(removals))

    def collect(self) -> Collected:
        """Drop the blobs that no fact uses any more, in short transactions beside the appends."""
        found = Collected()
        while (some := self._call(self._committer.collect)).blobs:
            found = Collected(found.blobs + some.blobs, found.size + some.size)
        return found

    def figures(self) -> StoreFigures:
        """How much room it takes, and who has it."""
        return figures_of(self.path, self._reading())

    def ownership(self) -> Ownership:
        """Who has the store open, or had it last."""
        return ownership_of(self.path, self._reading())

    def vacuum(self) -> Vacuumed:
        """Give room that nobody uses back to the disk."""
        return self._call(lambda: vacuum(self._committer.connection, self.path))

    def claim(self, scope: str, owner: str) -> Lease:
        """Become the owner of a scope, with a new epoch.

        The file lock has already kept out every other living process, so a claim always succeeds.
        If another than this log's own owner claims the store itself, this log has lost it.
        """
        adopt = scope == STORE_SCOPE and owner == self.owner
        return self._call(lambda: self._committer.claim(scope, owner, adopt=adopt))

    def release(self, lease: Lease) -> None:
        """Give a lease up. Does nothing if it is no longer ours."""
        self._call(lambda: self._committer.release(lease))

    def close(self) -> None:
        """Write what was handed over, give up ownership, close. In a forked child: does nothing."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        if self._writer is not None:
            self._writer.close()
            sign_last(self._committer)
            with suppress(sqlite3.Error):  # the lock decides; the lease is for those who look
                self._committer.release()
        self._recorder.datastore.close()
        self._reader.close()
        self._committer.close()
        if self._lock is not None:
            self._lock.release()

    # Reading

    def read(
        self, stream: str, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order."""
        return self._reading().read(stream, after, upto, limit)

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams as of one moment; an unknown one is empty."""
        return self._reading().read_many(streams)

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        return self._reading().last(stream)

    def position(self) -> int:
        """The highest position that any fact was given; 0 if there never was one."""
        return self._reading().position()

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for."""
        return self._reading().query(query, limit)

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``."""
        return self._reading().count(query, by)

    def run_row(self, run_id: str) -> RunRow | None:
        """The run's row, or None."""
        return self._reading().run_row(run_id)

    def last_of_chain(self, chain: str) -> RunRow | None:
        """The last run of a chain, or None."""
        return self._reading().last_of_chain(chain)

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None."""
        return self._reading().key_binding(scope)

    def runnable(self) -> list[RunRow]:
        """Runs that must be in memory, in id order."""
        return self._reading().runnable()

    def suspended(self) -> list[str]:
        """Ids of suspended runs, in id order."""
        return self._reading().suspended()

    def owing(self) -> list[str]:
        """Ids of runs that have ended and may owe other runs a report, in id order."""
        return self._reading().owing()

    def due(self, now: int) -> list[str]:
        """Ids of parked, unfinished runs whose ``wake_at`` has come, the earliest first."""
        return self._reading().due(now)

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest ``wake_at`` later than ``after`` of any parked, unfinished run."""
        return self._reading().next_wake(after)

    def list_runs(
        self,
        *,
        status: str | None = None,
        component: str | None = None,
        parent_run_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRow]:
        """Rows, the newest (greatest id) first."""
        return self._reading().list_runs(status, component, parent_run_id, limit, before)

    def ended(
        self,
        before: int,
        *,
        component: str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunRow]:
        """Rows of runs with a ``finished_at`` before a time, in id order."""
        return self._reading().ended(before, component, status, after, limit)

    def run_ids(self) -> list[str]:
        """Every stream of the log, in id order."""
        return self._reading().run_ids()

    def other_streams(self) -> list[str]:
        """Every stream that is no run's, in order."""
        return self._reading().other_streams()

    def view(self) -> AbstractContextManager[LogView]:
        """Look at everything as of one moment."""
        self._reading()
        return look(self.path, self._mode)

    def current(self, scope: str) -> Lease | None:
        """The lease that stands, or None."""
        return self._reading().lease(scope)

    def ask(
        self, sql: str, parameters: Sequence[Cell] = (), *, limit: int, timeout: float
    ) -> SqlAnswer:
        """Answer a question in SQL, on a connection that can only read. Seconds, rows."""
        self._reading()
        mode = self._mode if self._mode.startswith("ro") else "ro"
        return ask_sqlite(self.path, mode, sql, parameters, limit=limit, timeout=timeout)

    # Guards

    def _reading(self) -> Reader:
        self._check_process()
        if self._closed:
            raise StoreError(f"The log of {self.path} is closed.")
        return self._reader

    def _writing(self) -> Writer:
        self._check_process()
        if self._writer is None:
            raise StoreReadOnlyError(f"{self.path} was opened with readonly=True, only to look.")
        return self._writer

    def _call(self, work: Callable[[], T]) -> T:
        """Do something on the write connection, between two groups of appends."""
        answer: list[T] = []
        try:
            self._writing().call(lambda: answer.append(work()))
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        return answer[0]

    def _check_process(self) -> None:
        if self._pid == os.getpid():
            return
        if self._committer not in _not_ours:
            _not_ours.extend((*self._reader.abandon(), self._recorder, self._committer))
        raise StoreError(
            f"The log of {self.path} was opened by process {self._pid} and cannot be used in its "
            f"forked child. Open stores after the fork, or use multiprocessing's 'spawn'."
        )
