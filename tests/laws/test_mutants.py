"""Does the main law see anything? The engine is broken on purpose, in ways that once were real.

Each breakage must turn the law red, on a fixed set of programs; without one, the set is green.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.laws.programs import (
    Asked,
    Catch,
    Inline,
    Loop,
    Node,
    Seq,
    Sleep,
    Step,
    Together,
    Turns,
)
from tests.laws.test_crash import FOUND, crashed_everywhere
from tests.laws.test_laws import diverge
from tests.laws.world import run

from agnt5 import step_calls
from agnt5.actors import rest
from agnt5.actors import run as run_module
from agnt5.actors.branch import Branch
from agnt5.actors.eventsourced import EventSourced
from agnt5.actors.script import Script
from agnt5.events.keys import SCOPE, operation_key
from agnt5.events.run.effects import Resolve
from agnt5.events.run.walk import Walk

_DEEP = Together("gather", (Step("a"), Step("b", 1)))
PROGRAMS: list[Node] = [
    Together("gather", (Seq((Step("a"), Step("a", 5))), Seq((Step("a", 3), Step("a"))))),
    Together("gather", (Seq((Step("a", 3), Step("b"))), Seq((Step("a"), Step("b", 3))))),
    Seq((Step("a"), Sleep(2.0), Step("b", form="flaky", fails="os", times=2))),
    Together("first", (Step("a", 1), Seq((Step("a"), Step("b"))), Step("b", 2))),
    Together(
        "as_completed", (Step("a", 2), Together("gather", (Step("a", 2), _DEEP)), Step("b", 2))
    ),
    Together("first", (Together("gather", (_DEEP, Step("a", 1))), Step("b", 1), Step("a", 1))),
    Together("as_completed", (Inline("a", _DEEP), Step("a", 1), Together("group", (_DEEP, _DEEP)))),
    Together("group", (Step("a", 1), Step("b", 1, fails="app"), Loop(3, Step("a")))),
    Catch(Asked((Step("a", 2), Step("b", 1, fails="key"))), Step("a")),
    Seq((Turns(2), Together("settled", (Step("a", 1), Step("a", 1), Step("a", 1))))),
]


def keys_without_branches(patch: Any) -> None:
    """The first call of a name is the same call in every branch of a scope."""

    def key(branch: str, name: str, n: int) -> str:
        scope, more, _ = branch.rpartition(SCOPE)
        return operation_key(scope + more, name, n)

    patch.setattr(step_calls, "operation_key", key)


def keys_in_order_of_arrival(patch: Any) -> None:
    """A counter per run, in the order of arrival, as the SDK does it.

    In-order delivery makes even these repeat, until an inline step is not entered again.
    """

    def occurrence(self: Branch, name: str) -> int:
        counts = self.script.__dict__.setdefault("mutant_counts", {})
        counts[name] = counts.get(name, -1) + 1
        return counts[name]

    patch.setattr(Branch, "occurrence", occurrence)
    patch.setattr(step_calls, "operation_key", lambda branch, name, n: f":{name}#{n}")


def nothing_is_resumed(patch: Any) -> None:
    """After a restart nobody does what is still owed."""
    patch.setattr(run_module, "resume", lambda state: ())


def the_last_outcome_first(patch: Any) -> None:
    """Outcomes are handed over in another order than that of the log."""

    def resolve(self: Script, delivery: Any) -> None:
        self._outcomes.appendleft(delivery)
        self._pump()

    patch.setattr(Script, "resolve", resolve)


def no_rest(patch: Any) -> None:
    """Outcomes are handed over all at once, however many branches there are."""
    patch.setattr(rest, "QUIET_TURNS", 0)
    patch.setattr(Script, "_alone", lambda self: True)


def visible_before_durable(patch: Any) -> None:
    """The body sees an outcome before it is on disk."""
    append = EventSourced._append

    def hasty(self: Any, facts: Any, now: int, parked: bool, effects: Any, replies: Any) -> None:
        for effect in effects:
            if isinstance(effect, Resolve):
                self.perform(effect)
        later = [effect for effect in effects if not isinstance(effect, Resolve)]
        append(self, facts, now, parked, later, replies)

    patch.setattr(EventSourced, "_append", hasty)


def new_calls_are_not_held(patch: Any) -> None:
    """A call that the log does not hold is begun while the log still expects others."""
    request = Script.request

    def eager(self: Script, key: str, *args: Any, **kwargs: Any) -> Any:
        replay = self._replay
        if replay is None or replay.knows(key):
            return request(self, key, *args, **kwargs)
        self._replay = None
        try:
            return request(self, key, *args, **kwargs)
        finally:
            self._replay = replay

    patch.setattr(Script, "request", eager)


def requests_are_not_awaited(patch: Any) -> None:
    """The walk hands out outcomes before the body has asked for what was asked before them."""
    advance = Walk.advance

    def rash(self: Walk) -> Any:
        while (found := advance(self)) is None and not self.is_over:
            self._at += 1
        return found

    patch.setattr(Walk, "advance", rash)


MUTANTS = [
    keys_without_branches,
    keys_in_order_of_arrival,
    nothing_is_resumed,
    the_last_outcome_first,
    no_rest,
    visible_before_durable,
    new_calls_are_not_held,
    requests_are_not_awaited,
]


def caught() -> str | None:
    """What the law says, about the first program that shows it."""
    try:
        run(diverge())
    except AssertionError as error:
        return str(error)
    for program in [*PROGRAMS, *FOUND.values()]:
        for latency in (0, 2, 9):
            try:
                world = run(crashed_everywhere(program, most=40, latency=latency, stall_limit=0.2))
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            if world.problems:
                return world.problems[0]
    return None


@pytest.mark.filterwarnings("ignore")  # broken engines leave all sorts of things behind
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_engine_is_caught(mutant, monkeypatch):
    """The law goes red."""
    mutant(monkeypatch)
    assert caught() is not None, f"nobody noticed: {mutant.__doc__}"


def test_a_sound_engine_is_not(monkeypatch):
    """The law is green on the same programs."""
    assert caught() is None
