"""``ctx.state``: the state of one run, in its body and in its steps. Plain calls, no awaiting.

Values are recorded as they are when they are set; whoever gets one gets a copy. So what is changed
afterwards without being set again is not kept, in the first pass as little as on a replay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from typing import Any

from pydantic import JsonValue

from agnt5.actors.branch import CURRENT
from agnt5.actors.ports import AttemptInfo
from agnt5.actors.script import Script
from agnt5.events.keys import operation_key
from agnt5.events.run.facts import StateChanged
from agnt5.exceptions import InvalidInputError
from agnt5.payloads import decode, encode

_LONGEST_NAME = 512


class Applied:
    """What a write returns: it has been applied already, so that awaiting it does nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        """Be done."""
        return
        yield


APPLIED = Applied()


def checked_name(name: str) -> str:
    """The name of a value, if it is one.

    Raises:
        InvalidInputError: When it is no printable text, empty, or too long.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        msg = f"the name of a value must be a printable text that is not empty, not {name!r}"
        raise InvalidInputError(msg)
    if len(name) > _LONGEST_NAME:
        msg = f"the name of a value may have at most {_LONGEST_NAME} characters, not {len(name)}"
        raise InvalidInputError(msg)
    return name


class RunState(ABC):
    """Values by name, as long as the run lives.

    Names are printable texts of at most 512 characters. Plain calls; what is set holds at once.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """The value of that name, or the default. A copy: set it again to change it.

        Raises:
            InvalidInputError: When the name is no text.
        """
        values = self._values()
        if checked_name(key) not in values:
            return default
        return decode(values[key], where=f"state {key!r}")

    def set(self, key: str, value: Any) -> Applied:
        """Set a value; it holds at once. Awaiting the result is allowed and does nothing.

        Raises:
            InvalidInputError: When the name is no text.
            PayloadError: When the value cannot be recorded.
        """
        name = checked_name(key)
        self._set(name, encode(value, where=f"state {name!r}"))
        return APPLIED

    def delete(self, key: str) -> Applied:
        """Delete a value; one that is not there does not matter. Raises as :meth:`get` does."""
        if checked_name(key) in self._values():
            self._delete(key)
        return APPLIED

    def clear(self) -> Applied:
        """Delete every value."""
        for name in list(self._values()):
            self._delete(name)
        return APPLIED

    def keys(self) -> list[str]:
        """The names that have a value, sorted."""
        return sorted(self._values())

    def to_dict(self) -> dict[str, Any]:
        """Every value, by name; copies."""
        return {name: self.get(name) for name in self.keys()}

    def set_async(self, key: str, value: Any) -> Applied:
        """Another spelling of :meth:`set`."""
        return self.set(key, value)

    def delete_async(self, key: str) -> Applied:
        """Another spelling of :meth:`delete`."""
        return self.delete(key)

    def __contains__(self, key: object) -> bool:
        return key in self._values()

    @abstractmethod
    def _values(self) -> Mapping[str, JsonValue]: ...

    @abstractmethod
    def _set(self, name: str, value: JsonValue) -> None: ...

    @abstractmethod
    def _delete(self, name: str) -> None: ...


class BodyState(RunState):
    """In the body: each write is a note in the log, and a replay makes it again."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def _values(self) -> Mapping[str, JsonValue]:
        branch = CURRENT.get()
        # A query handler looks as nobody's branch: it sees what holds for the whole body.
        place = "" if branch is None or branch.script is not self._script else branch.path
        return self._script.values.seen_from(place)

    def _key(self, name: str) -> str:
        branch, label = self._script.place(), f"state:{name}"
        return operation_key(branch.path, label, branch.occurrence(label))

    def _set(self, name: str, value: JsonValue) -> None:
        script, key = self._script, self._key(name)
        script.check_size(value, f"state {name!r}")
        script.values.change(key, {name: value})
        script.note(StateChanged(key=key, name=name, value=value))

    def _delete(self, name: str) -> None:
        script, key = self._script, self._key(name)
        script.values.change(key, {}, (name,))
        script.note(StateChanged(key=key, name=name, deleted=True))


class StepState(RunState):
    """In a step: the values as they were when it was asked for, and what it makes of them.

    What it changes becomes part of its record, and so of the state of the run, when it succeeds.
    """

    def __init__(self, info: AttemptInfo) -> None:
        self._info = info
        self._now: dict[str, JsonValue] = dict(info.values or {})

    def _values(self) -> Mapping[str, JsonValue]:
        return self._now

    def _set(self, name: str, value: JsonValue) -> None:
        info = self._info
        self._now[name] = value
        info.changes = {**(info.changes or {}), name: value}
        if info.deleted:
            info.deleted.pop(name, None)

    def _delete(self, name: str) -> None:
        info = self._info
        del self._now[name]
        if info.changes:
            info.changes.pop(name, None)
        info.deleted = {**(info.deleted or {}), name: None}
