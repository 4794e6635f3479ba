"""A store that an older agnt5 has written is brought up to date, and loses nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from agnt5.events.stores import sqlite_schema
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_views import NAMES
from agnt5.testing.stores import make_append, make_row


@pytest.mark.parametrize("version", range(1, sqlite_schema.SCHEMA_VERSION))
def test_runs_of_an_older_schema_are_read_with_what_they_lack(version, tmp_path, monkeypatch):
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path, isolation_level=None)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_schema, "SCHEMA_VERSION", version)
        sqlite_schema.migrate(connection, str(path))
    columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    row = make_row("r1")
    marks = ",".join("?" * len(columns))
    connection.execute(
        f"INSERT INTO runs ({','.join(columns)}) VALUES ({marks})",
        [getattr(row, name) for name in columns],
    )
    connection.close()
    log = SqliteLog(path)
    try:
        assert log.runnable() == [row]
        settled = []
        log.start(settled.extend)
        new = make_row("r2", queue="mail", priority=-3)
        log.append([make_append("r2", 0, 1, new)])
    finally:
        log.close()
    look = SqliteLog(path, readonly=True)
    try:
        assert [one.error for one in settled] == [None]
        assert look.run_row("r2") == new
        assert look.run_row("r1") == row
        with closing(sqlite3.connect(path)) as reader:
            seen = reader.execute("SELECT run_id, queue FROM agnt5_runs ORDER BY 1").fetchall()
            for name in NAMES:
                reader.execute(f"SELECT * FROM {name}").fetchall()
        assert seen == [("r1", None), ("r2", "mail")]
    finally:
        look.close()
