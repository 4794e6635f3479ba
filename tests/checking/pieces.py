"""Pieces of code from which the tests put programs together: harmless ones and bad ones."""

from __future__ import annotations

import textwrap

from hypothesis import strategies as st

HEAD = """\
import asyncio
import contextlib
import datetime
import logging
import os
import pathlib
import random
import subprocess
import threading
import time
import urllib.request
import uuid

from agnt5 import Entity, Workflow, function, task, tool, workflow
from agnt5 import WorkflowContext

logger = logging.getLogger(__name__)
SEEN = []
TABLE = {}


@function
async def work(value):
    return value


async def other(value):
    return value
"""

MARK = "# here"
"""Stands behind the line where the finding is expected."""

HARMLESS = (
    "pass",
    "total = sum(len(each) for each in ('a', 'bc'))",
    "result = await ctx.step(work, 1)",
    "result = await ctx.step('named', work, 1)",
    "result = await ctx.step('inline', lambda: time.time())",
    "result = await ctx.step('inline', lambda: open('x').read())",
    "result = await ctx.step('method', pathlib.Path('x').read_text)",
    "result = await ctx.step('slow', asyncio.sleep(5))",
    "result = await ctx.step('page', asyncio.to_thread(len, 'abc'))",
    "result = await ctx.step('other', other(3), timeout=5)",
    "results = await ctx.parallel(*[other(each) for each in range(3)])",
    "results = await ctx.gather(one=other(1), two=ctx.step(work, 2))",
    "results = await asyncio.gather(ctx.step(work, 1), ctx.step(work, 2))",
    "await ctx.sleep(3600)",
    "await asyncio.sleep(0)",
    "now, name, chance = ctx.now(), ctx.uuid4(), ctx.random()",
    "logger.info('at %s', time.time())",
    "print('pid', os.getpid(), file=None)",
    "ctx.logger.debug(f'{uuid.uuid4()} {random.random()}')",
    "begun = time.monotonic(); logger.info('took %s', time.monotonic() - begun)",
    "day = datetime.datetime.fromtimestamp(0)",
    "later = datetime.timedelta(days=1)",
    "same = uuid.uuid5(uuid.NAMESPACE_DNS, 'x')",
    "dice = random.Random(7); drawn = dice.random()",
    "stamp = time.strftime('%Y', time.gmtime(0))",
    "folder = pathlib.PurePath('a') / 'b'; base = os.path.join('a', 'b')",
    "for each in sorted({'a', 'b'}):\n    await ctx.step(work, each)",
    "count = len({'a', 'b'}); found = 'a' in {'a', 'b'}",
    "known = {each for each in ('a', 'b')}; smallest = min(known)",
    "total = 0\nfor each in {'a', 'b'}:\n    total += len(each)",
    "for number in {1, 2, 3}:\n    await ctx.step(work, number)",
    "for number in range(3):\n    await ctx.step(work, number, key=f'x{number}')",
    "for _ in range(3):\n    await ctx.step(work, 1, key='once')",
    "for number in range(3):\n    await ctx.step(f'step {number}', work, number)",
    "mine = []\nmine.append(await ctx.step(work, 1))",
    "mine = {}\nmine['a'] = await ctx.step(work, 1)",
    "async with ctx.timeout(5):\n    await ctx.wait_for_signal('go')",
    "async with asyncio.TaskGroup() as group:\n    group.create_task(ctx.step(work, 1))",
    "kept = asyncio.create_task(ctx.step(work, 1))\nawait kept",
    "pending = ctx.step(work, 1)\nawait pending",
    "done, rest = await asyncio.wait([asyncio.ensure_future(ctx.step(work, 1))])",
    "try:\n    await ctx.step(work, 1)\nexcept ValueError:\n    pass",
    "try:\n    await ctx.sleep(1)\nexcept BaseException:\n    await ctx.step(work, 2)\n    raise",
    "try:\n    total = int('1')\nexcept:\n    total = 0",
    "with contextlib.suppress(ValueError):\n    await ctx.step(work, 1)",
    "async with ctx.saga() as saga:\n    await saga.step(work, 1, undo=work)",
    "ctx.state.set('a', 1); ctx.emit('seen', {'a': 1})",
    "ordered = sorted(['b', 'a'], key=lambda each: len(each))",
    "def unused():\n    return time.time()",
    "later = lambda: time.time()",
    "time_of = {'time': 1}['time']",
    "seen = set()\nseen.add(id(ctx))\nknown = id(ctx) in seen",
)
"""Each is a statement or two that a body may hold."""

