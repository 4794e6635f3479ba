"""Small shared types. Imports nothing of agnt5 but its errors."""

from __future__ import annotations

from enum import StrEnum

from pydantic import JsonValue

Json = JsonValue
"""What may lie on the log: JSON."""


class ComponentKind(StrEnum):
    """What kind of thing a run executes."""

    FUNCTION = "function"
    WORKFLOW = "workflow"
