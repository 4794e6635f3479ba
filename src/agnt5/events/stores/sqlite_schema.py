"""The tables of a store, the migrations that lead to them, and how connections are opened.

The log has no index but its key, and one of seldom topics: others would cost every append.
"""

from __future__ import annotations

import os
import sqlite3
from urllib.parse import quote

from agnt5.events.index import UNFINISHED
from agnt5.events.stores.sqlite_blobs import TABLES
from agnt5.events.stores.sqlite_errors import code_of, translate, translate_os
from agnt5.events.stores.sqlite_views import INDEX, NAMES, VIEWS
from agnt5.exceptions import StoreCorruptError, StoreError, StoreSchemaError

BUSY_MS = 500
"""How long a write waits for another program's lock. Short: what must be tried again, is."""

_RUNNABLE = tuple(status for status in UNFINISHED if status != "suspended")


def _words(statuses: tuple[str, ...]) -> str:
    return "(" + ",".join(f"'{status}'" for status in statuses) + ")"


# A query can use a partial index only if it repeats the index's condition to the letter.
IS_RUNNABLE = f"parked=0 AND status IN {_words(_RUNNABLE)}"
IS_SUSPENDED = "status='suspended'"
IS_OWING = "owes=1"
IS_LAST = "chain IS NOT NULL AND continued_to IS NULL"
IS_UNSCRUBBED = "shredded_at IS NOT NULL AND is_scrubbed=0"
IS_WAITING = f"parked=1 AND wake_at IS NOT NULL AND status IN {_words(UNFINISHED)}"

EVENT_COLUMNS = (
    "originator_id",
    "originator_version",
    "topic",
    "state",
    "event_id",
    "recorded_at",
    "step",
)
RUN_COLUMNS = (
    "run_id",
    "component",
    "kind",
    "status",
    "parked",
    "wake_at",
    "created_at",
    "started_at",
    "finished_at",
    "version_label",
    "session_id",
    "user_id",
    "parent_run_id",
    "key_scope",
    "owes",
    "queue",
    "priority",
    "continued_to",
    "chain",
    "caller_trace_id",
)

EVENTS_TABLE = (
    # The library's notification log reads a column that is literally named rowid.
    "CREATE TABLE {table} (rowid INTEGER PRIMARY KEY AUTOINCREMENT, originator_id TEXT NOT NULL, "
    "originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL, "
    "event_id TEXT NOT NULL, metadata BLOB, recorded_at INTEGER NOT NULL, step TEXT, "
    "UNIQUE (originator_id, originator_version))"
)

_RUNS = (
    "CREATE TABLE runs (run_id TEXT NOT NULL PRIMARY KEY, component TEXT NOT NULL, "
    "kind TEXT NOT NULL, status TEXT NOT NULL, parked INTEGER NOT NULL, wake_at INTEGER, "
    "created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, version_label TEXT, "
    "session_id TEXT, user_id TEXT, parent_run_id TEXT, key_scope TEXT) WITHOUT ROWID"
)
_KEYS = (
    "CREATE TABLE idempotency_keys (scope TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, "
    "input_digest TEXT NOT NULL) WITHOUT ROWID"
)
_LEASES = (
    "CREATE TABLE leases (scope TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, "
    "epoch INTEGER NOT NULL) WITHOUT ROWID"
)

_V1 = (
    EVENTS_TABLE.format(table="stored_events"),
    _RUNS,
    # They hold what is unfinished only, so start-up and timers cost that and not all of history.
    f"CREATE INDEX runs_runnable ON runs(run_id) WHERE {IS_RUNNABLE}",
    f"CREATE INDEX runs_suspended ON runs(run_id) WHERE {IS_SUSPENDED}",
    f"CREATE INDEX runs_waiting ON runs(wake_at, run_id) WHERE {IS_WAITING}",
    _KEYS,
    _LEASES,
)

_V2 = (
    "ALTER TABLE runs ADD COLUMN owes INTEGER NOT NULL DEFAULT 0",
    f"CREATE INDEX runs_owing ON runs(run_id) WHERE {IS_OWING}",
    "CREATE INDEX runs_children ON runs(parent_run_id, run_id) WHERE parent_run_id IS NOT NULL",
    "ALTER TABLE runs ADD COLUMN queue TEXT",
    "ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
)

_V3 = (INDEX, *VIEWS)

_V4 = (
    # The views tell of the columns that are new.
    *(f"DROP VIEW IF EXISTS {name}" for name in NAMES),
    "ALTER TABLE runs ADD COLUMN continued_to TEXT",
    "ALTER TABLE runs ADD COLUMN chain TEXT",
    f"CREATE INDEX runs_chains ON runs(chain) WHERE {IS_LAST}",
    *TABLES,
    *VIEWS,
)

