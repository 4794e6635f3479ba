"""What only a file can do: be locked, full, damaged, read-only, killed under, forked."""

from __future__ import annotations

import logging
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.events.stores.sqlite_trouble import BrokenCommit, empty, fill, writer_connection

from agnt5.events.index import RunRow
from agnt5.events.log import Chain
from agnt5.events.stores import open_store
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_schema import SCHEMA_VERSION
from agnt5.exceptions import (
    ConfigurationError,
    StaleEpochError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreInUseError,
    StoreReadOnlyError,
    StoreSchemaError,
    VersionConflictError,
)
from agnt5.testing.stores import Driver, make_append, make_facts, make_row

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "er" / "log.db"


@pytest.fixture
def d(path):
    log = SqliteLog(path)
    yield Driver(log)
    log.close()


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        cwd=ROOT,
    )


def epoch(log):
    lease = log.current("store")
    assert lease is not None
    return lease.epoch


# Addresses


def test_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_store("memory://"), MemoryLog)
    with_three = open_store("sqlite:///sub/a.db", durability="process")
    with_four = open_store(f"sqlite:///{tmp_path}/b.db")
    assert (tmp_path / "sub" / "a.db").exists()
    assert (tmp_path / "b.db").exists()
    with_three.close()
    with_four.close()


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "sqlite://a.db", "a.db", "mysql://x"]
)
def test_a_wrong_address_is_answered_with_the_right_forms(url):
    with pytest.raises(ConfigurationError, match=r"memory://.*sqlite:///relative.*sqlite:////abs"):
        open_store(url)


def test_postgres_comes_later():
    with pytest.raises(ConfigurationError, match="later"):
        open_store("postgresql://localhost/x")


def test_an_unknown_durability(path):
    with pytest.raises(ConfigurationError, match="'full'"):
        SqliteLog(path, durability="maybe")
    assert not path.exists()


def test_settings_of_the_connection(path):
    for durability, synchronous in (("full", 2), ("process", 1)):
        log = SqliteLog(path, durability=durability)
        connection = writer_connection(log)
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        log.close()
    assert path.stat().st_mode & 0o777 == 0o600


# Files that are not a store


def test_a_newer_schema_is_refused_and_left_alone(path):
    SqliteLog(path).close()
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO schema_version VALUES (99)")
    other.close()
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(StoreSchemaError, match=rf"99.*{SCHEMA_VERSION}"):
            SqliteLog(path, readonly=readonly)
    assert path.read_bytes() == before


def test_not_a_database(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"Dear diary, " * 1000)
    for readonly in (False, True):
        with pytest.raises(StoreCorruptError, match="not a SQLite database"):
            SqliteLog(path, readonly=readonly)
    assert path.read_bytes() == b"Dear diary, " * 1000


def test_a_database_of_somebody_else(path):
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE runs (a)")
    other.close()
    with pytest.raises(StoreCorruptError, match="not one of agnt5"):
        SqliteLog(path)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_version_that_is_gone(path, readonly):
    """No empty file: whoever took it for one would begin a log anew in it."""
    SqliteLog(path).close()
    with sqlite3.connect(path) as damaged:
        damaged.execute("DELETE FROM schema_version")
    damaged.close()
    with pytest.raises(StoreCorruptError, match="does not say its schema version"):
        SqliteLog(path, readonly=readonly)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_schema_that_is_no_text(path, readonly):
    SqliteLog(path).close()
    content = path.read_bytes()
    at = content.index(b"CREATE VIEW")
    path.write_bytes(content[: at + 8] + b"\xab" + content[at + 9 :])
    with pytest.raises(StoreCorruptError):
        SqliteLog(path, readonly=readonly)


