"""Forks: what of a run's history another run begins with. Pure.

A fork is a copy of the first facts of its origin, and one fact of its own that says so. It must be
a history that the engine itself could have left behind: what was decided in one go stays together,
and what nobody may take from the origin (keys, its parent, its children) is left out or renamed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from agnt5.events.keys import child_run_id, scope_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.exceptions import InvalidInputError

Identity = Literal["origin", "own"]
TimedFacts = Sequence[tuple[f.RunFact, int]]


@dataclass(frozen=True, slots=True)
class ForkWish:
    """How a fork is to differ from its origin."""

    run_id: str
    at: int
    """The version of the origin up to which its facts are wanted."""
    identity: Identity
    version_label: str | None
    input: JsonValue = None
    input_changed: bool = False
    left_out: Collection[str] = ()
    """Calls that the body is to ask for again: nothing is copied of them."""
    fresh: Collection[str] = ()
    """Steps that stay asked for, and whose attempts are counted anew."""
    reason: str | None = None
    traceparent: str | None = None
    """The span in which it is wanted, as W3C Trace Context writes it."""
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """The facts that a fork begins with, each with its time, and what they mean."""

    facts: list[tuple[f.RunFact, int]]
    state: RunState
    kept: int
    """The version of the origin up to which its facts were kept."""


def first_identity(history: Sequence[f.RunFact], state: RunState) -> str:
    """The run id from which chance follows when the body begins; a fork may change it later.

    Args:
        history: The facts that the body is to ask for again; none when it begins for the first
            time.
        state: The run as it stands.
    """
    if not history:
        return state.identity
    begun = False
    found: str | None = None
    for fact in history:
        begun = begun or isinstance(fact, f.RunStarted)
        if isinstance(fact, f.RunForked):
            if begun:
                return found or fact.kept_identity
            found = fact.identity  # nothing of a body was kept
    return found or state.run_id


def boundary(history: TimedFacts, at: int) -> int:
    """The version nearest to this one after which a history may end.

    What follows from a fact in the same decision stays with it, and before a terminal fact is the
    last place. A step that must not run twice is left out if it has not begun: it is asked for
    again.

    Raises:
        InvalidInputError: When the history has no such version.
    """
    if isinstance(at, bool) or not isinstance(at, int) or not 1 <= at <= len(history):
        msg = f"the run has {len(history)} events, counted from 1: there is none at {at!r}"
        raise InvalidInputError(msg)
    facts = [fact for fact, _ in history]
    last = len(facts) - isinstance(facts[-1], f.Terminal)
    at = min(at, last)
    while at < last and _belongs(facts[at], facts[:at]):
        at += 1
    previous = facts[at - 1]
    if isinstance(previous, f.StepScheduled) and previous.recovery != "retry":
        return at - 1
    return at


def _belongs(fact: f.RunFact, before: Sequence[f.RunFact]) -> bool:
    """Whether a fact was decided together with the one before it."""
    match fact:
        case f.SignalConsumed():
            return True  # with the signal, with the call, or with its return
        case f.OperationCancelled():
            return any(fact.key.startswith(scope_of(key)) for key in _ended_before(before))
        case f.StepStarted() | f.StepFailed() | f.StepCompleted():
            # The answer about a step that a crash cut short, and what follows from it.
            return getattr(before[-1], "about", None) == fact.key
        case _:
            return False


def _ended_before(before: Sequence[f.RunFact]) -> list[str]:
    """Keys of the calls that ended last, with those that were given up then."""
    keys: list[str] = []
    for fact in reversed(before):
        key = getattr(fact, "key", None)
        if isinstance(key, str):
            keys.append(key)
        if not isinstance(fact, f.OperationCancelled):
            break
    return keys


def fork(origin: str, history: TimedFacts, wish: ForkWish, now: int) -> Fork:
    """The history that a fork begins with.

    Args:
        origin: The run that is forked.
        history: All its facts, each with its time.
        wish: How the fork is to differ.
        now: The time, microseconds since the epoch.

    Raises:
        InvalidInputError: When the history has no such version.
    """
    kept = boundary(history, wish.at)
    there = fold(origin, history[:kept])
    before = first_identity([fact for fact, _ in history], there)
    identity = there.forked.identity if there.forked is not None else before
    renamed = {key: child_run_id(wish.run_id, key) for key in there.children}
    at = max(now, history[kept - 1][1])
    copied = [
        (_own(fact, wish, renamed), asked_at)
        for fact, asked_at in _in_time(history[:kept], there.open, at)
        if not _is_left_out(fact, wish)
    ]
    children = {
        fact.key: fact.child_run_id for fact, _ in copied if isinstance(fact, f.ChildStarted)
    }
    forked = f.RunForked(
        origin=origin,
        origin_traceparent=there.queued.traceparent if there.queued else None,
        at=kept,
        kept_identity=before,
        identity=identity if wish.identity == "origin" else wish.run_id,
        input_changed=wish.input_changed,
        children=children or None,
        again=sorted(wish.left_out) or None,
        reason=wish.reason,
    )
    state = fold(wish.run_id, copied)
    evolve(state, forked, at)
    return Fork([*copied, (forked, at)], state, kept)


def _in_time(history: TimedFacts, still_open: Collection[str], now: int) -> TimedFacts:
    """With all its time anew for whatever was open: a fork may be made long after its origin.

    A timer has no such time: it is due when it was to be.
    """
    forked_at = max((at for fact, at in history if isinstance(fact, f.RunForked)), default=0)
    found: list[tuple[f.RunFact, int]] = []
    for fact, at in history:
        later = now - max(at, forked_at)
        match fact:
            case f.StepScheduled(deadline=int(until)) if fact.key in still_open:
                found.append((fact.model_copy(update={"deadline": until + later}), at))
            case f.SignalAwaited(due_at=int(until)) | f.UserInputRequested(due_at=int(until)) if (
                fact.key in still_open
            ):
                found.append((fact.model_copy(update={"due_at": until + later}), at))
            case _:
                found.append((fact, at))
    return found


def _is_left_out(fact: f.RunFact, wish: ForkWish) -> bool:
    key, about = getattr(fact, "key", None), getattr(fact, "about", None)
    if isinstance(fact, f.StepStarted | f.StepAttemptFailed) and key in wish.fresh:
        return True
    return key in wish.left_out or about in wish.left_out


def _own(fact: f.RunFact, wish: ForkWish, renamed: dict[str, str]) -> f.RunFact:
    match fact:
        case f.RunQueued():
            origin = dict(fact.origin or {})
            if wish.input_changed:
                origin.pop("error", None)
            return fact.model_copy(
                update={
                    "input": wish.input if wish.input_changed else fact.input,
                    "idempotency_key": None,
                    "replaces": None,
                    "parent_run_id": None,
                    "parent_key": None,
                    "deduplication_id": None,
                    "replaces_duplicate": None,
                    # Its place in a chain is the origin's: what goes on after it has another id.
                    "continues": None,
                    "chain": None,
                    "link": 0,
                    "version_label": wish.version_label,
                    "origin": origin or None,
                    "traceparent": wish.traceparent,
                    "tracestate": wish.tracestate,
                }
            )
        case f.ChildStarted() if fact.key in renamed:
            # The origin's child reports to the origin: this run starts one of its own.
            return fact.model_copy(update={"child_run_id": renamed[fact.key]})
        case _:
            return fact
