"""DBOS Transact on its default SQLite: asyncio workflows and steps."""

from __future__ import annotations

import asyncio

from dbos import DBOS, SetWorkflowID

from harness.api import STEPS, Adapter, Config


@DBOS.step()
async def work(run_id: str, i: int) -> int:
    return STEPS.mark(run_id, i)


@DBOS.workflow()
async def chain(run_id: str, n: int) -> int:
    for i in range(n):
        await work(run_id, i)
    return n


@DBOS.workflow()
async def fan(run_id: str, n: int) -> int:
    return len(await asyncio.gather(*(work(run_id, i) for i in range(n))))


@DBOS.workflow()
async def parked(run_id: str, n: int) -> int:
    for i in range(n):
        await work(run_id, i)
    await DBOS.recv_async("go", timeout_seconds=86_400)
    return await work(run_id, n)


class Dbos(Adapter):
    async def start(self, config: Config) -> None:
        DBOS(
            config={
                "name": "bench",
                "log_level": "ERROR",
                "application_version": "bench",
                "system_database_url": f"sqlite:///{config.dir}/dbos.sqlite",
            }
        )
        DBOS.launch()

    async def stop(self) -> None:
        DBOS.destroy(workflow_completion_timeout_sec=0)

    async def run(self, run_id: str, steps: int) -> None:
        with SetWorkflowID(run_id):
            handle = await DBOS.start_workflow_async(chain, run_id, steps)
        await handle.get_result()

    async def fan_out(self, run_id: str, width: int) -> None:
        with SetWorkflowID(run_id):
            handle = await DBOS.start_workflow_async(fan, run_id, width)
        await handle.get_result()

    async def start_parked(self, run_id: str, steps: int) -> None:
        with SetWorkflowID(run_id):
            await DBOS.start_workflow_async(parked, run_id, steps)

    async def signal(self, run_id: str) -> None:
        await DBOS.send_async(run_id, "go", topic="go")

    async def join(self, run_id: str) -> None:
        handle = await DBOS.retrieve_workflow_async(run_id)
        await handle.get_result(polling_interval_sec=0.1)

    async def join_all(self, run_ids: list[str]) -> None:
        # One query for everybody instead of one poller per run.
        del run_ids
        unfinished = ["PENDING", "ENQUEUED"]
        while await DBOS.list_workflows_async(status=unfinished, limit=1):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def create() -> Adapter:
    return Dbos()
