"""What can be seen of a run when everything is over: what a crash must not change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from pydantic import JsonValue

from agnt5.events.codec import decode_any
from agnt5.events.entity.facts import ENTITY_FACTS
from agnt5.events.entity.state import fold as fold_entity
from agnt5.events.index import last_of_chain
from agnt5.events.keys import RECOVERY
from agnt5.events.run import facts as f
from agnt5.events.run.state import Operation, RunState, fold
from agnt5.exceptions import UnknownOutcomeError
from agnt5.payloads import decode, decode_error
from agnt5.testing.effects import Effect, Place
from agnt5.testing.world import RUN, World


@dataclass(frozen=True)
class Asked:
    """A durable call that a body made."""

    what: str
    """With everything that was recorded of it."""
    line: str | None
    """``file.py:12`` of the call."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, for tests to look at."""

    status: str
    """``completed``, ``failed``, ``cancelled``, ``suspended``, ``stuck`` (it waits for something
    that never comes) or ``endless``."""
    value: Any = None
    """The result, or the exception."""
    effects: tuple[Effect, ...] = ()
    """What was done to the outside world, in all lives, in order."""
    events: tuple[f.RunFact, ...] = ()
    """The log of the run."""
    crashes: int = 0
    """How often its process died."""

    def __str__(self) -> str:
        """``completed with 3``."""
        match self.status:
            case "completed":
                return f"completed with {self.value!r}"
            case "failed":
                return f"failed with {type(self.value).__name__}: {self.value}"
            case "cancelled":
                return f"was cancelled ({self.value})" if self.value else "was cancelled"
            case "suspended":
                return "was suspended"
            case "stuck":
                return f"never ended: {self.value}"
            case _:
                return f"never ended: {self.value}"


@dataclass
class Seen:
    """All of it, in a form that two runs can be compared by."""

    outcome: Outcome
    recorded: str
    """The result as it lies on the log, with its types."""
    history: Sequence[tuple[f.RunFact, int]] = ()
    """The log of the run, with times."""
    asked: dict[Place, Asked] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    """By the name of the state or entity."""
    is_unknown: bool = False
    """A crash has hidden an outcome, and a recovery policy has decided: fail, or ask a person. No
    calm run goes that way."""


def look_at(world: World) -> Seen:
    """Look at a world that has been played to its end."""
    outcome, recorded = _ending(world)
    seen = Seen(outcome, recorded, world.disk.history(RUN))
    for run_id in world.disk.log.run_ids():
        history = world.disk.history(run_id)
        for fact, _ in history:
            seen.is_unknown = seen.is_unknown or _is_decided_by_policy(fact)
            if isinstance(fact, f.Request):
                seen.asked[run_id, fact.key] = _asked(fact)
        values = fold(run_id, history).values
        if values:
            seen.states[_state_of(world, run_id)] = canonical(values)
    for stream in world.disk.log.other_streams():
        facts = [decode_any(row) for row in world.disk.log.read(stream)]
        of_entity = [fact for fact in facts if isinstance(fact, ENTITY_FACTS)]
        seen.states[stream] = canonical(fold_entity(of_entity).values)
    return seen


def _state_of(world: World, run_id: str) -> str:
    if run_id == RUN:
        return "the state of the run"
    row = world.disk.log.run_row(run_id)
    went_on = row is not None and row.chain is not None
    return f"the state of {'the run that went on,' if went_on else 'child'} {run_id}"


def canonical(value: object) -> str:
    """A recorded value as a text; 1 and 1.0 are two texts."""
    return json.dumps(value, sort_keys=True, default=repr)


def _ending(world: World) -> tuple[Outcome, str]:
    facts = _of_chain(world)
    effects, events = tuple(world.effects), tuple(facts)
    crashes = len(world.deaths)
    last = facts[-1] if facts else None
    if world.how == "endless":
        said = "it recorded or waited far too often; a simulation cannot wait for that"
        return Outcome("endless", said, effects, events, crashes), ""
    match last:
        case f.RunCompleted():
            value = decode(last.output)
            return Outcome("completed", value, effects, events, crashes), canonical(last.output)
        case f.RunFailed():
            error = decode_error(last.error)
            return Outcome("failed", error, effects, events, crashes), _error(last.error)
        case f.RunCancelled():
            reason = last.reason
            return Outcome("cancelled", reason, effects, events, crashes), str(reason)
        case f.RunSuspended():
            return Outcome("suspended", last.report, effects, events, crashes), last.reason
        case _:
            live = last_of_chain(world.disk.log, RUN)
            waits = waiting(fold(live, world.disk.history(live)))
            return Outcome("stuck", waits, effects, events, crashes), ""


def _of_chain(world: World) -> list[f.RunFact]:
    """Everything recorded of the run, and of those that went on in its place."""
    facts = world.disk.facts(RUN)
    while facts and isinstance(facts[-1], f.RunContinued):
        facts += world.disk.facts(facts[-1].successor)
    return facts


def _error(recorded: JsonValue) -> str:
    """Of an exception only its type and what it says: a traceback has lines of the engine."""
    if isinstance(recorded, Mapping):
        return canonical([recorded.get("type"), recorded.get("message")])
    return canonical(recorded)


def _is_decided_by_policy(fact: f.RunFact) -> bool:
    match fact:
        case f.StepFailed(error=dict() as error):
            return str(error.get("type", "")).endswith(UnknownOutcomeError.__name__)
        case f.UserInputRequested():
            return fact.key.startswith(RECOVERY)
        case _:
            return False


def _asked(fact: f.Request) -> Asked:
    match fact:
        case f.StepScheduled():
            given = "" if fact.function is None else f" of {fact.function!r}{_given(fact.input)}"
            return Asked(f"step {fact.name!r}{given}", fact.line)
        case f.TimerScheduled():
            return Asked("a sleep", fact.line)
        case f.SignalAwaited():
            return Asked(f"signal {fact.name!r}", fact.line)
        case f.UserInputRequested():
            return Asked(f"the question {fact.question!r}", fact.line)
        case f.ChildStarted():
            return Asked(f"child {fact.component!r}{_given(fact.input)}", fact.line)
        case _:
            assert_never(fact)


def _given(recorded: JsonValue) -> str:
    return "" if recorded in ([], {}, None) else f" with {canonical(recorded)}"


def waiting(state: RunState) -> str:
    """What a run waits for, as a sentence."""
    if not state.version:
        return "it was never accepted"
    waits = [_waits(op) for op in state.open.values()]
    if not waits:
        return "its body waits for something that is no durable call"
    return f"it waits for {', '.join(waits)}"


def _waits(op: Operation) -> str:
    if op.question is not None:
        return f"an answer to {op.question.question!r}"
    return f"{op.kind.name.lower()} {op.name or op.key!r}"


def done_by(effects: Iterable[Effect]) -> dict[tuple[str, str], dict[Place | None, int]]:
    """(sink, effect) to how often each step has done it."""
    found: dict[tuple[str, str], dict[Place | None, int]] = {}
    for each in effects:
        places = found.setdefault((each.sink, each.what), {})
        places[each.place] = places.get(each.place, 0) + 1
    return found
