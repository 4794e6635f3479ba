"""Where an entity's facts lie, and under which name the log knows that a call was applied."""

from __future__ import annotations

ENTITY_PREFIX = "$entity/"
"""Begins with the sign of streams that are no runs."""

_MARK = "\n"
"""No type, key or call id can hold it: they are printable."""


def entity_stream(entity_type: str, key: str) -> str:
    """The stream of an entity. A type has no slash, so that no two entities share one.

    >>> entity_stream("Counter", "a/b")
    '$entity/Counter/a/b'
    """
    return f"{ENTITY_PREFIX}{entity_type}/{key}"


def is_entity_stream(stream: str) -> bool:
    """Whether a stream is an entity's."""
    return stream.startswith(ENTITY_PREFIX)


def call_scope(stream: str, call_id: str) -> str:
    r"""The name under which the index keeps that a call was applied.

    >>> call_scope("$entity/Counter/k", "order-7")
    '$entity/Counter/k\norder-7'
    """
    return f"{stream}{_MARK}{call_id}"


def call_place(stream: str, version: int) -> str:
    """Where the answer of a call lies: what the index says in place of a run's id.

    >>> version_of(call_place("$entity/Counter/a@b", 12))
    12
    """
    return f"{stream}@{version}"


def version_of(place: str) -> int:
    """The version in a place made by :func:`call_place`."""
    return int(place.rpartition("@")[2])