def test_a_folder(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        SqliteLog(tmp_path)


def test_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteLog(tmp_path / "file" / "log.db")


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    # As root nothing is forbidden, so the refusal is made up.
    def refuse(*_args, **_kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreReadOnlyError, match="may not be written"):
        SqliteLog(tmp_path / "log.db")


# One owner


def test_a_second_log_in_the_same_process_is_refused(d, path):
    link = path.parent / "link.db"
    link.symlink_to(path)
    for same in (path, link):
        with pytest.raises(StoreInUseError, match=f"this process .pid {os.getpid()}"):
            SqliteLog(same)
    assert d.put(make_append("a")) == [None]


def test_after_close_it_can_be_opened_again(path):
    for expected in (1, 2, 3):
        log = SqliteLog(path)
        assert epoch(log) == expected
        log.close()


def test_another_process_holds_it_and_its_death_frees_it(path):
    holder = python(
        "import sys; from agnt5.events.stores.sqlite import SqliteLog\n"
        "log = SqliteLog(sys.argv[1]); print('open', flush=True); sys.stdin.read()",
        path,
    )
    assert holder.stdout.readline() == b"open\n"
    with pytest.raises(StoreInUseError, match=f"pid {holder.pid}"):
        SqliteLog(path)
    holder.kill()
    holder.communicate()
    log = SqliteLog(path)
    assert epoch(log) == 2
    log.close()


def test_an_open_that_fails_keeps_no_lock(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorruptError):
        SqliteLog(path)
    path.unlink()
    SqliteLog(path).close()


def test_an_epoch_raised_from_outside_stops_the_log(d, path):
    d.put(make_append("a"))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE leases SET epoch=epoch+1, owner='thief'")
    other.close()
    assert isinstance(d.put(make_append("a", 1))[0], StaleEpochError)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE leases SET epoch=epoch-1, owner=?", (d.log.owner,))
    other.close()
    assert isinstance(d.put(make_append("b"))[0], StaleEpochError), "a lost right never comes back"


def test_a_stream_that_somebody_else_extended(d, path):
    d.put(make_append("a"))
    with sqlite3.connect(path) as other:
        other.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state, event_id,"
            " recorded_at) VALUES ('a', 2, 't', x'7b7d', 'theirs', 0)"
        )
    other.close()
    errors = d.put(make_append("a", 1), make_append("b"))
    assert isinstance(errors[0], VersionConflictError)
    assert errors[1] is None
    assert d.put(make_append("a", 2)) == [None]


# Reading only


def test_readonly_looks_while_a_writer_works(d, path):
    d.put(make_append("a", 0, 2, make_row("a")))
    look = SqliteLog(path, readonly=True)
    assert [fact.version for fact in look.read("a")] == [1, 2]
    d.put(make_append("a", 2))
    assert len(look.read("a")) == 3
    assert [row.run_id for row in look.runnable()] == ["a"]
    for write in (lambda: look.append([make_append("b")]), lambda: look.claim("x", "y")):
        with pytest.raises(StoreReadOnlyError, match="readonly=True"):
            write()
    look.close()
    assert d.put(make_append("b")) == [None]


def test_readonly_does_not_create(path):
    with pytest.raises(StoreError, match="does not exist"):
        SqliteLog(path, readonly=True)
    assert not path.parent.exists()


def test_readonly_of_an_empty_file(path):
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(StoreError, match="holds no log"):
        SqliteLog(path, readonly=True)


# Groups


def test_one_call_is_one_commit(d):
    assert d.put(*(make_append(f"r{n}", 0, 2) for n in range(100))) == [None] * 100
    assert (d.log.commits, d.log.events_written) == (1, 200)
    assert d.sunk.groups == [100]


def test_lazy_appends_wait_for_company(d):
    chain = Chain()
    for n in range(100):
        d.log.append([make_append("a", n, 1, chain=chain, urgent=False)])
    d.log.append([make_append("b")])
    d.sunk.wait(101)
    assert d.log.commits <= 25
    assert d.versions("a") == list(range(1, 101))


def test_lazy_appends_do_not_wait_for_ever(d):
    d.log.append([make_append("a", urgent=False)])
    assert d.sunk.wait(1)[0].error is None


def test_an_idle_writer_waits_without_a_timeout(d):
    d.put(make_append("a"), make_append("b", urgent=False))
    assert d.log._writer._patience() is None


def test_a_huge_group_is_split_and_a_huge_append_is_not(d):
    d.put(*(make_append(f"r{n}", 0, 100) for n in range(50)))
    assert d.log.commits == 3
    d.put(make_append("huge", 0, 5000))
    assert d.log.commits == 4


def test_facts_that_cannot_be_stored_fail_alone(d):
    errors = d.put(
        make_append("a"), make_append("b", 0, make_facts(1, topic="\ud800")), make_append("c")
    )
    assert [error is None for error in errors] == [True, False, True]
    assert "cannot be stored" in str(errors[1])


def test_a_sink_that_fails_does_not_stop_the_log(path, caplog):
    log = SqliteLog(path)
    calls = threading.Semaphore(0)

    def sink(_batch):
        calls.release()
        raise RuntimeError("sink")

    log.start(sink)
    for name in "ab":
        log.append([make_append(name)])
        assert calls.acquire(timeout=10)
    log.close()
    assert "sink" in caplog.text


# A disk in trouble


def big(stream, after=0, **flags):
    return make_append(stream, after, make_facts(1, state=b"x" * 100_000), **flags)


