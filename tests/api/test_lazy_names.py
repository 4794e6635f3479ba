"""The public names are imported when they are asked for, and nobody notices otherwise."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import agnt5
from agnt5 import _lazy, _public


def fresh(code, *arguments):
    """What a new process prints, as JSON."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr
    return json.loads(done.stdout)


def test_the_names_that_are_shadowed_are_those_of_modules():
    modules = {path.stem for path in Path(agnt5.__file__).parent.iterdir()}
    assert set(agnt5.__all__) & modules == _lazy.SHADOWED


def test_every_name_is_there():
    assert agnt5.__all__ == _public.__all__
    assert all(getattr(agnt5, name) is getattr(_public, name) for name in agnt5.__all__)
    assert set(agnt5.__all__) <= set(dir(agnt5))
    with pytest.raises(AttributeError, match="module 'agnt5' has no attribute 'nonsense'"):
        _ = agnt5.nonsense


@pytest.mark.parametrize("name", sorted(_lazy.SHADOWED))
@pytest.mark.parametrize("first", ["module", "name"])
def test_a_module_does_not_replace_the_name(name, first):
    statements = [f"importlib.import_module('agnt5.{name}')", f"agnt5.{name}"]
    if first == "name":
        statements.reverse()
    code = (
        f"import importlib, json, agnt5; {'; '.join(statements)};"
        f"print(json.dumps([callable(agnt5.{name}), agnt5.{name}.__module__]))"
    )
    assert fresh(code) == [True, f"agnt5.{name}"]
    assert importlib.import_module(f"agnt5.{name}").__name__ == f"agnt5.{name}"


def test_nothing_heavy_is_imported_before_it_is_needed():
    heavy = "['asyncio', 'pydantic', 'eventsourcing', 'sqlite3', 'click'] "
    for start in ("import agnt5", "import agnt5.exceptions", "import agnt5.checking"):
        found = f"[name for name in {heavy} if name in sys.modules]"
        code = f"import json, sys; {start}; print(json.dumps({found}))"
        assert fresh(code) == []


def test_what_looks_back_at_runs_is_not_imported_for_a_run():
    code = (
        "import json, sys, agnt5; agnt5.Client, agnt5.Runtime(store='memory://');"
        "seldom = lambda: [n for n in ('diffs', 'explanations') if f'agnt5.{n}' in sys.modules];"
        "before = seldom(); agnt5.RunDiff; print(json.dumps([before, seldom()]))"
    )
    assert fresh(code) == [[], ["diffs"]]


def test_a_star_imports_everything():
    found = "[name for name in dir() if name in ('Client', 'task')]"
    code = f"import json; from agnt5 import *; print(json.dumps({found}))"
    assert fresh(code) == ["Client", "task"]


def test_threads_that_ask_at_the_same_time():
    code = """
import json, threading, agnt5
found, ready = [], threading.Barrier(8)
def ask():
    ready.wait()
    found.append(agnt5.Client.__name__ + agnt5.workflow.__name__)
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(sorted(set(found)) + [len(found)]))
"""
    assert fresh(code) == ["Clientworkflow", 8]


def test_a_workflow_that_is_called_by_who_imports_no_name_of_the_package(tmp_path):
    code = """
import asyncio, json, os, sys
os.environ["AGNT5_STORE"] = "memory://"
from agnt5.workflow import workflow
assert "agnt5.direct_runs" not in sys.modules
@workflow
async def double(n: int) -> int:
    return 2 * n
print(json.dumps(asyncio.run(double(4))))
"""
    assert fresh(code) == 8
