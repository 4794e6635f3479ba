"""Histories as files: what is written comes back bit for bit, and what is wrong is refused."""

from __future__ import annotations

import io
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.run.strategies import histories

from agnt5.events.codec import encode_fact
from agnt5.events.log import StoredFact
from agnt5.exceptions import InvalidInputError, StoreCorruptError
from agnt5.histories import FORMAT, VERSION, Counts, History, read_histories, write_histories

HEADER = {"format": FORMAT, "version": VERSION}


def history(run_id: str, facts, event_id: str = "e") -> History:
    rows = [encode_fact(fact, at, f"{event_id}{n}") for n, (fact, at) in enumerate(facts, 1)]
    return History(
        run_id,
        tuple(
            StoredFact(run_id, n, 0, raw.topic, raw.state, raw.at, raw.event_id, raw.step)
            for n, raw in enumerate(rows, 1)
        ),
    )


def as_bytes(found: list[History]) -> bytes:
    file = io.BytesIO()
    write_histories(found, file)
    return file.getvalue()


# Texts that JSON must escape, numbers that two writers of JSON spell differently.
AWKWARD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(histories(), max_size=3))
def test_what_is_written_is_read_bit_for_bit_and_written_the_same_again(drawn):
    found = [history(f"run-{n}", facts) for n, facts in enumerate(drawn)]
    written = as_bytes(found)
    again = read_histories(io.BytesIO(written))
    assert again == found
    assert as_bytes(again) == written
    assert [each.facts for each in again] == drawn


@given(AWKWARD, st.sampled_from([b"%s", b" %s ", b"%s\n", b"\t%s"]))
def test_states_that_another_writer_of_json_has_written_keep_their_bytes(value, form):
    """The state is bytes: spaces, escapes, and numbers such as 1.0e5 or 10**30 are not touched."""
    given_input = form % json.dumps(value).encode()
    state = b'{"component":"w","kind":"workflow","input":' + given_input + b"}"
    row = StoredFact("r", 1, 0, "RunQueued", state, 1, "e1")
    written = as_bytes([History("r", (row,))])
    assert read_histories(io.BytesIO(written))[0].events == (row,)
    assert written.count(b"\n") == 3


def lines(count: int = 1) -> list[dict]:
    """A sound file as objects, to be spoilt: runs of two events each."""
    found = [
        {
            "stream": f"run-{n}",
            "version": version,
            "topic": topic,
            "at": 1_700_000_000_000_000,
            "event_id": f"{n}.{version}",
            "step": None,
            "state": state,
        }
        for n in range(count)
        for version, topic, state in (
            (1, "RunQueued", {"component": "w", "kind": "workflow", "input": {}}),
            (2, "RunStarted", {"definition": "d"}),
        )
    ]
    return [HEADER, *found, {"end": {"runs": count, "events": 2 * count}}]


def read(found: list[dict]) -> list[History]:
    return read_histories(io.BytesIO(b"".join(orjson.dumps(line) + b"\n" for line in found)))


def test_the_sound_file_is_sound():
    assert [each.run_id for each in read(lines(2))] == ["run-0", "run-1"]
    assert read(lines())[0].queued.component == "w"
    assert read(lines())[0].upto(1).state().started_at is None


def spoilt(line: int, /, **fields) -> list[dict]:
    found = lines(2)
    found[line] = {**found[line], **fields}
    return found


