"""Attributes of class workflows are part of the history: no crash loses or repeats a change.

A random program of steps that change attributes is the input of a class workflow that interprets
it. What its body sees of its own attributes after every phase is its result, so that
``crash_everywhere`` holds every schedule to what the calm run has seen.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from agnt5 import Workflow
from agnt5.actors.attributes import Attributes
from agnt5.testing import DisprovedError, Effects, crash_everywhere

SAFE = ("count", "tag", "entry")
"""Changes that come to the same in any order: what steps at the same time may do."""
ALL = (*SAFE, "append", "replace", "forget", "opaque", "nested")
sink = Effects("sink")


def _changes(what: tuple[str, ...], *, inner: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Steps: so many turns of the loop, then a change of attributes, then an end.

    ``inner``: with a step of its own before the change, and another change before that.
    """
    return st.fixed_dictionaries(
        {
            "what": st.sampled_from(what),
            "turns": st.integers(0, 4),
            "fails": st.booleans(),
            "inner": st.booleans() if inner else st.just(False),
        }
    )


PHASES = _changes(ALL, inner=True).map(lambda change: [change]) | st.lists(
    _changes(SAFE, inner=False), min_size=2, max_size=3
)
"""A single step, or several at the same time."""
PROGRAMS = st.lists(PHASES, min_size=1, max_size=4)


class Ledger(Workflow):
    """A body that interprets its input."""

    def __init__(self) -> None:
        super().__init__("laws_class")
        self.count = 0
        self.items: list[Any] = []
        self.table: dict[str, Any] = {"deep": {"list": []}}
        self.tags: set[str] = set()
        self.draft: Any = "draft"
        self.handle: Any = object()
        self.lock = asyncio.Lock()

    async def run(self, program: list[Any]) -> list[Any]:
        seen: list[Any] = []
        alias, deep = self.items, self.table["deep"]
        for number, phase in enumerate(program):
            calls = [
                self.step(change["what"], self.change, change, f"{number}.{place}")
                for place, change in enumerate(phase)
            ]
            ended = await asyncio.gather(*calls, return_exceptions=True)
            seen.append([repr(ended), repr(self.look())])
            assert alias is self.items, "a list was replaced and not changed in place"
            assert deep is self.table.get("deep"), "a dict was replaced and not changed in place"
        return [self.look(), seen]

    def look(self) -> tuple[object, ...]:
        table = sorted(self.table.items(), key=lambda entry: entry[0])
        draft = getattr(self, "draft", "gone")
        # What cannot be recorded is not restored, but it is not taken away either.
        there = hasattr(self, "handle") and hasattr(self, "lock")
        return self.count, list(self.items), table, sorted(self.tags), draft, there

    async def change(self, change: dict[str, Any], label: str) -> str:
        sink.record("change", label=label)
        for _ in range(change["turns"]):
            await asyncio.sleep(0)
        if change["inner"]:
            self.apply(change["what"], f"{label} before")
            plain = {**change, "fails": False, "inner": False}
            await self.step("inner", self.change, plain, f"{label} inner")
        self.apply(change["what"], label)
        if change["fails"]:
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


def completes(outcome: Any) -> None:
    assert outcome.status == "completed"


def law(program: Any, examples: int) -> None:
    # A class registers itself when it is made; the laws' registries are emptied before every test.
    Ledger.agnt5_component.register()
    crash_everywhere(
        Ledger, {"program": program}, check=completes, examples=examples, regressions=False
    )


def test_no_crash_loses_or_repeats_a_change_of_an_attribute():
    """One crash anywhere, several, takeovers, evictions, troubles: see the kit's reference."""
    law(PROGRAMS, max(10, settings.default.max_examples // 3))


EVERYTHING = [[{"what": what, "turns": 1, "fails": False, "inner": True}] for what in ALL]


def test_one_crash_at_every_place_of_a_program_with_every_change():
    law(EVERYTHING, 0)


def test_an_engine_that_does_not_restore_attributes_is_caught(monkeypatch):
    monkeypatch.setattr(Attributes, "restore", lambda self, after: None)
    with pytest.raises(DisprovedError, match="calmly it completed"):
        law(EVERYTHING, 0)
