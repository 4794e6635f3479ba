"""The edges of the rules, one by one: what is just found, and what just is not."""

from __future__ import annotations

import textwrap

import pytest

from agnt5.checking import check_sources

HEAD = """\
import logging
import time
from agnt5 import Workflow, function, workflow
logger = logging.getLogger()
SEEN = []
@function
async def work(value):
    return value
"""


def rules(code):
    return [each.rule for each in check_sources({"flows.py": HEAD + textwrap.dedent(code)})]


def in_body(body, parameters="ctx"):
    code = f"@workflow\nasync def flow({parameters}):\n" + textwrap.indent(body, "    ")
    return rules(code)


def in_class(body):
    return rules("class Flow(Workflow):\n" + textwrap.indent(textwrap.dedent(body), "    "))


def test_an_attribute_of_the_class_hides_no_module():
    body = """
    time = 5
    async def run(self):
        return time.time()
    """
    assert in_class(body) == ["AG101"]


def test_self_is_known_in_functions_within_a_method():
    body = """
    async def run(self):
        async def branch():
            self.step("x", work, 1)
        await branch()
    """
    assert in_class(body) == ["AG403"]


def test_an_init_may_register_itself():
    body = """
    def __init__(self):
        SEEN.append(self)
    async def run(self):
        return 1
    """
    assert in_class(body) == []
    assert in_class(body.replace("return 1", "SEEN.append(self)")) == ["AG501"]


@pytest.mark.parametrize("first", ["ctx", "number: int"])
def test_a_helper_of_both_modes_whichever_comes_first(first):
    second = "number: int" if first == "ctx" else "ctx"
    code = "".join(
        f"@workflow\nasync def flow_{n}({parameter}):\n    await both()\n"
        for n, parameter in enumerate((first, second))
    )
    assert rules(code + "async def both():\n    await work(1)\n") == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("async with ctx.saga() as s:\n    s.step(work, 1)", ["AG403"]),
        ("async with ctx.saga() as s:\n    await s.step(work, 1)", []),
        ("async with other() as s:\n    s.step(work, 1)", []),
    ],
)
def test_steps_of_a_saga(body, expected):
    assert in_body(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("t = time.time()\nlogger.info(t)", []),
        ("t = time.time()\nlogger.info(t)\nprint(f'{t:.1f}')", []),
        ("t = time.time()\nlogger.info(t)\nreturn t", ["AG101"]),
        ("t = time.time()\ntook = time.time() - t\nlogger.info(took)", []),
        ("t = time.time()\ntook = time.time() - t\nreturn took", ["AG101", "AG101"]),
        ("t = time.time()", ["AG101"]),
        ("logger.info(await ctx.step(work, time.time()))", ["AG101"]),
        ("logger.info('%s', ctx.step(work, time.time()))", ["AG101"]),
        ("if time.time() > 5:\n    logger.info('late')", ["AG101"]),
        ("catalog.entry(time.time())", ["AG101"]),
        ("ctx.log('late', at=time.time())", []),
        ("ctx.log().info('late', at=time.time())", []),
        ("logging.getLogger('x').warning(time.time())", []),
    ],
)
def test_a_value_that_is_only_logged(body, expected):
    assert in_body(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("names = {'a'}\nnames = ['a']\nreturn list(names)", []),
        ("names = {'a'}\nnames = names | {'b'}\nreturn list(names)", ["AG106"]),
        (
            "a, b = {}, {}\nfor key in a.keys() & b.keys():\n    await ctx.step(work, key)",
            ["AG106"],
        ),
        ("a = {}\nfor key in a.keys():\n    await ctx.step(work, key)", []),
        ("for name in given:\n    await ctx.step(work, name)", ["AG106"]),
        ("for number in numbers:\n    await ctx.step(work, number)", []),
        ("return [*given]", ["AG106"]),
        ("return {*given}", []),
        ("return sum(n for n in given)", []),
        ("return sorted(list(given))", []),
        ("first, second = given", ["AG106"]),
        ("return dict.fromkeys(sorted(given))", []),
        ("return given.union({'a'}).pop()", ["AG106"]),
        ("return {name: 1 for name in given}", ["AG106"]),
        ("return {name for name in given}", []),
        ("return {await ctx.step(work, name) for name in given}", ["AG106"]),
        ("return sum([await ctx.step(work, name) for name in given])", ["AG106"]),
        ("return set(await ctx.parallel(*{ctx.step(work, n) for n in given}))", ["AG106", "AG106"]),
        ("return [(n, name) for n in (1, 2) for name in given]", ["AG106"]),
        ("other = set()\nother.update(name for name in given)", []),
    ],
)
def test_the_order_of_sets(body, expected):
    assert in_body(body, "ctx, given: set[str], numbers: set[int]") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("seen = []\nawait ctx.step('x', lambda: seen.append(1))", ["AG502"]),
        ("thing = make()\nawait ctx.step('x', lambda: thing.update(1))", []),
        ("seen = []\nawait ctx.step('x', lambda seen: seen.append(1), [])", []),
        ("seen = []\nawait ctx.step('x', lambda: len(seen))", []),
        ("seen = []\nasync def part():\n    seen.append(1)\nawait part()", []),
        ("seen = []\nasync def part():\n    seen.append(1)\nawait ctx.parallel(part())", ["AG502"]),
        ("n = 0\ndef add():\n    nonlocal n\n    n += 1\nawait ctx.step('x', add)", ["AG502"]),
        ("n = 0\ndef add():\n    n = 1\n    return n\nawait ctx.step('x', add)", []),
        ("async def put():\n    ctx.state['a'] = 1\nawait ctx.step('x', put())", []),
        (
            (
                "seen = []\nasync def part():\n    await ctx.step('x', lambda: seen.append(1))\n"
                "await part()"
            ),
            ["AG502"],
        ),
    ],
)
def test_closures_that_steps_change(body, expected):
    assert in_body(body) == expected


