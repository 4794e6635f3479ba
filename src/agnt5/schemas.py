"""JSON schemas of what functions take, from annotations and the ``Args`` of a docstring.

They are for discovery and for models, which are told by them how to call a tool. Deriving one never
fails: what has no schema is described in words.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from typing import Any, get_args, get_origin

from agnt5.payloads import to_plain
from agnt5.signatures import Signature
from agnt5.types import Json

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}
_SEQUENCES = (list, tuple, set, frozenset)
_SECTION = re.compile(r"^(?:args|arguments|parameters|params):\s*$", re.IGNORECASE)
_HEADING = re.compile(r"^[A-Z][A-Za-z ]+:\s*$")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def input_schema(signature: Signature, doc: str | None) -> dict[str, Json]:
    """The schema of the parameters, the context left out.

    >>> def search(query: str, limit: int = 5) -> list: ...
    >>> input_schema(Signature(search, type), None)["required"]
    ['query']
    """
    about = parameters_in(doc)
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        schema = schema_of(signature.hints.get(name, parameter.empty))
        if name in about:
            schema["description"] = about[name]
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is not None:
            schema["default"] = to_plain(parameter.default)
        properties[name] = schema
    found: dict[str, Json] = {"type": "object", "properties": properties, "required": required}
    if first := summary_of(doc):
        found["description"] = first
    return found


def schema_of(hint: Any) -> dict[str, Json]:
    """The schema of one annotation.

    >>> schema_of(list[int])
    {'type': 'array', 'items': {'type': 'integer'}}
    """
    if hint is inspect.Parameter.empty:
        return {"type": "object"}
    if hint is Any:
        return {}
    # An annotation may have metadata that cannot be hashed: a key of a dict it is only when a type.
    if isinstance(hint, type) and hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is typing.Annotated:
        return schema_of(args[0])
    if origin is types.UnionType or getattr(origin, "__name__", "") == "Union":
        return _union(args)
    if origin in _SEQUENCES:
        items = [arg for arg in args if arg is not Ellipsis]
        return {"type": "array", "items": schema_of(items[0]) if len(items) == 1 else {}}
    if origin is dict:
        return {"type": "object"}
    return _described(hint)


def _union(args: tuple[Any, ...]) -> dict[str, Json]:
    others = [schema_of(arg) for arg in args if arg is not types.NoneType]
    return others[0] if len(others) == 1 else {"anyOf": list[Json](others)}


def _described(hint: Any) -> dict[str, Json]:
    """What pydantic says of models, dataclasses, enums, dates; else a text with a note."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - heavy, and not needed for plain types

    try:
        found: dict[str, Json] = TypeAdapter(hint).json_schema()
    except Exception:  # noqa: BLE001 - an annotation may be anything at all
        name = getattr(hint, "__name__", None) or str(hint)
        return {"type": "string", "description": f"a {name}"}
    return found


def summary_of(doc: str | None) -> str:
    """The first line of a docstring."""
    return inspect.cleandoc(doc or "").partition("\n")[0].strip()


def parameters_in(doc: str | None) -> dict[str, str]:
    r"""What the ``Args`` section of a docstring says of each parameter.

    >>> parameters_in("Send it.\n\nArgs:\n    to: The person\n        who gets it.")
    {'to': 'The person who gets it.'}
    """
    found: dict[str, str] = {}
    inside, margin, name = False, None, ""
    for line in inspect.cleandoc(doc or "").splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if _SECTION.match(text):
            inside, margin, name = True, None, ""
        elif inside and indent == 0 and _HEADING.match(text):
            inside = False
        elif inside and text:
            margin = indent if margin is None else margin
            entry = _ENTRY.match(text) if indent <= margin else None
            if indent == 0 and entry is None:
                inside = False
            elif entry is not None:
                name = entry[1]
                found[name] = entry[2].strip()
            elif name:
                found[name] = f"{found[name]} {text}".strip()
    return found
