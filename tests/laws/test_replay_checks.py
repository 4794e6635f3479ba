"""Replay checks say of a history what the engine would do with it, and do nothing themselves.

Random programs play in a world; their logs, cut anywhere, are replayed on the same program, which
must do just the same again, and on another one, of which the engine itself is the judge.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws import world as worlds
from tests.laws.crashing_log import Disk, disk_of
from tests.laws.programs import (
    Asked,
    Late,
    Node,
    Seq,
    Sleep,
    Step,
    Together,
    small_programs,
)
from tests.laws.test_crash import LATENCIES, examples
from tests.laws.world import RUN, Crash, World, play, run

from agnt5 import WorkflowRegistry
from agnt5.histories import History
from agnt5.testing.replay import Verdict, replay_async

STALL = 0.05


def history_of(disk: Disk) -> History:
    return History.of(RUN, disk.log.read(RUN))


async def rehearsed(program: Any, history: History) -> tuple[Any, World]:
    """The report on a history, and the world in which that happened: nobody lives in it."""
    world = World(program, disk=disk_of(RUN, history.events), now=0)
    worlds._current = world
    component = WorkflowRegistry.get("laws_program")
    report = await replay_async(history, component, stall_limit=STALL, patience=5)
    assert not world.lives
    return report, world


def cuts(history: History, many: int = 6) -> list[History]:
    """The whole of it, and some of its beginnings."""
    length = len(history.events)
    step = max(1, length // many)
    return [history.upto(n) for n in (*range(1, length, step), length)]


@given(small_programs(), LATENCIES, st.data())
@examples(0.6)
def test_what_a_program_has_done_it_does_again_wherever_its_history_is_cut(program, latency, data):
    crash = data.draw(st.none() | st.builds(Crash, st.integers(0, 8), st.booleans()))
    played = run(play(program, [crash] if crash else [], latency=latency))
    whole = history_of(played.disk)
    for history in cuts(whole):
        report, world = run(rehearsed(program, history))
        assert report.is_compatible, f"{report}\n{played.describe()}"
        assert report.is_exact, f"{report}\n{played.describe()}"
        assert report.reproduced == len(history.events)
        assert not world.problems
    assert report.was_over
    # The body has observed what it observed when it was recorded.
    assert world.passes[-1] == played.passes[-1]


def changed(node: Node, place: int, change: str) -> Node:
    """The program with one of its steps and sleeps done otherwise."""
    places = sum(isinstance(each, Step | Sleep) for each in _changeable(node))
    left = place % places if places else -1

    def visit(each: Any) -> Any:
        nonlocal left
        if isinstance(each, Step | Sleep):
            left -= 1
            if left == -1:
                new = Step("new")
                return {"replaced": new, "before": Seq((new, each)), "after": Seq((each, new))}[
                    change
                ]
            return each
        if isinstance(each, Asked):  # its parts must be steps
            return each
        inner: dict[str, Any] = {}
        for field in fields(each):
            value = getattr(each, field.name)
            if isinstance(value, Node):
                inner[field.name] = visit(value)
            elif _nodes(value):
                inner[field.name] = tuple(visit(one) for one in value)
        return replace(each, **inner) if inner else each

    return visit(node)


def _changeable(node: Node) -> list[Node]:
    if isinstance(node, Asked):
        return []
    parts = [part for f in fields(node) for part in _nodes(getattr(node, f.name))]
    return [node, *(each for part in parts for each in _changeable(part))]


async def engine_suspends(program: Any, history: History) -> bool:
    """Whether the engine itself suspends a run that has come so far when the code is this."""
    world = World(program, disk=disk_of(RUN, history.events), stall_limit=STALL)
    life = await world.live()
    facts = world.disk.facts(RUN)[len(history.events) :]
    assert life is not None
    return any(type(fact).__name__ == "RunSuspended" for fact in facts)


@given(
    small_programs(8),
    st.integers(0, 7),
    st.sampled_from(["replaced", "before", "after"]),
    st.integers(1, 20),
)
@examples(0.6)
def test_the_verdict_is_what_the_engine_does(program, place, change, at):
    other = changed(program, place, change)
    played = run(play(program))
    whole = history_of(played.disk)
    history = whole.upto(min(at, len(whole.events) - 1))
    report, _ = run(rehearsed(other, history))
    suspends = run(engine_suspends(other, history))
    if report.not_entered and report.is_compatible:
        # The engine runs the code of a step that was under way, which no check does.
        return
    expected = Verdict.NEEDS_PATCHED if suspends else Verdict.COMPATIBLE
    assert report.verdict is expected, f"{report}\n{other}\n{played.describe()}"


def _nodes(value: Any) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    return [each for each in value if isinstance(each, Node)] if isinstance(value, tuple) else []


@pytest.mark.parametrize(
    ("program", "other", "expected"),
    [
        (Step("a"), Step("b"), Verdict.NEEDS_PATCHED),
        (Step("a"), Seq((Step("a"), Sleep(1.0))), Verdict.COMPATIBLE),
        (Seq((Step("a"), Sleep(1.0))), Step("a"), Verdict.NEEDS_PATCHED),
        (
            Together("gather", (Step("a"), Step("b"))),
            Together("gather", (Step("a"), Step("c"))),
            Verdict.NEEDS_PATCHED,
        ),
        (
            Late(Step("a"), Step("b")),
            Late(Step("a"), Step("b")),
            Verdict.COMPATIBLE,
        ),
    ],
)
def test_examples_of_changes(program, other, expected):
    report, _ = run(rehearsed(other, history_of(run(play(program)).disk)))
    assert report.verdict is expected, str(report)
