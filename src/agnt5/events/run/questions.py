"""Questions to people: asked, answered, and what may be answered."""

from __future__ import annotations

from collections.abc import Sequence

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.recovery import answer_about
from agnt5.events.run.state import RunState
from agnt5.exceptions import InvalidInputError


def checked_answer(question: f.UserInputRequested, answer: str | None) -> str | None:
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
    many = question.input_type in {"multiselect", "choice"}
    for part in answer.split(",") if many else [answer]:
        if part.strip() not in known:
            msg = (
                f"{part!r} is no option of the question {question.question!r};"
                f" the options are {', '.join(map(repr, known))}"
            )
            raise InvalidInputError(msg)
    return answer


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
    """A person answers.

    Raises:
        InvalidInputError: When no question is meant, several may be, or it is no answer to it.
    """
    questions = [op for op in state.open.values() if op.question is not None]
    if command.key is not None:
        if command.key in state.settled:
            return ()
        questions = [op for op in questions if op.key == command.key]
    if not questions:
        msg = f"run {state.run_id!r} waits for no answer" + (
            f" to question {command.key!r}" if command.key else ""
        )
        raise InvalidInputError(msg)
    if len(questions) > 1:
        keys = ", ".join(repr(op.key) for op in questions)
        msg = f"run {state.run_id!r} waits for several answers; say which one you mean: {keys}"
        raise InvalidInputError(msg)
    question = questions[0].question
    assert question is not None  # noqa: S101 - filtered above
    if question.about is not None:
        return answer_about(state, question, command)
    return (
        f.UserReplied(
            key=question.key,
            answer=checked_answer(question, command.answer),
            actor=command.actor,
            channel=command.channel,
            reason=command.reason,
            shown=question.shown,
        ),
    )
