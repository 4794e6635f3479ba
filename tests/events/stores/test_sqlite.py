"""The log in a SQLite file keeps the contract, and the library's own contract for recorders."""

from __future__ import annotations

import pytest
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    RecorderTestCase,
)
from tests.events.stores.sqlite_trouble import FAULTS

from agnt5.events.stores import sqlite_writer
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_recorder import Datastore, Recorder
from agnt5.testing.stores import LogContract, check_store


@pytest.fixture(autouse=True)
def an_impatient_writer(monkeypatch):
    """What had to wait for the disk is tried again at once."""
    monkeypatch.setattr(sqlite_writer, "FIRST_DELAY_S", 0.002)
    monkeypatch.setattr(sqlite_writer, "MAX_DELAY_S", 0.01)


class TestSqliteLog(LogContract):
    faults = FAULTS
    max_examples = 10

    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda place: SqliteLog(tmp_path / f"{place}.db")


def test_random_histories_without_a_wait_for_the_disk(tmp_path):
    """More of them: nothing in a history depends on when a commit is forced to the disk."""

    def open_store(place):
        return SqliteLog(tmp_path / f"{place}.db", durability="process")

    check_store(open_store, faults=FAULTS, max_examples=30)


class _OurRecorder(RecorderTestCase):
    @pytest.fixture(autouse=True)
    def _in_a_new_folder(self, tmp_path):
        self.path = str(tmp_path / "library.db")

    def create_recorder(self):
        datastore = Datastore(self.path, mode="rwc", originator_id_type="uuid")
        self.addCleanup(datastore.close)
        recorder = Recorder(datastore)
        with datastore.get_connection(commit=True) as connection:
            connection.cursor().execute("PRAGMA journal_mode=WAL")
        recorder.create_table()
        return recorder


class TestLibrarysContract(_OurRecorder, ApplicationRecorderTestCase):
    # They print figures and promise nothing.
    test_concurrent_throughput = None  # type: ignore[assignment]
    test_performance = None  # type: ignore[assignment]


class TestLibrarysOrder(_OurRecorder, NonInterleavingNotificationIDsBaseCase):
    insert_num = 200