def test_a_full_disk_fails_the_edge_and_keeps_the_rest(d, caplog):
    caplog.set_level(logging.INFO, logger="agnt5.store")
    d.put(make_append("a"))
    fill(d.log)
    chain = Chain()
    kept = [big("a", 1, chain=chain), big("a", 2, chain=chain)]
    edge = big("new", edge=True)
    behind = make_append("new", 1, chain=edge.chain)
    d.log.append([*kept, edge, behind])
    d.sunk.wait(2)
    assert isinstance(edge.error, StoreFullError)
    assert edge.chain.broken is not None
    assert isinstance(behind.error, StoreFullError)
    (again,) = d.put(big("other", edge=True))
    assert isinstance(again, StoreFullError)
    assert [each.error for each in kept] == [None, None]
    empty(d.log)
    assert d.sunk.wait(2) == kept
    assert d.versions("a") == [1, 2, 3]
    assert d.log.run_ids() == ["a"]
    assert d.put(make_append("new")) == [None]
    levels = [record.levelname for record in caplog.records if record.name == "agnt5.store"]
    assert levels == ["WARNING", "INFO"]


def test_an_edge_append_that_fits_gets_through_while_others_wait(d):
    d.put(make_append("a"))
    fill(d.log)
    waiting = big("a", 1)
    d.log.append([waiting, big("x", edge=True)])
    d.sunk.wait(1)
    assert d.put(make_append("small", edge=True)) == [None]
    empty(d.log)
    assert d.sunk.wait(1) == [waiting]


def test_close_on_a_full_disk_fails_what_waits(path):
    d = Driver(SqliteLog(path))
    d.put(make_append("a"))
    fill(d.log)
    waiting = big("a", 1)
    d.log.append([waiting])
    d.log.close()
    assert isinstance(waiting.error, StoreFullError)
    reopened = SqliteLog(path)
    assert len(reopened.read("a")) == 1
    reopened.close()


def test_a_file_that_turns_read_only(d):
    d.put(make_append("a"))
    writer_connection(d.log).execute("PRAGMA query_only=ON")
    assert isinstance(d.put(make_append("b", edge=True))[0], StoreReadOnlyError)
    writer_connection(d.log).execute("PRAGMA query_only=OFF")
    assert d.put(make_append("b", edge=True)) == [None]


