"""Values of the standard library: collections, bytes, time, numbers, paths, patterns."""

from __future__ import annotations

import base64
import pathlib
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from pydantic import JsonValue

from agnt5._payloads.core import (
    TAG,
    Unrecordable,
    read,
    read_items,
    read_pairs,
    reads,
    step_to,
    write,
    write_items,
    write_pairs,
    writes,
)

# ----------------------------------------------------------------------------- collections


@writes(tuple)
def _write_tuple(value: Any, levels: int) -> JsonValue:
    return {TAG: "tuple", "v": write_items(value, levels - 1)}


@reads("tuple")
def _read_tuple(node: dict[str, Any]) -> object:
    return tuple(read_items(node["v"]))


@writes(set, frozenset)
def _write_set(value: Any, levels: int) -> JsonValue:
    items = write_items(value, levels - 1)
    items.sort(key=_canonical)  # a set's own order differs from process to process
    return {TAG: type(value).__name__, "v": items}


def _canonical(item: JsonValue) -> bytes:
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


@reads("set")
def _read_set(node: dict[str, Any]) -> object:
    return set(read_items(node["v"]))


@reads("frozenset")
def _read_frozenset(node: dict[str, Any]) -> object:
    return frozenset(read_items(node["v"]))


@writes(deque)
def _write_deque(value: deque[Any], levels: int) -> JsonValue:
    node: dict[str, JsonValue] = {TAG: "deque", "v": write_items(value, levels - 1)}
    if value.maxlen is not None:
        node["max"] = value.maxlen
    return node


@reads("deque")
def _read_deque(node: dict[str, Any]) -> object:
    return deque(read_items(node["v"]), node.get("max"))


@writes(OrderedDict)
def _write_ordered(value: Any, levels: int) -> JsonValue:
    return {TAG: "ordered", "v": write_pairs(value, levels - 1)}


@reads("ordered")
def _read_ordered(node: dict[str, Any]) -> object:
    return OrderedDict(read_pairs(node["v"]))


@writes(Counter)
def _write_counter(value: Any, levels: int) -> JsonValue:
    return {TAG: "counter", "v": write_pairs(value, levels - 1)}


@reads("counter")
def _read_counter(node: dict[str, Any]) -> object:
    return Counter(read_pairs(node["v"]))


_FACTORIES: dict[str, Callable[[], Any]] = {
    factory.__name__: factory
    for factory in (
        bool,
        bytes,
        bytearray,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        set,
        str,
        tuple,
        Counter,
        Decimal,
        OrderedDict,
        deque,
    )
}


@writes(defaultdict)
def _write_defaultdict(value: defaultdict[Any, Any], levels: int) -> JsonValue:
    node: dict[str, JsonValue] = {TAG: "defaultdict"}
    factory = value.default_factory
    if factory is not None:
        name = str(getattr(factory, "__name__", ""))
        if _FACTORIES.get(name) is not factory:
            raise Unrecordable(
                "a defaultdict can be recorded with a built-in factory only, such as list or int; "
                "return dict(value)"
            )
        node["f"] = name
    node["v"] = write_pairs(value, levels - 1)
    return node


@reads("defaultdict")
def _read_defaultdict(node: dict[str, Any]) -> object:
    factory = _FACTORIES[node["f"]] if "f" in node else None
    return defaultdict(factory, read_pairs(node["v"]))


@writes(range)
def _write_range(value: range, levels: int) -> JsonValue:
    return {TAG: "range", "v": write_items([value.start, value.stop, value.step], levels - 1)}


@reads("range")
def _read_range(node: dict[str, Any]) -> object:
    start, stop, step = read_items(node["v"])
    return range(start, stop, step)


# ------------------------------------------------------------------------- bytes and numbers


@writes(bytes, bytearray)
def _write_bytes(value: Any, _levels: int) -> JsonValue:
    return {TAG: type(value).__name__, "v": base64.b64encode(value).decode()}


@reads("bytes")
def _read_bytes(node: dict[str, Any]) -> object:
    return base64.b64decode(node["v"], validate=True)


@reads("bytearray")
def _read_bytearray(node: dict[str, Any]) -> object:
    return bytearray(base64.b64decode(node["v"], validate=True))


@writes(Decimal)
def _write_decimal(value: Decimal, _levels: int) -> JsonValue:
    return {TAG: "decimal", "v": str(value)}


@reads("decimal")
def _read_decimal(node: dict[str, Any]) -> object:
    return Decimal(_text(node["v"]))


@writes(complex)
def _write_complex(value: complex, levels: int) -> JsonValue:
    return {TAG: "complex", "v": write_items([value.real, value.imag], levels - 1)}


@reads("complex")
def _read_complex(node: dict[str, Any]) -> object:
    real, imaginary = read_items(node["v"])
    return complex(real, imaginary)


@writes(UUID)
def _write_uuid(value: UUID, _levels: int) -> JsonValue:
    return {TAG: "uuid", "v": str(value)}


