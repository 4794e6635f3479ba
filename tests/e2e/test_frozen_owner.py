"""A process that stands still keeps its SQLite store: nobody takes over from who may come back."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from tests.api.helpers import end_processes, python

from agnt5 import Runtime
from agnt5.exceptions import StoreInUseError

OWNER = """
import asyncio, sys
from agnt5 import AsyncClient, Runtime, WorkflowContext, workflow

@workflow
async def nap(ctx: WorkflowContext) -> str:
    await ctx.sleep(0.3)
    return await ctx.step("wake", lambda: "awake")

async def main():
    async with Runtime(store=f"sqlite:///{sys.argv[1]}") as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("nap", {}, "workflow")).run_id
        print("READY", flush=True)
        print((await client.wait_for_result(run_id)).output, flush=True)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def processes():
    yield
    end_processes()


@pytest.mark.skipif(sys.platform == "win32", reason="no process can be stopped there")
async def test_a_process_that_stands_still_keeps_its_store(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    owner = python(OWNER, store)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "READY\n", owner.communicate()
    owner.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreInUseError):
            await Runtime(store=f"sqlite:///{store}").start()
    finally:
        owner.send_signal(signal.SIGCONT)
    said, error = owner.communicate(timeout=30)
    assert (said, error, owner.returncode) == ("awake\n", "", 0)
    async with Runtime(store=f"sqlite:///{store}") as next_one:
        assert next_one is not None, "whoever comes after it may have it"
