"""LangGraph's functional API with its SQLite checkpointer, durability="sync".

It has no worker: after a restart the caller continues a thread, which `signal` does here.
"""

from __future__ import annotations

import asyncio

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task
from langgraph.types import Command, interrupt

from harness.api import STEPS, Adapter, Config


@task
async def work(run_id: str, i: int) -> int:
    return STEPS.mark(run_id, i)


class LangGraph(Adapter):
    async def start(self, config: Config) -> None:
        self.opened = AsyncSqliteSaver.from_conn_string(f"{config.dir}/graph.sqlite")
        saver = await self.opened.__aenter__()

        @entrypoint(checkpointer=saver)
        async def chain(req: dict) -> int:
            for i in range(req["n"]):
                await work(req["run"], i)
            return req["n"]

        @entrypoint(checkpointer=saver)
        async def fan(req: dict) -> int:
            return len(await asyncio.gather(*(work(req["run"], i) for i in range(req["n"]))))

        @entrypoint(checkpointer=saver)
        async def parked(req: dict) -> int:
            for i in range(req["n"]):
                await work(req["run"], i)
            interrupt("go")
            return await work(req["run"], req["n"])

        self.flows = {"chain": chain, "fan": fan, "parked": parked}

    async def stop(self) -> None:
        await self.opened.__aexit__(None, None, None)

    async def _invoke(self, flow: str, run_id: str, given: object) -> None:
        thread = {"configurable": {"thread_id": run_id}}
        await self.flows[flow].ainvoke(given, thread, durability="sync")

    async def run(self, run_id: str, steps: int) -> None:
        await self._invoke("chain", run_id, {"run": run_id, "n": steps})

    async def fan_out(self, run_id: str, width: int) -> None:
        await self._invoke("fan", run_id, {"run": run_id, "n": width})

    async def start_parked(self, run_id: str, steps: int) -> None:
        await self._invoke("parked", run_id, {"run": run_id, "n": steps})

    async def signal(self, run_id: str) -> None:
        await self._invoke("parked", run_id, Command(resume=True))

    async def join(self, run_id: str) -> None:
        pass  # `signal` returned when the run had ended


def create() -> Adapter:
    return LangGraph()
