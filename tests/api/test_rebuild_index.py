"""The index can be dropped and built again from the log (law 1)."""

import sqlite3
import subprocess
import sys

from agnt5 import AsyncClient, FunctionRegistry, Runtime, function


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
