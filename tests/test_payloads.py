"""What goes onto the log comes back the same, and what cannot is refused in time."""

# mypy: disable-error-code="call-arg, arg-type, misc, has-type, attr-defined, dict-item"
# mypy: disable-error-code="var-annotated"
# ruff: noqa: N806, PIE800, SIM905, RUF005 - tables, drawn compactly

from __future__ import annotations

import dataclasses
import math
import os
import re
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from http import HTTPStatus
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from tests import payload_samples as samples

from agnt5.exceptions import PayloadError, PayloadTooLargeError, RecordedError
from agnt5.payloads import (
    check_size,
    decode,
    decode_error,
    digest,
    encode,
    encode_error,
    encoded_size,
    faithful,
    to_plain,
)

BIG = 10**5000


def over_the_wire(value):
    return orjson.loads(orjson.dumps(value))


def back(value):
    return decode(over_the_wire(encode(value)))


def same(a, b):
    """Equal in type and value, all the way down; NaN equals NaN, and -0.0 is not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return repr(a) == repr(b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, (datetime, time)):
        naive = a.replace(tzinfo=None) == b.replace(tzinfo=None)
        return naive and a.fold == b.fold and same_zone(a.tzinfo, b.tzinfo)
    if isinstance(a, dict):
        pairs = zip(a.items(), b.items(), strict=False)
        alike = len(a) == len(b) and all(same(x, y) for x, y in pairs)
        return alike and getattr(a, "default_factory", 0) == getattr(b, "default_factory", 0)
    if isinstance(a, (set, frozenset)):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, (list, tuple, deque)):
        alike = len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
        return alike and getattr(a, "maxlen", None) == getattr(b, "maxlen", None)
    if isinstance(a, BaseModel):
        return all(
            same(getattr(a, slot), getattr(b, slot))
            for slot in (
                "__dict__",
                "__pydantic_fields_set__",
                "__pydantic_extra__",
                "__pydantic_private__",
            )
        )
    if isinstance(a, BaseException):
        return str(a) == str(b) and same(a.args, b.args) and same(vars(a), vars(b))
    if dataclasses.is_dataclass(a):
        names = [f.name for f in dataclasses.fields(a)]
        return all(same(getattr(a, n, None), getattr(b, n, None)) for n in names)
    return a == b


def same_zone(a, b):
    if a is None or b is None:
        return a is b
    return type(a) is type(b) and str(a) == str(b)


# -------------------------------------------------------------------------- round trips

ZONES = st.one_of(
    st.none(),
    st.sampled_from([ZoneInfo("Europe/Paris"), ZoneInfo("UTC"), UTC]),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    st.just(timezone(timedelta(hours=-5), "EST")),
    st.just(timezone(timedelta(0), "GMT")),
)
STDLIB = st.one_of(
    st.binary(max_size=8),
    st.binary(max_size=8).map(bytearray),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.builds(lambda d, fold: d.replace(fold=fold), st.datetimes(), st.sampled_from([0, 1])),
    st.dates(),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.decimals(),
    st.just(Decimal("sNaN12")),
    st.uuids(),
    st.complex_numbers(),
    st.builds(range, st.integers(), st.integers(), st.integers(1, 2**70)),
    st.sampled_from([PurePosixPath("/a/b"), Path("x"), PureWindowsPath("c:\\x"), Path()]),
    st.sampled_from([re.compile("a+", re.IGNORECASE), re.compile(b"\xff"), re.compile("(?m)^x")]),
    st.sampled_from([ZoneInfo("Asia/Tokyo"), UTC, timezone(timedelta(hours=1), "X")]),
)
ENUMS = st.sampled_from(
    [
        *samples.Colour,
        samples.Level.HIGH,
        samples.Word.YES,
        samples.Right.READ | samples.Right.WRITE,
        samples.Right(0),
        samples.Bit(7),
        samples.Item.Nested.A,
        HTTPStatus.IM_A_TEAPOT,
        re.IGNORECASE | re.MULTILINE,
    ]
)
TEXT = st.one_of(st.text(max_size=6), st.text(st.characters(), max_size=4), st.just("\ud800\udc00"))
PLAIN_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
HASHABLE = st.recursive(
    st.one_of(
        PLAIN_LEAVES,
        ENUMS,
        st.uuids(),
        st.decimals(allow_nan=False),
        st.dates(),
        st.integers().map(samples.Slotted),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner), st.frozensets(inner, max_size=3), inner.map(samples.Point)
    ),
    max_leaves=4,
)


def containers(inner):
    items = st.lists(inner, max_size=3)
    mapping = st.dictionaries(st.one_of(TEXT, st.just("$"), HASHABLE), inner, max_size=3)
    return st.one_of(
        items,
        items.map(tuple),
        items.map(deque),
        st.builds(lambda i: deque(i, maxlen=5), items),
        st.sets(HASHABLE, max_size=3),
        st.frozensets(HASHABLE, max_size=3),
        mapping,
        mapping.map(OrderedDict),
        mapping.map(lambda m: defaultdict(list, m)),
        st.dictionaries(HASHABLE, st.integers(), max_size=3).map(Counter),
        st.builds(samples.Point, inner, inner),
        st.builds(samples.Pair, inner, inner),
        st.builds(samples.Item, inner, inner),
        inner.map(samples.SubItem),
        st.builds(samples.Frozen, inner, items.map(tuple)),
        inner.map(samples.Slotted),
        inner.map(samples.Careful),
        inner.map(samples.Box),
        st.builds(lambda i, t: samples.Order(id=i, lines=tuple(t)), inner, items),
        st.builds(lambda i, s: with_secret(samples.Order(id=i), s), inner, inner),
        inner.map(lambda i: samples.SubOrder(id=i, extra_field={1})),
        inner.map(lambda x: samples.Open(a=2, x=x)),
        items.map(samples.Numbers),
        items.map(lambda i: samples.Plain(*i)),
    )


def with_secret(order, secret):
    order._secret = secret
    return order


VALUES = st.recursive(st.one_of(PLAIN_LEAVES, STDLIB, ENUMS), containers, max_leaves=8)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5).filter(lambda k: k != "$"), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=400)
@given(VALUES)
def test_a_value_comes_back_the_same(value):
    """Whatever is supported comes back equal and with the same types, through real JSON."""
    assert same(back(value), value)


@given(VALUES)
def test_encoding_is_stable(value):
    """A value and what it comes back as have the same encoding, so digests can be compared."""
    encoded = encode(value)
    assert digest(encode(back(value))) == digest(encoded)


@given(JSON)
def test_plain_json_is_itself_but_copied(value):
    """Plain JSON lies on the log as itself, and shares no container with the original."""
    encoded = encode(value)
    assert same(encoded, value)
    assert same(decode(encoded), value)
    if isinstance(value, (list, dict)):
        assert encoded is not value
        assert decode(encoded) is not encoded


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        math.nan,
        1e22,
        2**63,
        -(2**63) - 1,
        BIG,
        "\udcff",
        {"$": 1},
        {"$": "tuple", "v": []},
        {1: "a", None: 2, (1,): 3, 1.5: 4},
        {"\ud800": 1},
        defaultdict(None, {1: 2}),
        defaultdict(Counter),
        deque([1], maxlen=0),
        {frozenset({1}), ("a", samples.Colour.RED)},
        range(0, 10, -3),
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris")),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1, microseconds=5))),
        datetime.min,
        time(1, 2, 3, fold=1, tzinfo=UTC),
        timedelta.max,
        timedelta(microseconds=-1),
        samples.Checked(3),
        samples.RootWithPrivate([1]),
        {"deep": [samples.Order(id=(samples.Item({1}), b"x"))]},
        samples.Page[int](items=[1]),
        samples.Page[samples.Order](items=[samples.Order(id=1)]),
        samples.Page[list[int | None]](items=[[1, None]]),
        samples.Page[samples.Page[str]](items=[samples.Page[str](items=["a"])]),
    ],
    ids=count(),
)
def test_a_corner_comes_back_the_same(value):
    """Corners that random search may miss."""
    assert same(back(value), value)


def test_no_initialiser_runs_on_decode():
    """Dataclasses, models and exceptions are restored without running code of their classes."""
    values = [samples.Careful(1, scale=3), samples.Fussy(a=1), samples.KeywordOnly(order="o")]
    encoded = over_the_wire(encode(values))
    samples.called.clear()
    careful, fussy, error = decode(encoded)
    assert samples.called == []
    assert (careful.total, careful.beyond) == (30, ("no", "field"))
    assert not hasattr(careful, "unset")
    assert fussy.a == 1
    assert (error.order, error.code) == ("o", 3)


def test_a_cached_property_is_not_recorded():
    """What a class computes again by itself need not be recordable."""
    value = samples.Careful(1)
    assert value.lazy is not None
    assert "lazy" not in vars(back(value))


def test_a_model_keeps_what_was_given():
    """`model_fields_set`, extras and private attributes survive."""
    order = with_secret(samples.Order(id=1), {2})
    again = back(order)
    assert again == order
    assert again.model_fields_set == {"id"}
    assert again._secret == {2}
    assert back(samples.Open(a=1, more=(1,))).more == (1,)


def test_the_same_set_is_written_the_same_way():
    """A set's order depends on the process, its encoding does not."""
    names = [f"n{i}" for i in range(50)]
    assert encode(set(names)) == encode({*names[25:], *names[:25]})


