"""The walk: plain JSON on the fast path, one table of codecs for everything else.

A value that JSON has no word for lies on the log as an object with the key ``$``, its *tag*::

    (1, 2)                 {"$": "tuple", "v": [1, 2]}
    Point(x=1)             {"$": "data", "c": "app.shapes:Point", "v": {"x": 1}}

The other modules of this package add their codecs with :func:`writes` and :func:`reads`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import JsonValue

from agnt5.exceptions import PayloadError

Writer = Callable[[Any, int], JsonValue]
"""Takes a value and the JSON levels that it may still use."""

Reader = Callable[[dict[str, Any]], object]
"""Takes a tagged object, its tag included."""

AnyWriter = TypeVar("AnyWriter", bound=Callable[..., JsonValue])

TAG = "$"
MAX_LEVELS = 150
"""JSON levels of one payload. pydantic parses 200, orjson writes 254; facts wrap a few around."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_PATH_SHOWN = 300

_writers: dict[type, Writer] = {}
_readers: dict[str, Reader] = {}


class Unrecordable(Exception):  # noqa: N818 - becomes a PayloadError once it is out of the walk
    """Unwinds the walk and learns its path on the way, so that success pays nothing for paths."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.trail: list[tuple[str, object]] = []

    def inside(self, segment: str, owner: object) -> None:
        """Note one more step of the path, innermost first, and whose step it was."""
        self.trail.append((segment, owner))

    def as_error(self, where: str) -> PayloadError:
        """The same, for users. A container that lies inside itself is named as such."""
        segments: list[str] = []
        seen: set[int] = set()
        for segment, owner in reversed(self.trail):
            if id(owner) in seen:
                return PayloadError(
                    "the value contains itself; return data without cycles",
                    where=where,
                    path=_join(segments),
                )
            seen.add(id(owner))
            segments.append(segment)
        return PayloadError(self.problem, where=where, path=_join(segments))


def _join(segments: list[str]) -> str:
    path = "$" + "".join(segments)
    return path if len(path) <= _PATH_SHOWN else path[:_PATH_SHOWN] + "…"


def writes(*classes: type) -> Callable[[AnyWriter], AnyWriter]:
    """Register a writer for exactly these classes."""

    def register(writer: AnyWriter) -> AnyWriter:
        _writers.update(dict.fromkeys(classes, writer))
        return writer

    return register


def reads(tag: str) -> Callable[[Reader], Reader]:
    """Register the reader of a tag."""

    def register(reader: Reader) -> Reader:
        _readers[tag] = reader
        return reader

    return register


def write(value: object, levels: int = MAX_LEVELS) -> JsonValue:
    """What lies on the log for ``value``. Raises Unrecordable."""
    writer = _writers.get(type(value)) or _writers[object]
    return writer(value, levels)


def read(value: Any) -> object:
    """The value for what lies on the log. Raises Unrecordable, or whatever bad data causes."""
    kind = type(value)
    if kind is dict:
        if TAG in value:
            return _read_tagged(value)
        return read_fields(value)
    if kind is list:
        return read_items(value)
    if value is None or kind is str or kind is int or kind is float or kind is bool:
        return value
    raise Unrecordable(f"the log holds a {kind.__name__}, which is not JSON")


def _read_tagged(node: dict[str, Any]) -> object:
    tag = node[TAG]
    reader = _readers.get(tag) if type(tag) is str else None
    if reader is None:
        raise Unrecordable(
            f"the log holds a value of the unknown kind {tag!r:.60}; "
            "was it written by a newer agnt5?"
        )
    return reader(node)


def too_deep() -> Unrecordable:
    return Unrecordable(
        f"the value is nested more than {MAX_LEVELS} JSON levels deep; return flatter data"
    )


# ------------------------------------------------------------------------------ plain JSON


@writes(bool, type(None))
def _write_as_is(value: Any, _levels: int) -> JsonValue:
    return value  # type: ignore[no-any-return]


@writes(int)
def _write_int(value: int, _levels: int) -> JsonValue:
    if _INT_MIN <= value <= _INT_MAX:
        return value
    return {TAG: "int", "v": hex(value)}  # hex has no digit limit, and JSON parsers make floats


@writes(float)
def _write_float(value: float, _levels: int) -> JsonValue:
    return value if math.isfinite(value) else {TAG: "float", "v": repr(value)}


@writes(str)
def _write_str(value: str, _levels: int) -> JsonValue:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        data = value.encode("utf-8", "surrogatepass")
        return {TAG: "str", "v": base64.b64encode(data).decode()}
    return value


@writes(list)
def write_items(items: Iterable[Any], levels: int) -> list[JsonValue]:
    """Write each item of a list or another ordered collection."""
    if levels <= 0:
        raise too_deep()
    written: list[JsonValue] = []
    add, find, inner = written.append, _writers.get, levels - 1
    try:
        for item in items:
            kind = type(item)
            if kind is str and item.isascii():
                add(item)
            else:
                add((find(kind) or _writers[object])(item, inner))
    except Unrecordable as failure:
        failure.inside(f"[{len(written)}]", items)
        raise
    return written


@writes(dict)
def write_dict(value: dict[Any, Any], levels: int) -> JsonValue:
    """Write an exact dict: as an object if it can be one, else as tagged pairs."""
    for key in value:
        if type(key) is not str or key == TAG or not (key.isascii() or _is_utf8(key)):
            return {TAG: "dict", "v": write_pairs(value, levels - 1)}
    return write_fields(value, levels)


def _is_utf8(text: str) -> bool:
    return type(_write_str(text, 0)) is str


def write_fields(
    fields: dict[str, Any], levels: int, *, owner: object = None, attributes: bool = False
) -> dict[str, JsonValue]:
    """Write the values of a dict whose keys need no care."""
    if levels <= 0:
        raise too_deep()
    written: dict[str, JsonValue] = {}
    find, inner = _writers.get, levels - 1
    key = ""
    try:
        for key, item in fields.items():
            kind = type(item)
            if kind is str and item.isascii():
                written[key] = item
            else:
                written[key] = (find(kind) or _writers[object])(item, inner)
    except Unrecordable as failure:
        failure.inside(step_to(key, attribute=attributes), fields if owner is None else owner)
        raise
    return written


def write_pairs(mapping: dict[object, object], levels: int) -> JsonValue:
    """Write a mapping as a list of ``[key, value]``."""
    if levels <= 1:
        raise too_deep()
    written: list[JsonValue] = []
    for key, item in mapping.items():
        try:
            name = write(key, levels - 2)
        except Unrecordable as failure:
            failure.inside(f"<key {len(written)}>", mapping)
            raise
        try:
            written.append([name, write(item, levels - 2)])
        except Unrecordable as failure:
            failure.inside(step_to(key), mapping)
            raise
    return written


def step_to(key: object, *, attribute: bool = False) -> str:
    """One step of a path.

    >>> step_to("total"), step_to("two words"), step_to(3), step_to((1, 2))
    ('.total', "['two words']", '[3]', '[tuple]')
    """
    if type(key) is str:
        plain = attribute or key.isidentifier()
        return f".{key}" if plain and key.isascii() else f"[{key!a:.60}]"
    return f"[{key}]" if type(key) in {int, bool, float} else f"[{type(key).__name__}]"


def read_items(items: Any) -> list[Any]:
    """Read each item of a list."""
    if type(items) is not list:
        raise Unrecordable("the log holds damaged data: a list was expected")
    values: list[Any] = []
    try:
        for item in items:
            kind = type(item)
            values.append(read(item) if kind is dict or kind is list else item)
    except Unrecordable as failure:
        failure.inside(f"[{len(values)}]", items)
        raise
    return values


def read_fields(fields: Any) -> dict[str, Any]:
    """Read each value of an object."""
    if type(fields) is not dict:
        raise Unrecordable("the log holds damaged data: an object was expected")
    values: dict[str, Any] = {}
    key = ""
    try:
        for key, item in fields.items():
            kind = type(item)
            values[key] = read(item) if kind is dict or kind is list else item
    except Unrecordable as failure:
        failure.inside(step_to(key), fields)
        raise
    return values


def read_pairs(pairs: Any) -> dict[Any, Any]:
    """Read a list of ``[key, value]``."""
    return {read(key): read(item) for key, item in pairs}


@reads("int")
def _read_int(node: dict[str, Any]) -> int:
    return int(node["v"], 16)


@reads("float")
def _read_float(node: dict[str, Any]) -> float:
    return float(node["v"])


@reads("str")
def _read_str(node: dict[str, Any]) -> str:
    return base64.b64decode(node["v"], validate=True).decode("utf-8", "surrogatepass")


@reads("dict")
def _read_dict(node: dict[str, Any]) -> dict[Any, Any]:
    return read_pairs(node["v"])
