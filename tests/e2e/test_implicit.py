"""A workflow without ctx is killed in each of its effects in turn, and ends as if nothing was."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api.helpers import python

PROGRAM = '''
import asyncio, json, os, signal, sys
from agnt5 import Client, function, task, tool, workflow

begun = 0

def effect(name):
    """Leave a line, and die in the middle of the effect whose number is asked for."""
    global begun
    with open("effects", "a") as file:
        file.write(name + "\\n")
    begun += 1
    if begun == int(os.environ["DIE_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)

@task
def stage(data: list, context: dict) -> list:
    effect("stage")
    context["processed"] += len(data)
    context.setdefault("log", []).append(("stage", len(data)))
    return [item * 2 for item in data]

@function
async def check(item: int, *, seen: set) -> int:
    effect(f"check {item}")
    seen.add(item)
    return item

@tool(recovery_policy="idempotent_retry")
async def publish(result: list) -> int:
    """Publish it."""
    effect("publish")
    return len(result)

@workflow
async def part(data: list, context: dict) -> list:
    return await stage(data, context)

@workflow
async def pipeline(data: list) -> dict:
    context, seen = {"processed": 0}, set()
    first = await stage(data, context)
    again = await part(first, context)
    for item in again:
        await check(item, seen=seen)
    try:
        await spoil(context)
    except KeyError as error:
        context["error"] = str(error)
    return {"n": await publish(again), "seen": seen, "context": context}

@task
async def spoil(context: dict) -> None:
    effect("spoil")
    context["spoilt"] = True
    raise KeyError("gone")

@tool
def pay(amount: int) -> str:
    """Pay."""
    effect("pay")
    return "paid"

@workflow
async def payment(amount: int) -> str:
    try:
        return await pay(amount)
    except Exception as error:
        return type(error).__name__

@tool(confirmation=True, recovery_policy="idempotent_retry")
def delete(names: list) -> str:
    """Delete them."""
    effect("delete")
    names.clear()
    return "deleted"

@workflow
async def removal() -> list:
    names = ["a"]
    return [await delete(names), names]

client = Client(store="sqlite:///run.db")
name, given = sys.argv[1], json.loads(sys.argv[2])
response = client.run(name, given, "workflow", idempotency_key="one", timeout=40)
if response.status == "paused":
    client.resume(response.run_id, "approve")
    effect("answered")
    response = client.wait_for_result(response.run_id, 40)
print(json.dumps([str(response.status), repr(response.output), str(response.error)]))
'''


def play(folder, name, given, die_at=0):
    """Run the program; its exit code and what it printed."""
    (folder / "program.py").write_text(PROGRAM)
    process = python(
        folder / "program.py", name, json.dumps(given), cwd=folder, env={"DIE_AT": str(die_at)}
    )
    out, err = process.communicate(timeout=50)
    return process.returncode, json.loads(out) if out else None, err


def effects(folder):
    return (folder / "effects").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "given"),
    [("pipeline", {"data": [1, 2]}), ("removal", {})],
    ids=["pipeline", "removal"],
)
def test_killed_in_each_effect_it_ends_the_same(tmp_path, name, given):
    """Completed steps do not run again, and what they changed is as they left it."""
    calm = tmp_path / "calm"
    calm.mkdir()
    code, expected, err = play(calm, name, given)
    assert (code, err, expected[0]) == (0, "", "completed")
    planned = effects(calm)
    assert len(planned) >= 2

    def kill_in(victim):
        folder = tmp_path / str(victim)
        folder.mkdir()
        assert play(folder, name, given, victim)[:2] == (-signal.SIGKILL, None)
        before = effects(folder)
        assert play(folder, name, given) == (0, expected, "")
        if name == "pipeline":
            assert effects(folder) == [*before, *planned[victim - 1 :]]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(kill_in, range(1, len(planned) + 1)))


def test_a_tool_that_was_killed_in_its_effect_is_not_repeated(tmp_path):
    """Its outcome is unknown, and that is what the workflow is told."""
    assert play(tmp_path, "payment", {"amount": 1}, 1)[:2] == (-signal.SIGKILL, None)
    code, answer, _ = play(tmp_path, "payment", {"amount": 1})
    assert (code, answer[:2]) == (0, ["completed", "'UnknownOutcomeError'"])
    assert effects(tmp_path) == ["pay"]