_DATA_KEYS = (
    # What is wrapped never moves to another page as long as rows are only added at the end, so that
    # no copy of it is left behind when it is overwritten.
    "CREATE TABLE data_keys (n INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
    "subject TEXT, master TEXT NOT NULL, wrapped BLOB NOT NULL, created_at INTEGER NOT NULL, "
    "shredded_at INTEGER, is_scrubbed INTEGER NOT NULL DEFAULT 0)"
)
_CHAIN_BEGUN = (
    "CREATE TABLE chain_begun (n INTEGER PRIMARY KEY CHECK (n=1), at INTEGER NOT NULL, "
    "position INTEGER NOT NULL)"
)
_CHAIN_HEADS = (
    "CREATE TABLE chain_heads (seq INTEGER PRIMARY KEY, position INTEGER NOT NULL, "
    "body BLOB NOT NULL, signer TEXT NOT NULL, signature BLOB NOT NULL)"
)

_V5 = (
    _DATA_KEYS,
    "CREATE INDEX data_keys_subject ON data_keys(subject, n)",
    "CREATE INDEX data_keys_master ON data_keys(master, n) WHERE shredded_at IS NULL",
    f"CREATE INDEX data_keys_unscrubbed ON data_keys(n) WHERE {IS_UNSCRUBBED}",
    # The hash chain, see sqlite_chain. A fact without a hash is of before it began.
    "ALTER TABLE stored_events ADD COLUMN hash BLOB",
    _CHAIN_BEGUN,
    _CHAIN_HEADS,
)

_V6 = (
    # They tell of runs that are paused or forked, whose events are seldom ones.
    *(f"DROP VIEW IF EXISTS {name}" for name in NAMES),
    "DROP INDEX stored_events_seldom",
    INDEX,
    *VIEWS,
)

# None: a trace of its own, derived from its id. So what is there already needs no value.
_V7 = ("ALTER TABLE runs ADD COLUMN caller_trace_id TEXT",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1, _V2, _V3, _V4, _V5, _V6, _V7)
"""Statements that lead from version n to n + 1. Only ever added to."""

SCHEMA_VERSION = len(MIGRATIONS)


def connect(
    path: str, *, durability: str = "full", mode: str = "rw", cache_kib: int = 65536
) -> sqlite3.Connection:
    """A connection in autocommit mode. Raises sqlite3.Error, StoreCorruptError."""
    connection = sqlite3.connect(
        f"file:{quote(os.path.abspath(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )
    try:
        synchronous = "FULL" if durability == "full" else "NORMAL"
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA cache_size=-{cache_kib}")
    except UnicodeDecodeError as error:
        # SQLite quotes the schema that it cannot read, and the message is no text either.
        connection.close()
        raise StoreCorruptError(f"{path} is damaged: its schema cannot be read.") from error
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def make_folder(path: str) -> None:
    """Create the folder of a store. Raises StoreError if the path cannot be one."""
    if os.path.isdir(path):
        raise StoreError(f"{path} is a folder. A store is one file: add a file name.")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    except OSError as error:
        raise translate_os(error, path) from error


def make_file(path: str) -> None:
    """Create an empty file that only its owner may read, unless there is one."""
    try:
        # EXCL: opening and closing an existing database would drop this process's locks on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # a power cut must not lose the name of a file that we fill
        finally:
            os.close(folder)
    except FileExistsError:
        return
    except OSError as error:
        raise translate_os(error, path) from error


def check_version(connection: sqlite3.Connection, path: str) -> int:
    """The schema version of the file, 0 for an empty one. Raises if it is not ours to use."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if "schema_version" not in tables:
        if tables & {"stored_events", "runs", "leases"}:
            raise StoreCorruptError(f"{path} is a database, but not one of agnt5. Nothing changed.")
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    version = int(row[0] or 0)
    if version == 0:
        # The table and its first row are made in one transaction.
        raise StoreCorruptError(f"{path} does not say its schema version. Nothing changed.")
    if version > SCHEMA_VERSION:
        raise StoreSchemaError(
            f"{path} was written by a newer agnt5: it has schema version {version}, this agnt5 "
            f"knows {SCHEMA_VERSION}. Nothing changed. Upgrade agnt5, or give another path."
        )
    return version


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to the present schema, one transaction per version. Raises StoreError."""
    try:
        version = check_version(connection, path)
        # After the check: a file that we refuse must not be changed.
        connection.execute("PRAGMA journal_mode=WAL")
        for step in range(version, SCHEMA_VERSION):
            _apply(connection, step)
    except sqlite3.Error as error:
        if code_of(error) == sqlite3.SQLITE_ERROR:
            raise StoreCorruptError(
                f"{path} is a database, but not one of agnt5. SQLite said: {error}"
            ) from error
        raise translate(error, path) from error


def _apply(connection: sqlite3.Connection, step: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        for statement in MIGRATIONS[step]:
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version VALUES (?)", (step + 1,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
