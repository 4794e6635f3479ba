"""Events as columns: a row for each, read lazily; and histories as Parquet, from store to store."""

from __future__ import annotations

import json
import sys

import pyarrow.parquet as pq
import pytest

from agnt5 import (
    AsyncClient,
    Client,
    Runtime,
    event_frames,
    export_runs,
    function,
    import_runs,
    workflow,
)
from agnt5.exceptions import ConfigurationError, InvalidInputError


def define() -> None:
    @function
    async def pay(cents: int) -> dict[str, int]:
        return {"paid": cents}

    @workflow
    async def order(ctx, cents: int) -> str:
        await ctx.step(pay, cents)
        return "done"


async def test_a_frame_has_a_row_for_each_event(store):
    define()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for cents in range(5):
            await client.run("order", {"cents": cents}, "workflow", user_id=f"u{cents % 2}")
        for filters in ({}, {"user_id": "u1"}, {"event_types": "run.queued"}, {"user_id": "no"}):
            events = [event async for event in client.events(**filters)]
            frame = await client.events_frame(**filters)
            assert list(frame["event_id"]) == [event.id for event in events]
            assert list(frame["event_type"]) == [event.event_type for event in events]
            assert list(frame["position"]) == [event.metadata["position"] for event in events]
            assert list(frame["recorded_at"]) == [event.created_at for event in events]
            told = [json.loads(each) if isinstance(each, str) else None for each in frame["output"]]
            assert told == [event.output_data for event in events]
        assert str(frame["recorded_at"].dtype) == "datetime64[us, UTC]"
        with pytest.raises(InvalidInputError):
            await client.events_frame(nonsense=1)


async def test_batches_are_read_as_they_are_taken(store, monkeypatch):
    define()
    monkeypatch.setattr(event_frames, "_BATCH", 7)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for cents in range(3):
            await client.run("order", {"cents": cents}, "workflow")
        batches = [batch async for batch in client.event_batches()]
        assert [len(each) for each in batches[:-1]] == [7] * (len(batches) - 1)
        assert sum(map(len, batches)) == len([e async for e in client.events()])
        assert len({str(each.schema) for each in batches}) == 1
        assert batches[0].schema.metadata[b"agnt5.format"] == b"agnt5.events"


def test_the_blocking_client_does_the_same(file_store, tmp_path):
    define()
    with Client(store=file_store) as client:
        client.run("order", {"cents": 1}, "workflow", run_id="r-1")
        assert set(client.events_frame(run_id="r-1")["run_id"]) == {"r-1"}
        assert sum(map(len, client.event_batches())) == len(list(client.events()))
        counts = client.export_runs(tmp_path / "a.parquet", "r-1")
        assert client.import_runs(tmp_path / "a.parquet").skipped == ("r-1",)
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows == counts.events


def test_parquet_goes_from_store_to_store(file_store, tmp_path):
    define()
    client = Client(store=file_store)
    for cents in range(4):
        client.run("order", {"cents": cents}, "workflow", run_id=f"r-{cents}")
    other = f"sqlite:///{tmp_path}/other.db"
    columns, lines = tmp_path / "a.parquet", tmp_path / "a.bin"
    counts = export_runs(columns, store=file_store, component="order")
    assert (counts.runs, counts.events) == (4, 20)
    assert import_runs(columns, store=other).runs == 4
    export_runs(tmp_path / "b.parquet", store=other)
    assert (tmp_path / "b.parquet").read_bytes() == columns.read_bytes()
    with lines.open("wb") as file:
        export_runs(file, store=other, form="parquet")
    assert lines.read_bytes() == columns.read_bytes()
    with pytest.raises(InvalidInputError, match="'jsonl' or 'parquet'"):
        export_runs(lines, store=other, form="csv")


async def test_without_the_extra_it_says_which_one(store, monkeypatch):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ConfigurationError, match=r"needs pandas.*agnt5-actors\[dataframe\]"):
            await client.events_frame()
