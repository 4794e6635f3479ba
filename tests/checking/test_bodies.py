"""Which code a replay runs: bodies, classes, helpers, in one module and in several."""

from __future__ import annotations

import pytest

from agnt5.checking import check_sources

CLOCK = "import time\n"


def found(sources):
    return [(each.path, each.rule, each.line) for each in check_sources(sources)]


def messages(code):
    return [each.message for each in check_sources({"flows.py": code})]


def test_it_says_in_which_workflow():
    code = CLOCK + (
        "from agnt5 import workflow, Workflow\n"
        "@workflow\nasync def order(ctx):\n    time.time()\n    stamp()\n"
        "def stamp():\n    return time.time()\n"
        "class Night(Workflow):\n"
        "    def __init__(self):\n        self.begun = time.time()\n"
        "    async def run(self):\n        return time.time()\n"
    )
    assert messages(code) == [
        "time.time(): a replay reads another time (in the body of workflow 'order')",
        "time.time(): a replay reads another time (in 'stamp', which workflow 'order' calls)",
        "time.time(): a replay reads another time (in '__init__' of workflow 'Night')",
        "time.time(): a replay reads another time (in the body of workflow 'Night')",
    ]


def test_a_helper_of_two_workflows_is_one_finding():
    code = CLOCK + (
        "from agnt5 import workflow\n"
        "def stamp():\n    return time.time()\n"
        "@workflow\nasync def one(ctx):\n    stamp()\n"
        "@workflow\nasync def two(ctx):\n    stamp()\n"
    )
    assert len(messages(code)) == 1


def test_helpers_that_call_each_other_end():
    code = CLOCK + (
        "from agnt5 import workflow\n"
        "async def ping(ctx):\n    await pong(ctx)\n"
        "async def pong(ctx):\n    await ping(ctx); time.time()\n"
        "@workflow\nasync def flow(ctx):\n    await ping(ctx)\n"
    )
    assert len(messages(code)) == 1


def test_a_class_may_open_connections_where_it_is_made():
    code = (
        "import os, sqlite3\nfrom agnt5 import Workflow\n"
        "class Flow(Workflow):\n"
        "    def __init__(self):\n"
        "        self.db = sqlite3.connect(os.environ['DB'])\n"
        "    async def run(self):\n        return await self.step('x', self.read)\n"
        "    async def read(self):\n        return open('x').read()\n"
    )
    assert messages(code) == []


@pytest.mark.parametrize(
    "bases",
    [
        "from agnt5 import Workflow\nclass Flow(Workflow):",
        "import agnt5\nclass Flow(agnt5.Workflow):",
        "from agnt5 import Workflow as W\nclass Base(W):\n    pass\nclass Flow(Base):",
    ],
)
def test_classes_are_known_by_what_they_derive_from(bases):
    code = f"{CLOCK}{bases}\n    async def run(self):\n        return time.time()\n"
    assert len(messages(code)) == 1
    other = code.replace("agnt5", "other")
    assert messages(other) == []


def test_methods_of_a_base_class_belong_to_the_workflow():
    code = CLOCK + (
        "from agnt5 import Workflow\n"
        "class Base(Workflow):\n    async def part(self):\n        return time.time()\n"
        "class Flow(Base):\n    async def run(self):\n        return await self.part()\n"
    )
    assert len(messages(code)) == 1


def test_changes_of_attributes_by_a_step_are_recorded():
    code = (
        "from agnt5 import Workflow\n"
        "class Flow(Workflow):\n    async def run(self):\n"
        "        async def add():\n            self.count += 1\n            self.all.append(1)\n"
        "        await self.step('add', add())\n"
    )
    assert messages(code) == []


HELPER = CLOCK + "async def stamp(ctx):\n    return time.time()\n"
FLOW = (
    "from agnt5 import workflow\n{head}\n@workflow\nasync def flow(ctx):\n    await {call}(ctx)\n"
)


@pytest.mark.parametrize(
    ("helper", "flow", "head", "call"),
    [
        ("src/app/helpers.py", "src/app/flows.py", "from app.helpers import stamp", "stamp"),
        ("src/app/helpers.py", "src/app/flows.py", "from app import helpers", "helpers.stamp"),
        ("src/app/helpers.py", "src/app/flows.py", "import app.helpers as h", "h.stamp"),
        ("src/app/helpers.py", "src/app/flows.py", "import app.helpers", "app.helpers.stamp"),
        ("src/app/helpers.py", "src/app/flows.py", "from .helpers import stamp as s", "s"),
        ("src/app/helpers.py", "src/app/flows.py", "from . import helpers", "helpers.stamp"),
        ("src/app/helpers.py", "src/app/deep/flows.py", "from ..helpers import stamp", "stamp"),
        ("src/app/helpers/__init__.py", "src/app/flows.py", "from .helpers import stamp", "stamp"),
        ("helpers.py", "flows.py", "from helpers import stamp", "stamp"),
        ("./helpers.py", "./flows.py", "import helpers", "helpers.stamp"),
        ("/srv/helpers.py", "/srv/flows.py", "import helpers", "helpers.stamp"),
    ],
)
def test_helpers_are_followed_into_other_modules(helper, flow, head, call):
    sources = {helper: HELPER, flow: FLOW.format(head=head, call=call)}
    assert found(sources) == [(helper, "AG101", 3)]


