"""What an entity may be asked to record."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(slots=True)
class CompleteCall:
    """A method has returned."""

    method: str
    call_id: str | None = None
    caller: str | None = None
    output: JsonValue = None
    changes: dict[str, JsonValue] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)


@dataclass(slots=True)
class FailCall:
    """A method has raised."""

    method: str
    call_id: str | None = None
    caller: str | None = None
    error: JsonValue = None


EntityCommand = CompleteCall | FailCall
