"""pydantic's ValidationError, which has no constructor: recorded and rebuilt by its own rules."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import JsonValue, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from agnt5._payloads.core import read_items, write

_KEPT = ("type", "loc", "msg", "input", "ctx")
_KNOWN_KINDS = frozenset(get_args(core_schema.ErrorType))
_SOURCES: tuple[Literal["python", "json"], ...] = ("python", "json")


def write_validation_error(exc: ValidationError, levels: int) -> JsonValue:
    """Title and error lines, from which the text can be made again."""
    errors: list[Any] = list(exc.errors(include_url=False))
    lines = [write({key: line[key] for key in _KEPT if key in line}, levels - 2) for line in errors]
    return {"title": write(exc.title, levels), "errors": lines}


def rebuild_validation_error(details: Any, message: str) -> ValidationError | None:
    """The same error, with the same text unless another pydantic words it differently."""
    try:
        title = str(details["title"])
        recorded = read_items(details["errors"])
        lines = [_line(line) for line in recorded]
    except Exception:  # noqa: BLE001 - damaged, or a class inside is gone
        return None
    rebuilt: ValidationError | None = None
    for source in _SOURCES:
        for hidden in (False, True):
            try:
                exc = ValidationError.from_exception_data(title, lines, source, hide_input=hidden)
                exc.args = ()
                if str(exc) == message:
                    return exc
                rebuilt = rebuilt or exc
            except Exception:  # noqa: BLE001, S112 - a kind or a context that pydantic refuses
                continue
    return rebuilt


def _line(line: dict[str, Any]) -> InitErrorDetails:
    """One error as pydantic takes it. A kind that it does not know came from a custom error."""
    kind, context = line["type"], line.get("ctx")
    if kind not in _KNOWN_KINDS:
        kind = PydanticCustomError(kind, line["msg"], context)
        context = None
    details = InitErrorDetails(type=kind, loc=line["loc"], input=line["input"])
    if context is not None:
        details["ctx"] = context
    return details
