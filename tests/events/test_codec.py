"""Facts to bytes and back, whatever wrote them."""

from __future__ import annotations

import string

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from agnt5.events import codec, upcast
from agnt5.events.base import Encoded, Fact
from agnt5.events.codec import ALL_FACTS, decode_any, decode_fact, decode_history, encode_fact
from agnt5.events.entity.facts import ENTITY_FACTS, EntityFact
from agnt5.events.log import StoredFact
from agnt5.events.run import facts as f
from agnt5.exceptions import StoreCorruptError, StoreSchemaError
from agnt5.payloads import encode

TOPICS = [
    "RunQueued",
    "RunStarted",
    "StepScheduled",
    "StepStarted",
    "StepAttemptFailed",
    "StepCompleted",
    "StepFailed",
    "TimerScheduled",
    "TimerFired",
    "SignalAwaited",
    "SignalReceived",
    "SignalConsumed",
    "SignalTimedOut",
    "SignalReturned",
    "UserInputRequested",
    "UserReplied",
    "UserInputExpired",
    "ChildStarted",
    "ChildFinished",
    "UpdateReceived",
    "UpdateAnswered",
    "MarkerRecorded",
    "StateChanged",
    "EventEmitted",
    "OperationCancelled",
    "RunCancelRequested",
    "RunParked",
    "RunSuspended",
    "RunPaused",
    "RunResumed",
    "RunForked",
    "RunCompleted",
    "RunFailed",
    "RunCancelled",
    "RunContinued",
    "EntityCallCompleted",
    "EntityCallFailed",
    "EntitySnapshot",
    "ScheduleArmed",
    "ScheduleFired",
    "ScheduleSkipped",
]

text = st.text(st.characters(codec="utf-8"))
whole = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
json = st.recursive(
    st.none() | st.booleans() | whole | floats | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, json, max_size=3)
plans = st.builds(
    f.RetryPlan,
    max_attempts=whole,
    initial_ms=whole,
    max_ms=whole,
    backoff=text,
    multiplier=floats,
)
FIELDS = {
    str: text,
    str | None: st.none() | text,
    int: whole,
    int | None: st.none() | whole,
    bool: st.booleans(),
    JsonValue: json,
    dict[str, Encoded] | None: st.none() | objects,
    dict[str, Encoded]: objects,
    dict[str, JsonValue] | None: st.none() | objects,
    dict[str, str] | None: st.none() | st.dictionaries(text, text, max_size=3),
    dict[str, int]: st.dictionaries(text, whole, max_size=3),
    list[dict[str, JsonValue]] | None: st.none() | st.lists(objects, max_size=3),
    list[str] | None: st.none() | st.lists(st.text(max_size=5), max_size=3),
    f.RetryPlan | None: st.none() | plans,
}


def builds(cls: type[Fact]) -> st.SearchStrategy[Fact]:
    fields = cls.model_fields.items()
    return st.builds(
        cls,
        **{
            name: strategy if about.is_required() else st.just(about.default) | strategy
            for name, about in fields
            for strategy in [FIELDS[about.annotation]]
        },
    )


anything = st.one_of(*map(builds, ALL_FACTS))


def stored(topic: str, state: bytes, version: int = 3) -> StoredFact:
    return StoredFact("r1", version, 9, topic, state, 7, "e1")


def reread(fact: Fact) -> Fact:
    raw = encode_fact(fact, 7, "e1")
    return decode_any(stored(raw.topic, raw.state))


@pytest.fixture
def registry(monkeypatch):
    """A kind of fact that has had three shapes."""

    class Renamed(f.StepStarted):
        topic = "StepStarted"
        schema_version = 3

    monkeypatch.setitem(codec._BY_NAME, "StepStarted", Renamed)
    monkeypatch.setitem(codec._TOPICS, Renamed, "StepStarted;v=3")
    monkeypatch.setitem(codec._CURRENT, "StepStarted;v=3", Renamed)
    monkeypatch.delitem(codec._CURRENT, "StepStarted")
    monkeypatch.setattr(upcast, "UPCASTERS", {})
    return Renamed


