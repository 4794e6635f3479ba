"""What a step made of the mutable objects it was given: pictured, compared, written back in place.

A replay does not run a step again, so that it would not see what the step did to a dict. The
changed dict is recorded with the step's outcome and written into the body's own dict instead: the
same object, because the body may hold it elsewhere, too.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Iterable
from types import NoneType
from typing import Any, cast

import orjson
from pydantic import BaseModel, JsonValue

from agnt5.actors.ports import After, Images
from agnt5.exceptions import PayloadError
from agnt5.payloads import decode, encode

GONE: JsonValue = {"$": "gone"}
"""Recorded in place of an entry that was there before the step and is not any more."""

OPAQUE: JsonValue = {"$": "opaque"}
"""Stands for an attribute that is there and cannot be recorded; arguments are left out instead."""

logger = logging.getLogger("agnt5.step")

_TRIES = 10
_SCALARS = frozenset({NoneType, bool, int, float, str, bytes})


def picture(value: object) -> JsonValue:
    """The image of one object.

    Raises:
        PayloadError: When it cannot be recorded.
    """
    for _ in range(_TRIES):
        try:
            return encode(value, where="an argument")
        except PayloadError as error:
            if not isinstance(error.__cause__, RuntimeError):
                raise
            # A step on a thread has changed a dict or a set in the very moment: look again.
    return encode(value, where="an argument")


def made_of(key: str, before: After, images: Images) -> After | None:
    """What the attempt that has just ended has made of what it could reach."""
    after = changes(before, images.capture())
    if after is None:
        return None
    lost = (("args", "argument", GONE), ("kwargs", "argument", GONE), ("self", "attribute", OPAQUE))
    for section, what, sign in lost:
        entries = _section(after, section)
        for name in [name for name, image in entries.items() if image == sign]:
            del entries[name]
            logger.warning(
                "step %r has put something into its %s %s that cannot be recorded: what it"
                " made of that %s will be missing when the run goes on after a crash",
                key,
                what,
                name,
                what,
            )
        if section in after and not entries:
            del after[section]
    return after or None


def changes(before: After, after: After) -> After | None:
    """The entries that differ, by section; None when there are none.

    >>> changes({"args": {"0": [1], "1": [2]}}, {"args": {"0": [1], "1": [2, 3]}})
    {'args': {'1': [2, 3]}}
    """
    if _same(before, after):
        return None
    found: After = {}
    for section in [*before, *(name for name in after if name not in before)]:
        old, new = _section(before, section), _section(after, section)
        differing = {k: v for k, v in new.items() if k not in old or not _same(old[k], v)}
        differing |= {k: GONE for k in old if k not in new}
        if differing:
            found[section] = differing
    return found or None


def _same(one: JsonValue, other: JsonValue) -> bool:
    # As bytes: 1 == True == 1.0 are told apart, and so is the order of a dict.
    return orjson.dumps(one) == orjson.dumps(other)


def _section(images: After, name: str) -> dict[str, JsonValue]:
    found = images.get(name)
    return found if isinstance(found, dict) else {}


class Arguments:
    """The mutable arguments of one call. What cannot be recorded is left alone."""

    __slots__ = ("_args", "_kwargs", "_recorded")

    def __init__(self, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        self._args = args
        self._kwargs = kwargs
        self._recorded: JsonValue = None

    @classmethod
    def of(cls, args: tuple[object, ...], kwargs: dict[str, object]) -> Arguments | None:
        """None when every argument is a plain scalar, which nobody can change."""
        for arg in args:
            if type(arg) not in _SCALARS:
                return cls(args, kwargs)
        for arg in kwargs.values():
            if type(arg) not in _SCALARS:
                return cls(args, kwargs)
        return None

    def were(self, recorded: JsonValue) -> None:
        """How they lie on the log as the step's input: that picture need not be taken again."""
        self._recorded = recorded

    def capture(self) -> After:
        """Images of the arguments as they are now; the first time, as they were recorded."""
        recorded, self._recorded = self._recorded, None
        if recorded is not None:
            return self._of_record(recorded)
        images: After = {}
        if positional := _pictured((str(i), arg) for i, arg in enumerate(self._args)):
            images["args"] = positional
        if named := _pictured(self._kwargs.items()):
            images["kwargs"] = named
        return images

    def _of_record(self, recorded: JsonValue) -> After:
        if isinstance(recorded, dict):
            positional, named = recorded["args"], recorded["kwargs"]
        else:
            positional, named = recorded, {}
        images: After = {}
        if isinstance(positional, list) and isinstance(named, dict):
            values = zip(self._args, positional, strict=True)
            if found := {str(i): image for i, (arg, image) in enumerate(values) if _is(arg, image)}:
                images["args"] = found
            if found := {k: image for k, image in named.items() if _is(self._kwargs[k], image)}:
                images["kwargs"] = found
        return images

    def restore(self, after: After) -> None:
        """Write what was recorded into the arguments."""
        for place, image in _section(after, "args").items():
            index = int(place)
            if index < len(self._args):
                _put_back(self._args[index], image)
        for name, image in _section(after, "kwargs").items():
            if name in self._kwargs:
                _put_back(self._kwargs[name], image)


