"""Keys: a place in the body, stable for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.events.keys import (
    batch_branch,
    child_branch,
    chosen_key,
    derived_bytes,
    derived_fraction,
    enclosing_keys,
    idempotency_key,
    operation_key,
    scope_of,
)

names = st.text(st.characters(codec="utf-8", exclude_characters=">"), min_size=1)
branches = st.lists(st.integers(0, 99), max_size=4).map(lambda path: "".join(f"/{n}" for n in path))
places = st.tuples(branches, names, st.integers(0, 99))


def test_forms():
    assert operation_key("", "charge", 0) == ":charge#0"
    assert operation_key("/0/2", "charge", 11) == "/0/2:charge#11"
    assert chosen_key("/0", "charge", "order-7") == "@charge:order-7"
    assert child_branch("", 0) == "/0"
    assert child_branch("/0", 12) == "/0/12"
    assert scope_of(":plan#0") == ":plan#0>"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (":a#0", []),
        ("/0/1:a#0", []),
        (":plan#0>:a#0", [":plan#0"]),
        (":plan#0>/1:a#0", [":plan#0"]),
        (":plan#0>:sub#1>/0:a#0", [":plan#0", ":plan#0>:sub#1"]),
        ("@plan:x>:a#0", ["@plan:x"]),
        (":a > b#0", [":a "]),
    ],
)
def test_enclosing_keys(key, expected):
    assert enclosing_keys(key) == expected


@given(st.lists(places, min_size=1, max_size=4))
def test_enclosing_keys_are_the_steps_around(path):
    scope, around = "", []
    for branch, name, occurrence in path:
        key = operation_key(scope + branch, name, occurrence)
        assert enclosing_keys(key) == around
        around.append(key)
        scope = scope_of(key)


@given(places, places)
def test_two_places_are_two_keys(one, other):
    """Branches are ``/`` and digits, occurrences are digits: nothing can be mixed up."""
    assert (operation_key(*one) == operation_key(*other)) is (one == other)


@given(branches, names, st.integers(0, 99), names, names)
def test_a_chosen_key_is_no_place(branch, name, occurrence, other, key):
    assert operation_key(branch, name, occurrence) != chosen_key(branch, other, key)


def test_idempotency_keys_never_change():
    """Recorded values: another algorithm would repeat effects of runs that are under way."""
    assert idempotency_key("r1", ":charge#0") == "dcfa87fbeef48910bea2bc121e3ac0c5"
    assert (
        idempotency_key("0660c7567086828abdc49734d4", "/0:ü#1")
        == "f61a5bfa46b3992ec3337cb9cc663436"
    )


@given(names, names, names, names)
def test_idempotency_keys_tell_steps_and_runs_apart(run, key, other_run, other_key):
    found = idempotency_key(run, key)
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")
    if "\n" not in run + other_run:
        same = (run, key) == (other_run, other_key)
        assert (found == idempotency_key(other_run, other_key)) is same


@given(st.text(), st.text())
def test_derived_chance_is_the_same_for_ever_and_another_for_another_place(run_id, key):
    fraction = derived_fraction(run_id, key)
    assert 0 <= fraction < 1
    assert fraction == derived_fraction(run_id, key)
    assert derived_bytes(run_id, key) != derived_bytes(run_id, key + "x")


def test_derived_chance_is_a_contract():
    """A run that is under way must see the same again after an upgrade."""
    assert derived_bytes("run-1", ":uuid4#0").hex()[:16] == "d4c1330d75e62b81"
    assert derived_fraction("run-1", ":random#0") == 0.9220617894961274


@given(branches, names, st.integers(0, 99), st.integers(0, 99))
def test_no_item_of_a_batch_is_in_the_place_of_another_call(branch, name, first, second):
    one, other = (operation_key(batch_branch(branch, name, n), name, 0) for n in (first, second))
    assert (one == other) == (first == second)
    assert one != operation_key(branch, name, 0)
