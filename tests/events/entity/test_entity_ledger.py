"""The ledger of entities: what is decided, what it means, and where a reader may begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.events.entity.commands import CompleteCall, FailCall
from agnt5.events.entity.decider import SNAPSHOT_EVERY, decide, first_to_read
from agnt5.events.entity.facts import EntityCallCompleted, EntitySnapshot
from agnt5.events.entity.state import EntityState, evolve, fold
from agnt5.events.entity.streams import (
    ENTITY_PREFIX,
    call_place,
    call_scope,
    entity_stream,
    is_entity_stream,
    version_of,
)
from agnt5.events.index import NO_RUN
from agnt5.events.projections import call_binding_of

names = st.sampled_from("abcd")
completed = st.builds(
    CompleteCall,
    method=st.just("m"),
    call_id=st.none() | st.text(min_size=1, max_size=3),
    changes=st.dictionaries(names, st.integers() | st.none(), max_size=2),
    deleted=st.lists(names, max_size=2, unique=True),
)
failed = st.builds(FailCall, method=st.just("m"), error=st.just({"message": "no"}))
commands = st.lists(completed | failed, max_size=200)


def played(given_commands):
    """The facts, and the values as a plain dict says they must be."""
    state, facts, model = EntityState(), [], {}
    for command in given_commands:
        for fact in decide(state, command):
            state = evolve(state, fact)
            facts.append(fact)
        if isinstance(command, CompleteCall):
            for name in command.deleted:
                model.pop(name, None)
            model.update(command.changes)
    return state, facts, model


@given(commands)
def test_the_state_is_what_the_calls_have_made_of_it(given_commands):
    state, facts, model = played(given_commands)
    assert state.values == model
    assert state.version == len(facts)
    assert fold(facts) == state


@given(commands)
def test_a_snapshot_stands_at_every_multiple_and_equals_the_fold(given_commands):
    _, facts, _ = played(given_commands)
    for version, fact in enumerate(facts, 1):
        assert isinstance(fact, EntitySnapshot) == (version % SNAPSHOT_EVERY == 0)
        if isinstance(fact, EntitySnapshot):
            before = fold(facts[: version - 1])
            assert (fact.values, fact.versions) == (before.values, before.versions)


@given(commands.filter(lambda found: len(found) > 60), st.integers(0, 400))
def test_a_reader_may_begin_at_the_last_snapshot(given_commands, upto):
    _, facts, _ = played(given_commands)
    facts = facts[: upto or None]
    after = first_to_read(len(facts))
    assert len(facts) - after <= SNAPSHOT_EVERY
    assert fold(facts[after:], after) == fold(facts)


@given(commands)
def test_a_version_names_the_call_that_set_the_value(given_commands):
    state, facts, _ = played(given_commands)
    assert state.versions.keys() == state.values.keys()
    for name, version in state.versions.items():
        fact = facts[version - 1]
        assert isinstance(fact, EntityCallCompleted)
        assert fact.changes is not None
        assert fact.changes[name] == state.values[name]
        assert not any(
            isinstance(later, EntityCallCompleted) and name in (later.changes or {})
            for later in facts[version:]
        )


def test_evolve_leaves_the_state_that_queries_read_alone():
    before = EntityState(1, {"a": 1}, {"a": 1})
    evolve(before, EntityCallCompleted(method="m", changes={"a": 2}, deleted=["b"]))
    assert before == EntityState(1, {"a": 1}, {"a": 1})


def test_a_call_that_changed_nothing_is_recorded_only_when_it_may_be_repeated():
    assert decide(EntityState(), CompleteCall("m", output=1)) == ()
    (fact,) = decide(EntityState(), CompleteCall("m", "id", output=1))
    assert fact == EntityCallCompleted(method="m", call_id="id", output=1)


def test_only_a_completed_call_with_an_id_is_bound():
    bound = call_binding_of("s", 7, EntityCallCompleted(method="m", call_id="id"))
    assert bound is not None
    assert (bound.scope, version_of(bound.run_id)) == (call_scope("s", "id"), 7)
    assert call_binding_of("s", 7, EntityCallCompleted(method="m")) is None
    assert call_binding_of("s", 7, EntitySnapshot(values={}, versions={})) is None


printable = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1)
idents = st.from_regex(r"[A-Za-z_]\w*", fullmatch=True)
calls = st.tuples(idents, printable, printable)


@given(calls, calls)
def test_no_two_calls_share_a_name(one, other):
    """Whatever keys and ids users choose, slashes and at signs included."""
    names_of = [call_scope(entity_stream(kind, key), call) for kind, key, call in (one, other)]
    assert (one == other) == (names_of[0] == names_of[1])


@pytest.mark.parametrize("key", ["k", "a/b", "$entity/x", "@1"])
def test_an_entity_is_no_run(key):
    stream = entity_stream("Counter", key)
    assert stream.startswith(NO_RUN)
    assert is_entity_stream(stream)
    assert not is_entity_stream(ENTITY_PREFIX[:-1])
    assert version_of(call_place(stream, 65)) == 65
