"""Long payloads of runs: kept once, read back whole, exported and imported as they were written."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing

from tests.api.helpers import until

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow

TEXT = "wörd " * 40_000


def count_of(url: str, sql: str) -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return int(database.execute(sql).fetchone()[0])


async def test_runs_with_the_same_long_payload(file_store, tmp_path):
    calls: list[int] = []

    @function
    async def read(text: str) -> list[str]:
        calls.append(len(text))
        return [text, text]

    @workflow
    async def book(ctx: WorkflowContext, text: str) -> int:
        pages = await ctx.step(read, text)
        await ctx.wait_for_signal("go")
        return len(pages[1])

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        for run_id in ("a", "b"):
            await client.submit("book", {"text": TEXT}, "workflow", run_id=run_id)
        await until(lambda: _waits(runtime, "a") and _waits(runtime, "b"))
    # The body is replayed with what is on record.
    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        for run_id in ("a", "b"):
            await client.signal(run_id, "go")
            assert (await client.wait_for_result(run_id, 10)).output == len(TEXT)
        assert calls == [len(TEXT)] * 2
        (asked,) = [e for e in await client.get_events("a") if e.event_type == "run.queued"]
        assert asked.input_data == {"text": TEXT}
        before = {run_id: runtime._log.read(run_id) for run_id in ("a", "b")}
        content = io.BytesIO()
        await client.export_runs(content)
    # The input of a run, the arguments of a step, its result: three payloads for both runs.
    assert count_of(file_store, "SELECT count(*) FROM blobs") == 3
    assert count_of(file_store, "SELECT count(*) FROM blob_uses") == 6
    shown = "SELECT json_extract(input, '$.text') = ? FROM agnt5_runs WHERE run_id = 'a'"
    with closing(sqlite3.connect(file_store.removeprefix("sqlite:///"))) as database:
        assert database.execute(shown, (TEXT,)).fetchone() == (1,)

    other = f"sqlite:///{tmp_path}/other.db"
    async with Runtime(other) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.import_runs(io.BytesIO(content.getvalue()))
        for run_id, rows in before.items():
            there = runtime._log.read(run_id)
            assert [(r.topic, r.state, r.at, r.event_id) for r in there] == [
                (r.topic, r.state, r.at, r.event_id) for r in rows
            ]
    assert count_of(other, "SELECT count(*) FROM blobs") == 3


def _waits(runtime: Runtime, run_id: str) -> bool:
    return any(row.topic == "SignalAwaited" for row in runtime._log.read(run_id))