@pytest.mark.parametrize(
    ("found", "line", "problem"),
    [
        ([], 1, "empty"),
        (lines()[:-1], 4, "cut off"),
        (lines()[1:], 1, "header"),
        ([{**HEADER, "version": 2}], 1, "upgrade"),
        ([*lines()[:3], {"end": {"runs": 1, "events": 3}}], 4, "lines were lost"),
        (spoilt(1, version=2), 2, "version 1"),
        (spoilt(2, version=3), 3, "version 2"),
        (spoilt(2, version=True), 3, "whole number"),
        (spoilt(2, at=-1), 3, "whole number"),
        (spoilt(2, at=2**63), 3, "whole number"),
        (spoilt(2, event_id=""), 3, "event_id"),
        (spoilt(2, event_id="x" * 5000), 3, "event_id"),
        (spoilt(2, step=7), 3, "step"),
        (spoilt(2, state_text="{}"), 3, "others: ['state']"),
        (spoilt(2, extra=1), 3, "others: ['extra']"),
        (spoilt(2, topic="RunStarted;v=9"), 3, "newer"),
        (spoilt(2, topic="Sneezed"), 3, "does not know"),
        (spoilt(2, state={"definition": 1}), 3, "cannot be read"),
        (spoilt(2, state=[1]), 3, "cannot be read"),
        (spoilt(2, topic="TimerFired", state={"key": ":a#0"}), 3, "cannot follow"),
        (spoilt(2, topic="RunQueued", state=lines()[1]["state"]), 3, "begins with RunQueued"),
        (spoilt(1, topic="RunStarted", state={"definition": "d"}), 2, "begins with RunQueued"),
        (spoilt(1, stream="$entity"), 2, "must not begin"),
        (spoilt(1, stream="a\nb"), 2, "printable"),
        (spoilt(3, stream="run-0"), 4, "version 3"),
        ([*lines(2)[:4], *lines()[1:]], 5, "run 'run-0' was in the file before"),
        ([HEADER, *lines()[1:3], *lines(2)[3:5], *lines()[1:]], 6, "before"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(found, line, problem):
    with pytest.raises(InvalidInputError) as caught:
        read(found)
    assert f"the file, line {line}: " in str(caught.value)
    assert problem in str(caught.value)


def test_nothing_follows_the_end_of_a_run():
    found = lines()
    end = {**found[2], "version": 3, "event_id": "3", "topic": "RunCompleted", "state": {}}
    after = {**end, "version": 4, "topic": "RunParked"}
    with pytest.raises(InvalidInputError, match="line 5: run 'run-0' has ended"):
        read([*found[:3], end, after, {"end": {"runs": 1, "events": 4}}])


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"{]\n", "no JSON"), (b"7\n", "no JSON object"), (b'{"\xff":1}', "no JSON")],
)
def test_what_is_no_json_is_refused_with_its_line(content, problem):
    with pytest.raises(InvalidInputError, match=f"line 2: it is {problem}"):
        read_histories(io.BytesIO(orjson.dumps(HEADER) + b"\n" + content))


def test_files_one_after_the_other_are_one_file():
    both = as_bytes(read(lines(1))) + b"\n" + as_bytes(read(lines(2))[1:])
    assert [each.run_id for each in read_histories(io.BytesIO(both))] == ["run-0", "run-1"]
    with pytest.raises(InvalidInputError, match="line 6: run 'run-0' was in the file before"):
        read_histories(io.BytesIO(as_bytes(read(lines())) * 2))


def test_a_file_that_is_too_large_is_not_read_on():
    content = as_bytes(read(lines(9)))
    assert len(read_histories(io.BytesIO(content), max_bytes=len(content))) == 9
    file = io.BytesIO(content)
    with pytest.raises(InvalidInputError, match="max_bytes=1000"):
        read_histories(file, max_bytes=1000)
    assert file.tell() <= 1001


def test_a_file_at_a_path_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert write_histories(read(lines(2)), path) == Counts(2, 4)
    before = path.read_bytes()
    broken = History("r", (StoredFact("r", 1, 0, "RunQueued", b"\xff", 1, "e"),))
    with pytest.raises(StoreCorruptError, match="no text"):
        write_histories([*read(lines()), broken], path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["runs.jsonl"]
    assert len(read_histories(str(path))) == 2
    with pytest.raises(InvalidInputError, match=r"runs\.jsonl, line 1: .*max_bytes=5"):
        read_histories(path, max_bytes=5)


def test_files_in_text_mode_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="binary mode"):
        write_histories([], io.StringIO())
    with pytest.raises(InvalidInputError, match="binary mode"):
        read_histories(io.StringIO("{}"))


@given(
    histories(),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 5)), min_size=1),
)
def test_whatever_is_in_a_file_it_is_read_or_refused(facts, changes):
    """Bytes anywhere are replaced: what comes of it is sound, or an error with a line."""
    content = as_bytes([history("run", facts)])
    for place, put, gone in changes:
        at = int(place * len(content))
        content = content[:at] + put + content[at + gone :]
    refused_or_sound(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(
    histories(),
    st.integers(0, 20),
    st.sampled_from(["stream", "version", "topic", "at", "event_id", "step", "state", "other"]),
    JSON | st.sampled_from(["RunCompleted", "StepCompleted", "SignalConsumed", "RunQueued;v=x"]),
)
def test_whatever_a_field_holds_it_is_read_or_refused(facts, line, field, value):
    found = [orjson.loads(each) for each in as_bytes([history("run", facts)]).splitlines()]
    found[line % len(found)][field] = value
    refused_or_sound(b"\n".join(json.dumps(each).encode() for each in found))


def refused_or_sound(content: bytes) -> None:
    try:
        found = read_histories(io.BytesIO(content))
    except InvalidInputError as error:
        assert "the file, line " in str(error)
    else:
        assert read_histories(io.BytesIO(as_bytes(found))) == found
