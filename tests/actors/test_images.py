"""After-images: what a step made of its arguments, compared, and written back in place."""

from __future__ import annotations

import copy
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, PrivateAttr

from agnt5.actors import images as images_module
from agnt5.actors.images import GONE, Arguments, Together, changes, rewrite
from agnt5.calls import recorded_input
from agnt5.exceptions import PayloadError
from agnt5.payloads import encode


@dataclass
class Cart:
    lines: list[str]
    total: int = 0


@dataclass(slots=True)
class Slotted:
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sealed:
    inner: list[int]


class Order(BaseModel):
    lines: list[str]
    paid: bool = False
    _tries: int = PrivateAttr(default=0)


LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "b", 1.0, b"x"])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.builds(Cart, st.lists(inner, max_size=2))
        | st.builds(lambda *parts: parts, inner, inner)
        | st.builds(deque, st.lists(inner, max_size=2))
    ),
    max_leaves=12,
)


@given(st.lists(TREES, max_size=3), st.lists(TREES, max_size=3))
def test_what_was_written_back_equals_what_was_recorded(old, new):
    """Types and the order of keys included; and the outermost object is the same one."""
    assert rewrite(old, copy.deepcopy(new)) is old
    assert encode(old) == encode(new)
    assert repr(encode(old)) == repr(encode(new))


@given(st.dictionaries(st.sampled_from("abcd"), TREES, max_size=3), st.data())
def test_a_change_is_recorded_and_put_back(before, data):
    """Capture, change, capture, compare, restore into a copy: the copy is what the original is."""
    copied = copy.deepcopy(before)
    images = Arguments((before,), {})
    then = images.capture()
    name = data.draw(st.sampled_from("abcd"))
    before[name] = data.draw(TREES)
    after = changes(then, images.capture())
    if after is not None:
        Arguments((copied,), {}).restore(after)
    assert repr(encode(copied)) == repr(encode(before))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({1, 2}, {2, 3}),
        (bytearray(b"ab"), bytearray(b"c")),
        (Counter(a=1), Counter(a=2)),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
        (defaultdict(list, a=[1]), defaultdict(list, a=[1, 2])),
        (deque([1], maxlen=2), deque([1, 2], maxlen=2)),
        (Cart(["a"]), Cart(["a", "b"], 3)),
        (Slotted({"a": 1}), Slotted({"a": 2})),
        (Sealed([1]), Sealed([1, 2])),
        (Order(lines=["a"]), Order(lines=[], paid=True)),
        (([1], {"a": 1}), ([1, 2], {})),
    ],
)
def test_every_kind_is_changed_in_place(old, new):
    """The body may hold the object, or a part of it, under another name."""
    parts = [part for part in getattr(old, "__dict__", {}).values() if isinstance(part, list)]
    assert rewrite(old, new) is old
    assert old == new
    assert all(any(part is now for now in vars(old).values()) for part in parts)


def test_private_attributes_of_a_model_come_along():
    old, new = Order(lines=[]), Order(lines=["a"])
    new._tries = 3
    rewrite(old, new)
    assert old._tries == 3
    assert old.model_fields_set == {"lines"}


def test_items_of_a_list_keep_their_identity_when_it_is_sorted():
    """An alias of an item must not find another item's content in it."""
    first, second = {"n": 1}, {"n": 2}
    items = [first, second]
    rewrite(items, [{"n": 2}, {"n": 1}])
    assert items[0] is second
    assert items[1] is first
    assert first == {"n": 1}


def test_one_object_in_two_places_becomes_two_when_they_differ():
    twice = [1]
    old = {"a": twice, "b": twice}
    rewrite(old, {"a": [1, 2], "b": [1, 2]})
    assert old["a"] is old["b"] is twice
    rewrite(old, {"a": [3], "b": [4]})
    assert old == {"a": [3], "b": [4]}


def test_scalars_cost_nothing():
    assert Arguments.of((1, "a", None, 2.0, True, b"x"), {"n": 1}) is None
    assert Arguments.of((timedelta(1),), {}) is not None


def test_only_what_differs_is_recorded():
    shared, other = {"n": 1}, [1]
    images = Arguments((shared, "text"), {"other": other})
    before = images.capture()
    assert changes(before, images.capture()) is None
    shared["n"] = True
    assert changes(before, images.capture()) == {"args": {"0": {"n": True}}}
    other.append(2)
    after = changes(before, images.capture())
    assert after == {"args": {"0": {"n": True}}, "kwargs": {"other": [1, 2]}}


def test_the_first_picture_is_the_recorded_input():
    """It need not be taken twice; what the log only names is not watched."""
    args, kwargs = ([1], object(), "text"), {"d": {}, "n": 1}
    images = Arguments(args, kwargs)
    images.were(recorded_input(args, kwargs))
    assert images.capture() == {"args": {"0": [1]}, "kwargs": {"d": {}}}
    args[0].append(2)
    assert images.capture() == {"args": {"0": [1, 2]}, "kwargs": {"d": {}}}
    only = Arguments(([1],), {})
    only.were(recorded_input(([1],), {}))
    assert only.capture() == {"args": {"0": [1]}}


def test_what_has_no_image_is_left_alone():
    endless = []
    endless.append(endless)
    images = Arguments((endless, object()), {})
    assert images.capture() == {}
    images.restore({"args": {"0": [1], "7": [1]}, "kwargs": {"gone": 1}, "self": {"n": 1}})
    assert endless == [1]


def test_a_change_in_the_very_moment_is_looked_at_again(monkeypatch):
    """Another thread may be adding to a dict while it is being pictured."""
    tries = []

    def busy(value, where):
        tries.append(value)
        if len(tries) < 3:
            raise PayloadError("changed") from RuntimeError("dictionary changed size")
        return encode(value)

    monkeypatch.setattr(images_module, "encode", busy)
    assert images_module.picture({"n": 1}) == {"n": 1}
    assert len(tries) == 3


def test_an_entry_that_is_gone_is_recorded_as_gone():
    assert changes({"self": {"n": 1}}, {}) == {"self": {"n": GONE}}
    assert changes({}, {"self": {"n": 1}}) == {"self": {"n": 1}}
    kept = [1]
    Arguments((kept,), {}).restore({"args": {"0": GONE}})
    assert kept == [1]


def test_several_providers_are_one():
    class Own:
        def __init__(self):
            self.values = {"n": 1}

        def capture(self):
            return {"self": dict(self.values)}

        def restore(self, after):
            self.values |= after.get("self", {})

    own, given = Own(), [1]
    together = Together(Arguments((given,), {}), None, own)
    before = together.capture()
    own.values["n"] = 2
    given.append(2)
    after = changes(before, together.capture())
    assert after == {"args": {"0": [1, 2]}, "self": {"n": 2}}
    fresh, copied = Own(), [1]
    Together(Arguments((copied,), {}), fresh).restore(after)
    assert (copied, fresh.values) == ([1, 2], {"n": 2})
