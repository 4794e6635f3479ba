"""Forgetting runs and looking at everything at once, one example for each rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agnt5.events.index import KeyBinding
from agnt5.events.log import Removal
from agnt5.exceptions import StaleEpochError
from agnt5.testing.stores.contract.opening import Opening, bound_to
from agnt5.testing.stores.driving import Driver, make_append, make_row
from agnt5.testing.stores.port import OpenStore, Store


class ForgetContract(Opening):
    """What goes with a run, what stays, and that a view does not move."""

    def test_a_run_goes_with_its_row_and_its_keys(self, d: Driver[Store]) -> None:
        row = replace(make_row("a", status="completed"), finished_at=5)
        d.put(make_append("a", 0, 2, row, KeyBinding("k", "a", "d"), KeyBinding("l", "a", "d")))
        d.put(make_append("b", 0, 1, make_row("b"), KeyBinding("l", "b", "d", "a")))
        assert [each.run_id for each in d.log.ended(6)] == ["a"]
        assert d.log.forget([Removal("a", 2, ("k", "l", "none"))]) == ["a"]
        assert d.log.read("a") == []
        assert d.log.last("a") is None
        assert d.log.run_row("a") is None
        assert d.log.run_ids() == ["b"]
        assert d.log.ended(6) == []
        assert d.log.key_binding("k") is None
        assert bound_to(d.log, "l") == "b"
        assert d.versions("b") == [1]

    def test_a_run_that_has_gone_on_is_left(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 2, make_row("a"), KeyBinding("k", "a", "d")), make_append("b"))
        removals = [Removal("a", 1, ("k",)), Removal("b", 1), Removal("c", 1), Removal("c", 0)]
        assert d.log.forget(removals) == ["b"]
        assert d.versions("a") == [1, 2]
        assert d.log.run_row("a") is not None
        assert bound_to(d.log, "k") == "a"

    def test_what_is_forgotten_may_begin_again(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 2, make_row("a")))
        d.log.forget([Removal("a", 2)])
        assert d.put(make_append("a", 2)) != [None]
        assert d.put(make_append("a", 0, 1, make_row("a"))) == [None]
        assert d.versions("a") == [1]
        assert d.log.read("a")[0].position == 3

    def test_positions_are_not_used_again_after_a_restart(
        self, open_store: OpenStore, drop: Callable[[str], None] | None
    ) -> None:
        place = "t_forget"
        first = open_store(place)
        Driver(first).put(make_append("a", 0, 3))
        first.forget([Removal("a", 3)])
        first.close()
        again = open_store(place)
        if again.position():  # a log in memory may have forgotten everything
            assert again.position() == 3
            driver = Driver(again)
            driver.put(make_append("b"))
            assert again.read("b")[0].position == 4
        again.close()
        if drop is not None:
            drop(place)

    def test_who_has_lost_the_store_forgets_nothing(self, d: Driver[Store]) -> None:
        d.put(make_append("a"))
        self.claim(d.log, "store", "somebody else")
        with pytest.raises(StaleEpochError):
            d.log.forget([Removal("a", 1)])
        assert d.versions("a") == [1]

    def test_a_view_shows_one_moment(self, d: Driver[Store]) -> None:
        d.put(make_append("a", 0, 2, make_row("a"), KeyBinding("k", "a", "d")))
        with d.log.view() as view:
            d.put(make_append("a", 2, 1, make_row("a", status="failed")), make_append("b"))
            d.log.forget([Removal("a", 3, ("k",))])
            assert [(each.stream, each.version) for each in view.facts()] == [("a", 1), ("a", 2)]
            assert [row.status for row in view.run_rows()] == ["running"]
            assert [key.scope for key in view.key_bindings()] == ["k"]
        assert d.log.run_ids() == ["b"]
