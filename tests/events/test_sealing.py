"""What an encrypted fact shows, and what is left of a shredded one."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.golden_facts import GOLDEN

from agnt5.events.codec import ALL_FACTS, decode_fact, encode_fact
from agnt5.events.log import StoredFact
from agnt5.events.run.facts import RUN_FACTS
from agnt5.events.sealing import CLEAR, bound, clear_part, enveloped, marked, opened, shredded_at
from agnt5.events.shredded import decode_shown
from agnt5.exceptions import StoreCorruptError, StoreSchemaError
from agnt5.payloads import decode_error
from agnt5.privacy_errors import EncryptionKeyError, ShreddedError

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "privacy-and-evidence.md"

# What a person may have typed, and what a program has computed: never in clear.
PAYLOADS = {"input", "output", "payload", "value", "error", "answer", "actor", "reason", "question"}
PAYLOADS |= {"options", "assignees", "metadata", "origin", "after", "state", "shown", "report"}
PAYLOADS |= {"on_timeout", "channel", "changes", "values", "versions"}


def payloads_of(kind):
    """The names of a kind's payloads. The origin of a fork is the id of a run."""
    return PAYLOADS - {"origin"} if kind.topic == "RunForked" else PAYLOADS


def stored(topic, state, at=7):
    return StoredFact("r1", 1, 1, topic, state, at, "e1", None)


def test_every_kind_says_what_of_it_is_in_clear():
    assert set(CLEAR) >= {cls.topic for cls in ALL_FACTS}
    for cls in ALL_FACTS:
        # Where there is a trace, it is in clear: the index names it.
        assert CLEAR[cls.topic] - {"traceparent", "tracestate"} <= set(cls.model_fields)
        assert not CLEAR[cls.topic] & payloads_of(cls)
        # Whatever begins an envelope begins no fact.
        assert not {"encrypted", "sealed", "shredded"} & set(cls.model_fields)


def test_the_page_lists_what_is_in_clear():
    """The table in the documentation is the one in the code."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    said = {topic: set(re.findall(r"`(\w+)`", names)) for topic, names in rows.items()}
    assert {topic: names for topic, names in said.items() if topic in CLEAR} == CLEAR


@given(state=st.binary(max_size=60), name=st.from_regex(r"d[0-9a-f]{8}", fullmatch=True))
def test_an_envelope_is_opened_into_its_parts(state, name):
    clear = clear_part("RunQueued", state, name)
    envelope = opened(enveloped(name, clear, b"QUJD"))
    assert envelope == (name, clear, b"QUJD")


LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
LISTS = st.lists(LEAVES, max_size=3)
JSON = LEAVES | LISTS | st.dictionaries(st.text(max_size=8), LEAVES | LISTS, max_size=3)


@given(
    fields=st.dictionaries(st.sampled_from(["component", "input", "sealed", "user_id", "x"]), JSON)
)
def test_the_clear_part_holds_no_value_that_is_not_named(fields):
    state = orjson.dumps(fields)
    sealed = enveloped("d1", clear_part("RunQueued", state, "d1"), b"QUJD")
    shape = orjson.loads(sealed)
    for name in ("component", "user_id"):
        assert (name in shape, shape.get(name)) == (name in fields, fields.get(name))
    for name in ("input", "x"):
        assert shape.get(name) == ({"encrypted": "d1"} if name in fields else None)
    assert opened(sealed).sealed == b"QUJD"
    # Of a kind that is not known, nothing is said at all.
    assert clear_part("Unheard", state, "d1") == b""


def test_what_it_is_bound_to_tells_every_place_from_every_other():
    place = ("r1", 1, "RunQueued", 7, "e1", None)
    others = [
        ("r2", 1, "RunQueued", 7, "e1", None),
        ("r1", 2, "RunQueued", 7, "e1", None),
        ("r1", 1, "RunStarted", 7, "e1", None),
        ("r1", 1, "RunQueued", 8, "e1", None),
        ("r1", 1, "RunQueued", 7, "e2", None),
        ("r1", 1, "RunQueued", 7, "e1", ":a#0"),
    ]
    seen = {bound(each, "d1", b"") for each in (place, *others)}
    seen |= {bound(place, "d2", b""), bound(place, "d1", b',"a":1')}
    assert len(seen) == len(others) + 3


FACTS = {
    f"{name}/{n}": fact
    for name, pair in GOLDEN.items()
    for n, fact in enumerate(pair)
    if isinstance(fact, RUN_FACTS)
}


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_what_is_left_of_a_shredded_fact(fact):
    """Every kind is still that kind, with its key and its numbers, and without its payload."""
    raw = encode_fact(fact, 7, "e1")
    sealed = enveloped("d1", clear_part(raw.topic, raw.state, "d1"), b"QUJD")
    with pytest.raises(EncryptionKeyError, match=r"run 'r1'.*'d1'") as caught:
        decode_fact(stored(raw.topic, sealed))
    assert (caught.value.run_id, caught.value.key_id) == ("r1", "d1")
    gone = stored(raw.topic, marked(sealed, 1_700_000_000_000_000))
    assert shredded_at(gone.state) == 1_700_000_000_000_000
    with pytest.raises(ShreddedError, match=r"run 'r1'.*2023-11-14T22:13:20Z") as shredded:
        decode_fact(gone)
    assert shredded.value.shredded_at == 1_700_000_000_000_000
    left = decode_shown(gone)
    assert type(left) is type(fact)
    for name in CLEAR[fact.topic]:
        assert getattr(left, name, None) == getattr(fact, name, None)
    for name in payloads_of(type(fact)) & set(type(fact).model_fields):
        value, given_value = getattr(left, name), getattr(fact, name)
        if name == "error" and given_value is not None:
            assert isinstance(decode_error(value), ShreddedError)
            assert "shredded" in value["message"]
        elif given_value not in (None, type(fact).model_fields[name].default):
            assert value in ({"shredded": "2023-11-14T22:13:20Z"}, "[shredded]", None)


def test_what_is_in_clear_is_shown_as_it_is():
    fact = FACTS["RunQueued.v1/0"]
    raw = encode_fact(fact, 7, "e1")
    assert decode_shown(stored(raw.topic, raw.state)) == fact
    with pytest.raises(StoreCorruptError, match="damaged"):
        decode_shown(stored("RunQueued", b'{"encrypted":"d1"'))
    with pytest.raises(StoreSchemaError, match="Upgrade"):
        decode_shown(stored("Unheard", b'{"shredded":1,"encrypted":"d1","sealed":"QUJD"}'))
