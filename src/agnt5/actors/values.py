"""The state of a run as its body has made it so far: rebuilt by running the body again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from agnt5.events.run import facts as f


class RunValues:
    """Values by name, as they lie on the log."""

    __slots__ = ("now", "scopes")

    def __init__(self) -> None:
        self.now: dict[str, JsonValue] = {}
        """Replaced and never changed: steps keep what they were given when they were asked for."""
        self.scopes: dict[str, object] = {}
        """What the context keeps of the run's session and user, as long as the body lives."""

    def change(self, values: Mapping[str, JsonValue], deleted: Iterable[str] = ()) -> None:
        """Set and delete values."""
        changed = dict(self.now)
        for name in deleted:
            changed.pop(name, None)
        changed.update(values)
        self.now = changed

    def take(self, fact: f.StepCompleted | f.StateChanged) -> None:
        """What a step has made of it, or a part of the body that no replay runs again."""
        if isinstance(fact, f.StepCompleted):
            if fact.state or fact.deleted:
                self.change(fact.state or {}, fact.deleted or ())
        elif fact.deleted:
            self.change({}, (fact.name,))
        else:
            self.change({fact.name: fact.value})
