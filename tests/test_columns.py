"""Histories as columns: bit for bit there and back, and what is wrong is refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.run.strategies import histories
from tests.test_histories import AWKWARD, as_bytes, history

from agnt5 import columns
from agnt5.columns import read_columns, write_columns
from agnt5.events.log import StoredFact
from agnt5.exceptions import ConfigurationError, InvalidInputError, StoreCorruptError
from agnt5.histories import Counts, History, read_histories
from agnt5.history_forms import form_of


def as_parquet(found: list[History]) -> bytes:
    file = io.BytesIO()
    events = sum(len(each.events) for each in found)
    assert write_columns(iter(found), file) == Counts(len(found), events)
    return file.getvalue()


@given(st.lists(histories(), max_size=3))
def test_what_is_written_is_read_bit_for_bit_and_written_the_same_again(drawn):
    found = [history(f"run-{n}", facts) for n, facts in enumerate(drawn)]
    written = as_parquet(found)
    again = read_columns(io.BytesIO(written))
    assert again == found
    assert as_parquet(again) == written
    assert read_histories(io.BytesIO(as_bytes(again))) == found


@given(AWKWARD, st.sampled_from([b"%s", b" %s ", b"%s\n", b"\t%s"]))
def test_states_that_another_writer_of_json_has_written_keep_their_bytes(value, form):
    given_input = form % json.dumps(value).encode()
    state = b'{"component":"w","kind":"workflow","input":' + given_input + b"}"
    row = StoredFact("r", 1, 0, "RunQueued", state, 2**62, "e1")
    assert read_columns(io.BytesIO(as_parquet([History("r", (row,))])))[0].events == (row,)


@given(st.lists(histories(), max_size=4), st.integers(1, 5), st.integers(1, 400))
def test_groups_of_any_size_hold_the_same(drawn, rows, size):
    found = [history(f"run-{n}", facts) for n, facts in enumerate(drawn)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_GROUP_ROWS", rows)
        patch.setattr(columns, "_GROUP_BYTES", size)
        patch.setattr(columns, "_BATCH", 2)
        written = as_parquet(found)
        assert read_columns(io.BytesIO(written)) == found
    groups = pq.ParquetFile(io.BytesIO(written)).metadata
    assert all(groups.row_group(n).num_rows <= rows for n in range(groups.num_row_groups))


def queued(name: str = "r", **fields) -> StoredFact:
    state = {"component": "w", "kind": "workflow", "input": 1, "user_id": "ann", **fields}
    return StoredFact(name, 1, 0, "RunQueued", json.dumps(state).encode(), 5, "e1")


def test_the_columns_have_types_and_say_of_which_run():
    cancelled = StoredFact("r", 2, 0, "RunCancelled", b'{"reason":null}', 7, "e2")
    table = pq.read_table(io.BytesIO(as_parquet([History("r", (queued(), cancelled))])))
    assert table.column("recorded_at").type == pa.timestamp("us", "UTC")
    assert table.column("version").to_pylist() == [1, 2]
    assert table.column("component").to_pylist() == ["w", "w"]
    assert table.column("user_id").to_pylist() == ["ann", "ann"]
    assert table.column("session_id").to_pylist() == [None, None]
    assert json.loads(table.column("payload")[0].as_py())["input"] == 1


def spoilt(**changed: list) -> bytes:
    """A file of one run with two events, of which columns are replaced."""
    cancelled = StoredFact("r", 2, 0, "RunCancelled", b'{"reason":null}', 7, "e2")
    table = pq.read_table(io.BytesIO(as_parquet([History("r", (queued(), cancelled))])))
    for name, values in changed.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place).with_nullable(True)
        table = table.set_column(place, field, pa.array(values, field.type))
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"run_id": ["r", None]}, "row 2: run_id is a text"),
        ({"run_id": ["", "r"]}, "row 1: run_id is a text"),
        ({"run_id": ["$x", "$x"]}, "row 1: "),
        ({"version": [1, 3]}, "row 2: version 2 of run 'r' should come now, not 3"),
        ({"version": [1, None]}, "row 2: version is a whole number"),
        ({"topic": ["RunQueued", "Nonsense"]}, "row 2: "),
        ({"payload": ["{}", "{}"]}, "row 1: "),
        ({"payload": ["nonsense", "{}"]}, "row 1: "),
        ({"payload": [None, "{}"]}, "row 1: it has no payload"),
        ({"event_id": ["e1", "x" * 5000]}, "row 2: event_id is a text of 1 to 4096"),
        ({"run_id": ["r", "q"]}, "row 2: version 1 of run 'q' should come now, not 2"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_number(changed, problem):
    assert len(read_columns(io.BytesIO(spoilt()))) == 1
    with pytest.raises(InvalidInputError) as refused:
        read_columns(io.BytesIO(spoilt(**changed)))
    assert problem in str(refused.value)


def test_what_is_no_such_file_is_refused(tmp_path):
    whole = as_parquet([History("r", (queued(),))])
    other = io.BytesIO()
    pq.write_table(pa.table({"run_id": ["r"]}), other)
    plain = pq.read_table(io.BytesIO(whole))
    narrow, future = io.BytesIO(), io.BytesIO()
    pq.write_table(plain.drop_columns(["topic"]), narrow)
    known = {**plain.schema.metadata, b"agnt5.version": b"2"}
    pq.write_table(plain.replace_schema_metadata(known), future)
    for data, problem in (
        (b"", "no Parquet file"),
        (b"PAR1" + bytes(50), "no Parquet file"),
        (whole[:-9], "no Parquet file"),
        (other.getvalue(), "no file of histories"),
        (narrow.getvalue(), "no column 'topic' of the type string"),
        (future.getvalue(), "reads version 1 of the columns, and the file has '2': upgrade"),
    ):
        with pytest.raises(InvalidInputError, match=problem):
            read_columns(io.BytesIO(data))
    text = tmp_path / "a.txt"
    with text.open("w") as file, pytest.raises(InvalidInputError, match="binary mode"):
        write_columns([], file)
    with text.open() as file, pytest.raises(InvalidInputError, match="binary mode"):
        read_columns(file)
    with pytest.raises(FileNotFoundError):
        read_columns(tmp_path / "nowhere.parquet")


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data):
    whole = bytearray(as_parquet([History("r", (queued(),))]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    try:
        found = read_columns(io.BytesIO(bytes(whole)))
    except InvalidInputError:
        return
    assert all(each.queued.component for each in found)


def test_a_file_that_is_too_large_is_not_read_on():
    """Also one that is small when it is packed."""
    packed = as_parquet([History("r", (queued(metadata={"x": "a" * 1_000_000}),))])
    assert len(packed) < 100_000
    assert len(read_columns(io.BytesIO(packed), max_bytes=3_000_000)) == 1
    for limit in (100, 200_000):
        with pytest.raises(InvalidInputError, match=f"max_bytes={limit}"):
            read_columns(io.BytesIO(packed), max_bytes=limit)


def test_the_same_payload_again_and_again_counts_each_time():
    """It is written once; in memory there are as many."""
    same = queued(metadata={"x": "a" * 10_000})
    runs = [History(f"r{n}", (replace(same, stream=f"r{n}", event_id=f"e{n}"),)) for n in range(99)]
    packed = as_parquet(runs)
    groups = pq.ParquetFile(io.BytesIO(packed)).metadata
    assert groups.row_group(0).total_byte_size < 200_000
    with pytest.raises(InvalidInputError, match=r"row \d+: .*max_bytes=200000"):
        read_columns(io.BytesIO(packed), max_bytes=200_000)


def test_what_is_not_read_counts_too():
    table = pq.read_table(io.BytesIO(spoilt())).append_column("more", pa.array(["a" * 500_000] * 2))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    assert len(file.getvalue()) < 200_000
    with pytest.raises(InvalidInputError, match="max_bytes=200000"):
        read_columns(io.BytesIO(file.getvalue()), max_bytes=200_000)


def test_a_file_at_a_path_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"before")

    def failing():
        yield History("r", (queued(),))
        raise StoreCorruptError("the disk")

    with pytest.raises(StoreCorruptError):
        write_columns(failing(), path)
    not_text = StoredFact("r", 1, 0, "RunQueued", queued().state[:-1] + b"\xff}", 5, "e1")
    with pytest.raises(StoreCorruptError):
        write_columns([History("r", (not_text,))], path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]
    write_columns([History("r", (queued(),))], path)
    assert len(read_columns(path)) == 1


def test_the_name_says_the_form():
    assert form_of("a.parquet", None) == form_of("A.PARQUET", None) == "parquet"
    assert form_of("a.jsonl", None) == form_of(io.BytesIO(), None) == "jsonl"
    assert form_of("a.parquet", "jsonl") == "jsonl"
    with pytest.raises(InvalidInputError, match="'jsonl' or 'parquet', not 'csv'"):
        form_of("a.csv", "csv")


def test_without_the_extra_it_says_which_one(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'agnt5-actors\[parquet\]'"):
        write_columns([], io.BytesIO())
