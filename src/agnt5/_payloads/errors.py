"""Exceptions, out and back.

An exception is recorded as an object for people and machines alike::

    {"type": "builtins:KeyError", "message": "'sku'", "args": ["sku"]}

and, where there is such a thing, with ``attrs``, ``notes``, ``cause``, ``suppress`` (raised ``from
None``), ``details`` (pydantic), ``traceback``, ``lost`` (what could not be recorded) and ``opaque``
(it cannot be rebuilt: a RecordedError stands in).
"""

from __future__ import annotations

import functools
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import orjson
from pydantic import JsonValue, ValidationError

from agnt5._payloads.classes import find, path_of
from agnt5._payloads.core import (
    MAX_LEVELS,
    TAG,
    Unrecordable,
    read_fields,
    read_items,
    reads,
    too_deep,
    write,
)
from agnt5._payloads.validation import rebuild_validation_error, write_validation_error
from agnt5.exceptions import RecordedError

_LEVELS_PER_ERROR = MAX_LEVELS // 6 - 1
"""What one exception takes from the levels left: an error and five causes fit, cycles end soon."""

_FRAMES, _TRACEBACK_BYTES = 20, 8 * 1024
_HEAP_TYPE = 1 << 9
_MISSING = object()

_not_importable: WeakValueDictionary[str, type] = WeakValueDictionary()
"""Exception classes made inside functions; they can be rebuilt for as long as they live."""


def text_of(exc: BaseException) -> str:
    """``str(exc)`` as UTF-8 can hold it, or a few words if it raises."""
    try:
        text = str(exc)
    except Exception as error:  # noqa: BLE001 - user code may raise anything
        text = f"<{type(exc).__name__}, whose __str__ raised {type(error).__name__}>"
    return clean(text)


