"""What the index answers and who owns the store, one example for each rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.leases import Lease
from agnt5.events.query import EventQuery
from agnt5.exceptions import StaleEpochError, StoreError
from agnt5.testing.stores.contract.opening import MakeLog, Opening, bound_to
from agnt5.testing.stores.driving import Driver, make_append, make_facts, make_row
from agnt5.testing.stores.port import Store


def ids_of(rows: list[RunRow]) -> list[str]:
    """The ids of rows, in their order."""
    return [row.run_id for row in rows]


def current(log: Store, scope: str) -> Lease:
    """The lease that stands."""
    lease = log.current(scope)
    assert lease is not None
    return lease


def row_of(log: Store, run_id: str) -> RunRow:
    """The row of a run."""
    row = log.run_row(run_id)
    assert row is not None
    return row


class LookupContract(Opening):
    """The index and the leases."""

    def test_a_new_owner_makes_the_old_one_stop(self, d: Driver[Store]) -> None:
        assert d.put(make_append("a")) == [None]
        before = current(d.log, "store")
        taken = self.claim(d.log, "store", "somebody else")
        assert taken.epoch > before.epoch
        errors = d.put(make_append("a", 1), make_append("b"))
        errors += d.put(make_append("c"))
        assert [type(error) for error in errors] == [StaleEpochError] * 3
        assert d.versions("a") == [1]
        assert d.log.run_ids() == ["a"]
        with pytest.raises(StaleEpochError):
            d.log.rebuild([])

    def test_the_owner_may_claim_again(self, d: Driver[Store]) -> None:
        epoch = current(d.log, "store").epoch
        assert d.log.claim("store", d.log.owner).epoch > epoch
        assert d.put(make_append("a")) == [None]

    def test_the_last_run_of_a_chain(self, d: Driver[Store]) -> None:
        one = replace(make_row("a", status="continued"), continued_to="z")
        two = replace(make_row("z", status="continued"), chain="a", continued_to="m")
        assert d.log.last_of_chain("a") is None
        d.put(make_append("a", 0, 1, one))
        assert d.log.last_of_chain("a") is None
        d.put(
            make_append("z", 0, 1, two), make_append("m", 0, 1, replace(make_row("m"), chain="a"))
        )
        last = d.log.last_of_chain("a")
        assert last == replace(make_row("m"), chain="a")
        assert row_of(d.log, "z") == two
        assert d.log.last_of_chain("z") is None

    def test_leases_of_other_scopes(self, d: Driver[Store]) -> None:
        assert d.log.current("run:1") is None
        first = d.log.claim("run:1", "w1")
        assert d.log.current("run:1") == first
        second = self.claim(d.log, "run:1", "w2")
        assert second.owner == "w2"
        assert second.epoch > first.epoch
        d.log.release(first)
        assert d.log.current("run:1") == second
        d.log.release(second)
        assert d.log.current("run:1") is None
        assert d.log.claim("run:1", "w3").epoch > second.epoch

    def test_a_row_is_read_back_as_it_was(self, d: Driver[Store]) -> None:
        row = RunRow("a", "c", "workflow", "queued", True, 7, 1, 2, 3, "v1", "s", "u", "p", "k")
        d.put(make_append("a", 0, 1, replace(row, status="running"), row))
        assert d.log.run_row("a") == row
        assert row_of(d.log, "a").parked is True
        assert d.log.run_row("b") is None

    def test_what_runs_what_is_suspended_what_is_due(self, d: Driver[Store]) -> None:
        rows = [
            make_row("r9"),
            make_row("r1", status="queued"),
            make_row("r2", status="awaiting_user_input"),
            make_row("s1", status="suspended"),
            make_row("s2", status="suspended", parked=True, wake_at=40),
            make_row("d2", status="completed", parked=True, wake_at=1),
            make_row("d1", status="failed"),
            make_row("p1", parked=True, wake_at=30),
            make_row("p2", parked=True, wake_at=20, status="awaiting_user_input"),
            make_row("p3", parked=True),
            make_row("p4", wake_at=10),
        ]
        d.put(*(make_append(row.run_id, 0, 1, row) for row in rows))
        assert ids_of(d.log.runnable()) == ["p4", "r1", "r2", "r9"]
        assert d.log.suspended() == ["s1", "s2"]
        assert d.log.due(19) == []
        assert d.log.due(30) == ["p2", "p1"]
        assert d.log.due(99) == ["p2", "p1", "s2"]
        assert d.log.next_wake() == 20
        d.put(make_append("p2", 1, 1, make_row("p2")))
        assert d.log.next_wake() == 30
        assert "p2" in ids_of(d.log.runnable())

    def test_lists_of_runs(self, d: Driver[Store]) -> None:
        for n in range(10):
            status = "failed" if n % 2 else "running"
            d.put(
                make_append(f"r{n}", 0, 1, make_row(f"r{n}", status=status, component=f"c{n % 3}"))
            )
        list_runs = d.log.list_runs
        assert ids_of(list_runs()) == [f"r{n}" for n in reversed(range(10))]
        assert ids_of(list_runs(limit=2)) == ["r9", "r8"]
        assert ids_of(list_runs(limit=2, before="r8")) == ["r7", "r6"]
        assert ids_of(list_runs(status="failed", component="c0")) == ["r9", "r3"]
        assert d.log.next_wake() is None

    def test_what_a_person_has_answered(self, d: Driver[Store]) -> None:
        by_ada = make_facts(1, topic="UserReplied", state=b'{"actor":"ada"}', step=":ok#0")
        by_eve = make_facts(1, topic="UserReplied", state=b'{"actor":"eve"}', step=":ok#1")
        d.put(make_append("a", 0, [*make_facts(2), *by_ada, *by_eve], make_row("a")))
        found = d.log.query(EventQuery(actor="ada"), 10)
        assert [fact.event_id for fact in found] == [by_ada[0].event_id]
        assert d.log.count(EventQuery(step="ok"), "topic") == {"UserReplied": 2}
        assert d.log.position() == d.log.read("a")[-1].position

    def test_families(self, d: Driver[Store]) -> None:
        """Who has ended and owes something; an index row alone may be written for a run."""
        rows = [make_row(f"c{n}", parent_run_id=f"p{n % 2}", status="failed") for n in range(4)]
        d.put(*(make_append(row.run_id, 0, 1, replace(row, owes=True)) for row in rows))
        assert d.log.owing() == ["c0", "c1", "c2", "c3"]
        settled = make_append("c1", 1, 0, rows[1])
        d.put(settled)
        assert settled.error is None
        assert d.log.owing() == ["c0", "c2", "c3"]
        assert d.log.run_row("c1") == rows[1]
        assert ids_of(d.log.list_runs(parent_run_id="p1")) == ["c3", "c1"]
        assert len(d.log.read("c1")) == 1

    def test_rebuild_replaces_every_row(self, d: Driver[Store]) -> None:
        d.put(
            make_append("a", 0, 1, make_row("a"), KeyBinding("k", "a", "d")), make_append("b", 0, 1)
        )
        rows: list[IndexChange] = [
            make_row("b", status="suspended"),
            KeyBinding("k2", "b", "d"),
            make_row("c"),
        ]
        d.log.rebuild(rows)
        assert ids_of(d.log.list_runs()) == ["c", "b"]
        assert d.log.key_binding("k") is None
        assert bound_to(d.log, "k2") == "b"
        assert d.versions("a") == [1]

    def test_a_rebuild_that_fails_changes_nothing(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 1, make_row("a")))
        with pytest.raises(StoreError):
            d.log.rebuild([KeyBinding("k", "x", "d"), KeyBinding("k", "y", "d", replaces="z")])
        assert d.log.run_row("a") is not None
        assert d.log.key_binding("k") is None

    def test_rebuild_before_the_start(self, make_log: MakeLog) -> None:
        log = make_log()
        log.rebuild([make_row("a")])
        assert ids_of(log.runnable()) == ["a"]
        log.close()
