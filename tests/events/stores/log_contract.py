"""What every log must do. A store's own test file gives `make_log` and inherits the rest."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from agnt5.events.index import UNFINISHED, KeyBinding, RunRow
from agnt5.events.log import Append, Chain, RawFact
from agnt5.exceptions import StaleEpochError, StoreError, VersionConflictError

_ids = count(1)


def facts(number: int = 1, **fields: Any) -> list[RawFact]:
    return [
        RawFact(
            topic=fields.get("topic", "StepCompleted;v=2"),
            state=fields.get("state", b'{"n":%d}' % index),
            at=1_700_000_000_000_000 + index,
            event_id=f"e{next(_ids)}",
            step=fields.get("step"),
        )
        for index in range(number)
    ]


def run_row(run_id: str, **fields: Any) -> RunRow:
    given: dict[str, Any] = {
        "component": "greet",
        "kind": "workflow",
        "status": "running",
        "parked": False,
    }
    return RunRow(run_id, **({"wake_at": None, "created_at": 1} | given | fields))


class Sunk:
    """A sink that keeps what is settled, in order, and lets a test wait for it."""

    def __init__(self) -> None:
        self.settled: list[Append] = []
        self.groups: list[int] = []
        self._queue: queue.Queue[Append] = queue.Queue()

    def __call__(self, batch: Sequence[Append]) -> None:
        self.groups.append(len(batch))
        for append in batch:
            self.settled.append(append)
            append.on_settled(append)
            self._queue.put(append)

    def wait(self, number: int) -> list[Append]:
        return [self._queue.get(timeout=20) for _ in range(number)]


def _names(rows):
    return [row.run_id for row in rows]


def make(
    stream: str,
    after: int = 0,
    new: int | list[RawFact] = 1,
    *changes: Any,
    chain: Chain | None = None,
    **flags: Any,
) -> Append:
    return Append(
        stream,
        after,
        facts(new) if isinstance(new, int) else new,
        changes,
        chain or Chain(),
        flags.pop("on_settled", lambda _: None),
        **flags,
    )


class Driver:
    """A started log with its sink."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self.sunk = Sunk()
        log.start(self.sunk)

    def put(self, *appends: Append) -> list[StoreError | None]:
        self.log.append(list(appends))
        self.sunk.wait(len(appends))
        return [append.error for append in appends]

    def versions(self, stream: str) -> list[int]:
        return [fact.version for fact in self.log.read(stream)]