# ------------------------------------------------------------------------------ refusals


class Local:
    """Not a sort of class that can be recorded."""


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (sys.__stdout__, "TextIOWrapper"),
        (threading.Lock(), "lock"),
        (lambda: 1, "function"),
        ((x for x in ()), "generator"),
        (os, "module"),
        (object(), "object"),
        (int, "type"),
        (Local(), "Local"),
        (memoryview(b""), "memoryview"),
        (samples.Shout("x"), r"plain str.*str\(\.\.\.\)"),
        (samples.DictData(), "plain dict"),
        (samples.DataOverDict(), "built-in type"),
        (defaultdict(lambda: 1), "built-in factory"),
        (Fraction(1, 3), "Fraction"),
        (samples.Page[Literal["a"]](items=["a"]), "parameter"),
    ],
    ids=count(),
)
def test_what_cannot_come_back_is_refused(value, says):
    """The message names the place, the type, and what to return instead."""
    with pytest.raises(PayloadError, match=says) as caught:
        encode({"orders": [{"handle": value}]}, where="result of step 'charge'")
    assert caught.value.where == "result of step 'charge'"
    assert caught.value.path == "$.orders[0].handle"


@pytest.mark.parametrize(
    ("build", "path"),
    [
        (lambda x: (1, x), "$[1]"),
        (lambda x: {"two words": x}, "$['two words']"),
        (lambda x: {3: x}, "$[3]"),
        (lambda x: {x: 3}, "$<key 0>"),
        (lambda x: samples.Item(1, [x]), "$.price[0]"),
        (lambda x: samples.Order(id={"a": x}), "$.id.a"),
        (lambda x: with_secret(samples.Order(id=1), x), "$._secret"),
        (lambda x: samples.Point(0, x), "$.y"),
        (lambda x: OrderedDict(a=x), "$.a"),
        (lambda x: deque([x]), "$[0]"),
    ],
)
def test_the_path_leads_to_the_place(build, path):
    """Every container adds its step to the path."""
    with pytest.raises(PayloadError) as caught:
        encode(build(Local()))
    assert caught.value.path == path


