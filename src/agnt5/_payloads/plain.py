"""Plain JSON for people and for HTTP. Lossy, and never an error."""

from __future__ import annotations

import base64
import dataclasses
import math
import pathlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, JsonValue

from agnt5._payloads.errors import clean, text_of

_DEEPEST = 100
_REPR_SHOWN = 200
_RANGE_SHOWN = 10_000
_SAFE_INT = 2**63


def plain(value: object, above: tuple[int, ...] = ()) -> JsonValue:
    """The plain form; ``above`` are the identities of the containers around."""
    if value is None or type(value) is bool:
        return value
    if isinstance(value, Enum):
        return plain(value.value, above)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {text_of(value)}"
    for base, convert in _LEAVES:
        if isinstance(value, base):
            return convert(value)
    if id(value) in above:
        return "<cycle>"
    if len(above) >= _DEEPEST:
        return _shown(value)
    return _container(value, (*above, id(value)))


def _container(value: Any, above: tuple[int, ...]) -> JsonValue:
    if isinstance(value, BaseModel) and value.__pydantic_root_model__:
        return plain(getattr(value, "root"), above)  # noqa: B009 - a RootModel has it
    fields = _fields_of(value)
    if fields is not None:
        return {_key(key): plain(item, above) for key, item in fields.items()}
    if isinstance(value, set | frozenset):
        return [plain(item, above) for item in _ordered(value)]
    if isinstance(value, list | tuple | deque) or _is_short_range(value):
        return [plain(item, above) for item in value]
    return _shown(value)


def _fields_of(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, BaseModel):
        fields = {name: value.__dict__.get(name) for name in type(value).model_fields}
        return fields | (value.__pydantic_extra__ or {})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name, None) for name in names}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _named_items(value)
    return value if isinstance(value, Mapping) else None


def _named_items(value: Any) -> dict[str, Any]:
    return dict(zip(value._fields, value, strict=False))


def _is_short_range(value: object) -> bool:
    """A range may be endless for all practical purposes; then its text has to do."""
    return isinstance(value, range) and not value[_RANGE_SHOWN:]


def _key(key: object) -> str:
    if key is None or type(key) is bool:
        return {None: "null", True: "true", False: "false"}[key]
    form = plain(key)
    return form if isinstance(form, str) else str(form)


def _ordered(items: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(items)
    except Exception:  # noqa: BLE001 - not comparable; any fixed order will do
        return sorted(items, key=_shown)


def _shown(value: object) -> str:
    try:
        text = clean(repr(value))
    except Exception:  # noqa: BLE001 - user code may raise anything
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= _REPR_SHOWN else text[: _REPR_SHOWN - 1] + "…"


def _int(value: int) -> JsonValue:
    if -_SAFE_INT <= value < _SAFE_INT:
        return int(value)
    try:
        return str(int(value))
    except ValueError:  # more digits than Python converts
        return hex(value)


def _float(value: float) -> JsonValue:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_LEAVES: tuple[tuple[Any, Callable[[Any], JsonValue]], ...] = (
    (str, lambda value: clean(str.__str__(value))),
    (int, _int),
    (float, _float),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode()),
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    ((Decimal, UUID, complex), str),
    (pathlib.PurePath, lambda value: clean(str(value))),
)
