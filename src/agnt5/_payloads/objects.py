"""Objects with a class of their own: enum members, dataclasses, named tuples, pydantic models.

They come back without ``__init__``, ``__post_init__`` or validation: what was recorded is what is
restored. Fields that the class has gained since get their defaults; a recorded field that it has
lost is an error, because dropping it silently would change the value.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, JsonValue
from pydantic_core import PydanticUndefined

from agnt5._payloads.classes import path_of, reference, resolve
from agnt5._payloads.core import (
    TAG,
    Unrecordable,
    read,
    read_fields,
    reads,
    write,
    write_fields,
    writes,
)
from agnt5._payloads.errors import write_error_value

ObjectWriter = Callable[[Any, JsonValue, int], JsonValue]

_MISSING = object()
_ADVICE = "return plain data, a dataclass or a pydantic model"
_plans: WeakKeyDictionary[type, tuple[ObjectWriter, JsonValue]] = WeakKeyDictionary()


@writes(object)
def write_object(value: object, levels: int) -> JsonValue:
    """Write a value whose exact class is in no table. The way to do it is found once per class."""
    cls = type(value)
    plan = _plans.get(cls)
    if plan is None:
        plan = _plans[cls] = _plan(cls)
    writer, name = plan
    return writer(value, name, levels)


def _plan(cls: type) -> tuple[ObjectWriter, JsonValue]:
    if issubclass(cls, BaseException):
        return write_error_value, None
    for base, writer in _by_base:
        if issubclass(cls, base):
            return writer, reference(cls)
    if dataclasses.is_dataclass(cls):
        _refuse_builtin_base(cls)
        return _write_dataclass, reference(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _write_namedtuple, reference(cls)
    raise Unrecordable(_refusal(cls))


def _refusal(cls: type) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
    if cls.__name__ in {"coroutine", "Future", "Task"}:
        return f"a {name} cannot be recorded; was an `await` forgotten?"
    for base in (str, int, float, bytes, dict, list, tuple, set, frozenset):
        if issubclass(cls, base):
            return (
                f"a {name} would come back as a plain {base.__name__}; "
                f"convert it with {base.__name__}(...), or {_ADVICE}"
            )
    return f"a value of type {name} cannot be recorded; {_ADVICE}"


def _refuse_builtin_base(cls: type) -> None:
    try:
        object.__new__(cls)
    except TypeError:
        raise Unrecordable(
            f"the dataclass {path_of(cls)} inherits from a built-in type, "
            f"whose content would be lost; {_ADVICE}"
        ) from None


# -------------------------------------------------------------------------------------- enum


def _write_enum(value: Any, name: JsonValue, levels: int) -> JsonValue:
    if type(value).__members__.get(value.name) is not value:
        raise Unrecordable(f"{value!r:.80} is not a member that its class lists; {_ADVICE}")
    return {TAG: "enum", "c": name, "v": write(value.name, levels - 1)}


@reads("enum")
def _read_enum(node: dict[str, Any]) -> object:
    cls = resolve(node["c"], Enum, sort="enum")
    member = cls.__members__.get(read(node["v"]))
    if member is None:
        raise Unrecordable(f"{path_of(cls)} has no member {node['v']!r:.80} any more; restore it")
    return member


def _write_flag(value: Any, name: JsonValue, levels: int) -> JsonValue:
    return {TAG: "flag", "c": name, "v": write(value.value, levels - 1)}


@reads("flag")
def _read_flag(node: dict[str, Any]) -> object:
    return resolve(node["c"], Flag, sort="flag enum")(read(node["v"]))


# --------------------------------------------------------------------------------- dataclass


def _write_dataclass(value: Any, name: JsonValue, levels: int) -> JsonValue:
    fields: dict[str, object] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name, _MISSING)
        if item is not _MISSING:
            fields[field.name] = item
        elif field.init:
            raise Unrecordable(f"the field {field.name} of {path_of(type(value))} has no value")
    node: dict[str, JsonValue] = {
        TAG: "data",
        "c": name,
        "v": write_fields(fields, levels - 1, owner=value, attributes=True),
    }
    extra = _beyond_fields(value, fields)
    if extra:
        node["x"] = write_fields(extra, levels - 1, owner=value, attributes=True)
    return node


def _beyond_fields(value: object, fields: dict[str, object]) -> dict[str, object]:
    """Attributes that are no fields, but for those that come back by themselves."""
    own: dict[str, object] = getattr(value, "__dict__", {})
    if own.keys() <= fields.keys():
        return {}
    return {
        key: item
        for key, item in own.items()
        if key not in fields
        and key != "__orig_class__"
        and not isinstance(getattr(type(value), key, None), functools.cached_property)
    }


@reads("data")
def _read_dataclass(node: dict[str, Any]) -> object:
    cls = _dataclass_of(node["c"])
    recorded = read_fields(node["v"])
    value = object.__new__(cls)
    for field in dataclasses.fields(cls):
        item = recorded.pop(field.name, _MISSING)
        if item is _MISSING:
            item = _default(field)
        if item is not _MISSING:
            object.__setattr__(value, field.name, item)
        elif field.init:
            raise _new_field(cls, field.name)
    _refuse_lost(cls, recorded)
    for key, item in read_fields(node.get("x", {})).items():
        value.__dict__[key] = item
    return value


def _dataclass_of(recorded: object) -> Any:
    found = resolve(recorded, object, sort="dataclass")
    if not dataclasses.is_dataclass(found):
        raise Unrecordable(f"the log names {recorded!r:.120}, which is not a dataclass")
    return found


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _MISSING


def _new_field(cls: type, name: str) -> Unrecordable:
    return Unrecordable(
        f"{path_of(cls)} now has a field {name}, which was not recorded; give it a default"
    )


def _refuse_lost(cls: type, left: dict[str, Any]) -> None:
    if left:
        raise Unrecordable(
            f"{path_of(cls)} has no field {', '.join(map(repr, left))} any more, but a recorded "
            "value has; restore it, or keep the old class for old runs"
        )


# -------------------------------------------------------------------------------- named tuple


def _write_namedtuple(value: Any, name: JsonValue, levels: int) -> JsonValue:
    if getattr(value, "__dict__", None):
        raise Unrecordable(
            f"{path_of(type(value))} carries attributes beyond its fields; {_ADVICE}"
        )
    fields = dict(zip(value._fields, value, strict=True))
    written = write_fields(fields, levels - 1, owner=value, attributes=True)
    return {TAG: "namedtuple", "c": name, "v": written}


@reads("namedtuple")
def _read_namedtuple(node: dict[str, Any]) -> object:
    cls = resolve(node["c"], tuple, sort="named tuple")
    if not hasattr(cls, "_fields"):
        raise Unrecordable(f"the log names {node['c']!r:.120}, which is not a named tuple")
    recorded = read_fields(node["v"])
    items: list[Any] = []
    for name in cls._fields:
        if name not in recorded and name not in cls._field_defaults:
            raise _new_field(cls, name)
        items.append(recorded.pop(name) if name in recorded else cls._field_defaults[name])
    _refuse_lost(cls, recorded)
    return tuple.__new__(cls, items)


# ------------------------------------------------------------------------------ pydantic model


def _write_model(value: BaseModel, name: JsonValue, levels: int) -> JsonValue:
    cls = type(value)
    own = value.__dict__
    fields: dict[str, object] = {}
    for field in cls.model_fields:
        if field not in own:
            raise Unrecordable(f"the field {field} of {path_of(cls)} has no value")
        fields[field] = own[field]
    node: dict[str, JsonValue] = {
        TAG: "model",
        "c": name,
        "v": write_fields(fields, levels - 1, owner=value, attributes=True),
    }
    extra, private = value.__pydantic_extra__, value.__pydantic_private__
    if extra:
        node["x"] = write(extra, levels - 1)
    if private:
        node["p"] = write_fields(private, levels - 1, owner=value, attributes=True)
    given = value.__pydantic_fields_set__
    if given != fields.keys() | (extra or {}).keys():
        node["s"] = [write(name, levels - 2) for name in sorted(given)]
    return node


@reads("model")
def _read_model(node: dict[str, Any]) -> object:
    cls = resolve(node["c"], BaseModel, sort="pydantic model")
    recorded = read_fields(node["v"])
    extra: Any = read(node["x"]) if "x" in node else {}
    given = {*recorded, *extra} if "s" not in node else {str(read(name)) for name in node["s"]}
    fields: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        if name in recorded:
            fields[name] = recorded.pop(name)
            continue
        if field.is_required():
            raise _new_field(cls, name)
        fields[name] = field.get_default(call_default_factory=True, validated_data=fields)
    _refuse_lost(cls, recorded)
    value = cls.__new__(cls)
    put = object.__setattr__
    put(value, "__dict__", fields)
    put(value, "__pydantic_fields_set__", given)
    private = _private_of(cls, read_fields(node.get("p", {})))
    # Asked this way, RootModel need not be imported, which costs a tenth of the start.
    is_root = cls.__pydantic_root_model__
    if not is_root:  # which has no slot for it
        put(value, "__pydantic_extra__", _extra_of(cls, extra))
    if private is not None or not is_root:
        put(value, "__pydantic_private__", private)
    return value


def _extra_of(cls: type[BaseModel], extra: dict[str, Any]) -> dict[str, Any] | None:
    if cls.model_config.get("extra") == "allow":
        return extra
    _refuse_lost(cls, extra)
    return None


def _private_of(cls: type[BaseModel], recorded: dict[str, Any]) -> dict[str, Any] | None:
    attributes = cls.__private_attributes__
    _refuse_lost(cls, {name: item for name, item in recorded.items() if name not in attributes})
    if not attributes:
        return None
    for name, attribute in attributes.items():
        if name not in recorded:
            default = attribute.get_default()
            if default is not PydanticUndefined:
                recorded[name] = default
    return recorded


_by_base: tuple[tuple[type, ObjectWriter], ...] = (
    (Flag, _write_flag),
    (Enum, _write_enum),
    (BaseModel, _write_model),
)