class TestRoundTrip:
    @given(st.data())
    @pytest.mark.parametrize("cls", ALL_FACTS, ids=lambda cls: cls.__name__)
    def test_a_fact_comes_back(self, cls, data):
        fact = data.draw(builds(cls))
        found = reread(fact)
        assert found == fact
        assert type(found) is cls

    @given(anything)
    def test_the_bytes_are_a_function_of_the_fact(self, fact):
        """Written, read and written again it is the same text, so digests and diffs make sense."""
        assert encode_fact(reread(fact), 7, "e1") == encode_fact(fact, 7, "e1")

    @pytest.mark.parametrize("value", [(1, 2), 2**70, float("inf"), "\ud800", {1: b"x"}])
    def test_what_payloads_write_comes_back(self, value):
        """The codec writes plain JSON; payloads bring everything else into that form."""
        fact = f.StepCompleted(key="a", output=encode(value))
        assert reread(fact) == fact

    def test_numbers_keep_their_type(self):
        fact = f.StepCompleted(key="a", output=[1, 1.0, True, 0.1, -0.0, 1e300])
        assert list(map(repr, reread(fact).output)) == list(map(repr, fact.output))

    def test_defaults_are_left_out(self):
        assert encode_fact(f.StepCompleted(key="a"), 7, "e1").state == b'{"key":"a"}'

    def test_the_key_can_be_searched(self):
        assert encode_fact(f.StepStarted(key="a", attempt=1), 7, "e1").step == "a"
        assert encode_fact(f.RunParked(), 7, "e1").step is None

    def test_time_and_id_are_beside_the_fact(self):
        raw = encode_fact(f.RunParked(), 7, "e1")
        assert (raw.at, raw.event_id, raw.state) == (7, "e1", b"{}")

    def test_a_history(self):
        facts = [f.RunStarted(definition="d"), f.RunParked(wake_at=5), f.RunCompleted(output=1)]
        rows = [
            StoredFact("r1", n, n, raw.topic, raw.state, n * 10, "e")
            for n, raw in enumerate((encode_fact(fact, 0, "e") for fact in facts), 1)
        ]
        assert decode_history(rows) == [(facts[0], 10), (facts[1], 20), (facts[2], 30)]


class TestPayloadsInFacts:
    """They were made JSON once: a fact takes them as they are, and a log is not trusted."""

    def test_an_encoded_value_is_neither_walked_through_nor_copied(self):
        value = [{"id": 1, "tags": ["x", "y"]}]
        assert f.StepCompleted(key="a", output=value).output is value
        assert f.StepScheduled(key="a", name="a", input=value).input is value

    @pytest.mark.parametrize("state", [b'{"key":"a","output":nonsense}', b'{"key":"a","output":'])
    def test_what_lies_on_a_log_must_be_json(self, state):
        with pytest.raises(StoreCorruptError):
            decode_any(stored("StepCompleted", state))

    def test_what_is_no_json_never_gets_onto_a_log(self):
        with pytest.raises(ValueError, match="serialize"):
            encode_fact(f.StepCompleted(key="a", output=object()), 7, "e1")


class TestTopics:
    def test_they_are_stable(self):
        """A topic lies on the disk of every user: never rename one."""
        assert [cls.topic for cls in ALL_FACTS] == TOPICS

    def test_every_kind_of_fact_is_known(self):
        """The union and the tuple say the same."""
        from typing import get_args

        assert set(get_args(f.RunFact)) == set(f.RUN_FACTS)
        assert set(get_args(EntityFact)) == set(ENTITY_FACTS)

    @pytest.mark.parametrize("cls", ALL_FACTS, ids=lambda cls: cls.__name__)
    def test_the_first_shape_has_the_bare_name(self, cls):
        assert set(cls.topic) <= set(string.ascii_letters)
        suffix = "" if cls.schema_version == 1 else f";v={cls.schema_version}"
        assert codec._TOPICS[cls] == cls.topic + suffix

    def test_facts_are_frozen_and_strict(self):
        fact = f.StepStarted(key="a", attempt=0)
        with pytest.raises(ValueError):
            fact.attempt = 1
        with pytest.raises(ValueError):
            f.StepStarted(key="a", attempt=0, colour="red")


class TestNewer:
    @pytest.mark.parametrize(
        "topic", ["StepPondered", "StepPondered;v=2", "StepStarted;v=2", "", "stepstarted"]
    )
    def test_what_a_newer_agnt5_wrote_is_refused(self, topic):
        with pytest.raises(StoreSchemaError, match="fact 3 of run 'r1'.*Upgrade agnt5"):
            decode_fact(stored(topic, b'{"key":"a","attempt":0}'))

    def test_an_explicit_first_version_is_read(self):
        assert decode_fact(stored("StepStarted;v=1", b'{"key":"a","attempt":0}'))


