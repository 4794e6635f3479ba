"""What becomes of appends, one example for each rule."""

from __future__ import annotations

import pytest

from agnt5.events.index import KeyBinding
from agnt5.events.log import Append, Beginning, Chain
from agnt5.exceptions import StoreError, VersionConflictError
from agnt5.testing.stores.contract.opening import MakeLog, Opening, bound_to
from agnt5.testing.stores.driving import Driver, make_append, make_facts, make_row
from agnt5.testing.stores.port import Store


class AppendContract(Opening):
    """Appends, conflicts, settling, keys."""

    def test_what_is_appended_is_read_back_as_it_was(self, d: Driver[Store]) -> None:
        given = make_facts(3, step="greet/1") + make_facts(1, state=b"\xc3\xa4\x00", topic="T")
        assert d.put(make_append("r1", 0, given)) == [None]
        read = d.log.read("r1")
        assert [(f.topic, f.state, f.at, f.event_id, f.step) for f in read] == [
            (f.topic, f.state, f.at, f.event_id, f.step) for f in given
        ]
        assert [f.version for f in read] == [1, 2, 3, 4]
        assert {f.stream for f in read} == {"r1"}
        assert all(isinstance(f.state, bytes) for f in read)

    def test_positions_grow_over_all_streams(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 2), make_append("b", 0, 2), make_append("a", 2, 1))
        in_order = [*d.log.read("a", upto=2), *d.log.read("b"), *d.log.read("a", after=2)]
        positions = [fact.position for fact in in_order]
        assert positions == sorted(set(positions))

    def test_a_window_of_a_stream(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 9))

        def versions(
            after: int = 0, upto: int | None = None, limit: int | None = None
        ) -> list[int]:
            return [f.version for f in d.log.read("a", after=after, upto=upto, limit=limit)]

        assert versions(after=3) == [4, 5, 6, 7, 8, 9]
        assert versions(after=3, upto=5) == [4, 5]
        assert versions(limit=2) == [1, 2]
        assert versions(after=7, limit=5) == [8, 9]
        assert versions(limit=0) == []
        assert versions(after=9) == versions(upto=0) == []

    def test_the_last_fact(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 3))
        assert d.log.last("a") == d.log.read("a")[-1]
        assert d.log.last("nothing") is None

    def test_many_streams_in_one_go(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 3), make_append("b", 0, 2))
        found = d.log.read_many(["b", "a", "nothing"])
        assert found == {"a": d.log.read("a"), "b": d.log.read("b"), "nothing": []}
        assert d.log.read_many([]) == {}

    def test_reading_an_unknown_stream_does_not_make_it(self, d: Driver[Store]) -> None:
        assert d.log.read("x") == []
        assert d.log.run_ids() == []

    def test_run_ids_come_from_the_log_itself(self, d: Driver[Store]) -> None:
        d.put(make_append("b", 0, 3), make_append("a", 0, 2), make_append("c", 0, 1))
        assert d.log.run_ids() == ["a", "b", "c"]

    def test_streams_that_are_no_runs_are_listed_apart(self, d: Driver[Store]) -> None:
        d.put(
            make_append("$entity/T/b", 0, 2),
            make_append("a", 0, 1),
            make_append("$entity/T/a", 0, 1),
        )
        assert d.log.run_ids() == ["a"]
        assert d.log.other_streams() == ["$entity/T/a", "$entity/T/b"]

    @pytest.mark.parametrize("after", [0, 1, 2, 4, 9])
    def test_only_the_last_version_can_be_extended(self, d: Driver[Store], after: int) -> None:
        d.put(make_append("a", 0, 3))
        (error,) = d.put(make_append("a", after, 2))
        assert isinstance(error, VersionConflictError)
        assert (error.stream, error.expected) == ("a", after)
        assert d.versions("a") == [1, 2, 3]

    def test_a_new_stream_starts_at_the_first_version(self, d: Driver[Store]) -> None:
        (error,) = d.put(make_append("a", 1))
        assert isinstance(error, VersionConflictError)
        assert d.log.run_ids() == []

    def test_one_of_a_hundred_loses_and_ninety_nine_are_written(self, d: Driver[Store]) -> None:
        d.put(make_append("r42", 0, 1))
        errors = d.put(*(make_append(f"r{n}", 0, 2) for n in range(100)))
        assert [n for n, error in enumerate(errors) if error] == [42]
        assert len(d.log.run_ids()) == 100
        assert d.versions("r42") == [1]

    def test_two_for_the_same_version_in_one_group_the_first_wins(self, d: Driver[Store]) -> None:
        first, second = make_append("a", 0, 1), make_append("a", 0, 2)
        errors = d.put(first, second)
        assert errors[0] is None
        assert isinstance(errors[1], VersionConflictError)
        assert [f.event_id for f in d.log.read("a")] == [first.facts[0].event_id]

    def test_a_chain_in_one_group(self, d: Driver[Store]) -> None:
        chain = Chain()
        assert d.put(*(make_append("a", n, 1, chain=chain) for n in range(50))) == [None] * 50
        assert d.versions("a") == list(range(1, 51))

    def test_once_one_of_a_chain_fails_the_later_ones_fail_too(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 1))
        chain = Chain()
        lost = [make_append("a", 0, 1, chain=chain), make_append("a", 1, 1, chain=chain)]
        errors = d.put(*lost)
        assert [type(error) for error in errors] == [VersionConflictError] * 2
        assert errors[0] is not errors[1]
        assert chain.broken is not None
        (later,) = d.put(make_append("a", 1, 1, chain=chain))
        assert isinstance(later, VersionConflictError)
        assert d.put(make_append("a", 1, 1)) == [None]
        assert d.versions("a") == [1, 2]

    def test_an_append_that_was_written_already_is_a_success(self, d: Driver[Store]) -> None:
        given = make_facts(2)
        row = make_row("a")
        assert d.put(make_append("a", 0, given, row)) == [None]
        assert d.put(make_append("a", 0, given, row)) == [None]
        assert d.versions("a") == [1, 2]
        assert d.put(make_append("a", 2)) == [None]

    def test_an_append_is_all_or_nothing(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 1, KeyBinding("key", "a", "d")))
        (error,) = d.put(make_append("b", 0, 3, make_row("b"), KeyBinding("key", "b", "d")))
        assert isinstance(error, StoreError)
        assert d.log.read("b") == []
        assert d.log.run_row("b") is None

    def test_index_changes_alone_need_the_right_version_too(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 1, make_row("a")))
        assert d.put(make_append("a", 1, 0, make_row("a", parked=True))) == [None]
        assert d.log.run_row("a") == make_row("a", parked=True)
        (error,) = d.put(make_append("a", 0, 0, make_row("a")))
        assert isinstance(error, VersionConflictError)
        assert d.log.run_row("a") == make_row("a", parked=True)

    def test_settled_in_the_order_in_which_they_were_given(self, d: Driver[Store]) -> None:
        d.put(make_append("r50", 0, 1))
        given = [make_append(f"r{n}", 0, 1, urgent=n % 3 == 0) for n in range(100)]
        given.append(make_append("last"))
        for start in range(0, 101, 7):
            d.log.append(given[start : start + 7])
        d.sunk.wait(101)
        assert d.sunk.settled[1:] == given

    def test_a_sink_may_append(self, d: Driver[Store]) -> None:
        def more(settled: Append) -> None:
            if settled.after < 5:
                follow = make_append("a", settled.after + 1, 1, on_settled=more)
                d.log.append([follow])

        d.log.append([make_append("a", 0, 1, on_settled=more), make_append("b")])
        d.sunk.wait(7)
        assert d.versions("a") == [1, 2, 3, 4, 5, 6]

    def test_what_is_handed_over_before_the_start_is_written_then(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append([make_append("a"), make_append("b")])
        Driver(log).sunk.wait(2)
        assert log.run_ids() == ["a", "b"]
        log.close()

    def test_close_writes_what_was_handed_over_and_is_idempotent(self, make_log: MakeLog) -> None:
        log = make_log()
        d = Driver(log)
        log.append([make_append(f"r{n:03}", urgent=False) for n in range(100)])
        log.close()
        log.close()
        assert [each.error for each in d.sunk.settled] == [None] * 100
        with pytest.raises(StoreError, match="closed"):
            log.append([make_append("z")])

    def test_another_stream_begins_with_an_append(self, d: Driver[Store]) -> None:
        append = make_append("a", 0, 2)
        append.begins = Beginning("b", make_facts(2), [make_row("b", status="queued")])
        assert d.put(append) == [None]
        assert (d.versions("a"), d.versions("b")) == ([1, 2], [1, 2])
        assert [row.run_id for row in d.log.runnable()] == ["b"]
        assert d.put(make_append("b", 2), make_append("a", 2)) == [None, None]

    def test_neither_is_there_if_one_of_the_two_is_refused(self, d: Driver[Store]) -> None:
        d.put(make_append("a"), make_append("b"))
        late, taken, next_to = make_append("a", 5), make_append("a", 1), make_append("d")
        late.begins = Beginning("c", make_facts(1), [make_row("c")])
        taken.begins = Beginning("b", make_facts(1), [make_row("b", component="other")])
        errors = d.put(late, taken, next_to)
        assert [type(error) for error in errors[:2]] == [VersionConflictError] * 2
        assert errors[2] is None
        assert d.log.run_ids() == ["a", "b", "d"]
        assert d.versions("a") == d.versions("b") == [1]
        assert d.log.list_runs() == []

    def test_an_append_that_begins_another_is_known_when_it_is_sent_again(
        self, d: Driver[Store]
    ) -> None:
        facts, begins = make_facts(1), Beginning("b", make_facts(1), ())
        for _ in range(2):
            append = make_append("a", 0, facts)
            append.begins = begins
            assert d.put(append) == [None]
        assert (d.versions("a"), d.versions("b")) == ([1], [1])

    def test_a_key_names_one_run(self, d: Driver[Store]) -> None:
        assert d.put(make_append("a", 0, 1, KeyBinding("s:k", "a", "digest"))) == [None]
        assert d.log.key_binding("s:k") == KeyBinding("s:k", "a", "digest")
        assert d.log.key_binding("s:other") is None
        (error,) = d.put(make_append("b", 0, 1, KeyBinding("s:k", "b", "digest")))
        assert isinstance(error, VersionConflictError)
        assert error.stream == "s:k"
        assert bound_to(d.log, "s:k") == "a"

    def test_of_two_in_one_group_the_first_gets_the_key(self, d: Driver[Store]) -> None:
        errors = d.put(*(make_append(run, 0, 1, KeyBinding("k", run, "d")) for run in "abc"))
        assert [error is None for error in errors] == [True, False, False]
        assert d.log.run_ids() == ["a"]

    def test_a_key_can_be_given_on_from_the_run_that_it_names(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 1, KeyBinding("k", "a", "d1")))
        (error,) = d.put(make_append("c", 0, 1, KeyBinding("k", "c", "d", replaces="b")))
        assert isinstance(error, VersionConflictError)
        assert d.put(make_append("b", 0, 1, KeyBinding("k", "b", "d2", replaces="a"))) == [None]
        assert d.log.key_binding("k") == KeyBinding("k", "b", "d2")
        assert d.put(make_append("e", 0, 1, KeyBinding("free", "e", "d", replaces="b"))) == [None]
