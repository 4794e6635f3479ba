"""Deltas through retries and crashes: none is lost or doubled, except across an announced reset."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.test_crash import check, examples
from tests.laws.world import RUN, Life, World, boundaries, current, run, some

from agnt5 import (
    FunctionContext,
    FunctionRegistry,
    RunNotFoundError,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.actors.streams import Entry
from agnt5.events.run import facts as f
from agnt5.exceptions import AGNT5Error
from agnt5.tails import ReceivedEvent, StreamOffset, Tail

NAME = "laws_tale"


@function(name="laws_words", retries={"max_attempts": 3, "initial_interval_ms": 100})
async def words(ctx: FunctionContext, label: str, spec: dict[str, Any]):
    """Items with turns between them; early attempts break off."""
    life = current().begins(ctx.idempotency_key, label)
    life.active += 1
    try:
        for n in range(spec["items"]):
            yield f"{label}.{n}"
            for _ in range(spec["turns"]):
                await asyncio.sleep(0)
            if ctx.attempt < spec["breaks"] and n == spec["at"]:
                raise OSError(label)
    finally:
        life.active -= 1


@workflow(name=NAME)
async def tale(ctx: WorkflowContext) -> Any:
    specs = current().program
    steps = [ctx.step(words, f"s{n}", spec) for n, spec in enumerate(specs)]
    return await ctx.parallel(*steps)


@pytest.fixture(autouse=True)
def components(registries):
    FunctionRegistry.register(words)
    WorkflowRegistry.register(tale)


class Reader:
    """Listens in every life, goes on where it was, and holds the events against the rules."""

    def __init__(self, leaves_after: int) -> None:
        self.outputs: dict[str, list[str]] = {}
        self.offsets: dict[str, StreamOffset] = {}
        self.version = 0
        self.problems: list[str] = []
        self.leaves_after = leaves_after

    async def listen(self, life: Life) -> None:
        streams = life.runtime.streams
        while not life.over:
            try:
                known = list(self.offsets.values())
                feed = await streams.attach(RUN, known, self.version, 60.0)
            except RunNotFoundError:
                await asyncio.sleep(0)
                continue
            except AGNT5Error:
                return
            try:
                for _ in range(self.leaves_after):
                    portion = await feed.take()
                    if not portion:
                        return
                    for event in portion:
                        self.hear(event)
            except AGNT5Error:
                return
            finally:
                await feed.close()

    def hear(self, event: ReceivedEvent) -> None:
        self.version = max(self.version, event.data.get("version", 0))
        at = event.offset
        if at is None:
            return
        said = self.outputs.setdefault(at.step, [])
        if event.event_type == "output.reset":
            said.clear()
        elif event.event_type == "output.delta":
            if event.data["offset"] != len(said):
                self.problems.append(f"{event} follows {len(said)} deltas")
            said.append(event.data["content"])
        elif event.event_type == "output.gap":
            self.problems.append(f"a gap: {event}")
        elif event.event_type == "output.start" and said:
            self.problems.append(f"{event} begins again, and no reset said so")
        self.offsets[at.step] = at


async def told(program: Any, crashes: list[Crash], leaves_after: int) -> World:
    world, reader = World(program, name=NAME), Reader(leaves_after)
    for crash in crashes:
        if not (await world.live(crash, meanwhile=reader.listen)).crashed:
            break
    if not world.disk.ended:
        await world.live(meanwhile=reader.listen)
    world.check_history()
    world.problems += reader.problems
    wanted = {
        f":laws_words#{n}": [f"s{n}.{i}" for i in range(spec["items"])]
        for n, spec in enumerate(program)
    }
    # Who came when all was over heard nothing; and who died with the last fact, not the end.
    for step, said in reader.outputs.items():
        if said != wanted[step] and not world.lives[-1].crashed:
            world.wrong(f"{step}: heard {said}, said {wanted[step]}")
    return world


SPEC = st.fixed_dictionaries(
    {
        "items": st.integers(0, 5),
        "turns": st.integers(0, 3),
        "breaks": st.integers(0, 2),
        "at": st.integers(0, 4),
    }
)


@given(
    st.lists(SPEC, min_size=1, max_size=2),
    st.lists(st.builds(Crash, st.integers(0, 6), st.booleans()), max_size=2),
    st.sampled_from([1, 2, 100]),
)
@examples(0.6)
def test_no_delta_is_lost_or_doubled_except_across_a_reset(program, crashes, leaves_after):
    check(run(told(program, crashes, leaves_after)))


def test_a_crash_at_every_moment_of_a_stream():
    program = [{"items": 4, "turns": 2, "breaks": 1, "at": 2}]
    calm = run(told(program, [], 100))
    check(calm)
    for crash in some(boundaries(calm), 20):
        check(run(told(program, [crash], 100)))


# ------------------------------------------------------------------- what a listener makes of it

QUEUED = f.RunQueued(component="w", kind="workflow", input={})
ASKED = f.StepScheduled(key="s", name="s", function="s")


def entry(stage: str, offset: int, execution: str = "e", version: int = 0, attempt: int = 0):
    data = f"d{offset}" if stage == "delta" else None
    return Entry(f"output.{stage}", "s", attempt, execution, offset, data, version)


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=6))
@examples(1.0)
def test_however_it_comes_in_portions_it_is_told_the_same(count, portions):
    """Facts by version, each delta once and after its step began, whatever arrives together."""
    done = f.StepCompleted(key="s", output=[f"d{n}" for n in range(count)])
    facts = [(1, QUEUED), (2, ASKED), (3, done)]
    entries = [entry("start", 0), *(entry("delta", n) for n in range(count)), entry("stop", count)]
    tail = Tail("r", "workflow", (), 0)
    events: list[ReceivedEvent] = []
    known = said = 0
    for more, upto in [*portions, (9, 3)]:
        # As the feed does it: an outcome is never heard before what was said of its step.
        now = min(len(entries), said + more)
        limit = max(known, min(upto, 3 if now == len(entries) else 2))
        events += tail.hear(facts[known:limit], entries[said:now])
        known, said = limit, now
    names = [event.event_type for event in events]
    outputs = ["output.start", *["output.delta"] * count, "output.stop"]
    assert names[:3] == ["run.queued", "workflow.step.started", "function.started"]
    assert names[3:] == [*outputs, "function.completed", "workflow.step.completed"]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


def test_entries_that_were_pushed_out_are_a_gap():
    tail = Tail("r", "workflow", (), 0)
    events = tail.hear([(1, QUEUED), (2, ASKED)], [entry("delta", 3), entry("delta", 4)])
    assert [
        (e.event_type, e.data.get("from_offset"), e.data.get("to_offset")) for e in events[3:5]
    ] == [
        ("output.start", None, None),
        ("output.gap", 0, 3),
    ]
    assert [e.data["offset"] for e in events[5:]] == [3, 4]


def test_going_on_within_an_execution_and_with_another():
    facts = [(1, QUEUED), (2, ASKED)]
    said = [entry("start", 0), *(entry("delta", n) for n in range(3))]
    same = Tail("r", "workflow", [StreamOffset("s", 0, 2, "e")], 2).hear(facts, said)
    assert [(e.event_type, e.data["offset"]) for e in same] == [("output.delta", 2)]
    other = Tail("r", "workflow", [StreamOffset("s", 0, 2, "f")], 2).hear(facts, said)
    assert [e.event_type for e in other] == [
        "output.reset",
        "output.start",
        *["output.delta"] * 3,
    ]
    unnamed = Tail("r", "workflow", [StreamOffset("s", 0, 2)], 2).hear(facts, said)
    assert [(e.event_type, e.data["offset"]) for e in unnamed] == [("output.delta", 2)]