class TestDamage:
    @pytest.mark.parametrize(
        "state",
        [
            b"",
            b"{",
            b"\x00\xff",
            b"[]",
            b"null",
            b'"text"',
            b"{}",
            b'{"key":"a"}',
            b'{"key":"a","attempt":"many"}',
            b'{"key":null,"attempt":0}',
            b'{"key":"a","attempt":0,"colour":"red"}',
            b'{"key":"\xff","attempt":0}',
        ],
    )
    @pytest.mark.parametrize("topic", ["StepStarted", "StepStarted;v=1"])
    def test_a_damaged_state_is_reported(self, topic, state):
        with pytest.raises(StoreCorruptError, match="fact 3 of run 'r1'.*cannot be read"):
            decode_fact(stored(topic, state))

    @pytest.mark.parametrize("topic", ["StepStarted;v=x", "StepStarted;v=0", "StepStarted;v=-1"])
    def test_a_damaged_topic_is_reported(self, topic):
        with pytest.raises(StoreCorruptError, match="cannot be read"):
            decode_fact(stored(topic, b'{"key":"a","attempt":0}'))

    @given(st.binary(max_size=40), st.sampled_from([*TOPICS, "RunParked;v=1", "RunParked;v=9"]))
    def test_no_bytes_do_anything_else(self, state, topic):
        try:
            decode_fact(stored(topic, state))
        except (StoreCorruptError, StoreSchemaError):
            return

    @given(anything, st.data())
    def test_a_fact_that_is_cut_off_is_reported(self, fact, data):
        raw = encode_fact(fact, 7, "e1")
        cut = data.draw(st.integers(0, len(raw.state) - 1))
        with pytest.raises(StoreCorruptError):
            decode_fact(stored(raw.topic, raw.state[:cut]))


class TestUpcasting:
    def test_old_shapes_are_brought_up_to_date(self, registry, monkeypatch):
        """Step by step: 1 to 2 renames a field, 2 to 3 counts from 0."""

        def rename(shape):
            return {"key": shape["step"], "attempt": shape["attempt"]}

        def from_zero(shape):
            return {**shape, "attempt": shape["attempt"] - 1}

        monkeypatch.setitem(upcast.UPCASTERS, ("StepStarted", 1), rename)
        monkeypatch.setitem(upcast.UPCASTERS, ("StepStarted", 2), from_zero)
        expected = registry(key="a", attempt=0)
        assert decode_fact(stored("StepStarted", b'{"step":"a","attempt":1}')) == expected
        assert decode_fact(stored("StepStarted;v=2", b'{"key":"a","attempt":1}')) == expected
        assert decode_fact(stored("StepStarted;v=3", b'{"key":"a","attempt":0}')) == expected

    def test_the_new_shape_has_its_version_in_the_topic(self, registry):
        assert encode_fact(registry(key="a", attempt=0), 7, "e1").topic == "StepStarted;v=3"

    def test_a_step_that_is_missing_is_reported(self, registry, monkeypatch):
        monkeypatch.setitem(upcast.UPCASTERS, ("StepStarted", 1), dict)
        with pytest.raises(StoreCorruptError, match="from version 2 to 3"):
            decode_fact(stored("StepStarted", b'{"key":"a","attempt":1}'))

    def test_a_newer_one_is_refused(self, registry):
        with pytest.raises(StoreSchemaError):
            decode_fact(stored("StepStarted;v=4", b"{}"))

    @pytest.mark.parametrize("state", [b"[1]", b"null", b'"x"', b'{"other":1}'])
    def test_a_damaged_old_shape_is_reported(self, registry, monkeypatch, state):
        """An upcaster may rely on nothing but an object, and must not be the one to fail."""

        def rename(shape):
            return {"key": shape["step"], "attempt": 0}

        monkeypatch.setitem(upcast.UPCASTERS, ("StepStarted", 1), rename)
        monkeypatch.setitem(upcast.UPCASTERS, ("StepStarted", 2), dict)
        with pytest.raises(StoreCorruptError):
            decode_fact(stored("StepStarted", state))

    def test_the_present_shape_goes_through_no_upcaster(self):
        assert upcast.upcast("StepStarted", 2, 2, {"a": 1}) == {"a": 1}

    def test_a_chain_for_every_old_version(self):
        """A kind that has a newer shape can be read in every older one."""
        for cls in codec.ALL_FACTS:
            for version in range(1, cls.schema_version):
                assert (cls.topic, version) in upcast.UPCASTERS


def test_orjson_reads_what_pydantic_writes():
    """The bytes on the log are JSON for everybody: audits and exports read them without us."""
    state = encode_fact(f.StepCompleted(key="ü", output=[1.5, None]), 7, "e").state
    assert orjson.loads(state) == {"key": "ü", "output": [1.5, None]}
