"""The state of a run as its body has made it so far: rebuilt by running the body again.

What an inline step sets is seen by the step itself at once, and beside it only when its outcome is
handed over: a replay, which does not enter the step again, hands over in the order of the log. What
came of the writes within it is recorded with its outcome: their order in the log is not that in
which those of steps within the step were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from agnt5.events.keys import enclosing_keys, scope_of
from agnt5.events.run import facts as f

_Writes = dict[str, tuple[JsonValue] | None]
"""By name: what was set, or None for what was deleted."""


class RunValues:
    """Values by name, as they lie on the log."""

    __slots__ = ("_ended", "_settled", "_under_way", "now", "scopes")

    def __init__(self, settled: Mapping[str, bool]) -> None:
        self.now: dict[str, JsonValue] = {}
        """Replaced and never changed: steps keep what they were given when they were asked for."""
        self.scopes: dict[str, object] = {}
        """What the context keeps of the run's session and user, as long as the body lives."""
        self._settled = settled
        self._under_way: dict[str, _Writes] = {}
        """By the key of an inline step: what it has set that is not seen beside it yet."""
        self._ended: set[str] = set()

    def seen_from(self, place: str) -> Mapping[str, JsonValue]:
        """The values as a branch, or a call, sees them."""
        if not self._under_way:
            return self.now
        seen = self.now
        for outer in enclosing_keys(place):
            seen = _applied(seen, self._under_way.get(outer))
        return seen

    def change(
        self, place: str, values: Mapping[str, JsonValue], deleted: Iterable[str] = ()
    ) -> None:
        """Set and delete values, as a branch or a call."""
        writes: _Writes = dict.fromkeys(deleted)
        writes.update((name, (value,)) for name, value in values.items())
        self._write([outer for outer in enclosing_keys(place) if outer not in self._ended], writes)

    def made_by(self, key: str) -> tuple[dict[str, JsonValue] | None, list[str] | None]:
        """What an inline step that is about to end has set, and what it has deleted."""
        writes = self._under_way.get(key) or {}
        made = {name: value[0] for name, value in writes.items() if value is not None}
        return made or None, [name for name, value in writes.items() if value is None] or None

    def take(self, fact: f.StepCompleted | f.StateChanged) -> None:
        """What a step has made of it, or a part of the body that no replay runs again."""
        place = self._place_of(fact.key)
        if isinstance(fact, f.StepCompleted):
            self._under_way.pop(fact.key, None)
            self.change(place, fact.state or {}, fact.deleted or ())
        elif fact.deleted:
            self.change(place, {}, (fact.name,))
        else:
            self.change(place, {fact.name: fact.value})

    def end(self, key: str) -> None:
        """An inline step has its outcome, or was given up: what it has set is seen beside it."""
        self._ended.add(key)
        writes = self._under_way.pop(key, None)
        if writes:
            self._write([k for k in enclosing_keys(key) if k not in self._ended], writes)

    def _place_of(self, key: str) -> str:
        """The outermost inline step around a call that a replay does not enter, or the call."""
        ended = (outer for outer in enclosing_keys(key) if self._settled.get(outer))
        outermost = next(ended, None)
        return key if outermost is None else scope_of(outermost)

    def _write(self, outer: list[str], writes: _Writes) -> None:
        if outer and writes:
            self._under_way.setdefault(outer[-1], {}).update(writes)
        else:
            self.now = _applied(self.now, writes)


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
