"""What users may call things."""

from __future__ import annotations

from agnt5.events.index import NO_RUN
from agnt5.exceptions import ConfigurationError, InvalidInputError

LONGEST_NAME = 512
"""Characters of what is named in code or by callers: steps, signals, updates, keys."""
_MAX_RUN_ID = 128


def check_text(value: str | None, what: str, limit: int) -> None:
    """Refuse what is not a printable text of at most so many characters; None is nothing given.

    Raises:
        InvalidInputError: With what was given.
    """
    if value is None:
        return
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        msg = f"{what} must be a printable text that is not empty, not {value!r}"
        raise InvalidInputError(msg)
    if len(value) > limit:
        msg = f"{what} may have at most {limit} characters, not {len(value)}"
        raise InvalidInputError(msg)


def check_name(value: object, what: str, limit: int | None = LONGEST_NAME) -> str:
    """The text, if it is one, has something in it, is not too long and can be recorded.

    Raises:
        InvalidInputError: With what was given.
    """
    if not isinstance(value, str) or not value:
        msg = f"{what} must be a text that is not empty, not {value!r}"
        raise InvalidInputError(msg)
    if limit is not None and len(value) > limit:
        msg = f"{what} may have at most {limit} characters, not {len(value)}: {value[:40]!r}..."
        raise InvalidInputError(msg)
    if not _is_recordable(value):
        msg = f"{what} cannot be recorded: {value!r} has a character that UTF-8 has not"
        raise InvalidInputError(msg)
    return value


def check_word(value: object, what: str) -> None:
    """Refuse what is neither None nor a text with something in it that can be recorded.

    Raises:
        InvalidInputError: With what was given.
    """
    if value is not None:
        check_name(value, what, None)


def _is_recordable(text: str) -> bool:
    # The name of a file that is not UTF-8 has such characters in Python, for instance.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def check_patience(timeout: object) -> None:
    """Refuse what is neither None nor a number of seconds.

    Raises:
        InvalidInputError: With what was given.
    """
    known = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and (not known or timeout != timeout):  # noqa: PLR0124 - NaN
        msg = (
            f"the timeout of a caller is a number of seconds, or None for no limit, not {timeout!r}"
        )
        raise InvalidInputError(msg)


def check_component_name(name: object, kind: str) -> None:
    """Refuse what cannot be the name of a component.

    Raises:
        ConfigurationError: With what was given.
    """
    try:
        check_name(name, f"the name of a {kind}")
    except InvalidInputError as error:
        raise ConfigurationError(str(error)) from None


def check_run_id(run_id: str | None) -> None:
    """Refuse a run id of a user's own that cannot be one.

    Raises:
        InvalidInputError: With what was given.
    """
    check_text(run_id, "run_id", _MAX_RUN_ID)
    if run_id is not None and run_id.startswith(NO_RUN):
        raise InvalidInputError(f"a run_id must not begin with {NO_RUN!r}, as {run_id!r} does")