BAD = (
    ("AG101", f"value = time.time()  {MARK}"),
    ("AG101", f"value = datetime.datetime.now(datetime.timezone.utc)  {MARK}"),
    ("AG101", f"if datetime.date.today().day == 1:  {MARK}\n    await ctx.step(work, 1)"),
    ("AG101", f"value = asyncio.get_running_loop().time()  {MARK}"),
    ("AG101", f"await ctx.step(work, time.time())  {MARK}"),
    ("AG101", f"await ctx.step('x', other(time.time()))  {MARK}"),
    ("AG102", f"value = random.random()  {MARK}"),
    ("AG102", f"value = random.Random()  {MARK}"),
    ("AG102", f"value = os.urandom(8)  {MARK}"),
    ("AG102", f"value = sorted('ab', key=lambda _: random.random())  {MARK}"),
    ("AG103", f"value = str(uuid.uuid4())  {MARK}"),
    ("AG104", f"value = os.environ['HOME']  {MARK}"),
    ("AG104", f"value = os.getenv('HOME')  {MARK}"),
    ("AG105", f"value = id(ctx)  {MARK}"),
    ("AG105", f"value = hash('text')  {MARK}"),
    ("AG106", f"for each in {{'a', 'b'}}:  {MARK}\n    await ctx.step(work, each)"),
    ("AG106", f"value = list(set(['a', 'b']))  {MARK}"),
    ("AG106", f"value = [each for each in set('ab')]  {MARK}"),
    ("AG106", f"value = ', '.join({{'a', 'b'}})  {MARK}"),
    ("AG106", f"names = {{'a', 'b'}}\nvalue = names.pop()  {MARK}"),
    ("AG106", f"await asyncio.gather(*(ctx.step(work, n) for n in {{'a', 'b'}}))  {MARK}"),
    ("AG201", f"await asyncio.sleep(5)  {MARK}"),
    ("AG201", f"time.sleep(5)  {MARK}"),
    ("AG202", f"async with asyncio.timeout(5):  {MARK}\n    await ctx.wait_for_signal('go')"),
    ("AG202", f"await asyncio.wait_for(ctx.wait_for_signal('go'), timeout=5)  {MARK}"),
    ("AG202", f"await asyncio.wait([ctx.step(work, 1)], timeout=5)  {MARK}"),
    ("AG301", f"value = open('x').read()  {MARK}"),
    ("AG301", f"value = (pathlib.Path('x') / 'y').read_text()  {MARK}"),
    ("AG301", f"value = os.listdir('.')  {MARK}"),
    ("AG302", f"value = urllib.request.urlopen('http://localhost')  {MARK}"),
    ("AG303", f"subprocess.run(['true'])  {MARK}"),
    ("AG303", f"value = input()  {MARK}"),
    ("AG401", f"threading.Thread(target=print).start()  {MARK}"),
    ("AG401", f"value = await asyncio.to_thread(len, 'abc')  {MARK}"),
    ("AG401", f"asyncio.get_running_loop().call_later(1, print)  {MARK}"),
    ("AG402", f"asyncio.create_task(ctx.step(work, 1))  {MARK}"),
    ("AG402", f"forgotten = asyncio.ensure_future(ctx.step(work, 1))  {MARK}"),
    ("AG403", f"ctx.step(work, 1)  {MARK}"),
    ("AG403", f"ctx.sleep(5)  {MARK}"),
    ("AG403", f"ctx.session.state.set('a', 1)  {MARK}"),
    ("AG403", f"forgotten = ctx.step(work, 1)  {MARK}"),
    ("AG404", f"try:\n    await ctx.step(work, 1)\nexcept BaseException:  {MARK}\n    pass"),
    ("AG404", f"try:\n    await ctx.step(work, 1)\nexcept:  {MARK}\n    pass"),
    ("AG404", f"with contextlib.suppress(BaseException):  {MARK}\n    await ctx.step(work, 1)"),
    ("AG501", f"SEEN.append(1)  {MARK}"),
    ("AG501", f"TABLE['a'] = 1  {MARK}"),
    ("AG502", f"mine = []\nawait ctx.step('x', lambda: mine.append(1))  {MARK}"),
    (
        "AG502",
        f"mine = {{}}\nasync def put():\n    mine['a'] = 1  {MARK}\nawait ctx.step('x', put())",
    ),
    ("AG504", f"await ctx.step(f'at {{time.time()}}', work, 1)  {MARK}"),
    ("AG504", f"await ctx.step(work, 1, key=str(uuid.uuid4()))  {MARK}"),
    ("AG505", f"for n in (1, 2):\n    await ctx.step(work, n, key='x')  {MARK}"),
    ("AG601", f"await work(1)  {MARK}"),
)
"""The rule that each breaks, and the piece, with a mark behind the line of the finding."""

