"""Names of classes, and how to find a class again without running anything the log names.

A class is recorded as ``module:qualname``; a parametrised pydantic model as
``[path of the generic, [parameters]]``. Looking up reads namespaces only: no ``getattr``, so no
property and no module-level ``__getattr__`` of user code runs.
"""

from __future__ import annotations

import functools
import importlib
import operator
import sys
import types
import typing
from typing import Any

from pydantic import BaseModel, JsonValue

from agnt5._payloads.core import Unrecordable

_UNION = "|"


def path_of(cls: type) -> str:
    """The name under which a class is recorded.

    >>> from http import HTTPStatus
    >>> path_of(HTTPStatus)
    'http:HTTPStatus'
    """
    return f"{cls.__module__}:{cls.__qualname__}"


def find(path: object, *, load: bool = True) -> object:
    """Whatever is defined at ``module:qualname``, or None. ``load``: import if need be."""
    if type(path) is not str:
        return None
    module_name, _, qualname = path.partition(":")
    found: object = sys.modules.get(module_name)
    if found is None and load and not module_name.endswith("__main__"):
        try:
            found = importlib.import_module(module_name)
        except (Exception, SystemExit):  # noqa: BLE001 - whatever stops an import, the class is not there
            return None
    for part in qualname.split("."):
        if not isinstance(
            found, types.ModuleType if part is qualname else (type, types.ModuleType)
        ):
            return None
        found = vars(found).get(part)
    return found


def reference(cls: type) -> JsonValue:
    """What to record for a class. Raises Unrecordable if it could not be found again."""
    generic = getattr(cls, "__pydantic_generic_metadata__", None) or {}
    if generic.get("origin") is not None:
        parameters: list[JsonValue] = [_reference_parameter(p) for p in generic["args"]]
        return [reference(generic["origin"]), parameters]
    path = path_of(cls)
    if "<locals>" in path:
        raise Unrecordable(
            f"the class {cls.__qualname__} is defined inside a function, so that a later process "
            "could not find it; move it to module level"
        )
    if find(path, load=False) is not cls:
        raise Unrecordable(
            f"the class {path} cannot be imported by that name, so that a later process could not "
            "find it; define it at module level under its own name"
        )
    return path


def _reference_parameter(parameter: Any) -> JsonValue:
    origin = typing.get_origin(parameter)
    if origin is types.UnionType or origin is typing.Union:  # pyright: ignore[reportDeprecated]
        return [_UNION, [_reference_parameter(p) for p in typing.get_args(parameter)]]
    if isinstance(origin, type):
        return [reference(origin), [_reference_parameter(p) for p in typing.get_args(parameter)]]
    if parameter is None or parameter is type(None):
        return None
    if isinstance(parameter, type):
        return reference(parameter)
    raise Unrecordable(
        f"the type parameter {parameter!r:.80} of a generic model cannot be recorded; "
        "give the parametrised model a name: class Named(Generic[...]): ..."
    )


def resolve(recorded: object, base: type, *, sort: str) -> Any:
    """The class for what :func:`reference` recorded, if it is one of the expected sort."""
    if type(recorded) is list:
        origin, parameters = recorded
        generic = resolve(origin, BaseModel, sort="pydantic model")
        return generic[tuple(_resolve_parameter(p) for p in parameters)]
    found = find(recorded)
    if found is None:
        raise Unrecordable(
            f"the class {recorded!r:.120} was recorded, but is not there any more; "
            "restore it, or leave an alias at its old place"
        )
    if not isinstance(found, type) or not issubclass(found, base):
        raise Unrecordable(f"the log names {recorded!r:.120}, which is not a {sort}")
    return found


def _resolve_parameter(recorded: Any) -> Any:
    if recorded is None:
        return None
    if type(recorded) is not list:
        return resolve(recorded, object, sort="class")
    origin, parameters = recorded
    resolved = [_resolve_parameter(p) for p in parameters]
    if origin == _UNION:
        return functools.reduce(operator.or_, resolved)
    generic = resolve(origin, object, sort="class")
    if issubclass(generic, BaseModel):
        return generic[tuple(resolved)]
    return types.GenericAlias(generic, tuple(resolved))
