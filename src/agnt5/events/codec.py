"""Facts to bytes and back. A topic is ``NAME``, or ``NAME;v=N`` from the second shape on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import orjson

from agnt5.events.base import Fact
from agnt5.events.entity.facts import ENTITY_FACTS
from agnt5.events.log import RawFact, StoredFact
from agnt5.events.run.facts import RUN_FACTS, RunFact
from agnt5.events.schedule.facts import SCHEDULE_FACTS
from agnt5.events.sealing import refusal
from agnt5.events.upcast import upcast
from agnt5.exceptions import StoreCorruptError, StoreSchemaError

ALL_FACTS: tuple[type[Fact], ...] = (*RUN_FACTS, *ENTITY_FACTS, *SCHEDULE_FACTS)
"""Of every kind of stream. No two kinds share a topic."""

_BY_NAME: dict[str, type[Fact]] = {cls.topic: cls for cls in ALL_FACTS}
_TOPICS: dict[type[Fact], str] = {
    cls: cls.topic if cls.schema_version == 1 else f"{cls.topic};v={cls.schema_version}"
    for cls in ALL_FACTS
}
_KEYED = frozenset(cls for cls in ALL_FACTS if "key" in cls.model_fields)
"""Those that are about an operation."""
_CURRENT: dict[str, type[Fact]] = {topic: cls for cls, topic in _TOPICS.items()}


def topics_of(names: Iterable[str]) -> tuple[str, ...]:
    """The topics under which facts of these kinds may lie on the log, in every shape.

    Raises:
        LookupError: With the first name that no kind of a run's fact has.
    """
    found: list[str] = []
    for name in names:
        cls = _BY_NAME.get(name)
        if cls not in RUN_FACTS:
            raise LookupError(name)
        found += [name, *(f"{name};v={n}" for n in range(2, cls.schema_version + 1))]
    return tuple(found)


def encode_fact(fact: Fact, at: int, event_id: str) -> RawFact:
    """The fact as it lies on the log. Fields that have their default are left out."""
    cls = type(fact)
    state = cls.__pydantic_serializer__.to_json(fact, exclude_defaults=True)
    step = getattr(fact, "key", None) if cls in _KEYED else None
    return RawFact(_TOPICS[cls], state, at, event_id, step, fact)


def decode_fact(stored: StoredFact) -> RunFact:
    """The fact of a stored row of a run's stream.

    Raises:
        StoreSchemaError: When a newer agnt5 wrote it.
        StoreCorruptError: When it cannot be read.
        EncryptionKeyError: When it is encrypted, and the store was opened without keys.
        ShreddedError: When its payload was shredded.
    """
    return cast("RunFact", decode_any(stored))


def decode_any(stored: StoredFact) -> Fact:
    """The fact of a stored row of any stream. Raises as :func:`decode_fact`."""
    cls = _CURRENT.get(stored.topic)
    try:
        if cls is not None:
            return cls.model_validate_json(stored.state)
        return _decode_other_version(stored)
    except (ValueError, LookupError) as error:
        refused = refusal(stored)
        if refused is not None:
            raise refused from None
        msg = (
            f"fact {stored.version} of run {stored.stream!r} ({stored.topic}) cannot be read:"
            f" {error}. The file may be damaged: keep a copy and check the disk."
        )
        raise StoreCorruptError(msg) from error


def class_of(topic: str) -> type[Fact] | None:
    """The class of the facts that lie under a topic, in whichever shape; None if it is unknown."""
    return _BY_NAME.get(topic.partition(";v=")[0])


def _decode_other_version(stored: StoredFact) -> Fact:
    name, _, version = stored.topic.partition(";v=")
    cls = _BY_NAME.get(name)
    if cls is None or int(version or 1) > cls.schema_version:
        msg = (
            f"fact {stored.version} of run {stored.stream!r} is a {stored.topic!r}, which this"
            " version of agnt5 does not know: a newer one wrote it. Upgrade agnt5 and try again."
        )
        raise StoreSchemaError(msg)
    shape = orjson.loads(stored.state)
    if not isinstance(shape, dict):
        raise ValueError("it is no object")
    return cls.model_validate(upcast(name, int(version or 1), cls.schema_version, shape))


def decode_history(stored: Iterable[StoredFact]) -> list[tuple[RunFact, int]]:
    """Facts with their times."""
    return [(decode_fact(row), row.at) for row in stored]
