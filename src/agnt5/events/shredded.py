"""What is left of a fact whose payload was shredded: its place, its kind, and what was in clear.

For those who list and look. Whoever needs the payload itself (a replay, a fork) reads strictly and
gets a ShreddedError.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import orjson
from pydantic import JsonValue

from agnt5.events.base import Fact
from agnt5.events.codec import class_of, decode_any
from agnt5.events.log import StoredFact
from agnt5.events.run.facts import RunFact
from agnt5.events.sealing import CLEAR, day_of, shredded_at
from agnt5.payloads import encode_error
from agnt5.privacy_errors import ShreddedError

_VALUES = frozenset({"input", "output", "payload", "value"})
_TEXTS = frozenset({"question", "answer", "reason", "report"})


def decode_shown(stored: StoredFact) -> RunFact:
    """The fact; of a shredded one what is left, with a mark in the place of each payload.

    Raises:
        StoreError: When it cannot be read for another reason.
    """
    return cast("RunFact", decode_any_shown(stored))


def decode_any_shown(stored: StoredFact) -> Fact:
    """The same of any stream."""
    try:
        return decode_any(stored)
    except ShreddedError as error:
        return _left(stored, error)


def show_history(stored: Iterable[StoredFact]) -> list[tuple[RunFact, int]]:
    """Facts with their times; of shredded ones what is left."""
    return [(decode_shown(row), row.at) for row in stored]


def mark_of(stored: StoredFact) -> dict[str, JsonValue]:
    """What stands in the place of a payload: ``{"shredded": "2026-11-24T16:00:00Z"}``."""
    return {"shredded": day_of(shredded_at(stored.state) or 0)}


def _left(stored: StoredFact, error: ShreddedError) -> Fact:
    cls = class_of(stored.topic)
    shape = orjson.loads(stored.state)
    if cls is None or not isinstance(shape, dict):
        raise error
    fields: dict[str, object] = {}
    for name in cls.model_fields.keys() & shape.keys():
        if name in CLEAR.get(cls.topic, ()):
            fields[name] = shape[name]
        elif name in _VALUES:
            fields[name] = mark_of(stored)
        elif name == "error":
            fields[name] = encode_error(error)
        elif name in _TEXTS:
            fields[name] = "[shredded]"
    try:
        return cls.model_validate(fields)
    except ValueError:
        raise error from None
