"""Python values, and what may lie on the log for them: JSON. Pure: no IO, no clock.

What goes in comes out again with the same type: plain JSON as itself, everything else as a tagged
object (:mod:`agnt5._payloads.core` draws it). What could not come back unchanged is refused with a
:class:`~agnt5.exceptions.PayloadError` that says where it lies and what to return instead. No
pickle: a log can name classes, and only classes of the sorts listed here, but never a function.
"""

from __future__ import annotations

import hashlib

import orjson
from pydantic import JsonValue

from agnt5._payloads.classes import path_of
from agnt5._payloads.core import Unrecordable, read, too_deep, write
from agnt5._payloads.errors import (
    canonical,
    clean,
    read_error,
    text_of,
    traceback_of,
    write_error,
)
from agnt5._payloads.plain import plain
from agnt5.exceptions import PayloadError, PayloadTooLargeError

__all__ = [
    "check_size",
    "decode",
    "decode_error",
    "digest",
    "encode",
    "encode_error",
    "encoded_size",
    "faithful",
    "to_plain",
]

_DIGEST_LENGTH = 32
_KIB = 1024


def encode(value: object, *, where: str = "value") -> JsonValue:
    """What lies on the log for a value. Containers are copied.

    >>> encode({"total": 12, "lines": (1, 2)})
    {'total': 12, 'lines': {'$': 'tuple', 'v': [1, 2]}}

    Args:
        value: JSON, a value of the standard library (tuples, sets, bytes, dates, decimals, enums,
            paths ...), a dataclass, a pydantic model, an exception, and these within one another.
        where: What is being recorded, for the error message: ``result of step 'charge'``.

    Raises:
        PayloadError: The value would not come back as it is, or contains itself.
    """
    try:
        return write(value)
    except Unrecordable as failure:
        raise failure.as_error(where) from None
    except RecursionError:
        raise too_deep().as_error(where) from None
    except Exception as error:
        raise PayloadError(f"the value could not be read: {error!r:.200}", where=where) from error


def decode(value: JsonValue, *, where: str = "value") -> object:
    """The value that was encoded: equal, and of the same type.

    >>> decode({"$": "tuple", "v": [1, 2]})
    (1, 2)

    Raises:
        PayloadError: The log names a class that is gone, has lost a field, or is not of the sort
            expected; or the data is damaged.
    """
    try:
        return read(value)
    except Unrecordable as failure:
        raise failure.as_error(where) from None
    except RecursionError:
        raise too_deep().as_error(where) from None
    except Exception as error:
        raise PayloadError(f"the log holds damaged data: {error!r:.200}", where=where) from error


def encode_error(exc: BaseException, *, where: str = "error") -> dict[str, JsonValue]:
    """The record of an exception: its ``type``, ``message``, ``args`` and what else there is.

    Never fails. What cannot be recorded is left out and listed under ``lost``. ``opaque`` says
    that the exception as a whole cannot be rebuilt.

    >>> record = encode_error(KeyError("sku"))
    >>> record["type"], record["message"], record["args"]
    ('builtins:KeyError', "'sku'", ['sku'])
    """
    record = _record(exc, where)
    text = traceback_of(exc)
    if text:
        record["traceback"] = text
    return record


def _record(exc: BaseException, where: str) -> dict[str, JsonValue]:
    try:
        return write_error(exc)
    except Exception as error:  # noqa: BLE001 - a failure must never hide the failure it records
        return {
            "type": clean(path_of(type(exc))),
            "message": text_of(exc),
            "opaque": True,
            "lost": [f"{where}: {clean(repr(error)):.200}"],
        }


def decode_error(value: JsonValue, *, where: str = "error") -> BaseException:
    """The recorded exception: same class, text, args, attributes, notes and cause.

    If its class is gone or it cannot be rebuilt, a :class:`~agnt5.exceptions.RecordedError` with
    the same text stands in.

    >>> decode_error({"type": "builtins:KeyError", "message": "'sku'", "args": ["sku"]})
    KeyError('sku')

    Raises:
        PayloadError: This is not the record of an error, or it names something else than an
            exception.
    """
    try:
        return read_error(value)
    except Unrecordable as failure:
        raise failure.as_error(where) from None
    except RecursionError:
        raise too_deep().as_error(where) from None
    except Exception as error:
        raise PayloadError(f"the log holds damaged data: {error!r:.200}", where=where) from error


def faithful(exc: BaseException) -> BaseException:
    """What a replay will see in place of this exception, so that the live run can see the same.

    That is the exception itself if all of it can be recorded and rebuilt. If a part is lost, it is
    the exception without that part; if it cannot be rebuilt at all, a RecordedError. Both keep the
    traceback.

    >>> error = ValueError("no such order")
    >>> faithful(error) is error
    True
    """
    record = _record(exc, "error")
    rebuilt = decode_error(record)
    if type(rebuilt) is type(exc) and canonical(_record(rebuilt, "error")) == canonical(record):
        return exc
    return rebuilt.with_traceback(exc.__traceback__)


def encoded_size(value: JsonValue, *, where: str = "value") -> int:
    """Bytes that an encoded value takes on the log.

    >>> encoded_size({"total": 12})
    12

    Raises:
        PayloadError: This is not JSON.
    """
    return len(_dumps(value, where))


def check_size(value: JsonValue, limit: int, where: str = "value") -> int:
    """Refuse an encoded value that takes more than ``limit`` bytes; returns how many it takes.

    >>> check_size([1, 2], limit=1024)
    5

    Raises:
        PayloadTooLargeError: It does; the message has both figures.
    """
    size = len(_dumps(value, where))
    if size > limit:
        raise PayloadTooLargeError(
            f"the encoded value takes {_human(size)}, the limit is {_human(limit)}; "
            "keep the data elsewhere and record a reference to it",
            where=where,
        )
    return size


def digest(value: JsonValue) -> str:
    """A short stable name for encoded content; the order of keys does not matter.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True

    Raises:
        PayloadError: This is not JSON.
    """
    data = _dumps(value, "value", option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]


def to_plain(value: object) -> JsonValue:
    """Plain JSON for people and for HTTP. Loses types, never fails.

    >>> from datetime import timedelta
    >>> to_plain({"wait": timedelta(minutes=2), "tags": {"b", "a"}})
    {'wait': 120.0, 'tags': ['a', 'b']}
    """
    try:
        return plain(value)
    except Exception as error:  # noqa: BLE001 - user objects may raise anything
        return f"<{type(value).__name__}: {clean(repr(error)):.200}>"


def _dumps(value: JsonValue, where: str, option: int = 0) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        raise PayloadError(
            f"the value is not JSON: {error}; encode it first", where=where
        ) from None


def _human(size: int) -> str:
    """A size for people.

    >>> _human(900), _human(2048), _human(3 * 1024 * 1024)
    ('900 bytes', '2.0 KiB', '3.0 MiB')
    """
    if size < _KIB:
        return f"{size} bytes"
    if size < _KIB * _KIB:
        return f"{size / _KIB:.1f} KiB"
    return f"{size / _KIB / _KIB:.1f} MiB"
