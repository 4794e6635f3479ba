"""A class workflow that is killed: batches that count in attributes, then an agent with a tool.

Called as ``class_worker.py STORE WITNESS``. Every step adds a line to the witness when it begins.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from agnt5 import Agent, AsyncClient, Runtime, Workflow, tool
from agnt5.lm import GenerateRequest, GenerateResponse, ScriptedModel, ToolCall

RUN = "class-run"
BATCHES = [[f"{n}-{k}" for k in range(n % 3 + 1)] for n in range(9)]
EXPECTED = {
    "count": sum(map(len, BATCHES)),
    "order": ["first", "last"],
    "sizes": [len(batch) for batch in BATCHES],
    "said": "there are 18",
}
_witness = -1


def note(label: str) -> None:
    """One line, in one write, that survives the death of the process."""
    os.write(_witness, f"{label}\n".encode())


@tool(recovery_policy="retry")
async def look_up(what: str) -> int:
    """Look something up."""
    note(f"tool {what}")
    await asyncio.sleep(0.02)
    return 18


class Witnessed(ScriptedModel):
    """Tells the witness which turn of the conversation it was asked for."""

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        note(f"model {len(request.messages) // 2}")
        await asyncio.sleep(0.02)
        return await super().generate(request)


SCRIPT = [
    ToolCall("look_up", '{"what": "sizes"}'),
    ToolCall("look_up", '{"what": "sum"}'),
    "there are 18",
]


class Batches(Workflow):
    """Counts what its steps have seen."""

    def __init__(self) -> None:
        super().__init__("batches")
        self.count = 0
        self.order: list[str] = []
        self.clerk = Agent("clerk", Witnessed(SCRIPT, by_turn=True), "", tools=[look_up])

    async def run(self) -> dict[str, Any]:
        await self.step("mark", self.mark, "first")
        sizes = await self.parallel([("analyze", self.analyze, batch) for batch in BATCHES])
        said = await self.call_agent("clerk", "How many are there?")
        await self.step("mark", self.mark, "last")
        return {"count": self.count, "order": self.order, "sizes": sizes, "said": str(said)}

    async def mark(self, what: str) -> None:
        note(f"mark {what}")
        await asyncio.sleep(0.01)
        self.order.append(what)

    async def analyze(self, batch: list[str]) -> int:
        note(f"analyze {batch[0]}")
        await asyncio.sleep(0.01 * len(batch) + int(batch[0][0]) * 0.01)
        self.count += len(batch)
        return len(batch)


def say(word: str) -> None:
    """To whoever started this."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(store: str, witness: str) -> None:
    """Work on the one run until it has ended."""
    global _witness
    _witness = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    async with Runtime(f"sqlite:///{store}"):
        client = AsyncClient()
        if not await client.list_runs():
            await client.submit("batches", {}, "workflow", run_id=RUN)
        say("READY")
        response = await client.wait_for_result(RUN)
        assert response.output == EXPECTED, response
        say("DONE")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
