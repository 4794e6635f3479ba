"""What is wrong about a run: by itself, and beside the calm run of the same circumstances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agnt5.contracts import Contract, Violation
from agnt5.testing.effects import Effect, Effects, Place
from agnt5.testing.seen import Outcome, Seen, done_by
from agnt5.testing.world import RUN


@dataclass(frozen=True)
class Problem:
    """Something that must not be."""

    rule: str
    """``result``, ``effect``, ``step``, ``state``, ``end``, ``contract`` or ``check``."""
    said: str
    """What was found, in a sentence or a few lines."""
    advice: str = ""
    line: str | None = None
    """Where in the user's source, ``file.py:12``."""


@dataclass(frozen=True)
class Rules:
    """What a test holds a run to."""

    same: Callable[[Any], object] | None = None
    """What of the result must be the same; None: all of it."""
    racy: bool = False
    """Crashes may change which of two things comes first, and so the result."""
    check: Callable[[Outcome], object] | None = None
    """Raises AssertionError when an outcome is wrong."""
    contracts: Sequence[Contract] = ()
    """What must hold of the log."""


def problems_alone(seen: Seen, rules: Rules, sinks: Mapping[str, Effects]) -> list[Problem]:
    """What is wrong about a run whatever the others did."""
    found = [*_ending(seen), *_outside_of_steps(seen), *_repeated(seen, sinks)]
    found += _violated(seen, rules)
    if rules.check is not None and not found:
        try:
            rules.check(seen.outcome)
        except AssertionError as error:
            said = str(error) or f"the check {rules.check!r} failed"
            found.append(Problem("check", f"{said} (the run {seen.outcome})"))
    return found


def problems_beside(
    calm: Seen, seen: Seen, rules: Rules, sinks: Mapping[str, Effects]
) -> list[Problem]:
    """What a crash has changed."""
    if rules.racy or seen.is_unknown:
        return []
    return [
        *_asked_otherwise(calm, seen),
        *_done_otherwise(calm, seen, sinks),
        *_ended_otherwise(calm, seen, rules),
        *_state_otherwise(calm, seen),
    ]


def _ending(seen: Seen) -> list[Problem]:
    outcome = seen.outcome
    match outcome.status:
        case "suspended":
            said = "the body did not ask again for what the log holds, and was suspended:"
            advice = "what differs from one pass of the body to the next belongs into a step"
            return [Problem("end", f"{said}\n{outcome.value}", advice)]
        case "stuck" | "endless":
            return [Problem("end", f"the run {outcome}")]
        case _:
            return []


def _outside_of_steps(seen: Seen) -> list[Problem]:
    found: dict[str, list[Effect]] = {}
    for each in seen.outcome.effects:
        if each.in_body:
            found.setdefault(each.what, []).append(each)
    advice = "a body runs again from its top after a crash: do it in a step, which is recorded"
    return [
        Problem(
            "effect",
            f"{what} was done {_times(len(done))} by the body itself, outside of any step",
            advice,
            done[0].line,
        )
        for what, done in found.items()
    ]


def _repeated(seen: Seen, sinks: Mapping[str, Effects]) -> list[Problem]:
    found: list[Problem] = []
    for (sink, what), places in done_by(seen.outcome.effects).items():
        name = what.partition("(")[0]
        if sink not in sinks or name not in sinks[sink].exactly_once:
            continue
        for place, count in places.items():
            if count > 1 and place is not None:
                said = f"{what} may be done once, and was done {_times(count)} by {_name(place)}"
                found.append(Problem("effect", said, _ONCE, _line_of(seen, what)))
    return found


_ONCE = (
    'give the function recovery="fail", "ask" or verify(...), and no retries; or hand the service'
    " ctx.idempotency_key, and take the effect out of exactly_once"
)


def _violated(seen: Seen, rules: Rules) -> list[Problem]:
    checked = (contract.check(seen.history).violation for contract in rules.contracts)
    return [
        Problem("contract", str(violation), line=_line_at(seen, violation))
        for violation in checked
        if violation is not None
    ]


def _line_at(seen: Seen, violation: Violation) -> str | None:
    known = seen.asked.get((RUN, violation.event.key or ""))
    return known.line if known is not None else None


def _asked_otherwise(calm: Seen, seen: Seen) -> list[Problem]:
    advice = "time, chance, the environment and what is kept in memory differ from pass to pass"
    for place, asked in seen.asked.items():
        known = calm.asked.get(place)
        if known is None:
            said = f"the body asked for {asked.what}, which the calm run did not"
            return [Problem("step", said, advice, asked.line)]
        if known.what != asked.what:
            said = f"the body asked for {asked.what},\ncalmly for {known.what}"
            return [Problem("step", said, advice, asked.line)]
    for place, known in calm.asked.items():
        if place not in seen.asked:
            said = f"the body did not ask for {known.what}, which the calm run did"
            return [Problem("step", said, advice, known.line)]
    return []


def _done_otherwise(calm: Seen, seen: Seen, sinks: Mapping[str, Effects]) -> list[Problem]:
    before, now = done_by(calm.outcome.effects), done_by(seen.outcome.effects)
    found: list[Problem] = []
    for sink, what in {**before, **now}:
        name = what.partition("(")[0]
        if sink in sinks and name in sinks[sink].any_number:
            continue
        places, known = now.get((sink, what), {}), before.get((sink, what), {})
        if set(places) == set(known):
            continue
        said = f"{what} was done by {_names(places)}, calmly by {_names(known)}"
        line = _line_of(seen, what) or _line_of(calm, what)
        found.append(Problem("effect", said, "", line))
    return found


def _ended_otherwise(calm: Seen, seen: Seen, rules: Rules) -> list[Problem]:
    now, before = seen.outcome, calm.outcome
    if now.status in {"suspended", "stuck", "endless"}:
        return []
    both = (now.status, before.status) == ("completed", "completed")
    if both and rules.same is not None:
        if rules.same(now.value) == rules.same(before.value):
            return []
    elif (now.status, seen.recorded) == (before.status, calm.recorded):
        return []
    advice = "if a part of it may differ, say same=...; if it is meant to be a race, racy=True"
    return [Problem("result", f"the run {now},\ncalmly it {before}", advice)]


def _state_otherwise(calm: Seen, seen: Seen) -> list[Problem]:
    found: list[Problem] = []
    for name in {**calm.states, **seen.states}:
        now, before = seen.states.get(name), calm.states.get(name)
        if now != before:
            found.append(Problem("state", f"{name} is {now or '{}'},\ncalmly {before or '{}'}"))
    return found


def _line_of(seen: Seen, what: str) -> str | None:
    return next((e.line for e in reversed(seen.outcome.effects) if e.what == what), None)


def _names(places: Mapping[Place | None, int]) -> str:
    return " and ".join(sorted(map(_name, places))) or "nobody"


def _name(place: Place | None) -> str:
    if place is None:
        return "no step"
    run_id, key = place
    return f"step {key.lstrip(':')}" + ("" if run_id == RUN else f" of run {run_id}")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