PLACES = {
    "body": "@workflow\nasync def flow(ctx: WorkflowContext):\n{body}",
    "bare ctx": "@workflow()\nasync def flow(ctx):\n{body}",
    "helper": (
        "@workflow\nasync def flow(ctx):\n    return await helper(ctx)\n\n"
        "async def helper(ctx):\n{body}"
    ),
    "helper of a helper": (
        "async def second(ctx):\n{body}\n\nasync def first(ctx):\n    await second(ctx)\n\n"
        "@workflow\nasync def flow(ctx):\n    await asyncio.gather(first(ctx), first(ctx))"
    ),
    "branch": (
        "@workflow\nasync def flow(ctx):\n    async def branch():\n{deep}\n"
        "    await asyncio.gather(branch(), branch())"
    ),
    "class": ("class Flow(Workflow):\n    async def run(self):\n        ctx = self.ctx\n{deep}"),
    "method": (
        "class Flow(Workflow):\n    async def run(self):\n        await self.part(self.ctx)\n\n"
        "    async def part(self, ctx):\n{deep}"
    ),
    "given to workflow()": "async def flow(ctx):\n{body}\n\nregistered = workflow(name='x')(flow)",
}
"""Where a replay comes by."""

ELSEWHERE = {
    "function": "@function(retries=3)\nasync def elsewhere(ctx):\n{body}",
    "task": "@task\nasync def elsewhere(ctx):\n{body}",
    "tool": "@tool()\nasync def elsewhere(ctx):\n{body}",
    "entity": "class Elsewhere(Entity):\n    async def method(self, ctx):\n{deep}",
    "nobody calls it": "async def elsewhere(ctx):\n{body}",
    "called by a step": (
        "@workflow\nasync def flow(ctx):\n    await ctx.step('x', elsewhere(ctx))\n\n"
        "async def elsewhere(ctx):\n{body}"
    ),
    "given to a step": (
        "@workflow\nasync def flow(ctx):\n    await ctx.step('x', elsewhere, ctx)\n\n"
        "async def elsewhere(ctx):\n{body}"
    ),
    "given by way of a list": (
        "@workflow\nasync def flow(ctx):\n    parts = [elsewhere(ctx)]\n"
        "    parts.append(elsewhere(ctx))\n    await ctx.parallel(*parts)\n\n"
        "async def elsewhere(ctx):\n{body}"
    ),
    "another decorator": (
        "@logger.wrap\nasync def elsewhere(ctx):\n{body}\n\n"
        "@workflow\nasync def flow(ctx):\n    await elsewhere(ctx)"
    ),
}
"""Where it does not, or where nobody can tell."""


def program(place: str, body: str) -> str:
    """A whole module with a body at a place."""
    inner = textwrap.indent(body, "    ")
    code = place.format(body=inner, deep=textwrap.indent(inner, "    "))
    return f"{HEAD}\n\n{code}\n"


def marked_line(code: str) -> int:
    """Where the finding is expected."""
    (line,) = [n for n, text in enumerate(code.splitlines(), 1) if text.endswith(MARK)]
    return line


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    heads = st.sampled_from(
        (
            "if total_of('x'):",
            "while await ctx.step(work, 0):",
            "for number in range(3):",
            "async with ctx.timeout(9):",
            "with contextlib.nullcontext():",
        )
    )
    block = st.lists(inner, min_size=1, max_size=3).map("\n".join)
    plain = st.builds(lambda head, body: f"{head}\n{textwrap.indent(body, '    ')}", heads, block)
    tried = block.map(
        lambda body: f"try:\n{textwrap.indent(body, '    ')}\nexcept ValueError:\n    pass"
    )
    return plain | tried


statements = st.recursive(st.sampled_from(HARMLESS), _nested, max_leaves=4)
"""Harmless statements, also within one another."""


@st.composite
def bodies_with_one(draw: st.DrawFn, piece: str) -> str:
    """A body of harmless statements with a piece at any place among or within them."""
    before = draw(st.lists(statements, max_size=2))
    after = draw(st.lists(statements, max_size=2))
    for _ in range(draw(st.integers(0, 2))):
        piece = draw(_nested(st.just(piece)).filter(lambda code: code.count(MARK) == 1))
    return "\n".join([*before, piece, *after])