def test_a_class_inside_a_function_is_refused():
    """A later process could not find it, and the message says what to do."""

    @dataclasses.dataclass
    class Inside:
        a: int

    class Model(BaseModel):
        a: int

    Odd = Enum("Odd", "A", module="tests.payload_samples")
    for value in (Inside(1), Model(a=1)):
        with pytest.raises(PayloadError, match="move it to module level"):
            encode(value)
    with pytest.raises(PayloadError, match="cannot be imported by that name"):
        encode(Odd.A)


def test_a_cycle_is_named_at_the_place_where_it_closes():
    """A cycle is an error with a short path, never a RecursionError."""
    lines: list = [1]
    lines.append({"again": lines})
    with pytest.raises(PayloadError, match="contains itself") as caught:
        encode({"lines": lines})
    assert caught.value.path == "$.lines[1].again"
    order = samples.Item(1)
    order.price = (order,)
    with pytest.raises(PayloadError, match="contains itself"):
        encode(order)


@pytest.mark.parametrize(
    "wrap", [lambda x: [x], lambda x: {"a": x}, lambda x: (x,), samples.Item], ids=count()
)
def test_depth_has_a_limit_that_every_reader_can_take(wrap):
    """What encodes can be parsed by pydantic inside a fact; what is deeper is refused."""
    value, deepest = 1, None
    for _ in range(1000):
        try:
            deepest = encode(value)
        except PayloadError as error:
            assert "nested more than" in str(error)
            break
        value = wrap(value)
    else:
        pytest.fail("no limit")
    text = orjson.dumps({"fact": {"v": deepest}})
    assert TypeAdapter(dict[str, object]).validate_json(text)
    decode(deepest)


