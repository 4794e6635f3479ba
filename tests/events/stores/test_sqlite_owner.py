"""Who has a store open, or had it last: what the lock and the lease tell to whoever looks."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.helpers import end_processes, python

from agnt5.events.leases import CLAIMED, LOST, RELEASED, STORE_SCOPE, TAKEN_OVER, Ownership, owned
from agnt5.events.stores import beside_memory, sqlite_lock, sqlite_owner
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import StaleEpochError, StoreInUseError
from agnt5.owners import owner_text
from agnt5.testing.stores import Driver, make_append

OPENS = """
import sys, time
from agnt5.events.stores.sqlite import SqliteLog
log = SqliteLog(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    end_processes()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "log.db")


def seen_from_outside(path: str) -> Ownership:
    log = SqliteLog(path, readonly=True)
    try:
        return log.ownership()
    finally:
        log.close()


def die(log: SqliteLog) -> None:
    """What is left when its process is killed: the lock is gone, nothing was written."""
    lock = log._lock
    os.close(lock._fd)
    del sqlite_lock._held[lock._path]
    log._lock = None
    log._committer._lease._lease = None  # so that the close below releases nothing
    log.close()


def test_each_state_of_a_store_is_told(path):
    before = time.time_ns() // 1000 - 1_000_000  # a file's time may be coarse
    log = SqliteLog(path, owner="me:1")
    told = log.ownership()
    assert (told.owner, told.epoch, told.is_open, told.pid) == ("me:1", 1, True, os.getpid())
    assert before < told.since < time.time_ns() // 1000 + 1_000_000
    assert seen_from_outside(path) == told
    assert owner_text(told).startswith(f"process {os.getpid()} (me:1) has it open since 2")
    log.close()
    closed = seen_from_outside(path)
    assert closed == Ownership(owner=None, epoch=1, is_open=False)
    assert not closed.has_expired
    assert owner_text(closed) == "nobody has it open"


def test_who_claims_again_what_it_has_takes_nothing_over(path):
    log = SqliteLog(path)
    log.claim(STORE_SCOPE, log.owner)
    log.claim("another scope", log.owner)
    assert list(log.tenure.news()) == [CLAIMED, CLAIMED]
    assert log.tenure.lease == log.current(STORE_SCOPE)
    log.release(log.tenure.lease)
    assert list(log.tenure.news()) == [RELEASED]
    log.close()
    assert list(log.tenure.news()) == []


def test_a_process_that_was_killed_has_left_its_lease(path):
    process = python(OPENS, path)
    assert process.stdout.readline() == "open\n"
    alive = seen_from_outside(path)
    assert (alive.is_open, alive.pid, alive.epoch) == (True, process.pid, 1)
    assert alive.owner.endswith(f":{process.pid}")
    assert not alive.has_expired
    process.send_signal(signal.SIGKILL)
    process.wait()
    dead = seen_from_outside(path)
    assert dead == Ownership(alive.owner, 1, is_open=False, pid=process.pid, since=alive.since)
    assert dead.has_expired
    assert "ended without releasing it" in owner_text(dead)
    log = SqliteLog(path)
    assert list(log.tenure.news()) == [TAKEN_OVER]
    assert not log.ownership().has_expired
    log.close()
    assert list(log.tenure.news()) == [RELEASED]
    assert not seen_from_outside(path).has_expired


def test_another_process_that_has_got_the_number_does_not_have_the_store(path):
    log = SqliteLog(path)
    die(log)
    Path(path + ".lock").write_text(str(os.getppid()))  # it lives
    told = seen_from_outside(path)
    assert (told.is_open, told.has_expired) == (False, True)


def test_a_copy_without_the_lock_is_nobodys(path, tmp_path):
    log = SqliteLog(path)
    log.close()
    other = SqliteLog(path)
    copy = str(tmp_path / "copy.db")
    for end in ("", "-wal"):
        if Path(path + end).exists():
            shutil.copy(path + end, copy + end)
    told = seen_from_outside(copy)
    assert (told.is_open, told.pid, told.has_expired) == (False, None, False)
    assert told.owner == other.owner
    other.close()


def test_a_lock_that_may_not_be_looked_at_tells_nothing(path, monkeypatch):
    log = SqliteLog(path, owner="me:1")
    die(log)

    def refuse(*_):
        raise OSError("no locks here")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_owner.fcntl, "flock", refuse)
        told = seen_from_outside(path)
    assert (told.is_open, told.has_expired) == (None, False)
    assert "cannot be told" in owner_text(told)
    really_open = os.open

    def forbid(file, *given, **named):
        if str(file).endswith(".lock"):
            raise PermissionError(13, "not yours")
        return really_open(file, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", forbid)
        told = seen_from_outside(path)
    assert told == Ownership(owner="me:1", epoch=1, is_open=None)
    assert "me:1 had it last" in owner_text(told)


def test_who_looks_never_keeps_an_owner_out(path):
    SqliteLog(path).close()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            sqlite_owner._look_at_lock(os.path.realpath(path))

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(15):
            SqliteLog(path).close()
    finally:
        over.set()
        for thread in looking:
            thread.join()


def test_who_opens_a_store_waits_for_a_look(path):
    """The look that lasts longest, and a lock that stays."""
    SqliteLog(path).close()
    fd = os.open(path + ".lock", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    timer = threading.Timer(0.015, os.close, [fd])
    timer.start()
    SqliteLog(path).close()
    timer.join()
    fd = os.open(path + ".lock", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    with pytest.raises(StoreInUseError):
        SqliteLog(path)
    os.close(fd)


def test_the_store_is_found_under_what_lies_over_it(path):
    log = SqliteLog(path)
    assert owned(beside_memory(log)) is log
    assert owned(MemoryLog()) is None
    assert owned(None) is None
    log.close()


ACTS = st.lists(st.sampled_from(["open", "close", "die", "steal", "append"]), max_size=12)


@given(ACTS)
@settings(max_examples=settings.default.max_examples // 2, deadline=None)  # each opens many files
def test_the_tenures_and_the_owner_are_those_of_a_model(tmp_path_factory, acts):
    """Over many lives: who has it, whether a lease was left behind, and what became of each."""
    path = str(tmp_path_factory.mktemp("owner") / "log.db")
    log, epoch, holder = None, 0, ""  # holder: as the lease names it
    is_stolen, expected, appended, driver = False, [], 0, None
    for act in ["open", *acts]:
        if act == "open" and log is None:
            log = SqliteLog(path, owner="a:1", durability="process")
            driver = Driver(log)
            expected, is_stolen = [TAKEN_OVER if holder else CLAIMED], False
            epoch, holder = epoch + 1, "a:1"
        elif act == "steal" and log is not None and not is_stolen:
            log.claim(STORE_SCOPE, "b:2")
            is_stolen, epoch, holder = True, epoch + 1, "b:2"
        elif act == "append" and log is not None:
            appended += 1
            [error] = driver.put(make_append(f"s{appended}"))
            assert isinstance(error, StaleEpochError) is is_stolen
            expected += [LOST] if is_stolen and LOST not in expected else []
        elif act == "close" and log is not None:
            log.close()
            expected += [] if is_stolen else [RELEASED]
            holder = holder if is_stolen else ""
            assert list(log.tenure.news()) == expected
            assert (log.tenure.lease is None) is (expected[-1] in {LOST, RELEASED})
            log = None
        elif act == "die" and log is not None:
            die(log)
            log = None
        told = seen_from_outside(path)
        assert (told.is_open, told.epoch) == (log is not None, epoch)
        assert told.owner == (holder or None)
    if log is not None:
        log.close()
