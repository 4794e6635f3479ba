"""What a dying process forgets, and what stays."""

from __future__ import annotations

import copy
import functools
import types
from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from agnt5.testing.memory import Memory

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
contents = st.lists(scalars) | st.dictionaries(st.text(), scalars) | st.sets(st.integers())


def module_of(values):
    module = types.ModuleType("forgetful")
    vars(module).update(values)
    return module


@given(st.dictionaries(st.sampled_from("abcdef"), scalars | contents), st.data())
def test_plain_values_and_containers_are_put_back(before, data):
    """Also in place: whoever holds the list itself sees it empty again."""
    module = module_of(dict(before))
    expected = copy.deepcopy(before)
    held = {name: value for name, value in before.items() if isinstance(value, list)}
    memory = Memory([module])
    for name in before:
        value = vars(module)[name]
        if isinstance(value, list):
            value.append("more")
        if data.draw(st.booleans()):
            setattr(module, name, data.draw(scalars | contents))
    memory.forget()
    assert {name: vars(module)[name] for name in before} == expected
    assert all(vars(module)[name] is value for name, value in held.items())


def test_caches_are_emptied_and_objects_are_left_alone():
    class Bank:
        charges = 0

    calls = []

    @functools.lru_cache
    def cached(n):
        calls.append(n)
        return n

    module = module_of(
        {"cached": cached, "bank": Bank(), "queue": deque([1]), "tally": Counter("a")}
    )
    memory = Memory([module])
    cached(1)
    module.bank.charges += 1
    module.queue.append(2)
    module.tally["b"] += 1
    memory.forget()
    cached(1)
    assert calls == [1, 1]
    assert module.bank.charges == 1
    assert list(module.queue) == [1]
    assert module.tally == Counter("a")


def test_a_value_that_was_none_at_first_is_none_again():
    module = module_of({"connection": None, "__name__": "kept"})
    memory = Memory([module])
    module.connection, vars(module)["__name__"] = object(), "other"
    memory.forget()
    assert module.connection is None
    assert vars(module)["__name__"] == "other"


def test_what_cannot_be_copied_is_left_alone():
    module = module_of({"locks": [types.ModuleType("x")]})
    memory = Memory([module])
    module.locks.append(1)
    memory.forget()
    assert len(module.locks) == 2
