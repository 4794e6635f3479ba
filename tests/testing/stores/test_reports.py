"""A failure is short and says what is wrong; what was not asked for is not tried."""

from __future__ import annotations

import os
from itertools import count

import pytest
from hypothesis import settings
from tests.testing.stores.line_log import FAULTS, LineLog, line_log
from tests.testing.stores.mutants import MUTANTS

from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StoreFullError
from agnt5.testing.stores import LAWS, Faults, StoreConformanceError, check_store

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
REPORTS = {
    "RefusesWhatItHas": """\
The store breaks a law of event logs: versions.
Only the last version of a stream can be extended; what is there already is fine.
[a: 1 fact after 0] was refused with VersionConflictError: stream 'a' no longer ends at version 0 \
It had to be there already.
The shortest history that was found:
  1. append a: 1 fact after 0
  2. append a: 1 fact after 0""",
    "LetsTheEdgeWait": """\
The store breaks a law of event logs: settled.
Every append is settled once, and in the order in which it was handed over.
Within 0.5 s the store should have settled what is from the edge. Not settled: \
a: 1 fact after 0, edge.
The shortest history that was found:
  1. the disk is full
  2. append a: 1 fact after 0, edge""",
    "CountsEpochsAnew": """\
The store breaks a law of event logs: owner.
Only the owner with the last epoch writes, and epochs only grow.
Lease(scope='run:1', owner='w1', epoch=1) was given, after the epoch 1 of the same scope.
The shortest history that was found:
  1. claim run:1 for w1
  2. release the new lease of run:1
  3. claim run:1 for w1""",
}


@pytest.fixture(autouse=True)
def a_quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(line_log, "RETRY_S", 0.002)


def report_of(open_store, **options):
    found = settings(max_examples=100, derandomize=True, database=None)
    with pytest.raises(StoreConformanceError) as caught:
        check_store(open_store, settings=found, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", REPORTS)
def test_the_report_of_a_mutant(name, tmp_path):
    mutant = MUTANTS[name]
    found = report_of(lambda place: mutant(tmp_path / place), faults=FAULTS, patience_s=5)
    assert found == REPORTS[name]


def test_a_store_that_cannot_be_opened():
    def open_store(place):
        raise OSError("no such server")

    assert "It raised OSError: no such server" in report_of(open_store)


def test_what_a_store_raises_is_kept_as_the_cause(tmp_path):
    class Raises(LineLog):
        def last(self, stream):
            raise KeyError(stream)

    with pytest.raises(StoreConformanceError, match="no surprise") as caught:
        check_store(lambda place: Raises(tmp_path / place), max_examples=5)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_store_that_fails_only_once_is_found_all_the_same(tmp_path):
    calls = count()

    class Once(LineLog):
        def next_wake(self, after=0):
            if next(calls) == 30:
                raise StoreFullError("just once")
            return super().next_wake(after)

    assert "just once" in report_of(lambda place: Once(tmp_path / place))


def test_places_are_dropped(tmp_path):
    opened, dropped = set(), []

    def open_store(place):
        opened.add(place)
        return LineLog(tmp_path / place)

    check_store(open_store, drop=dropped.append, max_examples=5)
    assert sorted(dropped) == sorted(opened)
    assert all(place.isidentifier() and len(place) <= 30 for place in opened)


def test_no_trouble_is_made_that_was_not_given(tmp_path):
    def forbidden(*_):
        raise AssertionError("this was not asked for")

    log = MUTANTS["LetsTheEdgeWait"]
    check_store(lambda place: log(tmp_path / place), faults=Faults(), max_examples=20)
    assert Faults(slow=forbidden, crash=forbidden).given() == ["crash", "slow"]


def test_every_law_can_be_told():
    for law in LAWS:
        assert LAWS[law] in str(StoreConformanceError(law, "found"))
    assert MemoryLog().owner
