"""The log in memory keeps the contract."""

from __future__ import annotations

import pytest
from eventsourcing.popo import POPOApplicationRecorder
from tests.events.stores.log_contract import Driver, LogContract, make

from agnt5.events.stores.memory import MemoryLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def make_log(self):
        return MemoryLog


def test_an_append_is_settled_within_the_call():
    d = Driver(MemoryLog())
    d.log.append([make("a")])
    assert len(d.sunk.settled) == 1


def test_it_can_be_started_again_and_remembers():
    log = MemoryLog()
    Driver(log).put(make("a"))
    log.close()
    again = Driver(log)
    assert again.put(make("a", 1)) == [None]
    lease = log.current("store")
    assert lease is not None
    assert lease.epoch == 2


def test_the_facts_lie_in_the_recorder_of_the_library():
    d = Driver(MemoryLog())
    d.put(make("a", 0, 2))
    assert isinstance(d.log.recorder, POPOApplicationRecorder)
    assert [each.id for each in d.log.recorder.select_notifications(None, 10)] == [1, 2]
