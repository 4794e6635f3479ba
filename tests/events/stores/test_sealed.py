"""An encrypted log keeps the contract, and no plaintext leaves it."""

from __future__ import annotations

import pytest
from tests.events.stores.sqlite_trouble import FAULTS

from agnt5.events.stores import sqlite_writer
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sealed import SealedLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import StoreInUseError
from agnt5.keyring import Keyring
from agnt5.testing.stores import LogContract

KEYS = {"k1": bytes(range(32))}


class Encrypted(SealedLog):
    """What a test does to the store is done to the one inside."""

    def __getattr__(self, name):
        return getattr(self.inner, name)


class TestEncryptedMemory(LogContract):
    max_examples = 15

    @pytest.fixture
    def open_store(self):
        logs = {}

        def open_store(place):
            log = logs.setdefault(place, None) or MemoryLog()
            if logs[place] is not None and log._sink is not None:
                raise StoreInUseError(f"{place} is open.")
            logs[place] = log
            return Encrypted(log, Keyring(KEYS), now=0)

        return open_store


class TestEncryptedFile(LogContract):
    faults = FAULTS
    max_examples = 6

    @pytest.fixture(autouse=True)
    def an_impatient_writer(self, monkeypatch):
        monkeypatch.setattr(sqlite_writer, "FIRST_DELAY_S", 0.002)
        monkeypatch.setattr(sqlite_writer, "MAX_DELAY_S", 0.01)

    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda place: Encrypted(SqliteLog(tmp_path / f"{place}.db"), Keyring(KEYS), now=0)
