"""What of a delivery goes into which parameter of a workflow. Pure."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, get_args, get_origin

from agnt5.signatures import Signature
from agnt5.triggers import Delivery

WHOLE = frozenset({"event", "webhook_data", "payload"})
"""Parameters that are given the whole envelope, if they want a dict."""

_KEYWORD = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
_MISSING: Any = object()
_UNIONS = {types.UnionType, typing.Union}  # pyright: ignore[reportDeprecated] - users write it


def bind(signature: Signature, delivery: Delivery) -> dict[str, object]:
    """The arguments that a delivery gives; what it does not have is left out.

    In this order: a parameter named ``event``, ``webhook_data`` or ``payload`` that is annotated as
    a dict, or a lone parameter that is, gets the envelope. Any other one is looked up by its name
    in the payload, then in its ``data``, then in that one's ``object``, then in the envelope.
    ``**fields`` takes what is left of the payload.
    """
    wanted = [p for p in signature.parameters.values() if p.kind in _KEYWORD]
    lone = len(signature.parameters) == 1
    bound: dict[str, object] = {}
    for parameter in wanted:
        name, hint = parameter.name, signature.hint(parameter.name)
        value: object
        if _is_dict(hint) and (lone or name in WHOLE):
            value = delivery.envelope
        elif name == "body" and delivery.text is not None and hint is not str:
            value = _field(delivery, name, delivery.payload)
        else:
            value = _field(delivery, name, delivery.envelope.get(name, _MISSING))
            if value is _MISSING and hint is None and name in WHOLE:
                value = delivery.envelope
        if value is not _MISSING:
            bound[name] = value
    if signature.takes_any_keyword and isinstance(delivery.payload, dict):
        taken = {*signature.parameters}
        bound |= {name: value for name, value in delivery.payload.items() if name not in taken}
    return bound


def _field(delivery: Delivery, name: str, otherwise: object) -> object:
    for place in _places(delivery.payload):
        if name in place:
            return place[name]
    return otherwise


def _places(payload: object) -> Iterator[dict[Any, Any]]:
    place = payload
    for inner in ("data", "object", None):
        if not isinstance(place, dict):
            return
        yield place
        place = place.get(inner) if inner else None


def _is_dict(hint: object) -> bool:
    """Whether an annotation says dict or mapping, or that or None."""
    if get_origin(hint) in _UNIONS:
        parts = [part for part in get_args(hint) if part is not type(None)]
        return bool(parts) and all(map(_is_dict, parts))
    return (get_origin(hint) or hint) in {dict, Mapping, MutableMapping}
