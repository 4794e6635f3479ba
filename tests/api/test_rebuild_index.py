"""The index can be dropped and built again from the log (law 1)."""

import asyncio
import sqlite3
import subprocess
import sys

from tests.api.helpers import until

from agnt5 import (
    AsyncClient,
    FunctionRegistry,
    Runtime,
    WorkflowContext,
    WorkflowRegistry,
    export_runs,
    function,
    import_runs,
    rebuild_index,
    workflow,
)


def tables(path):
    with sqlite3.connect(path) as connection:
        runs = connection.execute("SELECT * FROM runs ORDER BY run_id").fetchall()
        keys = connection.execute("SELECT * FROM idempotency_keys ORDER BY scope").fetchall()
    connection.close()
    return runs, keys


async def test_the_index_is_rebuilt_from_the_log(tmp_path):
    """Damaged index tables come back row for row, keys that failed runs have lost included."""
    FunctionRegistry.clear()
    broken = True

    @function
    async def work(n: int) -> int:
        if broken and n == 3:
            raise ValueError("not yet")
        return n

    path = tmp_path / "a.db"
    async with Runtime(f"sqlite:///{path}") as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(5):
            await client.run("work", {"n": n}, idempotency_key=f"key-{n}")
        broken = False
        again = await client.run("work", {"n": 3}, idempotency_key="key-3")
    before = tables(path)
    assert again.run_id in str(before[1])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM runs")
        connection.execute("UPDATE idempotency_keys SET run_id = 'nonsense'")
    connection.close()
    command = [sys.executable, "-m", "agnt5", "rebuild-index", f"sqlite:///{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "6 runs" in done.stdout
    assert tables(path) == before
    FunctionRegistry.clear()


def test_the_command_explains_what_is_wrong(tmp_path):
    """A store that cannot be opened is one line and status 3, not a traceback."""
    command = [sys.executable, "-m", "agnt5", "rebuild-index", f"sqlite:///{tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_a_child_that_was_left_elsewhere_is_not_started_again(tmp_path):
    """Of an imported run that has ended the index says that it owes nothing, and still says it."""
    done = []

    @workflow
    async def letter(ctx: WorkflowContext) -> None:
        done.append(ctx.run_id)

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        ctx.child(letter, run_id="its-letter", on_parent_end="abandon")

    here, there = (f"sqlite:///{tmp_path / name}.db" for name in ("here", "there"))
    async with Runtime(here) as runtime:
        await AsyncClient(runtime=runtime).run("order", {}, "workflow", run_id="o")
        await until(lambda: done)
    export_runs(tmp_path / "o.jsonl", "o", store=here)
    import_runs(tmp_path / "o.jsonl", store=there)
    before = tables(tmp_path / "there.db")
    assert rebuild_index(there) == 1
    assert tables(tmp_path / "there.db") == before
    async with Runtime(there) as runtime:
        await asyncio.sleep(0.1)
        ids = [row.run_id for row in await AsyncClient(runtime=runtime).list_runs()]
    assert (ids, done) == (["o"], ["its-letter"])
    WorkflowRegistry.clear()
