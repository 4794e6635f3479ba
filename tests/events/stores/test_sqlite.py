"""The log in a SQLite file keeps the contract, and the library's own contract for recorders."""

from __future__ import annotations

from itertools import count

import pytest
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    RecorderTestCase,
)
from tests.events.stores.log_contract import LogContract

from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_recorder import Datastore, Recorder


class TestSqliteLog(LogContract):
    model_examples = 30

    @pytest.fixture
    def make_log(self, tmp_path):
        numbers = count()
        return lambda: SqliteLog(tmp_path / f"{next(numbers)}.db")


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
