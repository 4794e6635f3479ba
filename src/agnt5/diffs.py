"""What has changed between two snapshots: by path, so that it can be read and applied. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Literal

from pydantic import JsonValue

from agnt5.exceptions import InvalidInputError
from agnt5.snapshot_parts import View, short
from agnt5.snapshots import RunSnapshot

Path = tuple[str | int, ...]

_KEPT_QUIET = {("version",), ("at",), ("last_version",)}
"""What the headline of a difference says already."""


class Change(View):
    """One difference. JSON as ``RunSnapshot.model_dump(mode="json")`` gives it."""

    kind: Literal["added", "removed", "changed"]
    path: Path
    """Names, and positions in lists, from the snapshot down: ``("state", "total")``."""
    before: JsonValue = None
    """None of what was added."""
    after: JsonValue = None
    """None of what was removed."""

    def __str__(self) -> str:
        """One line: a sign, the path, the values."""
        path = ".".join(map(str, self.path))
        match self.kind:
            case "added":
                return f"+ {path}: {short(self.after)}"
            case "removed":
                return f"- {path}: {short(self.before)}"
            case "changed":
                return f"~ {path}: {short(self.before)} -> {short(self.after)}"


class RunDiff(View):
    """What has changed in a run from one event to another. ``str()`` gives a line for each change.

    Make one with :meth:`between`, or ask a client: ``client.diff(run_id, a, b)``.
    """

    run_id: str
    """Of the second snapshot."""
    a: int
    """The event at which the first snapshot was taken."""
    b: int
    """The event at which the second one was taken."""
    changes: tuple[Change, ...]
    """Each with its kind, its path in the snapshot, and what was there before and after."""

    @classmethod
    def between(cls, a: RunSnapshot, b: RunSnapshot) -> RunDiff:
        """What makes the second snapshot of the first; they may be of two runs."""
        changes = tuple(_differences((), _tree(a), _tree(b)))
        return cls(run_id=b.run_id, a=a.version, b=b.version, changes=changes)

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return bool(self.changes)

    def under(self, *path: str | int) -> tuple[Change, ...]:
        """The changes at a path and below it: ``under("state")``."""
        return tuple(each for each in self.changes if each.path[: len(path)] == path)

    def apply(self, a: RunSnapshot) -> RunSnapshot:
        """The second snapshot, made of the first.

        Raises:
            InvalidInputError: When it is not the snapshot that this difference begins with.
        """
        tree: JsonValue = _tree(a)
        for change in self.changes:
            _apply(tree, change)
        return RunSnapshot.model_validate(tree)

    def __str__(self) -> str:
        """A headline, and a line for each change that it does not say."""
        told = [each for each in self.changes if each.path not in _KEPT_QUIET]
        headline = f"run {self.run_id}, event {self.a} -> {self.b}:"
        if not told:
            return f"{headline} {'nothing but the time' if self.changes else 'no change'}"
        return "\n".join([headline, *(f"  {each}" for each in told)])


def _tree(snapshot: RunSnapshot) -> dict[str, JsonValue]:
    return snapshot.model_dump(mode="json")


def _differences(path: Path, a: JsonValue, b: JsonValue) -> Iterator[Change]:
    if isinstance(a, dict) and isinstance(b, dict) and _tag(a) == _tag(b):
        yield from _of_names(path, a, b)
    elif isinstance(a, list) and isinstance(b, list):
        yield from _of_positions(path, a, b)
    elif not _same(a, b):
        yield Change(kind="changed", path=path, before=a, after=b)


def _of_names(path: Path, a: dict[str, JsonValue], b: dict[str, JsonValue]) -> Iterator[Change]:
    for name, before in a.items():
        if name not in b:
            yield Change(kind="removed", path=(*path, name), before=before)
    for name, after in b.items():
        if name in a:
            yield from _differences((*path, name), a[name], after)
        else:
            yield Change(kind="added", path=(*path, name), after=after)


def _of_positions(path: Path, a: list[JsonValue], b: list[JsonValue]) -> Iterator[Change]:
    both = min(len(a), len(b))
    for index in range(both):
        yield from _differences((*path, index), a[index], b[index])
    # From the end, so that each position still means the same when it is applied.
    for index in reversed(range(both, len(a))):
        yield Change(kind="removed", path=(*path, index), before=a[index])
    for index in range(both, len(b)):
        yield Change(kind="added", path=(*path, index), after=b[index])


def _tag(value: dict[str, JsonValue]) -> tuple[JsonValue, JsonValue]:
    """What a recorded value is of: a point and a date are not compared field by field."""
    return value.get("$"), value.get("c")


def _same(a: JsonValue, b: JsonValue) -> bool:
    """Equal, and of one type throughout: neither 1 and True, nor 1 and 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[name]) for name, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


def _apply(tree: JsonValue, change: Change) -> None:
    *outer, last = change.path
    place = tree
    for name in outer:
        place = _inside(place, name, change)
    if change.kind != "added" and not _same(_inside(place, last, change), change.before):
        raise _unfit(change)
    after = deepcopy(change.after)
    if isinstance(place, dict) and isinstance(last, str):
        if change.kind == "removed":
            del place[last]
        elif change.kind == "added" and last in place:
            raise _unfit(change)
        else:
            place[last] = after
    elif isinstance(place, list) and isinstance(last, int):
        if change.kind == "removed":
            del place[last]
        elif change.kind == "added":
            place.insert(last, after)
        else:
            place[last] = after
    else:
        raise _unfit(change)


def _inside(place: JsonValue, name: str | int, change: Change) -> JsonValue:
    if isinstance(place, dict) and isinstance(name, str) and name in place:
        return place[name]
    if isinstance(place, list) and isinstance(name, int) and name < len(place):
        return place[name]
    raise _unfit(change)


def _unfit(change: Change) -> InvalidInputError:
    msg = (
        f"this is not the snapshot that the difference begins with: it has not what"
        f" '{change}' changes. Apply it to the state at event a of the run"
    )
    return InvalidInputError(msg)
