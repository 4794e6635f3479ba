"""Long payloads of a SQLite store lie apart, once each, and nothing above the store sees it."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.events.codec import decode_fact, encode_fact
from agnt5.events.log import Beginning, Collected, Removal
from agnt5.events.run import facts as f
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_blobs import (
    BLOB_THRESHOLD,
    DIGEST_LENGTH,
    MARK,
    digests_in,
    restored,
    shrunk,
)
from agnt5.exceptions import StoreCorruptError, VersionConflictError
from agnt5.testing.stores import check_store
from agnt5.testing.stores.driving import Driver, make_append, make_facts

LONG = "x" * 5000
POINTER = len(MARK) + DIGEST_LENGTH + 2


def state_of(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def appended(driver: Driver[SqliteLog], stream: str, *states: bytes) -> None:
    facts = [make_facts(1, state=state)[0] for state in states]
    assert driver.put(make_append(stream, 0, facts)) == [None]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def driver(path):
    log = SqliteLog(path, blob_threshold=1000)
    yield Driver(log)
    log.close()


@pytest.fixture
def log(driver):
    return driver.log


def ask(path, sql, *parameters):
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute(sql, parameters).fetchall()


def count_blobs(path) -> int:
    return ask(path, "SELECT count(*) FROM blobs")[0][0]


# States and pointers

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
states = (
    st.binary(max_size=300)
    | st.dictionaries(st.text(max_size=8), values, max_size=6).map(
        lambda fields: json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    )
    | st.dictionaries(st.text(max_size=8), values).map(lambda each: json.dumps(each).encode())
    | st.text(max_size=200).map(lambda said: state_of(a={"$": "blob", "v": said}, b="y" * 100))
    | st.text(max_size=200).map(lambda said: (MARK + said).encode())
)


@given(states, st.sampled_from([0, 10, 50, 120, 1000]))
def test_a_state_comes_back_bit_for_bit(state, threshold):
    text, contents = shrunk(state, threshold)
    assert restored(text, contents) == state
    assert set(digests_in([text])) == set(contents)


def test_only_the_long_fields_lie_apart():
    state = state_of(key=":a#0", output={"rows": LONG}, duration_us=12, after={"é": LONG})
    text, contents = shrunk(state, 1000)
    fields = json.loads(text)
    assert (fields["key"], fields["duration_us"]) == (":a#0", 12)
    assert sorted(map(len, contents.values())) == sorted(
        len(state_of(x=value)) - len(b'{"x":}') for value in ({"rows": LONG}, {"é": LONG})
    )
    assert len(text) < 300


def test_so_many_fields_lie_apart_that_the_rest_is_short():
    fields = {f"f{n}": "y" * (200 + n) for n in range(20)} | {"number": 10**5000, "key": "k"}
    with_number = state_of(**(fields | {"number": 0})).replace(b":0,", b":1" + b"0" * 5000 + b",")
    text, contents = shrunk(with_number, 2000)
    assert 1500 < len(text) <= 2000
    assert restored(text, contents) == with_number
    assert max(map(len, contents.values())) == 5001
    assert json.loads(text)["key"] == "k"


@pytest.mark.parametrize(
    "state",
    [
        state_of(a={"$": "blob", "v": "0" * 64}, b=LONG),
        b"\xff" * 2000,
        b'{"a": "' + b"x" * 2000 + b'"}',
        b"[" * 100_000,
    ],
    ids=["a pointer in it", "no text", "spaces", "too deep"],
)
def test_what_cannot_be_taken_apart_is_one_blob(state):
    text, contents = shrunk(state, 1000)
    assert len(text) == POINTER
    assert list(contents.values()) == [state]


# In a store


def test_equal_payloads_of_many_runs_are_kept_once(path, driver, log):
    for n in range(5):
        appended(driver, f"r{n}", state_of(key=f":a#{n}", output={"rows": LONG}, duration_us=n))
    assert count_blobs(path) == 1
    for n in range(5):
        (fact,) = log.read(f"r{n}")
        assert fact.state == state_of(key=f":a#{n}", output={"rows": LONG}, duration_us=n)
    assert log.read_many(["r1", "r2"])["r2"][0] == log.read("r2")[0] == log.last("r2")


def test_what_is_short_costs_nothing(path, driver, log):
    appended(driver, "r", b"x" * 1000, b"{}")
    assert count_blobs(path) == 0
    assert ask(path, "SELECT DISTINCT typeof(state) FROM stored_events") == [("blob",)]


def test_the_threshold_is_64_kib_unless_one_says_otherwise(tmp_path):
    log = SqliteLog(tmp_path / "other.db")
    appended(Driver(log), "r", b"x" * BLOB_THRESHOLD, b"x" * (BLOB_THRESHOLD + 1))
    log.close()
    kinds = ask(tmp_path / "other.db", "SELECT typeof(state) FROM stored_events ORDER BY rowid")
    assert kinds == [("blob",), ("text",)]


def test_an_append_that_loses_leaves_no_blob(path, driver, log):
    appended(driver, "r", b"{}")
    late = make_append("r", 0, make_facts(1, state=state_of(output=LONG)))
    beside = make_append("s", 0, make_facts(1, state=state_of(output=LONG + "y")))
    lost, written = driver.put(late, beside)
    assert isinstance(lost, VersionConflictError)
    assert written is None
    assert count_blobs(path) == 1


def test_the_stream_that_begins_with_an_append_may_be_long(path, driver, log):
    append = make_append("a", 0, make_facts(1, state=state_of(input=LONG)))
    append.begins = Beginning("b", make_facts(1, state=state_of(input=LONG, link=1)), ())
    assert driver.put(append) == [None]
    assert log.read("b")[0].state == state_of(input=LONG, link=1)
    assert count_blobs(path) == 1


def test_views_and_queries_show_the_payload_itself(path, driver, log):
    queued = f.RunQueued(component="c", kind="workflow", input={"a": LONG}, metadata={"m": LONG})
    asked = f.StepScheduled(key=":a#0", name="a", function="a", input=["é" + LONG])
    done = f.StepCompleted(key=":a#0", output={"o": LONG, "n": 7}, duration_us=5)
    reply = f.UserReplied(key=":q#0", answer=LONG, actor="ada")
    facts = [
        encode_fact(fact, 10 + n, f"e{n}") for n, fact in enumerate((queued, asked, done, reply))
    ]
    assert driver.put(make_append("r", 0, facts)) == [None]
    payloads = ask(path, "SELECT payload FROM agnt5_events ORDER BY version")
    assert [payload.encode() for (payload,) in payloads] == [fact.state for fact in facts]
    (step,) = ask(path, "SELECT input, output, output->>'$.n', duration_us FROM agnt5_steps")
    assert (json.loads(step[0]), json.loads(step[1])) == (asked.input, done.output)
    assert step[2:] == (7, 5)
    assert [decode_fact(fact) for fact in log.read("r")] == [queued, asked, done, reply]


# Collecting


def test_a_blob_goes_with_the_last_fact_that_uses_it(path, driver, log):
    for name in ("a", "b"):
        appended(driver, name, state_of(output=LONG), state_of(output=name + LONG))
    assert log.collect() == Collected()
    assert log.forget([Removal("a", 2)]) == ["a"]
    assert ask(path, "SELECT DISTINCT originator_id FROM blob_uses") == [("b",)]
    assert log.collect() == Collected(1, len(LONG) + 3)
    assert [fact.state for fact in log.read("b")] == [
        state_of(output=LONG),
        state_of(output="b" + LONG),
    ]
    assert count_blobs(path) == 2
    appended(driver, "a", state_of(output="a" + LONG))
    assert log.read("a")[0].state == state_of(output="a" + LONG)


def test_many_are_collected_in_short_transactions(path, driver, log):
    appended(driver, "a", *(state_of(output=f"{n}" + LONG) for n in range(250)))
    assert log.forget([Removal("a", 250)]) == ["a"]
    assert log.collect().blobs == 250
    assert ask(path, "SELECT count(*) FROM blob_uses") == [(0,)]


def test_collecting_beside_a_writer_loses_nothing(path, driver, log):
    """The same payload comes and goes, while somebody collects."""
    over, errors = threading.Event(), []

    def collect() -> None:
        while not over.is_set():
            try:
                log.collect()
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for n in range(60):
            stream = f"r{n}"
            facts = make_facts(1, state=state_of(output=LONG, n=n))
            assert driver.put(make_append(stream, 0, facts)) == [None]
            assert log.read(stream)[0].state == state_of(output=LONG, n=n)
            assert log.forget([Removal(stream, 1)]) == [stream]
    finally:
        over.set()
        thread.join()
    assert errors == []


def test_a_blob_that_is_gone_is_told_with_the_fact(path, driver, log):
    done = encode_fact(f.StepCompleted(key=":a#0", output=LONG), 1, "e1")
    assert driver.put(make_append("r", 0, [done]), make_append("s")) == [None, None]
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM blobs")
        other.commit()
    found = log.read_many(["r", "s"])
    assert len(found["s"]) == 1
    with pytest.raises(
        StoreCorruptError, match="(?s)fact 1 of run 'r'.*the blob [0-9a-f]{12} is missing"
    ):
        decode_fact(found["r"][0])


def test_a_store_whose_every_fact_lies_apart_keeps_the_laws(tmp_path):
    """Random histories: a threshold of nothing makes a blob of each state."""
    check_store(lambda place: SqliteLog(tmp_path / place, blob_threshold=0), max_examples=15)
