"""What becomes of a step whose attempt a crash cut short, when its policy is not to try again.

``fail`` gives it up, ``ask`` has the engine ask a person, and under ``verify`` an executor finds
out: that is owed like an attempt, and nothing is recorded until it has an answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue

from agnt5.events.keys import recovery_key
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import Operation, OpPhase, RunState
from agnt5.exceptions import InvalidInputError, UnknownOutcomeError
from agnt5.payloads import digest, encode, encode_error

Facts = Sequence[f.RunFact]

_UNKNOWN = (
    "the process ended while this attempt was under way, so it is not known whether its effect"
    " happened; "
)
UNKNOWN_OUTCOME = f"{_UNKNOWN}its recovery policy is 'fail', which forbids another attempt"
_OPTIONS: list[dict[str, JsonValue]] = [
    {"id": "retry", "label": "It did not happen: run it again"},
    {"id": "fail", "label": "Fail the step"},
    {"id": "done", "label": "It happened: go on"},
]


def is_unknown(op: Operation) -> bool:
    """Whether the effect of its attempt may have happened, and the decider must settle it."""
    return op.started and op.phase is OpPhase.RUNNING and op.recovery in {"fail", "ask"}


def must_verify(op: Operation) -> bool:
    """Whether the effect of its attempt may have happened, and user code can find out."""
    return op.started and op.phase is OpPhase.RUNNING and op.recovery == "verify"


def _is_allowed(state: RunState, op: Operation) -> bool:
    """Whether a person has allowed another attempt while the run could not begin it."""
    asked = recovery_key(op.key, op.attempt)
    return op.recovery == "ask" and op.phase is OpPhase.WAITING and asked not in state.open


def is_unsettled(state: RunState) -> bool:
    """Whether :func:`recover` has anything to say."""
    return any(is_unknown(op) or _is_allowed(state, op) for op in state.open.values())


def recover(state: RunState) -> Facts:
    """After a restart: settle what the crash left unknown."""
    facts: list[f.RunFact] = []
    for op in state.open.values():
        if _is_allowed(state, op):
            facts.append(f.StepStarted(key=op.key, attempt=op.attempt + 1))
        elif is_unknown(op):
            facts.append(_question(op) if op.recovery == "ask" else _failed(op, UNKNOWN_OUTCOME))
    return facts


def close_question(state: RunState, key: str) -> Facts:
    """A step ends by itself: nobody needs to answer the question about it."""
    op = state.open[key]
    asked = recovery_key(key, op.attempt)
    return (f.UserInputExpired(key=asked, about=key),) if asked in state.open else ()


def answer_about(state: RunState, question: f.UserInputRequested, command: c.SubmitAnswer) -> Facts:
    """A person says what became of a step.

    Raises:
        InvalidInputError: When it is none of the options.
    """
    given = command.answer or ""
    choice, colon, rest = given.partition(":")
    known = [str(option["id"]) for option in _OPTIONS]
    if choice not in known or (colon and choice != "done"):
        msg = (
            f"{given!r} does not answer {question.question!r}: the options are"
            f" {', '.join(map(repr, known))}, and 'done:JSON' with the result of the step"
        )
        raise InvalidInputError(msg)
    result = _result(rest) if colon else None
    replied = f.UserReplied(
        key=question.key,
        answer=given,
        actor=command.actor,
        channel=command.channel,
        reason=command.reason,
        shown=question.shown,
        about=question.about,
        traceparent=command.traceparent,
    )
    op = state.open.get(question.about or "")
    if op is None:
        return (replied,)
    match choice:
        case "retry" if not state.is_running:
            return (replied,)  # the attempt is begun when the run goes on
        case "retry":
            return (replied, f.StepStarted(key=op.key, attempt=op.attempt + 1))
        case "fail":
            because = f": {command.reason}" if command.reason else ""
            return (replied, _failed(op, f"{_UNKNOWN}a person decided to fail it{because}"))
        case _:
            return (replied, f.StepCompleted(key=op.key, output=result, attempt=op.attempt))


def _result(text: str) -> JsonValue:
    try:
        return encode(json.loads(text), where="result in the answer")
    except (ValueError, RecursionError) as error:
        msg = f"the result after 'done:' must be JSON, not {text!r:.80}: {error}"
        raise InvalidInputError(msg) from error


def _failed(op: Operation, why: str) -> f.StepFailed:
    error = encode_error(UnknownOutcomeError(why))
    return f.StepFailed(key=op.key, error=error, attempt=op.attempt)


def _question(op: Operation) -> f.UserInputRequested:
    text = (
        f"The process ended while attempt {op.attempt + 1} of step {op.name!r} was under way, so"
        " it is not known whether its effect happened. What is to be done?"
    )
    options = [dict(option) for option in _OPTIONS]
    shown: list[JsonValue] = [text, "select", [dict(option) for option in _OPTIONS]]
    return f.UserInputRequested(
        key=recovery_key(op.key, op.attempt),
        question=text,
        input_type="select",
        options=options,
        shown=digest(shown),
        about=op.key,
    )