def test_what_is_around_a_workflow_is_no_variable_of_its_body():
    code = """
    def factory():
        seen = []
        @workflow
        async def flow(ctx):
            await ctx.step("x", lambda: seen.append(1))
        return flow
    """
    assert rules(code) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("await ctx.sleep(5, f'at {time.time()}')", ["AG504"]),
        ("await ctx.sleep(time.time())", ["AG101"]),
        ("await ctx.wait_for_signal(f'{time.time()}')", ["AG504"]),
        ("await ctx.step('x' + str(time.time()), work, 1)", ["AG504"]),
        ("await ctx.step('at {}'.format(time.time()), work, 1)", ["AG504"]),
        ("await ctx.step(f'at {ctx.now()}', work, 1)", []),
        ("name = f'{time.time()}'\nawait ctx.step(name, work, 1)", ["AG101"]),
    ],
)
def test_names_of_steps(body, expected):
    assert in_body(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("global SEEN\nSEEN = []", ["AG501"]),
        ("SEEN = []\nSEEN.append(1)", []),
        ("SEEN[0] = 1", ["AG501"]),
        ("del SEEN[0]", ["AG501"]),
        ("logging.root = 1", ["AG501"]),
        ("logger.update(1)", []),
        ("work.count = 1", ["AG501"]),
        ("return [*SEEN]", []),
    ],
)
def test_globals(body, expected):
    assert in_body(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("try:\n    return 1\nexcept BaseException:\n    return 2", []),
        ("try:\n    await ctx.sleep(1)\nexcept (OSError, BaseException):\n    pass", ["AG404"]),
        ("try:\n    await ctx.sleep(1)\nexcept Exception:\n    pass", []),
        ("try:\n    await ctx.sleep(1)\nexcept BaseException as e:\n    raise OSError from e", []),
        ("try:\n    async def f():\n        await ctx.sleep(1)\nexcept:\n    pass", []),
        ("try:\n    async for x in ctx.tail():\n        pass\nexcept:\n    pass", ["AG404"]),
    ],
)
def test_cancellation(body, expected):
    assert in_body(body) == expected


def test_a_step_of_two_loops_is_told_once():
    body = "for a in 'xy':\n    for b in 'xy':\n        await ctx.step(work, a + b, key='x')"
    assert in_body(body) == ["AG505"]


def test_a_child_may_be_left_to_itself():
    assert in_body("ctx.child(work, 1)\nctx.emit('x', 1)\nctx.state.set('a', 1)") == []