# --------------------------------------------------------------------------- hostile logs

TAGS = [
    *("int float str dict tuple set frozenset deque ordered counter defaultdict range").split(),
    *("bytes bytearray decimal complex uuid date timedelta datetime time timezone zone").split(),
    *("path pattern enum flag data namedtuple model exc nonsense").split(),
]
NAMES = st.one_of(
    st.sampled_from(
        ["os:system", "builtins:eval", "os:path.sys", "subprocess:Popen", "nowhere:X", "", ":"]
        + ["tests.payload_samples:Order", "tests.payload_samples:Item", "builtins:KeyError"]
        + ["tests.payload_samples:Right", "tests.payload_samples:Point", "builtins:object"]
        + ["tests.payload_samples:Colour", "enum:Flag", "pydantic:BaseModel", "no.__main__:x"]
    ),
    st.text(max_size=8),
)
HOSTILE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.text(max_size=5), NAMES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["sku", "id", "x", "a"]), inner, max_size=2),
        st.fixed_dictionaries(
            {"$": st.sampled_from(TAGS)},
            optional={
                **{"v": inner, "c": st.one_of(NAMES, inner), "f": inner, "tz": inner, "n": inner},
                **{"x": inner, "p": inner, "s": inner, "max": inner, "fold": inner},
            },
        ),
        st.fixed_dictionaries(
            {"type": NAMES, "message": st.text(max_size=3)},
            optional={
                **{"args": inner, "attrs": inner, "notes": inner, "cause": inner},
                **{"details": inner, "opaque": st.booleans()},
            },
        ),
    ),
    max_leaves=10,
)


@settings(max_examples=500)
@given(HOSTILE)
def test_a_hostile_log_can_only_be_refused(value):
    """Decoding arbitrary JSON returns or raises PayloadError, whatever the JSON."""
    for read in (decode, decode_error):
        try:
            read(value)
        except PayloadError as error:
            assert str(error)


@pytest.mark.parametrize("tag", ["enum", "flag", "data", "model", "namedtuple"])
@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "builtins:eval", "builtins:int", "tests.nowhere:X"]
)
def test_a_log_cannot_call_what_it_names(tag, name):
    """Only a class of the expected sort is ever touched."""
    with pytest.raises(PayloadError):
        decode({"$": tag, "c": name, "v": {"args": ["true"]}})


def test_a_log_cannot_run_a_function_as_an_error():
    """The record of an error must name an exception."""
    record = {"type": "os:system", "message": "", "args": ["true"]}
    with pytest.raises(PayloadError, match="not an exception"):
        decode_error(record)
    with pytest.raises(PayloadError, match="not an exception"):
        decode({"$": "exc", "v": record})


