"""Questions to people: asked, answered, and what may be answered."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.recovery import answer_about
from agnt5.events.run.state import RunState
from agnt5.exceptions import InvalidInputError

_BY_NUMBER = "user_response:"


def checked_answer(
    question: f.UserInputRequested, answer: str | None, *, is_custom: bool = False
) -> str | None:
    """The answer, if it is one.

    Raises:
        InvalidInputError: When it is none of the options, or may not be skipped.
    """
    if answer is None:
        if not question.skippable:
            msg = f"the question {question.question!r} may not be skipped: answer it"
            raise InvalidInputError(msg)
        return None
    if not question.options or question.allow_custom:
        return answer
    known = [str(option.get("id")) for option in question.options]
    several = question.input_type in {"multiselect", "choice"}
    parts = [part.strip() for part in answer.split(",")] if several else [answer]
    for part in parts:
        if is_custom or part not in known:
            msg = (
                f"{part!r} is no option of the question {question.question!r};"
                f" the options are {', '.join(map(repr, known))}"
            )
            raise InvalidInputError(msg)
    return ",".join(parts)


def request_input(state: RunState, command: c.RequestInput, now: int) -> Sequence[f.RunFact]:
    """The body asks a person."""
    if state.refuses(command.key):
        return ()
    return (
        f.UserInputRequested(
            key=command.key,
            question=command.question,
            input_type=command.input_type,
            options=command.options,
            allow_custom=command.allow_custom,
            skippable=command.skippable,
            line=command.line,
            assignees=command.assignees,
            due_at=None if command.timeout_us is None else now + command.timeout_us,
            on_timeout=command.on_timeout,
            shown=command.shown,
        ),
    )


def submit_answer(state: RunState, command: c.SubmitAnswer) -> Sequence[f.RunFact]:
    """A person answers. The same answer to an answered question says nothing.

    Raises:
        InvalidInputError: When no question is meant, several may be, it is no answer to it, or
            somebody else is to answer it.
    """
    key = None if command.key is None else _key_of(state, command.key)
    if key is not None and key in state.settled:
        _check_same(state, key, command)
        return ()
    question = _meant(state, key)
    if question.about is not None:
        return answer_about(state, question, command)
    _check_who_and_what(question, command)
    answer = checked_answer(question, command.answer, is_custom=command.is_custom)
    return (
        f.UserReplied(
            key=question.key,
            answer=answer,
            actor=command.actor,
            channel=command.channel,
            reason=command.reason,
            shown=question.shown,
            traceparent=command.traceparent,
        ),
    )


def _key_of(state: RunState, key: str) -> str:
    """The key of a question that was named by its number, ``user_response:RUN:2``."""
    prefix = f"{_BY_NUMBER}{state.run_id}:"
    number = key.removeprefix(prefix)
    if not key.startswith(prefix) or not number.isdecimal() or int(number) >= len(state.answers):
        return key
    return list(state.answers)[int(number)]


def _meant(state: RunState, key: str | None) -> f.UserInputRequested:
    asked = [op.question for op in state.open.values() if op.question is not None]
    if key is not None:
        asked = [question for question in asked if question.key == key]
    if not asked:
        msg = f"run {state.run_id!r} waits for no answer" + (f" to question {key!r}" if key else "")
        raise InvalidInputError(msg)
    if len(asked) > 1:
        keys = ", ".join(repr(question.key) for question in asked)
        msg = f"run {state.run_id!r} waits for several answers; say which one you mean: {keys}"
        raise InvalidInputError(msg)
    return asked[0]


def _check_same(state: RunState, key: str, command: c.SubmitAnswer) -> None:
    match state.answers.get(key):
        case f.UserReplied() as reply:
            if command.answer != reply.answer and _plain(command.answer) != reply.answer:
                msg = (
                    f"question {key!r} of run {state.run_id!r} was answered before, with"
                    f" {reply.answer!r}: the first answer stands"
                )
                raise InvalidInputError(msg)
        case f.UserInputExpired():
            msg = f"question {key!r} of run {state.run_id!r} has expired: nobody answered in time"
            raise InvalidInputError(msg)
        case None:
            msg = f"run {state.run_id!r} waits no more for an answer to {key!r}"
            raise InvalidInputError(msg)


def _plain(answer: str | None) -> str | None:
    """As the answer to a question that takes several options is recorded."""
    return None if answer is None else ",".join(part.strip() for part in answer.split(","))


def _check_who_and_what(question: f.UserInputRequested, command: c.SubmitAnswer) -> None:
    if question.assignees is not None and command.actor not in question.assignees:
        who = "nobody said who answers" if command.actor is None else f"{command.actor!r} answered"
        msg = (
            f"the question {question.question!r} is for {', '.join(map(repr, question.assignees))}"
            f" to answer, but {who}: pass one of them as actor"
        )
        raise InvalidInputError(msg)
    if None not in {question.shown, command.shown} and question.shown != command.shown:
        msg = (
            f"the question {question.question!r} is not what the person was shown"
            f" ({command.shown!r}, and the question's digest is {question.shown!r}): show it again"
        )
        raise InvalidInputError(msg)