@reads("uuid")
def _read_uuid(node: dict[str, Any]) -> object:
    return UUID(node["v"])


# -------------------------------------------------------------------------------------- time


@writes(date)
def _write_date(value: date, _levels: int) -> JsonValue:
    return {TAG: "date", "v": value.isoformat()}


@reads("date")
def _read_date(node: dict[str, Any]) -> object:
    return date.fromisoformat(node["v"])


@writes(timedelta)
def _write_timedelta(value: timedelta, _levels: int) -> JsonValue:
    return {TAG: "timedelta", "v": [value.days, value.seconds, value.microseconds]}


@reads("timedelta")
def _read_timedelta(node: dict[str, Any]) -> object:
    days, seconds, microseconds = node["v"]
    return timedelta(days, seconds, microseconds)


@writes(datetime, time)
def _write_moment(value: Any, levels: int) -> JsonValue:
    """Offsets without a name ride in the text; every other zone is kept beside it."""
    node: dict[str, JsonValue] = {TAG: type(value).__name__}
    zone = value.tzinfo
    if zone is None or _is_plain_offset(zone):
        node["v"] = value.isoformat()
    else:
        node["v"] = value.replace(tzinfo=None).isoformat()
        try:
            node["tz"] = write(zone, levels - 1)
        except Unrecordable as failure:
            failure.inside(".tzinfo", value)
            raise
    if value.fold:
        node["fold"] = 1
    return node


def _is_plain_offset(zone: tzinfo) -> bool:
    """Whether the ISO text says all of it: `fromisoformat` misreads some parts of a second."""
    if type(zone) is not timezone or _named(zone):
        return False
    return not zone.utcoffset(None).microseconds


def _named(zone: timezone) -> bool:
    return str(zone) != str(timezone(zone.utcoffset(None)))


@reads("datetime")
def _read_datetime(node: dict[str, Any]) -> object:
    return _with_zone(datetime.fromisoformat(node["v"]), node)


@reads("time")
def _read_time(node: dict[str, Any]) -> object:
    return _with_zone(time.fromisoformat(node["v"]), node)


def _with_zone(value: Any, node: dict[str, Any]) -> object:
    if "tz" in node:
        value = value.replace(tzinfo=read(node["tz"]))
    return value.replace(fold=1) if node.get("fold") else value


@writes(timezone)
def _write_timezone(value: timezone, levels: int) -> JsonValue:
    node: dict[str, JsonValue] = {
        TAG: "timezone",
        "v": write(value.utcoffset(None), levels - 1),
    }
    if _named(value):
        node["n"] = write(str(value), levels - 1)
    return node


@reads("timezone")
def _read_timezone(node: dict[str, Any]) -> object:
    offset: Any = read(node["v"])
    name: Any = read(node["n"]) if "n" in node else None
    return timezone(offset) if name is None else timezone(offset, name)


@writes(ZoneInfo)
def _write_zone(value: ZoneInfo, _levels: int) -> JsonValue:
    if not isinstance(value.key, str):
        raise Unrecordable("a ZoneInfo without a key cannot be found again; use ZoneInfo(key)")
    return {TAG: "zone", "v": value.key}


@reads("zone")
def _read_zone(node: dict[str, Any]) -> object:
    return ZoneInfo(_text(node["v"]))


# ------------------------------------------------------------------------ paths and patterns

_PATHS: dict[str, type[pathlib.PurePath]] = {
    kind.__name__: kind
    for kind in (
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
        pathlib.PosixPath,
        pathlib.WindowsPath,
    )
}
_PATTERN_FLAGS = int(
    re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.UNICODE | re.VERBOSE
)


@writes(*_PATHS.values())
def _write_path(value: pathlib.PurePath, levels: int) -> JsonValue:
    return {TAG: "path", "c": type(value).__name__, "v": write(str(value), levels - 1)}


@reads("path")
def _read_path(node: dict[str, Any]) -> object:
    return _PATHS[node["c"]](_text(read(node["v"])))


@writes(re.Pattern)
def _write_pattern(value: re.Pattern[Any], levels: int) -> JsonValue:
    # Without DEBUG, which prints whenever a pattern is compiled.
    flags = value.flags & _PATTERN_FLAGS
    try:
        return {TAG: "pattern", "v": write(value.pattern, levels - 1), "f": flags}
    except Unrecordable as failure:
        failure.inside(step_to("pattern"), value)
        raise


@reads("pattern")
def _read_pattern(node: dict[str, Any]) -> object:
    pattern: Any = read(node["v"])
    if type(pattern) not in {str, bytes}:
        raise Unrecordable("the log holds damaged data: a pattern must be text or bytes")
    return re.compile(pattern, int(node["f"]) & _PATTERN_FLAGS)


def _text(value: object) -> str:
    if type(value) is not str:
        raise Unrecordable("the log holds damaged data: text was expected")
    return value