class LogContract:
    """Inherit, and give a fixture `make_log`: a callable that opens a new, empty log."""

    @pytest.fixture
    def d(self, make_log):
        log = make_log()
        yield Driver(log)
        log.close()

    # Append and read

    def test_what_is_appended_is_read_back_as_it_was(self, d):
        given = facts(3, step="greet/1") + facts(1, state=b"\xc3\xa4\x00", topic="T")
        assert d.put(make("r1", 0, given)) == [None]
        read = d.log.read("r1")
        assert [(f.topic, f.state, f.at, f.event_id, f.step) for f in read] == [
            (f.topic, f.state, f.at, f.event_id, f.step) for f in given
        ]
        assert [f.version for f in read] == [1, 2, 3, 4]
        assert {f.stream for f in read} == {"r1"}
        assert all(isinstance(f.state, bytes) for f in read)

    def test_positions_grow_over_all_streams(self, d):
        d.put(make("a", 0, 2), make("b", 0, 2), make("a", 2, 1))
        in_order = [*d.log.read("a", upto=2), *d.log.read("b"), *d.log.read("a", after=2)]
        positions = [fact.position for fact in in_order]
        assert positions == sorted(set(positions))

    def test_a_window_of_a_stream(self, d):
        d.put(make("a", 0, 9))
        versions = lambda **window: [f.version for f in d.log.read("a", **window)]  # noqa: E731
        assert versions(after=3) == [4, 5, 6, 7, 8, 9]
        assert versions(after=3, upto=5) == [4, 5]
        assert versions(limit=2) == [1, 2]
        assert versions(after=7, limit=5) == [8, 9]
        assert versions(limit=0) == []
        assert versions(after=9) == versions(upto=0) == []

    def test_the_last_fact(self, d):
        d.put(make("a", 0, 3))
        assert d.log.last("a") == d.log.read("a")[-1]
        assert d.log.last("nothing") is None

    def test_many_streams_in_one_go(self, d):
        d.put(make("a", 0, 3), make("b", 0, 2))
        found = d.log.read_many(["b", "a", "nothing"])
        assert found == {"a": d.log.read("a"), "b": d.log.read("b"), "nothing": []}
        assert d.log.read_many([]) == {}

    def test_reading_an_unknown_stream_does_not_make_it(self, d):
        assert d.log.read("x") == []
        assert d.log.run_ids() == []

    def test_run_ids_come_from_the_log_itself(self, d):
        d.put(make("b", 0, 3), make("a", 0, 2), make("c", 0, 1))
        assert d.log.run_ids() == ["a", "b", "c"]

    def test_streams_that_are_no_runs_are_listed_apart(self, d):
        d.put(make("$entity/T/b", 0, 2), make("a", 0, 1), make("$entity/T/a", 0, 1))
        assert d.log.run_ids() == ["a"]
        assert d.log.other_streams() == ["$entity/T/a", "$entity/T/b"]

    # Conflicts

    @pytest.mark.parametrize("after", [0, 1, 2, 4, 9])
    def test_only_the_last_version_can_be_extended(self, d, after):
        d.put(make("a", 0, 3))
        (error,) = d.put(make("a", after, 2))
        assert isinstance(error, VersionConflictError)
        assert (error.stream, error.expected) == ("a", after)
        assert d.versions("a") == [1, 2, 3]

    def test_a_new_stream_starts_at_the_first_version(self, d):
        (error,) = d.put(make("a", 1))
        assert isinstance(error, VersionConflictError)
        assert d.log.run_ids() == []

    def test_one_of_a_hundred_loses_and_ninety_nine_are_written(self, d):
        d.put(make("r42", 0, 1))
        errors = d.put(*(make(f"r{n}", 0, 2) for n in range(100)))
        assert [n for n, error in enumerate(errors) if error] == [42]
        assert len(d.log.run_ids()) == 100
        assert d.versions("r42") == [1]

    def test_two_for_the_same_version_in_one_group_the_first_wins(self, d):
        first, second = make("a", 0, 1), make("a", 0, 2)
        errors = d.put(first, second)
        assert errors[0] is None
        assert isinstance(errors[1], VersionConflictError)
        assert [f.event_id for f in d.log.read("a")] == [first.facts[0].event_id]

    def test_a_chain_in_one_group(self, d):
        chain = Chain()
        assert d.put(*(make("a", n, 1, chain=chain) for n in range(50))) == [None] * 50
        assert d.versions("a") == list(range(1, 51))

    def test_once_one_of_a_chain_fails_the_later_ones_fail_too(self, d):
        d.put(make("a", 0, 1))
        chain = Chain()
        lost = [make("a", 0, 1, chain=chain), make("a", 1, 1, chain=chain)]
        errors = d.put(*lost)
        assert [type(error) for error in errors] == [VersionConflictError] * 2
        assert errors[0] is not errors[1]
        assert chain.broken is not None
        (later,) = d.put(make("a", 1, 1, chain=chain))
        assert isinstance(later, VersionConflictError)
        assert d.put(make("a", 1, 1)) == [None]
        assert d.versions("a") == [1, 2]

    def test_an_append_that_was_written_already_is_a_success(self, d):
        given = facts(2)
        row = run_row("a")
        assert d.put(make("a", 0, given, row)) == [None]
        assert d.put(make("a", 0, given, row)) == [None]
        assert d.versions("a") == [1, 2]
        assert d.put(make("a", 2)) == [None]

    def test_an_append_is_all_or_nothing(self, d):
        d.put(make("a", 0, 1, KeyBinding("key", "a", "d")))
        (error,) = d.put(make("b", 0, 3, run_row("b"), KeyBinding("key", "b", "d")))
        assert isinstance(error, StoreError)
        assert d.log.read("b") == []
        assert d.log.run_row("b") is None

    def test_index_changes_alone_need_the_right_version_too(self, d):
        d.put(make("a", 0, 1, run_row("a")))
        assert d.put(make("a", 1, 0, run_row("a", parked=True))) == [None]
        assert d.log.run_row("a").parked is True
        (error,) = d.put(make("a", 0, 0, run_row("a")))
        assert isinstance(error, VersionConflictError)
        assert d.log.run_row("a").parked is True

    # Settling

    def test_settled_in_the_order_in_which_they_were_given(self, d):
        d.put(make("r50", 0, 1))
        given = [make(f"r{n}", 0, 1, urgent=n % 3 == 0) for n in range(100)]
        given.append(make("last"))
        for start in range(0, 101, 7):
            d.log.append(given[start : start + 7])
        d.sunk.wait(101)
        assert d.sunk.settled[1:] == given

    def test_a_sink_may_append(self, d):
        def more(settled: Append) -> None:
            if settled.after < 5:
                follow = make("a", settled.after + 1, 1, on_settled=more)
                d.log.append([follow])

        d.log.append([make("a", 0, 1, on_settled=more), make("b")])
        d.sunk.wait(7)
        assert d.versions("a") == [1, 2, 3, 4, 5, 6]

    def test_what_is_handed_over_before_the_start_is_written_then(self, make_log):
        log = make_log()
        log.append([make("a"), make("b")])
        Driver(log).sunk.wait(2)
        assert log.run_ids() == ["a", "b"]
        log.close()

    def test_close_writes_what_was_handed_over_and_is_idempotent(self, make_log):
        log = make_log()
        d = Driver(log)
        log.append([make(f"r{n:03}", urgent=False) for n in range(100)])
        log.close()
        log.close()
        assert [each.error for each in d.sunk.settled] == [None] * 100
        with pytest.raises(StoreError, match="closed"):
            log.append([make("z")])

    # Keys

    def test_a_key_names_one_run(self, d):
        assert d.put(make("a", 0, 1, KeyBinding("s:k", "a", "digest"))) == [None]
        assert d.log.key_binding("s:k") == KeyBinding("s:k", "a", "digest")
        assert d.log.key_binding("s:other") is None
        (error,) = d.put(make("b", 0, 1, KeyBinding("s:k", "b", "digest")))
        assert isinstance(error, VersionConflictError)
        assert error.stream == "s:k"
        assert d.log.key_binding("s:k").run_id == "a"

    def test_of_two_in_one_group_the_first_gets_the_key(self, d):
        errors = d.put(*(make(run, 0, 1, KeyBinding("k", run, "d")) for run in "abc"))
        assert [error is None for error in errors] == [True, False, False]
        assert d.log.run_ids() == ["a"]

    def test_a_key_can_be_given_on_from_the_run_that_it_names(self, d):
        d.put(make("a", 0, 1, KeyBinding("k", "a", "d1")))
        (error,) = d.put(make("c", 0, 1, KeyBinding("k", "c", "d", replaces="b")))
        assert isinstance(error, VersionConflictError)
        assert d.put(make("b", 0, 1, KeyBinding("k", "b", "d2", replaces="a"))) == [None]
        assert d.log.key_binding("k") == KeyBinding("k", "b", "d2")
        assert d.put(make("e", 0, 1, KeyBinding("free", "e", "d", replaces="b"))) == [None]

    # Ownership

    def test_a_new_owner_makes_the_old_one_stop(self, d):
        assert d.put(make("a")) == [None]
        before = d.log.current("store")
        taken = d.log.claim("store", "somebody else")
        assert taken.epoch == before.epoch + 1
        errors = d.put(make("a", 1), make("b"))
        errors += d.put(make("c"))
        assert [type(error) for error in errors] == [StaleEpochError] * 3
        assert d.versions("a") == [1]
        assert d.log.run_ids() == ["a"]
        with pytest.raises(StaleEpochError):
            d.log.rebuild([])

    def test_the_owner_may_claim_again(self, d):
        epoch = d.log.current("store").epoch
        assert d.log.claim("store", d.log.owner).epoch == epoch + 1
        assert d.put(make("a")) == [None]

    def test_leases_of_other_scopes(self, d):
        assert d.log.current("run:1") is None
        first = d.log.claim("run:1", "w1")
        assert d.log.current("run:1") == first
        second = d.log.claim("run:1", "w2")
        assert (second.owner, second.epoch) == ("w2", first.epoch + 1)
        d.log.release(first)
        assert d.log.current("run:1") == second
        d.log.release(second)
        assert d.log.current("run:1") is None
        assert d.log.claim("run:1", "w3").epoch == second.epoch + 1

    # Index

    def test_a_row_is_read_back_as_it_was(self, d):
        row = RunRow("a", "c", "workflow", "queued", True, 7, 1, 2, 3, "v1", "s", "u", "p", "k")
        d.put(make("a", 0, 1, replace(row, status="running"), row))
        assert d.log.run_row("a") == row
        assert d.log.run_row("a").parked is True
        assert d.log.run_row("b") is None

    def test_what_runs_what_is_suspended_what_is_due(self, d):
        rows = [
            run_row("r9"),
            run_row("r1", status="queued"),
            run_row("r2", status="awaiting_user_input"),
            run_row("s1", status="suspended"),
            run_row("s2", status="suspended", parked=True, wake_at=40),
            run_row("d2", status="completed", parked=True, wake_at=1),
            run_row("d1", status="failed"),
            run_row("p1", parked=True, wake_at=30),
            run_row("p2", parked=True, wake_at=20, status="awaiting_user_input"),
            run_row("p3", parked=True),
            run_row("p4", wake_at=10),
        ]
        d.put(*(make(row.run_id, 0, 1, row) for row in rows))
        assert _names(d.log.runnable()) == ["p4", "r1", "r2", "r9"]
        assert d.log.suspended() == ["s1", "s2"]
        assert d.log.due(19) == []
        assert d.log.due(30) == ["p2", "p1"]
        assert d.log.due(99) == ["p2", "p1", "s2"]
        assert d.log.next_wake() == 20
        d.put(make("p2", 1, 1, run_row("p2")))
        assert d.log.next_wake() == 30
        assert "p2" in _names(d.log.runnable())

    def test_lists_of_runs(self, d):
        for n in range(10):
            status = "failed" if n % 2 else "running"
            d.put(make(f"r{n}", 0, 1, run_row(f"r{n}", status=status, component=f"c{n % 3}")))
        ids = lambda **wanted: [row.run_id for row in d.log.list_runs(**wanted)]  # noqa: E731
        assert ids() == [f"r{n}" for n in reversed(range(10))]
        assert ids(limit=2) == ["r9", "r8"]
        assert ids(limit=2, before="r8") == ["r7", "r6"]
        assert ids(status="failed", component="c0") == ["r9", "r3"]
        assert d.log.next_wake() is None

    def test_families(self, d):
        """Who has ended and owes something; an index row alone may be written for a run."""
        rows = [run_row(f"c{n}", parent_run_id=f"p{n % 2}", status="failed") for n in range(4)]
        d.put(*(make(row.run_id, 0, 1, replace(row, owes=True)) for row in rows))
        assert d.log.owing() == ["c0", "c1", "c2", "c3"]
        settled = make("c1", 1, 0, rows[1])
        d.put(settled)
        assert settled.error is None
        assert d.log.owing() == ["c0", "c2", "c3"]
        assert d.log.run_row("c1") == rows[1]
        assert [row.run_id for row in d.log.list_runs(parent_run_id="p1")] == ["c3", "c1"]
        assert len(d.log.read("c1")) == 1

    def test_rebuild_replaces_every_row(self, d):
        d.put(make("a", 0, 1, run_row("a"), KeyBinding("k", "a", "d")), make("b", 0, 1))
        rows = [run_row("b", status="suspended"), KeyBinding("k2", "b", "d"), run_row("c")]
        d.log.rebuild(rows)
        assert [row.run_id for row in d.log.list_runs()] == ["c", "b"]
        assert d.log.key_binding("k") is None
        assert d.log.key_binding("k2").run_id == "b"
        assert d.versions("a") == [1]

    def test_a_rebuild_that_fails_changes_nothing(self, d):
        d.put(make("a", 0, 1, run_row("a")))
        with pytest.raises(StoreError):
            d.log.rebuild([KeyBinding("k", "x", "d"), KeyBinding("k", "y", "d", replaces="z")])
        assert d.log.run_row("a") is not None
        assert d.log.key_binding("k") is None

    def test_rebuild_before_the_start(self, make_log):
        log = make_log()
        log.rebuild([run_row("a")])
        assert _names(log.runnable()) == ["a"]
        log.close()

    # Against a model

    def test_like_a_dict(self, make_log):
        run_state_machine_as_test(
            lambda: LogMachine(make_log()),  # type: ignore[arg-type]  # any callable will do
            settings=settings(
                max_examples=self.model_examples,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )

    model_examples = 50


STREAMS = st.sampled_from(["a", "b", "c"])
STATUSES = st.sampled_from([*UNFINISHED, "completed", "failed"])
WAKES = st.none() | st.integers(1, 9)


class LogMachine(RuleBasedStateMachine):
    """Random groups of appends, right and wrong, on a log and on plain dicts."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self.d = Driver(log)
        self.streams: dict[str, list[str]] = {}
        self.rows: dict[str, RunRow] = {}
        self.keys: dict[str, str] = {}

    def teardown(self) -> None:
        self.d.log.close()

    @rule(data=st.data(), size=st.integers(1, 5))
    def group(self, data: Any, size: int) -> None:
        appends, expected = [], []
        chains = [Chain(), Chain()]
        broken: set[int] = set()
        for _ in range(size):
            which = data.draw(st.integers(0, 1))
            append = self.draw(data, chains[which])
            wins = which not in broken and self.apply(append)
            if not wins:
                broken.add(which)
            appends.append(append)
            expected.append(wins)
        errors = self.d.put(*appends)
        assert [error is None for error in errors] == expected

    def draw(self, data: Any, chain: Chain) -> Append:
        stream = data.draw(STREAMS)
        after = len(self.streams.get(stream, [])) + data.draw(st.sampled_from([0] * 6 + [-1, 1]))
        changes: list[Any] = []
        if data.draw(st.booleans()):
            changes.append(
                run_row(
                    stream,
                    status=data.draw(STATUSES),
                    parked=data.draw(st.booleans()),
                    wake_at=data.draw(WAKES),
                )
            )
        if data.draw(st.integers(0, 3)) == 0:
            replaces = data.draw(st.none() | STREAMS)
            changes.append(KeyBinding(data.draw(st.sampled_from("kl")), stream, "d", replaces))
        return make(stream, max(after, 0), data.draw(st.integers(0, 3)), *changes, chain=chain)

    def apply(self, append: Append) -> bool:
        known = self.streams.get(append.stream, [])
        if len(known) != append.after:
            return False
        for change in append.changes:
            if isinstance(change, KeyBinding):
                bound = self.keys.get(change.scope)
                if bound is not None and bound != change.replaces:
                    return False
        for change in append.changes:
            if isinstance(change, KeyBinding):
                self.keys[change.scope] = change.run_id
            else:
                self.rows[change.run_id] = change
        if append.facts:
            self.streams[append.stream] = known + [fact.event_id for fact in append.facts]
        return True

    @rule()
    def rebuild(self) -> None:
        keys = [KeyBinding(scope, run_id, "d") for scope, run_id in self.keys.items()]
        self.d.log.rebuild([*self.rows.values(), *keys])

    @invariant()
    def same(self) -> None:
        log = self.d.log
        assert log.run_ids() == sorted(self.streams)
        for stream, event_ids in log.read_many(list(self.streams)).items():
            assert [fact.event_id for fact in event_ids] == self.streams[stream]
            assert [fact.version for fact in event_ids] == list(range(1, len(event_ids) + 1))
        open_rows = [row for row in self.rows.values() if row.status in UNFINISHED]
        wakes = sorted(
            (row.wake_at, row.run_id) for row in open_rows if row.parked and row.wake_at is not None
        )
        assert log.due(5) == [run_id for wake_at, run_id in wakes if wake_at <= 5]
        assert log.next_wake() == (wakes[0][0] if wakes else None)
        assert _names(log.runnable()) == sorted(
            row.run_id for row in open_rows if not row.parked and row.status != "suspended"
        )
        assert {row.run_id: row for row in log.list_runs()} == self.rows
        for scope in "kl":
            bound = log.key_binding(scope)
            assert (bound and bound.run_id) == self.keys.get(scope)
