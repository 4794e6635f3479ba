"""Attributes of class workflows are part of the history: no crash loses or repeats a change.

A random program of steps that change attributes is played through a crash at every boundary of its
calm run, and through several crashes. What its body sees of its own attributes after every phase
must be the same in every pass, and so must the end.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.laws.crashing_log import Crash
from tests.laws.test_crash import LATENCIES, PARK_AFTER, check, crashed_everywhere, examples
from tests.laws.world import RUN, current, run, verdict

from agnt5 import Workflow
from agnt5.events.keys import idempotency_key

NAME = "laws_class"
SAFE = ("count", "tag", "entry")
"""Changes that come to the same in any order: what steps at the same time may do."""
ALL = (*SAFE, "append", "replace", "forget", "opaque", "nested")


@dataclass(frozen=True)
class Change:
    """A step: so many turns of the loop, then a change of attributes, then an end."""

    what: str
    turns: int = 0
    fails: bool = False
    inner: bool = False
    """With a step of its own before the change, and another change before that."""


@dataclass(frozen=True)
class Phase:
    """Steps at the same time, or a single one."""

    changes: tuple[Change, ...]


def _changes(what: tuple[str, ...], *, inner: bool) -> st.SearchStrategy[Change]:
    nested = st.booleans() if inner else st.just(False)
    return st.builds(Change, st.sampled_from(what), st.integers(0, 4), st.booleans(), nested)


PHASES = st.one_of(
    st.tuples(_changes(ALL, inner=True)).map(Phase),
    st.lists(_changes(SAFE, inner=False), min_size=2, max_size=3).map(tuple).map(Phase),
)
PROGRAMS = st.lists(PHASES, min_size=1, max_size=4).map(tuple)


class Ledger(Workflow):
    """A body that interprets the program of its world."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.count = 0
        self.items: list[Any] = []
        self.table: dict[str, Any] = {"deep": {"list": []}}
        self.tags: set[str] = set()
        self.draft: Any = "draft"
        self.handle: Any = object()
        self.lock = asyncio.Lock()

    async def run(self) -> list[Any]:
        world = current()
        seen: list[tuple[object, ...]] = []
        world.passes.append(seen)
        alias, deep = self.items, self.table["deep"]
        for number, phase in enumerate(world.program):
            calls = []
            for place, change in enumerate(phase.changes):
                box: list[str] = []
                label = f"{number}.{place}"
                future = self.step(change.what, self.change, change, label, box)
                box.append(future.key)  # type: ignore[attr-defined]
                calls.append(future)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            if not self.ctx.script.closed:
                seen.append((number, repr(ended), repr(self.look())))
                if alias is not self.items or self.table.get("deep") is not deep:
                    world.wrong("a list was replaced and not changed in place")
        return [self.look(), len(world.program)]

    def look(self) -> tuple[object, ...]:
        table = sorted(self.table.items(), key=lambda entry: entry[0])
        draft = getattr(self, "draft", "gone")
        # What cannot be recorded is not restored, but it is not taken away either.
        there = hasattr(self, "handle") and hasattr(self, "lock")
        return self.count, self.items, table, sorted(self.tags), draft, there

    async def change(self, change: Change, label: str, box: list[str]) -> str:
        life = current().begins(idempotency_key(RUN, box[0]), label)
        life.active += 1
        try:
            for _ in range(change.turns):
                await asyncio.sleep(0)
        finally:
            life.active -= 1
        if change.inner:
            self.apply(change.what, f"{label} before")
            inner: list[str] = []
            plain = Change(change.what, change.turns)
            future = self.step("inner", self.change, plain, f"{label} inner", inner)
            inner.append(future.key)  # type: ignore[attr-defined]
            await future
        self.apply(change.what, label)
        if change.fails:
            raise LookupError(label)
        return label

    def apply(self, what: str, label: str) -> None:
        match what:
            case "count":
                self.count += 1
            case "tag":
                self.tags.add(label)
            case "entry":
                self.table[label] = {"of": label}
            case "append":
                self.items.append((label, len(self.items)))
            case "replace":
                self.draft = {"was": getattr(self, "draft", None), "now": label}
            case "forget":
                self.__dict__.pop("draft", None)
            case "opaque":
                self.lock, self.handle = asyncio.Lock(), object()
            case "nested":
                self.table["deep"]["list"].append(label)


# A class registers itself when it is made; the laws' registries are emptied before every test.
def _register() -> None:
    Ledger.agnt5_component.register()


@given(PROGRAMS, LATENCIES, PARK_AFTER)
@examples(0.25)
def test_no_crash_loses_or_repeats_a_change_of_an_attribute(program, latency, park_after):
    _register()
    check(run(crashed_everywhere(program, 60, name=NAME, latency=latency, park_after=park_after)))


@given(
    PROGRAMS,
    LATENCIES,
    st.lists(st.builds(Crash, st.integers(0, 8), st.booleans()), min_size=2, max_size=3),
)
@examples(0.5)
def test_several_crashes_change_nothing_about_attributes(program, latency, crashes):
    _register()

    async def several() -> Any:
        calm = await verdict(program, pure=False, name=NAME, latency=latency)
        if calm.problems:
            return calm
        return await verdict(program, crashes, calm.outcome(), name=NAME, latency=latency)

    check(run(several()))
