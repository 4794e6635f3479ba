"""Names: every spelling of what agnt5 and the standard library have is known, and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.checking import check_sources

MARKERS = {
    "from agnt5 import workflow": ("workflow", "workflow()", "workflow(timeout=5)"),
    "from agnt5 import workflow as w": ("w", "w(name='x')"),
    "import agnt5": ("agnt5.workflow", "agnt5.workflow()"),
    "import agnt5 as sdk": ("sdk.workflow", "sdk.workflow(chat=True)"),
    "from agnt5.workflow import workflow": ("workflow", "workflow()"),
    "import agnt5.workflow": ("agnt5.workflow.workflow",),
    "import agnt5.workflow as module": ("module.workflow()",),
    "from agnt5 import workflow as w\ndurable = w": ("durable", "durable()"),
    "from agnt5 import workflow\nlong = workflow(timeout=900)": ("long",),
    "try:\n    from agnt5 import workflow\nexcept ImportError:\n    workflow = None": ("workflow",),
    "if True:\n    import agnt5": ("agnt5.workflow",),
    "from agnt5 import *": ("workflow", "workflow()"),
}
CLOCKS = {
    "import time": "time.time()",
    "import time as t": "t.time()",
    "from time import time": "time()",
    "from time import time as now": "now()",
    "import time\nnow = time.time": "now()",
    "import datetime": "datetime.datetime.now()",
    "import datetime as dt": "dt.datetime.utcnow()",
    "from datetime import datetime": "datetime.now(tz=None)",
    "from datetime import datetime as DateTime": "DateTime.today()",
    "from datetime import date": "date.today()",
}

markers = st.sampled_from(sorted(MARKERS)).flatmap(
    lambda head: st.tuples(st.just(head), st.sampled_from(MARKERS[head]))
)
clocks = st.sampled_from(sorted(CLOCKS.items()))


def rules(code, path="flows.py"):
    return [each.rule for each in check_sources({path: code})]


@given(markers, clocks, st.booleans())
def test_every_spelling_is_known(marker, clock, imports_within):
    head, spelt = marker
    source, call = clock
    inner = source.replace("\n", "\n    ") if imports_within else "pass"
    code = f"{head}\n{'' if imports_within else source}\n\n@{spelt}\nasync def flow(ctx):\n"
    code += f"    {inner}\n    return {call}\n"
    assert rules(code) == ["AG101"]


@pytest.mark.parametrize(
    "code",
    [
        "from time import time\n@workflow\nasync def f(ctx, time):\n    return time()",
        "import time\n@workflow\nasync def f(ctx, time):\n    return time.time()",
        "import time\n@workflow\nasync def f(ctx):\n    time = ctx.clock\n    return time.time()",
        "import time\n@workflow\nasync def f(ctx):\n    for time in ctx.all:\n        time.time()",
        "import time\n@workflow\nasync def f(ctx):\n    return [time.time() for time in ctx.all]",
        "import time\n@workflow\nasync def f(ctx):\n    with ctx.x() as time:\n        time.time()",
        "@workflow\nasync def f(ctx, id, hash):\n    return id(1), hash('a')",
        "@workflow\nasync def f(ctx, open, input):\n    return open('x'), input()",
        "def open(name):\n    return name\n@workflow\nasync def f(ctx):\n    return open('x')",
        "from mine import open, id\n@workflow\nasync def f(ctx):\n    return open('x'), id(1)",
        "from mine import time\n@workflow\nasync def f(ctx):\n    return time.time()",
        "@workflow\nasync def f(ctx):\n    return time.time()",
        (
            "import random\n@workflow\n"
            "async def f(ctx):\n    rng = random.Random(5)\n    return rng.random()"
        ),
        (
            "from random import Random\n@workflow\n"
            "async def f(ctx):\n    return Random(ctx.run_id).random()"
        ),
        (
            "import subprocess\n@workflow\n"
            "async def f(ctx):\n    raise subprocess.CalledProcessError(1, 'x')"
        ),
        "import requests\n@workflow\nasync def f(ctx):\n    raise requests.HTTPError('x')",
        "import httpx\n@workflow\nasync def f(ctx):\n    return httpx.Timeout(5)",
    ],
)
def test_other_things_of_the_name_are_left_alone(code):
    assert rules("from agnt5 import workflow\n" + code) == []


@pytest.mark.parametrize(
    "head",
    [
        "from mine import workflow",
        "from prefect import flow as workflow",
        "def workflow(f):\n    return f",
        "import other as agnt5\nworkflow = agnt5.workflow",
    ],
)
def test_decorators_of_others_are_none_of_ours(head):
    assert rules(f"{head}\nimport time\n@workflow\nasync def f(ctx):\n    time.time()") == []


def test_the_context_is_known_by_name_annotation_and_lookup():
    code = """
import agnt5
from agnt5 import WorkflowContext, get_current_context, workflow

@workflow
async def by_type(run: WorkflowContext):
    run.step("x", len, "")

@workflow
async def by_text(run: "agnt5.WorkflowContext"):
    run.step("x", len, "")

@workflow
async def by_lookup(number: int):
    here = get_current_context()
    here.sleep(5)

@workflow
async def of_somebody_else(ctx, pipeline):
    pipeline.step("x", len, "")
    pipeline.sleep(5)
"""
    found = check_sources({"flows.py": code})
    assert [(each.rule, each.line) for each in found] == [
        ("AG403", 7),
        ("AG403", 11),
        ("AG403", 16),
    ]
