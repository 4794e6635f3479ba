"""The parts of the contract that are no random history find what they are for."""

from __future__ import annotations

import os
import time
from itertools import count

import pytest
from hypothesis import Phase, settings
from tests.testing.stores.line_log import LineLog

from agnt5.testing.stores import Driver, StoreConformanceError
from agnt5.testing.stores.contract.readers import ReaderContract
from agnt5.testing.stores.contract.rebuilt import check_on_scripts

UNSHRUNK = settings(max_examples=200, phases=[Phase.generate], database=None)


@pytest.fixture(autouse=True)
def a_quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Unlocked(LineLog):
    """Its readers look at what is just being changed."""

    def read(self, stream, *, after=0, upto=None, limit=None):
        return list(self.streams.get(stream, ()))[after:upto][:limit]

    def read_many(self, streams):
        return {stream: self.read(stream) for stream in streams}


class ShowsFactsOneByOne(Unlocked):
    def apply(self, change):
        for append in change.get("appends", ()):
            for fact in append["facts"]:
                time.sleep(0.0005)
                super().apply({"kind": "appends", "appends": [{**append, "facts": [fact]}]})
        if change["kind"] != "appends":
            super().apply(change)


class ShowsTheRowFirst(Unlocked):
    def apply(self, change):
        for append in change.get("appends", ()):
            self.apply_index(append["index"])
            time.sleep(0.001)
        super().apply(change)


class ForgetsWhatIsRead(LineLog):
    def read_many(self, streams):
        if next(self.reads) % 5 == 4:
            return {stream: [] for stream in streams}
        return super().read_many(streams)

    def __init__(self, path):
        self.reads = count()
        super().__init__(path)


@pytest.mark.parametrize(
    ("mutant", "said"),
    [
        (ShowsFactsOneByOne, "a part of an append|the row of"),
        (ShowsTheRowFirst, "the row of"),
        (ForgetsWhatIsRead, "facts, then"),
    ],
)
def test_a_reader_sees(mutant, said, tmp_path):
    log = mutant(tmp_path / "log")
    try:
        with pytest.raises(AssertionError, match=said):
            ReaderContract().test_readers_see_whole_appends_and_never_go_back(Driver(log))
    finally:
        log.close()


class HasNoOtherStreams(LineLog):
    def other_streams(self):
        return []


class LosesAColumn(LineLog):
    def apply_index(self, index):
        super().apply_index([each | {"queue": None} if "queue" in each else each for each in index])


class RebuildsNothing(LineLog):
    def rebuild(self, rows):
        """Leaves all as it is."""


@pytest.mark.parametrize("mutant", [HasNoOtherStreams, LosesAColumn, RebuildsNothing])
def test_an_index_that_is_not_what_a_rebuild_makes(mutant, tmp_path):
    numbers = count()
    with pytest.raises(StoreConformanceError, match="index|rebuild"):
        check_on_scripts(lambda: mutant(tmp_path / str(next(numbers))), settings=UNSHRUNK)
