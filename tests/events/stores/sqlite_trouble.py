"""The trouble that a SQLite store can be brought into from outside, for the conformance kit."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

from agnt5.testing.stores import Faults


def writer_connection(log):
    """The write connection; its thread must be idle."""
    return log._committer.connection


def fill(log):
    """From now on the file may not grow."""
    connection = writer_connection(log)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")


def empty(log):
    """From now on it may."""
    writer_connection(log).execute("PRAGMA max_page_count=1000000")


def io_error():
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    return error


class Troubled:
    """A connection, with a look at each statement before and after it."""

    def __init__(self, connection):
        self.connection = connection

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, sql, *parameters):
        self.before(sql)
        result = self.connection.execute(sql, *parameters)
        self.after(sql)
        return result

    def before(self, sql):
        pass

    def after(self, sql):
        pass


class BrokenCommit(Troubled):
    """Fails once: at the commit, behind it, or behind the first insert of a group."""

    def __init__(self, connection, moment):
        super().__init__(connection)
        self.moment = moment
        self.fails = True

    def fail(self):
        if self.fails:
            self.fails = False
            raise io_error()

    def before(self, sql):
        if sql == "COMMIT" and self.moment != "after":
            self.fail()

    def after(self, sql):
        if self.moment == "middle" and sql.startswith("INSERT"):
            self.fail()
        if self.moment == "after" and sql == "COMMIT":
            self.fail()


class SlowCommit(Troubled):
    def before(self, sql):
        if sql == "COMMIT":
            time.sleep(0.003)


@contextmanager
def through(log, make):
    """Let the writer, which is idle, go on through another connection."""
    committer = log._committer
    committer._connection = troubled = make(committer.connection)
    try:
        yield
    finally:
        if committer._connection is troubled:
            committer._connection = troubled.connection


@contextmanager
def full(log):
    fill(log)
    try:
        yield
    finally:
        if not log._closed:
            empty(log)


def crash(log):
    """Leave the files as the death of the process would at this moment, whatever is written."""
    path = Path(log.path)
    kept = [path, path.with_name(path.name + "-wal")]
    # The file before its WAL: between the two nothing moves from one to the other.
    images = [(file, file.with_name(file.name + ".image")) for file in kept if file.exists()]
    for file, image in images:
        shutil.copyfile(file, image)
    log.close()
    for file in (*kept, path.with_name(path.name + "-shm")):
        file.unlink(missing_ok=True)
    for file, image in images:
        image.replace(file)


FAULTS = Faults(
    crash=lambda _, log: crash(log),
    full=full,
    strike=lambda log, moment: through(log, lambda inner: BrokenCommit(inner, moment)),
    slow=lambda log: through(log, SlowCommit),
)
