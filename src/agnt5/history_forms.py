"""The two forms of a file of histories: JSON lines, for people and programs, and columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from agnt5.events.sealing import shredded_at
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
    """Write histories, see :func:`write_histories` and :mod:`agnt5.columns`.

    Shredded runs are left out, and told.
    """
    shredded: list[str] = []

    def readable() -> Iterator[History]:
        for history in histories:
            if any(shredded_at(row.state) is not None for row in history.events):
                shredded.append(history.run_id)
            else:
                yield history

    if form_of(destination, form) == "jsonl":
        written = write_histories(readable(), destination)
    else:
        from agnt5.columns import write_columns  # noqa: PLC0415 - seldom asked for

        written = write_columns(readable(), destination)
    return replace(written, shredded=tuple(shredded))


def read_form(source: Place, form: Form | None, max_bytes: int) -> list[History]:
    """Read histories, see :func:`read_histories` and :mod:`agnt5.columns`."""
    if form_of(source, form) == "jsonl":
        return read_histories(source, max_bytes=max_bytes)
    from agnt5.columns import read_columns  # noqa: PLC0415 - seldom asked for

    return read_columns(source, max_bytes=max_bytes)
