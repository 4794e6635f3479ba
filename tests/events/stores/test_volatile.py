"""A log with room in memory beside it keeps the contract, and tells one stream from the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.events.index import KeyBinding
from agnt5.events.log import Removal
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.volatile import VolatileLog
from agnt5.exceptions import StoreInUseError, VersionConflictError
from agnt5.testing.stores import Driver, LogContract, make_append, make_row


class Beside(VolatileLog):
    """What the contract asks of a store besides the log is asked of the durable one."""

    def __getattr__(self, name):
        return getattr(self._log, name)


class Begun(Beside):
    """The log in memory is there, and empty."""

    def start(self, sink):
        super().start(sink)
        self._begin()


class TestBesideMemory(LogContract):
    max_examples = 40

    @pytest.fixture(params=[Beside, Begun])
    def open_store(self, request):
        logs = {}

        def open_store(place):
            log = logs.setdefault(place, None) or MemoryLog()
            if logs[place] is not None and log._sink is not None:
                raise StoreInUseError(f"{place} is open.")
            logs[place] = log
            return request.param(log)

        return open_store


@given(
    streams=st.lists(st.booleans(), min_size=1, max_size=6),
    order=st.lists(st.integers(0, 5), max_size=20),
    together=st.integers(1, 5),
)
def test_each_stream_stays_where_it_began(streams, order, together):
    """Whichever way appends are mixed: every one is settled, none lies in the wrong log."""
    durable = MemoryLog()
    both = Driver(VolatileLog(durable))
    wanted = {f"r{n}": 0 for n in range(len(streams))}
    appends = []
    for n in [*range(len(streams)), *order]:
        stream = f"r{n % len(streams)}"
        first = not wanted[stream]
        wanted[stream] += 1
        appends.append(
            make_append(
                stream,
                wanted[stream] - 1,
                1,
                make_row(stream),
                volatile=first and streams[n % len(streams)],
            )
        )
    for start in range(0, len(appends), together):
        assert set(both.put(*appends[start : start + together])) == {None}
    log = both.log
    for n, is_volatile in enumerate(streams):
        assert both.versions(f"r{n}") == list(range(1, wanted[f"r{n}"] + 1))
        assert (not durable.read(f"r{n}")) is is_volatile
    assert log.run_ids() == sorted(wanted)
    assert [row.run_id for row in log.list_runs()] == sorted(wanted, reverse=True)
    assert [row.run_id for row in log.runnable()] == sorted(wanted)
    assert log.read_many([*wanted, "none"]).keys() == {*wanted, "none"}


def test_an_id_of_the_other_log_is_taken():
    both = Driver(VolatileLog(MemoryLog()))
    both.put(
        make_append("a", 0, 1, make_row("a")), make_append("b", 0, 1, make_row("b"), volatile=True)
    )
    for stream, volatile in (("a", True), ("b", False)):
        (error,) = both.put(make_append(stream, 0, 1, make_row(stream), volatile=volatile))
        assert isinstance(error, VersionConflictError)
    both.log.rebuild([])  # the log says what is there, not its index
    assert both.put(make_append("a", 1, 1, volatile=True)) == [None]
    (error,) = both.put(make_append("a", 0, 1, make_row("a"), volatile=True))
    assert isinstance(error, VersionConflictError)
    assert both.versions("a") == [1, 2]


def test_a_key_goes_from_log_to_log():
    both = Driver(VolatileLog(MemoryLog()))
    last = None
    for n, volatile in enumerate([False, True, False, False, True, True, False]):
        run_id = f"r{n}"
        bound = KeyBinding("k", run_id, "digest", replaces=last)
        assert both.put(make_append(run_id, 0, 1, bound, make_row(run_id), volatile=volatile)) == [
            None
        ]
        known = both.log.key_binding("k")
        assert known is not None
        assert known.run_id == run_id
        last = run_id


def test_what_is_parked_is_due_in_both():
    both = Driver(VolatileLog(MemoryLog()))
    parked = {"parked": True, "status": "running"}
    both.put(
        make_append("a", 0, 1, make_row("a", wake_at=20, **parked)),
        make_append("b", 0, 1, make_row("b", wake_at=10, **parked), volatile=True),
        make_append("c", 0, 1, make_row("c", status="suspended"), volatile=True),
        make_append("d", 0, 1, make_row("d", status="completed", owes=True), volatile=True),
    )
    log = both.log
    assert (log.next_wake(), log.next_wake(10), log.next_wake(20)) == (10, 20, None)
    assert sorted(log.due(20)) == ["a", "b"]
    assert (log.suspended(), log.owing()) == (["c"], ["d"])


def test_a_rebuild_writes_the_index_of_both():
    both = Driver(VolatileLog(MemoryLog()))
    rows = {run_id: make_row(run_id) for run_id in "dvw"}
    keys = {run_id: KeyBinding(f"k{run_id}", run_id, "digest") for run_id in "dvw"}
    for run_id in "dvw":
        is_volatile = run_id != "d"
        first = make_append(run_id, 0, 1, keys[run_id], rows[run_id], volatile=is_volatile)
        assert both.put(first) == [None]
    log = both.log
    assert log.forget([Removal("v", 1)]) == ["v"]
    log.rebuild([rows["d"], rows["w"], keys["w"]])
    assert [log.key_binding(f"k{run_id}") for run_id in "dvw"] == [None, None, keys["w"]]
    assert log.list_runs() == [rows["w"], rows["d"]]
    assert log.inner.list_runs() == [rows["d"]]
    log.rebuild([])
    assert log.list_runs() == []
