"""The log in memory keeps the contract."""

from __future__ import annotations

import pytest
from eventsourcing.popo import POPOApplicationRecorder

from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StoreInUseError
from agnt5.testing.stores import Driver, LogContract, make_append


class TestMemoryLog(LogContract):
    @pytest.fixture
    def open_store(self):
        """A place is a log that is kept: closed and started again it remembers."""
        logs = {}

        def open_store(place):
            log = logs.setdefault(place, None) or MemoryLog()
            if logs[place] is not None and log._sink is not None:
                raise StoreInUseError(f"{place} is open.")
            logs[place] = log
            return log

        return open_store


def test_an_append_is_settled_within_the_call():
    d = Driver(MemoryLog())
    d.log.append([make_append("a")])
    assert len(d.sunk.settled) == 1


def test_it_can_be_started_again_and_remembers():
    log = MemoryLog()
    Driver(log).put(make_append("a"))
    log.close()
    again = Driver(log)
    assert again.put(make_append("a", 1)) == [None]
    lease = log.current("store")
    assert lease is not None
    assert lease.epoch == 2


def test_the_facts_lie_in_the_recorder_of_the_library():
    d = Driver(MemoryLog())
    d.put(make_append("a", 0, 2))
    assert isinstance(d.log.recorder, POPOApplicationRecorder)
    assert [each.id for each in d.log.recorder.select_notifications(None, 10)] == [1, 2]