def test_damage_is_named_with_its_place():
    """The path of damaged data is the path in the value."""
    with pytest.raises(PayloadError, match="unknown kind 'new'") as caught:
        decode({"a": [{"$": "new"}]}, where="output")
    assert (caught.value.where, caught.value.path) == ("output", "$.a[0]")
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(PayloadError, match="nested"):
        decode(deep)


# ----------------------------------------------------------------------- classes that change


def test_a_new_field_with_a_default_is_filled_in():
    """Classes may gain fields with defaults while runs are under way."""
    name = "tests.payload_samples"
    assert decode({"$": "data", "c": f"{name}:Item", "v": {"sku": 1}}) == samples.Item(1)
    order = decode({"$": "model", "c": f"{name}:Order", "v": {"id": 1}})
    assert order == samples.Order(id=1)
    assert order.model_fields_set == {"id"}
    assert decode({"$": "namedtuple", "c": f"{name}:Point", "v": {"x": 1}}) == samples.Point(1)


@pytest.mark.parametrize(
    ("tag", "name", "fields", "says"),
    [
        ("data", "Item", {}, "now has a field sku"),
        ("model", "Order", {}, "now has a field id"),
        ("namedtuple", "Pair", {"left": 1}, "now has a field right"),
        ("data", "Item", {"sku": 1, "old": 2}, "no field 'old' any more"),
        ("model", "Order", {"id": 1, "old": 2}, "no field 'old' any more"),
        ("namedtuple", "Point", {"x": 1, "old": 2}, "no field 'old' any more"),
        ("enum", "Colour", "GREEN", "no member 'GREEN' any more"),
        ("data", "Gone", {}, "not there any more"),
    ],
)
def test_a_class_that_no_longer_fits_is_named(tag, name, fields, says):
    """A lost field or a new one without default is an error that says which."""
    with pytest.raises(PayloadError, match=says):
        decode({"$": tag, "c": f"tests.payload_samples:{name}", "v": fields})


# ----------------------------------------------------------------------------- exceptions


def error_back(exc):
    return decode_error(over_the_wire(encode_error(exc)))


def validation_error(**data):
    with pytest.raises(ValidationError) as caught:
        samples.SubOrder(**data)
    return caught.value


def raised(call):
    with pytest.raises(BaseException) as caught:
        call()
    return caught.value


FAITHFUL = [
    ValueError("no"),
    KeyError("sku"),
    KeyError((1, 2)),
    Exception(),
    OSError(2, "gone", "/x"),
    OSError("text only"),
    FileNotFoundError(2, "gone", "/x", None, "/y"),
    raised(lambda: Path("/nowhere/at/all").read_text(encoding="utf-8")),
    raised(b"\xff".decode),
    raised("\ud800".encode),
    raised(lambda: compile("a b", "f.py", "exec")),
    raised(lambda: object().nothing),
    raised(lambda: __import__("nowhere_at_all")),
    StopIteration(5),
    SystemExit(3),
    KeyboardInterrupt(),
    TimeoutError("late"),
    samples.Plain("a", 1, (2,), {3}),
    samples.KeywordOnly(order="o-1"),
    samples.Formatting("a", 3),
    samples.NoSuper(1),
    samples.SlotError("m", 5),
    samples.DiskError("/full"),
    samples.Mute("x"),
    PayloadError("bad", where="w", path="$.a"),
    RecordedError("text", "a:b"),
    ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [KeyError("x")])]),
    BaseExceptionGroup("g", [KeyboardInterrupt()]),
    samples.MyGroup("g", [samples.KeywordOnly(order="a")]),
    validation_error(id=1, lines=3, extra_field={"a"}),
    validation_error(),
    raised(lambda: samples.Strange(a=0)),
    raised(lambda: samples.Strange(a=1)),
    raised(lambda: samples.Strange(a="x")),
    raised(lambda: samples.Strange.model_validate_json("[]")),
    ValueError("bad \ud800 text"),
]


