"""What a person may answer to a question."""

from __future__ import annotations

from agnt5.events.run import facts as f
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
