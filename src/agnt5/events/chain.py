"""The hash chain of a stream, and the signed heads over all streams: what they are made of.

The hash of a fact covers the fact as it lies on the log and the hash of the fact before it, so that
the last hash of a stream stands for the whole of it. A head names the last hashes of the streams
that have grown since the head before it, and the head before it; it is signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

_FACT = b"agnt5.chain.1\n"
_HEAD = b"agnt5.head.1\n"
Place = tuple[int, bytes]
"""A version of a stream, and its hash."""


def beginning(stream: str) -> bytes:
    """What stands in the place of a hash before the first fact of a stream."""
    return hashlib.sha256(_FACT + stream.encode()).digest()


def fact_hash(
    previous: bytes,
    stream: str,
    version: int,
    topic: str,
    state: bytes,
    event_id: str,
    at: int,
    step: str | None,
) -> bytes:
    """The hash of a fact as it lies on the log: an encrypted one is hashed as such."""
    place = orjson.dumps([stream, version, topic, event_id, at, step])
    return hashlib.sha256(b"%s%d\n%s%s" % (previous, len(place), place, state)).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """A signed statement on the last hashes of streams."""

    seq: int
    """Heads count from 1."""
    position: int
    """The position of the last fact that it covers."""
    body: bytes
    """JSON, as it was signed."""
    signer: str
    """The public key."""
    signature: bytes

    @property
    def hash(self) -> str:
        """What the next head names, and what is worth to be kept elsewhere."""
        return hashlib.sha256(_HEAD + self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class HeadContent:
    """What a head says."""

    seq: int
    previous: str | None
    """The hash of the head before it."""
    at: int
    position: int
    begun: tuple[int, int]
    """When the chain began, and at which position."""
    streams: Mapping[str, tuple[int, str]]
    """By stream, its last version and the hash of that."""
    gone: Mapping[str, tuple[int, str | None]]
    """By stream that was deleted on purpose, its last version and the hash of that."""

    def body(self) -> bytes:
        """As JSON, to be signed."""
        return orjson.dumps({"format": "agnt5.head", "version": 1, **_shape_of(self)})


def _shape_of(content: HeadContent) -> dict[str, object]:
    return {name: getattr(content, name) for name in HeadContent.__slots__}


def signed_text(body: bytes) -> bytes:
    """What is signed of a head."""
    return _HEAD + body


def content_of(body: bytes) -> HeadContent | None:
    """What a head says; None if it says nothing that we know."""
    try:
        shape = orjson.loads(body)
        streams: dict[str, tuple[int, str]] = {
            str(stream): (int(version), str(digest))
            for stream, (version, digest) in shape["streams"].items()
        }
        gone: dict[str, tuple[int, str | None]] = {
            str(stream): (int(version), None if digest is None else str(digest))
            for stream, (version, digest) in shape["gone"].items()
        }
        begun_at, begun_position = shape["begun"]
        return HeadContent(
            int(shape["seq"]),
            None if shape["previous"] is None else str(shape["previous"]),
            int(shape["at"]),
            int(shape["position"]),
            (int(begun_at), int(begun_position)),
            streams,
            gone,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
