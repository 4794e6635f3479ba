"""What users may call things."""

from __future__ import annotations

from agnt5.events.index import NO_RUN
from agnt5.exceptions import InvalidInputError

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


def check_run_id(run_id: str | None) -> None:
    """Refuse a run id of a user's own that cannot be one.

    Raises:
        InvalidInputError: With what was given.
    """
    check_text(run_id, "run_id", _MAX_RUN_ID)
    if run_id is not None and run_id.startswith(NO_RUN):
        raise InvalidInputError(f"a run_id must not begin with {NO_RUN!r}, as {run_id!r} does")
