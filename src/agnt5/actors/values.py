"""The state of a run as its body has made it so far: rebuilt by running the body again.

What an inline step sets is seen by itself at once, and beside it when it has succeeded: its record
holds the sum of it, since a replay does not enter the step again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from agnt5.events.keys import enclosing_keys
from agnt5.events.run import facts as f

_Writes = dict[str, tuple[JsonValue] | None]
"""By name: what was set, or None for what was deleted."""


class RunValues:
    """Values by name, as they lie on the log."""

    __slots__ = ("_under_way", "now", "scopes")

    def __init__(self, first: Mapping[str, JsonValue] | None = None) -> None:
        self.now: dict[str, JsonValue] = dict(first or {})
        """Replaced and never changed: steps keep what they were given when they were asked for."""
        self.scopes: dict[str, object] = {}
        """What the context keeps of the run's session and user, as long as the body lives."""
        self._under_way: dict[str, _Writes] = {}
        """By the key of an inline step: what it has set that is not seen beside it."""

    def seen_from(self, place: str) -> Mapping[str, JsonValue]:
        """The values as a branch, or a call, sees them."""
        seen = self.now
        if self._under_way:
            for outer in enclosing_keys(place):
                seen = _applied(seen, self._under_way.get(outer))
        return seen

    def change(
        self, place: str, values: Mapping[str, JsonValue], deleted: Iterable[str] = ()
    ) -> None:
        """Set and delete values, as a branch or a call."""
        writes: _Writes = dict.fromkeys(deleted)
        writes.update((name, (value,)) for name, value in values.items())
        outer = enclosing_keys(place)
        if outer:
            self._under_way.setdefault(outer[-1], {}).update(writes)
        else:
            self.now = _applied(self.now, writes)

    def take(self, fact: f.StepCompleted) -> None:
        """What a step has made of them."""
        self.end(fact.key)
        self.change(fact.key, fact.state or {}, fact.deleted or ())

    def made_in(self, key: str) -> tuple[dict[str, JsonValue] | None, list[str] | None]:
        """What an inline step has set and deleted until now."""
        writes = self._under_way.get(key)
        if not writes:
            return None, None
        values = {name: value[0] for name, value in writes.items() if value is not None}
        return values or None, [name for name, value in writes.items() if value is None] or None

    def end(self, key: str) -> None:
        """Nothing runs in an inline step any more: of what it has set only its record counts."""
        self._under_way.pop(key, None)


def _applied(values: dict[str, JsonValue], writes: _Writes | None) -> dict[str, JsonValue]:
    if not writes:
        return values
    changed = dict(values)
    for name, value in writes.items():
        if value is None:
            changed.pop(name, None)
        else:
            changed[name] = value[0]
    return changed
