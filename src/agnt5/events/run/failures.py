"""From where a run that has ended badly is to be tried again. Pure.

The failure that ended it is looked for among its outcomes: the last one whose error is that of the
run. The call behind it is left out of the copy, so that the body asks for it again, with fresh
attempts and whatever the code makes of it now; everything before it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from agnt5.events.keys import scope_of
from agnt5.events.run import facts as f
from agnt5.events.run.forking import TimedFacts
from agnt5.exceptions import InvalidInputError

_TIMED_OUT = "RunTimeoutError"


@dataclass(frozen=True, slots=True)
class RetryPoint:
    """Up to where the facts of a run are kept, and which calls of these are asked for again."""

    at: int
    left_out: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    """Inline steps around the failed call: they go on, and their attempts are counted anew."""
    cleanup: tuple[str, ...] = ()
    """Keys of calls that the body made after the failure: its cleanup, which will be forgotten."""


def retry_point(run_id: str, history: TimedFacts) -> RetryPoint:
    """From where to try again.

    Raises:
        InvalidInputError: When the run has not ended, or has ended well.
    """
    facts = [fact for fact, _ in history]
    queued, end = facts[0], facts[-1]
    if not isinstance(end, f.RunFailed | f.RunCancelled):
        if isinstance(end, f.RunContinued):
            msg = (
                f"run {run_id!r} went on as run {end.successor!r}: of such runs only the last can"
                " have failed, and be tried again"
            )
            raise InvalidInputError(msg)
        how = "completed" if isinstance(end, f.RunCompleted) else "not ended"
        msg = (
            f"run {run_id!r} has {how}: only a run that failed or was cancelled can be tried again;"
            " fork it at an event, or start it anew with rerun"
        )
        raise InvalidInputError(msg)
    if isinstance(queued, f.RunQueued) and queued.kind == "function":
        return RetryPoint(1)
    if isinstance(end, f.RunCancelled):
        asked = (n for n, fact in enumerate(facts) if isinstance(fact, f.RunCancelRequested))
        at = next(asked, len(facts) - 1)
        return RetryPoint(at, cleanup=_asked_after(facts, at))
    if _is_timeout(end.error):
        return RetryPoint(len(facts) - 1)
    return _before_failure(facts, end.error)


def _is_timeout(error: JsonValue) -> bool:
    return isinstance(error, dict) and str(error.get("type", "")).endswith(_TIMED_OUT)


def _before_failure(facts: Sequence[f.RunFact], error: JsonValue) -> RetryPoint:
    last = len(facts) - 1
    found = _last_failure(facts, last, "", error)
    if found is None:
        # Its own code has raised, perhaps because of a failure that it names in words of its own.
        found = _last_failure(facts, last, "", None)
        if found is None or _asked_after(facts, found + 1):
            return RetryPoint(last)
    around: list[str] = []
    while True:
        key = str(getattr(facts[found], "key", ""))
        if not _is_inline(facts, key):
            return RetryPoint(found, (key,), tuple(around), _asked_after(facts, found + 1, around))
        around.append(key)
        inner = _last_failure(facts, found, scope_of(key), _error_of(facts[found]))
        if inner is None:
            after = _asked_after(facts, found + 1, around)
            return RetryPoint(found, (), tuple(around), after)
        found = inner


def _last_failure(
    facts: Sequence[f.RunFact], before: int, scope: str, error: JsonValue
) -> int | None:
    """The last outcome of a scope that is a failure, with this error if one is given."""
    for at in range(before - 1, -1, -1):
        fact = facts[at]
        key = getattr(fact, "key", None)
        if isinstance(key, str) and key.startswith(scope) and _is_failure(fact):
            given = _error_of(fact)
            if error is None or (_same(given, error) if given is not None else _is_late(error)):
                return at
    return None


def _is_failure(fact: f.RunFact) -> bool:
    match fact:
        case f.StepFailed() | f.SignalTimedOut():
            return True
        case f.ChildFinished():
            return fact.status != "completed"
        case f.UserInputExpired():
            return fact.about is None and fact.answer is None
        case _:
            return False


def _error_of(fact: f.RunFact) -> JsonValue:
    return fact.error if isinstance(fact, f.StepFailed | f.ChildFinished) else None


def _same(a: JsonValue, b: JsonValue) -> bool:
    """Equal but for the tracebacks, which each place has of its own."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return a == b
    return all(a.get(name) == b.get(name) for name in ("type", "message"))


def _is_late(error: JsonValue) -> bool:
    return isinstance(error, dict) and str(error.get("type", "")).endswith("TimeoutError")


def _is_inline(facts: Sequence[f.RunFact], key: str) -> bool:
    return any(
        isinstance(fact, f.StepScheduled) and fact.key == key and fact.function is None
        for fact in facts
    )


def _asked_after(
    facts: Sequence[f.RunFact], at: int, around: Sequence[str] = ()
) -> tuple[str, ...]:
    """Keys of the steps and children that the body has asked for from here on."""
    return tuple(
        fact.key
        for fact in facts[at:]
        if isinstance(fact, f.StepScheduled | f.ChildStarted) and fact.key not in around
    )