@pytest.mark.parametrize("exc", FAITHFUL, ids=count())
def test_an_exception_comes_back_the_same(exc):
    """Class, text, args and attributes survive, and the live run sees the original itself."""
    rebuilt = error_back(exc)
    assert type(rebuilt) is type(exc)
    if not isinstance(exc, samples.Mute):
        assert str(rebuilt) == str(exc)
    if not isinstance(exc, BaseExceptionGroup):
        assert same(rebuilt.args, exc.args)
    for name in ("errno", "filename", "filename2", "start", "object", "code", "value", "lineno"):
        assert getattr(rebuilt, name, None) == getattr(exc, name, None)
    assert faithful(exc) is exc


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.sampled_from("abc"), VALUES, max_size=2))
def test_args_and_attributes_keep_their_types(args, attributes):
    """Whatever is a payload may be an exception's argument or attribute."""
    exc = samples.Plain(*args)
    vars(exc).update(attributes)
    rebuilt, seen = error_back(exc), faithful(exc)
    if "{" in str(exc):  # the order of a set may differ, and with it the text
        assert type(rebuilt) in {samples.Plain, RecordedError}
        return
    assert same(rebuilt, exc)
    assert seen is exc


def test_notes_and_causes_come_back():
    """The chain of causes and the notes are part of the record."""
    exc = ValueError("outer")
    exc.__cause__ = KeyError("inner")
    exc.__cause__.__cause__ = samples.Plain("core")
    exc.add_note("seen")
    rebuilt = error_back(exc)
    assert rebuilt.__notes__ == ["seen"]
    assert type(rebuilt.__cause__.__cause__) is samples.Plain
    assert faithful(exc) is exc
    silent = ValueError("x")
    silent.__suppress_context__ = True
    assert error_back(silent).__suppress_context__


def test_nested_groups_come_back():
    """Groups keep their members, recursively."""
    rebuilt = error_back(ExceptionGroup("g", [ExceptionGroup("h", [samples.Formatting("a", 1)])]))
    assert type(rebuilt.exceptions[0].exceptions[0]) is samples.Formatting


def test_what_is_lost_is_lost_in_the_live_run_too():
    """If an attribute cannot be recorded, live code must not see it either."""
    exc = raised(lambda: throw(samples.HoldsHandle("broken", threading.Lock())))
    seen, record = faithful(exc), encode_error(exc)
    assert type(seen) is samples.HoldsHandle
    assert seen is not exc
    assert str(seen) == "broken"
    assert not hasattr(seen, "handle")
    assert seen.__traceback__ is exc.__traceback__
    assert record["lost"] == ["handle"]


def throw(exc):
    raise exc


@pytest.mark.parametrize(
    "exc",
    [samples.Plain("a", threading.Lock()), samples.Stateful(threading.Lock()), samples.Plain(int)],
)
def test_what_cannot_be_rebuilt_has_a_stand_in(exc):
    """RecordedError has the text and the name of the class, live and on replay."""
    for seen in (faithful(exc), error_back(exc)):
        assert type(seen) is RecordedError
        assert str(seen) == str(exc)
        assert seen.type_name == f"tests.payload_samples:{type(exc).__name__}"


def test_a_class_made_in_a_function_lives_as_long_as_its_process():
    """Rebuilt while the class lives; after a restart a RecordedError stands in."""

    class Inside(Exception):
        pass

    record = encode_error(Inside("x"))
    assert type(decode_error(record)) is Inside
    assert faithful(original := Inside("y")) is original
    gone = record | {"type": str(record["type"]).replace("Inside", "Other")}
    assert type(decode_error(gone)) is RecordedError
    assert str(decode_error(gone)) == "x"


def test_cycles_among_exceptions_end():
    """A chain that bites its tail is cut, and its record stays small."""
    a, b = ValueError("a"), ValueError("b")
    a.__cause__, b.__cause__ = b, a
    a.twin, b.twin, a.me = b, a, a
    record = encode_error(a)
    assert encoded_size(record) < 200_000
    assert str(decode_error(record)) == "a"
    chain = ValueError(0)
    for number in range(50):
        outer = ValueError(number)
        outer.__cause__ = chain
        chain = outer
    assert len(str(encode_error(chain)).split("'cause'")) <= 8
    assert type(faithful(chain)) is ValueError


