"""The two forms of a file of histories: JSON lines, for people and programs, and columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from agnt5.exceptions import InvalidInputError
from agnt5.histories import Counts, History, Place, read_histories, write_histories

Form = Literal["jsonl", "parquet"]


def form_of(place: Place, form: Form | None) -> Form:
    """The form of a file: the one that is said, or else the one that its name says.

    Raises:
        InvalidInputError: When there is no such form.
    """
    if form in {"jsonl", "parquet"}:
        return form
    if form is not None:
        raise InvalidInputError(f"a file of histories is 'jsonl' or 'parquet', not {form!r}")
    return "parquet" if str(place).lower().endswith(".parquet") else "jsonl"


def write_form(histories: Iterable[History], destination: Place, form: Form | None) -> Counts:
    """Write histories, see :func:`write_histories` and :mod:`agnt5.columns`."""
    if form_of(destination, form) == "jsonl":
        return write_histories(histories, destination)
    from agnt5.columns import write_columns  # noqa: PLC0415 - seldom asked for

    return write_columns(histories, destination)


def read_form(source: Place, form: Form | None, max_bytes: int) -> list[History]:
    """Read histories, see :func:`read_histories` and :mod:`agnt5.columns`."""
    if form_of(source, form) == "jsonl":
        return read_histories(source, max_bytes=max_bytes)
    from agnt5.columns import read_columns  # noqa: PLC0415 - seldom asked for

    return read_columns(source, max_bytes=max_bytes)