def test_helpers_are_followed_by_way_of_a_package():
    sources = {
        "app/__init__.py": "from app.helpers import stamp\n",
        "app/helpers.py": HELPER,
        "flows.py": FLOW.format(head="from app import stamp", call="stamp"),
    }
    assert found(sources) == [("app/helpers.py", "AG101", 3)]


def test_a_decorator_may_come_from_another_module():
    sources = {
        "app/base.py": "import agnt5\ndurable = agnt5.workflow(timeout=5)\nbare = agnt5.workflow\n",
        "app/flows.py": CLOCK
        + "from app.base import durable, bare\n"
        + "@durable\nasync def one(ctx):\n    time.time()\n"
        + "@bare\nasync def two(ctx):\n    time.time()\n",
    }
    assert found(sources) == [("app/flows.py", "AG101", 5), ("app/flows.py", "AG101", 8)]


def test_two_modules_of_one_name_are_not_guessed():
    sources = {
        "one/helpers.py": HELPER,
        "two/helpers.py": HELPER,
        "three/flows.py": FLOW.format(head="from helpers import stamp", call="stamp"),
    }
    assert found(sources) == []


def test_a_file_with_the_name_of_a_standard_module_does_not_stand_for_it():
    sources = {
        "app/random.py": CLOCK + "def choice(names):\n    return time.time()\n",
        "app/flows.py": "import random\nfrom agnt5 import workflow\n"
        "@workflow\nasync def flow(ctx):\n    random.choice('ab')\n",
    }
    assert found(sources) == [("app/flows.py", "AG102", 5)]


def test_what_a_step_is_given_by_a_plain_function_is_made_by_the_body():
    code = CLOCK + (
        "from agnt5 import workflow\n"
        "def made(ctx):\n    stamp = time.time()\n    return work(stamp)\n"
        "async def work(stamp):\n    return time.time()\n"
        "@workflow\nasync def flow(ctx):\n    await ctx.step('x', made(ctx))\n"
    )
    assert [each.line for each in check_sources({"flows.py": code})] == [4]


def test_direct_calls_are_steps_without_ctx():
    code = (
        "from agnt5 import function, task, workflow\n"
        "@function\nasync def charge(n):\n    return n\n"
        "@task\ndef note(n):\n    return n\n"
        "@workflow\nasync def implicit(n: int):\n    await charge(n)\n    await note(n)\n"
        "    note(n)\n    charge(n)\n"
        "@workflow\nasync def explicit(ctx):\n    await charge(1)\n    await note(1)\n    note(1)\n"
        "    await ctx.step('x', charge(1))\n"
    )
    rules = [(each.rule, each.line) for each in check_sources({"flows.py": code})]
    assert rules == [("AG403", 12), ("AG403", 13), ("AG601", 16), ("AG403", 18)]


def test_a_helper_of_both_modes_is_held_to_what_both_forbid():
    code = (
        "from agnt5 import function, workflow\n"
        "@function\nasync def charge(n):\n    return n\n"
        "async def both(n):\n    await charge(n)\n"
        "@workflow\nasync def implicit(n: int):\n    await both(n)\n"
        "@workflow\nasync def explicit(ctx):\n    await both(1)\n"
    )
    assert messages(code) == []


def test_a_cache_is_found_where_it_does_harm():
    code = (
        "import functools\nfrom functools import lru_cache\nfrom agnt5 import workflow\n"
        "@functools.cache\ndef square(n):\n    return n * n\n"
        "@lru_cache(maxsize=5)\ndef of_run(ctx, n):\n    return ctx.step('x', square, n)\n"
        "@functools.cache\nasync def waits(n):\n    return n\n"
        "@functools.lru_cache\nasync def never_called(n):\n    return n\n"
        "@workflow\nasync def flow(ctx):\n"
        "    await of_run(ctx, square(2))\n    await waits(1)\n"
    )
    rules = [(each.rule, each.line) for each in check_sources({"flows.py": code})]
    assert rules == [("AG503", 7), ("AG503", 10)]