def test_the_traceback_is_for_people_and_bounded():
    """The last frames are kept, the text has a limit, and it is no part of the identity."""

    def fall(depth):
        if depth == 0:
            raise ValueError("x" * 20_000 + "end")
        fall(depth - 1)

    record = encode_error(raised(lambda: fall(60)))
    assert len(str(record["traceback"]).encode()) <= 8192
    assert str(record["traceback"]).rstrip().endswith("end")
    short = str(encode_error(raised(lambda: throw(ValueError("y"))))["traceback"])
    assert "in throw" in short


def test_an_exception_may_be_a_value():
    """A result may hold exceptions, as `gather(return_exceptions=True)` gives them."""
    one, error, _ = back([1, samples.KeywordOnly(order="a"), {"e": ValueError("x")}])
    assert one == 1
    assert str(error) == "order a failed"


def test_a_later_process_reads_what_this_one_wrote():
    """Classes are found again by import, not by what happens to be loaded."""
    value = [samples.Order(id={1}), samples.Formatting("a", 1), samples.Colour.BLUE]
    text = orjson.dumps(encode(value)).decode()
    code = (
        "import sys, orjson; from agnt5.payloads import decode; "
        "v = decode(orjson.loads(sys.argv[1])); print([type(x).__name__ for x in v], v[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, text],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join([p for p in sys.path if p] + [str(Path.cwd())])},
    )
    assert done.stdout.strip() == "['Order', 'Formatting', 'Colour'] a x 1"


# ------------------------------------------------------------------- size, digest, plain


def test_size_is_told_in_figures():
    """The error names both figures and what to do."""
    check_size("x" * 100, 102)
    with pytest.raises(PayloadTooLargeError, match=r"2\.0 KiB, the limit is 100 bytes") as caught:
        check_size("x" * 2046, 100, "input of run")
    assert caught.value.where == "input of run"
    with pytest.raises(PayloadError):
        encoded_size(object())


@given(JSON)
def test_a_digest_depends_on_content_only(value):
    """Key order is no content; the digest is short hex."""
    turned = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert digest(turned) == digest(value)
    assert re.fullmatch("[0-9a-f]{32}", digest(value))
    assert digest(1) != digest(1.0)


@given(VALUES)
def test_plain_is_always_json_without_tags(value):
    """`to_plain` never fails and never shows a tag of ours."""
    orjson.dumps(to_plain(value))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, 2), [1, 2]),
        ({3, 1}, [1, 3]),
        (b"ab", "YWI="),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
        (date(2024, 1, 2), "2024-01-02"),
        (timedelta(minutes=1), 60.0),
        (Decimal("1.50"), "1.50"),
        (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (samples.Level.HIGH, 9),
        (samples.Colour.BLUE, [1, 2]),
        (samples.Order(id=(1,)), {"id": [1], "lines": [], "note": None}),
        (samples.Item(1), {"sku": 1, "price": None}),
        (samples.Numbers([1]), [1]),
        (samples.Point(1, 2), {"x": 1, "y": 2}),
        (ValueError("no"), "ValueError: no"),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (math.nan, "NaN"),
        (2**70, str(2**70)),
        (range(3), [0, 1, 2]),
        (range(2**80), f"range(0, {2**80})"),
    ],
)
def test_plain_forms(value, plain):
    """What people see."""
    assert to_plain(value) == plain


def test_plain_survives_anything():
    """Cycles, depth, unknown objects and broken reprs."""

    class Broken:
        def __repr__(self):
            raise RuntimeError

    loop: list = []
    loop.append(loop)
    assert to_plain(loop) == ["<cycle>"]
    assert "Broken" in str(to_plain(Broken()))
    assert len(str(to_plain(Local))) <= 200
    deep: list = []
    for _ in range(3000):
        deep = [deep]
    orjson.dumps(to_plain(deep))