def clean(text: str) -> str:
    """The text without what UTF-8 cannot hold."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


# ----------------------------------------------------------------------------------------- out


def write_error(exc: BaseException, levels: int = MAX_LEVELS) -> dict[str, JsonValue]:
    """The record of an exception. Whatever cannot be recorded is left out and listed."""
    inner = levels - _LEVELS_PER_ERROR
    if inner <= 0:
        raise too_deep()
    cls = type(exc)
    path = clean(path_of(cls))
    if find(path, load=False) is None:
        _not_importable[path] = cls
    node: dict[str, JsonValue] = {"type": path, "message": text_of(exc)}
    lost = _write_content(exc, node, inner)
    if lost:
        node["lost"] = lost
    if not _comes_back(exc, node, inner):
        node["opaque"] = True
    return node


def _write_content(exc: BaseException, node: dict[str, JsonValue], levels: int) -> list[JsonValue]:
    """Fill in the record part by part; return the names of the parts that cannot be recorded."""
    lost: list[JsonValue] = []

    def keep(into: dict[str, JsonValue], name: str, make: Callable[[], JsonValue]) -> None:
        try:
            into[name] = make()
        except Exception:  # noqa: BLE001 - best effort: user objects may raise anything
            lost.append(name)

    if isinstance(exc, ValidationError):
        node["args"] = []
        keep(node, "details", lambda: write_validation_error(exc, levels))
    else:
        keep(node, "args", lambda: [write(arg, levels) for arg in exc.args])
    attrs: dict[str, JsonValue] = {}
    for name, item in _attributes(exc):
        keep(attrs, name, functools.partial(write, item, levels))
    if attrs:
        node["attrs"] = attrs
    notes = getattr(exc, "__notes__", None)
    if notes:
        keep(node, "notes", lambda: [write(note, levels) for note in notes])
    cause = exc.__cause__
    if cause is not None:
        keep(node, "cause", functools.partial(_write_cause, cause, levels))
    elif exc.__suppress_context__:
        node["suppress"] = True
    return lost


def _write_cause(cause: BaseException, levels: int) -> JsonValue:
    return dict(write_error(cause, levels))


def _attributes(exc: BaseException) -> Iterator[tuple[str, object]]:
    """What an exception holds beyond its args: its ``__dict__``, and slots that args do not set."""
    for name, item in vars(exc).items():
        if name != "__notes__" and type(name) is str and clean(name) == name:
            yield name, item
    slots = _slots(type(exc))
    if not slots:
        return
    try:
        bare: object = _bare(type(exc), exc.args)
    except Exception:  # noqa: BLE001 - then every slot is worth recording
        bare = None
    for name in slots:
        item, default = _peek(exc, name), _peek(bare, name)
        if item is _MISSING or item is default:
            continue
        if type(item) is not type(default) or item != default:
            yield name, item


def _peek(owner: object, name: str) -> object:
    try:
        return getattr(owner, name, _MISSING)
    except Exception:  # noqa: BLE001 - the unset slots of some built-in errors raise
        return _MISSING


def _slots(cls: type) -> list[str]:
    """Attributes outside ``__dict__``, but for those that only args can set or nobody can keep."""
    return [
        name
        for base in cls.__mro__
        if base not in {object, BaseException, BaseExceptionGroup, AttributeError, ValidationError}
        for name, slot in vars(base).items()
        if isinstance(slot, types.MemberDescriptorType | types.GetSetDescriptorType)
        and not name.startswith("__")
    ] + (["name"] if issubclass(cls, AttributeError) else [])


def _comes_back(exc: BaseException, node: dict[str, JsonValue], levels: int) -> bool:
    try:
        rebuilt = read_error(node)
        again: list[JsonValue] = [write(arg, levels) for arg in rebuilt.args]
        return (
            type(rebuilt) is type(exc)
            and text_of(rebuilt) == node["message"]
            and canonical(again) == canonical(node["args"])
        )
    except Exception:  # noqa: BLE001 - it does not, whatever the reason
        return False


def canonical(value: JsonValue) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def write_error_value(exc: BaseException, _name: JsonValue, levels: int) -> JsonValue:
    """An exception as a value inside a payload."""
    return {TAG: "exc", "v": write_error(exc, levels - 1)}


def traceback_of(exc: BaseException) -> str:
    """The end of the formatted traceback: the last frames, in a few KiB."""
    try:
        lines = traceback.format_exception(type(exc), exc, exc.__traceback__, limit=-_FRAMES)
    except Exception:  # noqa: BLE001 - formatting calls user code
        return ""
    data = clean("".join(lines)).encode()
    if len(data) <= _TRACEBACK_BYTES:
        return data.decode()
    return "…" + data[-(_TRACEBACK_BYTES - 8) :].decode("utf-8", "ignore")


# ---------------------------------------------------------------------------------------- back


def read_error(node: Any) -> BaseException:
    """The exception for a record, or the RecordedError that stands in for it."""
    if type(node) is not dict or type(node.get("type")) is not str:
        raise Unrecordable("the log holds damaged data: the record of an error was expected")
    message = node.get("message")
    if type(message) is not str:
        raise Unrecordable("the log holds damaged data: an error without its message")
    exc = None if node.get("opaque") else _rebuild(node, message)
    if exc is None:
        exc = RecordedError(message, node["type"])
    if "notes" in node:
        exc.__notes__ = read_items(node["notes"])
    if "cause" in node:
        exc.__cause__ = read_error(node["cause"])
    elif node.get("suppress"):
        exc.__suppress_context__ = True
    return exc


@reads("exc")
def _read_error_value(node: dict[str, Any]) -> object:
    return read_error(node["v"])


def _class_of(path: str) -> type[BaseException] | None:
    found = find(path)
    if found is None:
        found = _not_importable.get(path)
    if found is None:
        return None
    if not isinstance(found, type) or not issubclass(found, BaseException):
        raise Unrecordable(f"the log names {path!r:.120}, which is not an exception")
    return found


def _rebuild(node: dict[str, Any], message: str) -> BaseException | None:
    """Try the ways to make the exception again, until one has its class and its text.

    The class alone is enough if need be: what was written as rebuildable had its text then, and
    `except` branches matter more than a wording that new code or another hash seed changes.
    """
    cls = _class_of(node["type"])
    if cls is None:
        return None
    if issubclass(cls, ValidationError):
        return rebuild_validation_error(node.get("details"), message)
    try:
        args = tuple(read_items(node["args"]))
        attrs = read_fields(node.get("attrs", {}))
    except Exception:  # noqa: BLE001 - a class inside that is gone: the stand-in takes over
        return None
    of_its_class: BaseException | None = None
    for make in (_bare, _called):
        try:
            exc = _with_content(make(cls, args), args, attrs)
        except Exception:  # noqa: BLE001, S112 - user code may raise anything
            continue
        if type(exc) is cls:
            if text_of(exc) == message:
                return exc
            of_its_class = of_its_class or exc
    return of_its_class


def _with_content(
    exc: BaseException, args: tuple[Any, ...], attrs: dict[str, Any]
) -> BaseException:
    exc.args = args
    slots = _slots(type(exc))
    for name, item in attrs.items():
        if name in slots:
            object.__setattr__(exc, name, item)
        else:
            vars(exc)[name] = item
    return exc


def _bare(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """A new exception without any code of the user having run."""
    native: Any = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    bare: BaseException = native.__new__(cls, *args)
    return bare


def _called(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    return cls(*args)