def _is(value: object, recorded: JsonValue) -> bool:
    """Whether this is the image of something that may change, and no mere name of its type."""
    opaque = isinstance(recorded, dict) and recorded.get("$") == "opaque"
    return not opaque and type(value) not in _SCALARS


def _pictured(values: Iterable[tuple[str, object]]) -> dict[str, JsonValue]:
    images: dict[str, JsonValue] = {}
    for name, value in values:
        if type(value) in _SCALARS:
            continue
        try:
            images[name] = picture(value)
        except PayloadError:
            # A connection, a client, a function: it is not ours to write back.
            continue
    return images


def _put_back(value: object, image: JsonValue) -> None:
    if image != GONE:
        rewrite(value, decode(image, where="a changed argument"))


class Together:
    """Several providers as one."""

    __slots__ = ("_providers",)

    def __init__(self, *providers: Images | None) -> None:
        self._providers = [each for each in providers if each is not None]

    def capture(self) -> After:
        """The sections of all."""
        images: After = {}
        for each in self._providers:
            images |= each.capture()
        return images

    def restore(self, after: After) -> None:
        """Each takes what is its own."""
        for each in self._providers:
            each.restore(after)


# ------------------------------------------------------------------------------------ in place


def rewrite(old: object, new: object) -> object:
    """Make ``old`` what ``new`` is, in place, down to its parts; what cannot change is replaced.

    Returns ``old`` when it could be changed, else ``new``.

    >>> inner = [1]
    >>> outer = {"inner": inner, "n": 1}
    >>> rewrite(outer, {"inner": [1, 2], "n": 2}) is outer
    True
    >>> outer, inner
    ({'inner': [1, 2], 'n': 2}, [1, 2])
    """
    return _Rewriting().make(old, new)


class _Rewriting:
    """One pass over two trees; an object that hangs in the old one twice is rewritten once."""

    def __init__(self) -> None:
        self._done: dict[int, object] = {}

    def make(self, old: object, new: object) -> object:
        """Make ``old`` what ``new`` is."""
        if old is new or type(old) is not type(new) or type(old) in _SCALARS:
            return new
        if id(old) in self._done:
            # Two places once held one object; if they differ now, they cannot do so any more.
            return old if _image(old) == _image(new) else new
        self._done[id(old)] = old
        match old:
            case dict():
                self._dict(old, cast("dict[Any, Any]", new))
            case list() | deque():
                items = self._items(list(old), list(cast("Iterable[Any]", new)))
                old.clear()
                old.extend(items)
            case set():
                old.intersection_update(cast("set[Any]", new))
                old.update(cast("set[Any]", new))
            case bytearray():
                old[:] = cast("bytearray", new)
            case tuple():
                return self._tuple(old, cast("tuple[Any, ...]", new))
            case BaseModel():
                self._model(old, cast("BaseModel", new))
            case _ if dataclasses.is_dataclass(old):
                self._dataclass(old, new)
            case _:
                return new
        return old

    def _dict(self, old: dict[Any, Any], new: dict[Any, Any]) -> None:
        merged = {k: self.make(old[k], v) if k in old else v for k, v in new.items()}
        # Cleared, so that the order of the keys is the recorded one as well.
        old.clear()
        old.update(merged)

    def _items(self, old: list[Any], new: list[Any]) -> list[Any]:
        """The new items, as the old objects where those are still there, wherever they are now."""
        images = [_image(item) for item in old]
        places: dict[bytes | None, deque[int]] = {}
        for at, image in enumerate(images):
            places.setdefault(image, deque()).append(at)
        places.pop(None, None)
        taken: dict[int, int] = {}
        for at, item in enumerate(new):
            same = places.get(_image(item))
            if same:
                # Where it was, if it is one of several that are equal.
                taken[at] = at if at in same else same[0]
                same.remove(taken[at])
        left = {at for found in places.values() for at in found}
        taken |= {at: at for at in left if at < len(new) and at not in taken}
        return [
            self.make(old[taken[at]], item) if at in taken else item for at, item in enumerate(new)
        ]

    def _tuple(self, old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
        """A tuple cannot change, but what lies in it can."""
        if len(old) != len(new):
            return new
        parts = [self.make(before, now) for before, now in zip(old, new, strict=True)]
        same = all(part is before for part, before in zip(parts, old, strict=True))
        return old if same or type(old) is not tuple else tuple(parts)

    def _model(self, old: BaseModel, new: BaseModel) -> None:
        self._dict(vars(old), vars(new))
        put = object.__setattr__
        put(old, "__pydantic_fields_set__", new.__pydantic_fields_set__)
        for part in ("__pydantic_extra__", "__pydantic_private__"):
            if hasattr(new, part):
                put(old, part, self.make(getattr(old, part, None), getattr(new, part)))

    def _dataclass(self, old: Any, new: Any) -> None:
        own: dict[str, Any] | None = getattr(old, "__dict__", None)
        if own is not None:
            self._dict(own, new.__dict__)
        for field in dataclasses.fields(old):
            if (own is None or field.name not in own) and hasattr(new, field.name):
                value = self.make(getattr(old, field.name, None), getattr(new, field.name))
                # Frozen ones as well: a change that a step has forced is a change all the same.
                object.__setattr__(old, field.name, value)


def _image(item: object) -> bytes | None:
    if type(item) in _SCALARS:
        return None
    try:
        return orjson.dumps(picture(item))
    except PayloadError:
        return None
