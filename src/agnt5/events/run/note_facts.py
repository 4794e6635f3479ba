"""Notes: what the body says without waiting for anything. A replay passes over them."""

from __future__ import annotations

from typing import ClassVar

from agnt5.events.base import Encoded, Fact


class MarkerRecorded(Fact):
    """A decision of the body that a replay must repeat, such as to take a patched path. A note."""

    topic: ClassVar[str] = "MarkerRecorded"

    key: str
    value: Encoded = None


class StateChanged(Fact):
    """The body changed the state of its run. A note: a replay makes it again."""

    topic: ClassVar[str] = "StateChanged"

    key: str
    name: str
    value: Encoded = None
    deleted: bool = False


class EventEmitted(Fact):
    """The body told the world something. A note."""

    topic: ClassVar[str] = "EventEmitted"

    key: str
    event_type: str
    payload: Encoded = None
