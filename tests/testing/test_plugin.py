"""The pytest plugin, in projects of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.timeout(120)
PREAMBLE = """
import pytest
from agnt5 import WorkflowContext, function, workflow

@function
async def add(a: int, b: int) -> int:
    return a + b
"""


@pytest.fixture
def project(tmp_path):
    """Runs pytest on a file; returns its output."""

    def run(source, *options, code=0):
        (tmp_path / "test_it.py").write_text(dedent(source))
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n")
        command = [sys.executable, "-m", "pytest", "-q", *options, "test_it.py"]
        env = {**os.environ, "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"}
        for name in list(env):
            if name.startswith(("PYTEST_", "COV_")):
                del env[name]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=env, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_fixtures_serve_plain_tests(project):
    """Virtual time, the same names in several tests, one runtime for each test."""
    source = (
        PREAMBLE
        + """
@pytest.mark.parametrize("n", [1, 2])
def test_month(client, clock, runtime, n):
    @workflow
    async def local(ctx: WorkflowContext, n: int) -> int:
        await ctx.sleep(30 * 86_400)
        return await ctx.step(add, n, 1)

    before = clock.now()
    run_id = client.submit("local", {"n": n}, "workflow").run_id
    clock.advance(86_400)
    assert client.get_status(run_id).status == "running"
    runtime.crash()
    assert client.wait_for_result(run_id, timeout=None).output == n + 1
    assert (clock.now() - before).days == 30
    assert len(client.list_runs()) == 1

def test_everywhere(crash):
    @workflow
    async def local(ctx: WorkflowContext, n: int) -> int:
        return await ctx.step(add, n, 1)

    assert crash(local, {"n": 1}, examples=0).singles > 10

def test_nothing_is_left():
    from agnt5 import WorkflowRegistry
    assert WorkflowRegistry.list_names() == []
"""
    )
    assert "4 passed" in project(source)


def test_the_fixtures_serve_async_tests(project):
    source = (
        PREAMBLE
        + """
@pytest.fixture
def anyio_backend():
    return "asyncio"

@workflow
async def month(ctx: WorkflowContext, n: int) -> int:
    await ctx.sleep(30 * 86_400)
    return await ctx.step(add, n, 1)

@pytest.mark.anyio
async def test_month(client, clock):
    assert (await client.run("month", {"n": 1}, "workflow")).output == 2
"""
    )
    assert "1 passed" in project(source)


def test_every_run_is_replayed_when_its_test_is_over(project):
    """What differs is an error of the test, unless it is marked."""
    source = (
        PREAMBLE
        + """
passes = []

@workflow
async def differing(ctx: WorkflowContext) -> int:
    passes.append(1)
    await ctx.step(add, 1, 1)
    if len(passes) > 1:
        await ctx.step(add, 1, 2)
    return len(passes)

@workflow
async def counting(ctx: WorkflowContext) -> int:
    passes.append(1)
    return len(passes)

@pytest.mark.parametrize("name", ["differing", "counting"])
def test_unequal(client, name):
    passes.clear()
    client.run(name, {}, "workflow")

LIMIT = 1

@workflow
async def limited(ctx: WorkflowContext) -> int:
    return await ctx.step(add, LIMIT, 1)

def test_equal_as_long_as_it_is_patched(client, monkeypatch):
    monkeypatch.setattr(__import__("sys").modules[__name__], "LIMIT", 7)
    assert client.run("limited", {}, "workflow").output == 8

@pytest.mark.agnt5_no_replay
def test_unequal_and_marked(client):
    passes.clear()
    client.run("counting", {}, "workflow")
"""
    )
    said = project(source, code=1)
    assert "2 failed, 2 passed" in said
    assert "run run-1 of 'differing' is not the same when it is replayed" in said
    assert "run run-1 of 'counting' is not the same when it is replayed: it ended with 2" in said


def test_what_was_found_is_kept_by_the_name_of_the_test(project, tmp_path):
    source = (
        PREAMBLE
        + """
@pytest.mark.parametrize("n", [1])
def test_closure(crash, n):
    @workflow
    async def closure(ctx: WorkflowContext) -> int:
        seen = []
        await ctx.step("see", lambda: seen.append(1))
        return len(seen)

    crash(closure)
"""
    )
    said = project(source, code=1)
    assert re.search(r"'closure' \(test_it\.py:\d+\) is disproved by one crash", said)
    assert "def crash_everywhere" not in said  # the kit's own lines are hidden
    (kept,) = (tmp_path / ".agnt5" / "regressions").iterdir()
    assert kept.name == "test_it.py-test_closure[1].jsonl"
    assert "Found by schedule 2 (seed 0)" in project(source, code=1)


def test_it_is_light(project):
    """It imports nothing of agnt5 into a project that does not use it."""
    source = """
import sys

def test_nothing_was_imported(request):
    assert request.config.pluginmanager.has_plugin("agnt5")
    assert not [name for name in sys.modules if name.split(".")[0] == "agnt5"]
"""
    assert "1 passed" in project(source, "-p", "agnt5")