def test_another_program_holds_the_lock(d, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits = make_append("a")
    d.log.append([waits])
    (error,) = d.put(make_append("b", edge=True))
    assert isinstance(error, StoreBusyError)
    other.execute("ROLLBACK")
    other.close()
    assert d.sunk.wait(1) == [waits]
    assert waits.error is None


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("edge", [False, True])
def test_a_commit_that_fails_leaves_no_open_transaction_and_no_doubt(d, carried_out, edge):
    d.put(make_append("a"))
    committer = d.log._committer
    committer._connection = BrokenCommit(committer.connection, "after" if carried_out else "before")
    (error,) = d.put(make_append("a", 1, edge=edge))
    written = carried_out or not edge
    assert (error is None) == written
    assert d.versions("a") == ([1, 2] if written else [1])
    assert d.put(make_append("a", 2 if written else 1)) == [None]


def test_who_lost_in_a_group_whose_commit_seemed_to_fail_has_lost(d):
    """Tried again, the first one would extend what came behind it in its own group."""
    committer = d.log._committer
    committer._connection = BrokenCommit(committer.connection, "after")
    too_early, row = make_append("a", 1), make_append("a", 1, 0, make_row("a"))
    errors = d.put(too_early, make_append("a", 0), row, make_append("a", 1))
    assert isinstance(errors[0], VersionConflictError)
    assert errors[1:] == [None] * 3
    assert d.versions("a") == [1, 2]
    assert d.log.run_row("a") == make_row("a")


def test_index_changes_alone_are_checked_on_a_stream_that_was_not_seen_yet(path):
    d = Driver(SqliteLog(path))
    d.put(make_append("a", 0, 1, make_row("a")))
    d.log.close()
    d = Driver(SqliteLog(path))
    (error,) = d.put(make_append("a", 0, 0, make_row("a", status="suspended")))
    assert isinstance(error, VersionConflictError)
    assert d.log.run_row("a") == make_row("a")
    d.log.close()


def test_a_damaged_page(path):
    d = Driver(SqliteLog(path))
    d.put(*(make_append(f"r{n}", 0, 20, make_row(f"r{n}")) for n in range(400)))
    d.log.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)  # behind the roots of the tables, which are made first
        file.write(b"\xa5" * (size // 2))
    d = Driver(SqliteLog(path))
    with pytest.raises(StoreCorruptError, match="damaged"):
        for n in range(200):
            d.log.read(f"r{n}")
    errors = d.put(*(make_append(f"r{n}", 20, 20) for n in range(200)))
    assert any(isinstance(error, StoreCorruptError) for error in errors)
    assert not any(isinstance(error, VersionConflictError) for error in errors)
    d.log.close()


# The death of the process

KILLED = """
import sys
from agnt5.events.log import Append, Chain, RawFact
from agnt5.events.stores.sqlite import SqliteLog

log = SqliteLog(sys.argv[1])
chains = {}

def settled(append):
    assert append.error is None, append.error
    print(append.stream, append.after + 2, flush=True)
    grow(append.stream, append.after + 2)

def grow(stream, after):
    facts = [RawFact("T", b"{}" * 50, 1, f"{stream}.{after + n}", None) for n in (1, 2)]
    chain = chains.setdefault(stream, Chain())
    log.append([Append(stream, after, facts, (), chain, settled)])

log.start(lambda batch: [append.on_settled(append) for append in batch])
for n in range(20):
    grow(f"r{n}", 0)
sys.stdin.read()
"""


@pytest.mark.parametrize("durability", ["full"])
def test_killed_while_writing_loses_nothing_that_was_acknowledged(path, durability):
    victim = python(KILLED, path)
    acknowledged = {}
    lines = 0
    while lines < 400:
        assert select.select([victim.stdout], [], [], 20)[0]
        stream, version = victim.stdout.readline().split()
        acknowledged[stream.decode()] = int(version)
        lines += 1
    victim.send_signal(signal.SIGKILL)
    rest = victim.communicate()[0].decode()
    for line in rest.splitlines(keepends=True):
        if line.endswith("\n"):
            stream, version = line.split()
            acknowledged[stream] = int(version)
    log = SqliteLog(path, durability=durability)
    for stream, version in acknowledged.items():
        read = [fact.version for fact in log.read(stream)]
        assert read == list(range(1, len(read) + 1))
        assert len(read) >= version
        assert len(read) % 2 == 0, "an append was torn"
    check = writer_connection(log).execute("PRAGMA integrity_check").fetchall()
    assert check == [("ok",)]
    log.close()


def test_a_forked_child_is_refused_and_does_not_keep_the_lock(path):
    holder = python(
        "import os, sys\n"
        "from agnt5.events.stores.sqlite import SqliteLog\n"
        "log = SqliteLog(sys.argv[1]); log.start(lambda batch: None)\n"
        "if os.fork() == 0:\n"
        "    for use in (lambda: log.read('a'), lambda: log.append([]), lambda: log.recorder):\n"
        "        try: use()\n"
        "        except Exception as e: print(type(e).__name__, 'fork' in str(e), flush=True)\n"
        "    log.close()\n"
        "    try: SqliteLog(sys.argv[1])\n"
        "    except Exception as e: print(type(e).__name__, flush=True)\n"
        "sys.stdin.read()\n",
        path,
    )
    for _ in range(3):
        assert holder.stdout.readline() == b"StoreError True\n"
    assert holder.stdout.readline() == b"StoreInUseError\n"
    with pytest.raises(StoreInUseError):
        SqliteLog(path)
    holder.kill()  # the parent; its child lives on
    holder.wait()
    log = SqliteLog(path)
    assert log.run_ids() == []
    log.close()
    holder.stdin.close()
    holder.stdout.close()


# What lookups cost


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("_RUNNABLE", "runs_runnable"),
        ("_SUSPENDED", "runs_suspended"),
        ("_DUE", "runs_waiting"),
        ("_NEXT_WAKE", "runs_waiting"),
    ],
)
def test_lookups_use_the_index_of_what_is_unfinished(d, name, index):
    from agnt5.events.stores import sqlite_reader

    sql = "EXPLAIN QUERY PLAN " + getattr(sqlite_reader, name)
    rows = d.log._reader.rows(sql, (1,) if "?" in sql else ())
    plan = " ".join(str(row[3]) for row in rows)
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_the_row_type_and_the_table_have_the_same_fields():
    from dataclasses import fields

    from agnt5.events.stores.sqlite_schema import RUN_COLUMNS

    assert tuple(field.name for field in fields(RunRow)) == RUN_COLUMNS


def test_reads_do_not_wait_for_a_write_transaction(d):
    d.put(make_append("a", 0, 3))
    connection = writer_connection(d.log)
    connection.execute("BEGIN IMMEDIATE")
    assert len(d.log.read("a")) == 3
    connection.execute("ROLLBACK")
