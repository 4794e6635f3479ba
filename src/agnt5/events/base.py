"""What every fact has in common: frozen, strict, named."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema, core_schema


class _Checked:
    """Marks what is JSON for certain where it comes from Python, and is checked off a log only."""

    @staticmethod
    def __get_pydantic_core_schema__(source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(handler(source), core_schema.any_schema())


Encoded = Annotated[JsonValue, _Checked]
"""What :func:`agnt5.payloads.encode` has made, or what was read off a log.

It is kept as it is: pydantic would walk through it once more, with a call of a Python function for
each value in it, and copy it. Half a millisecond for ten thousand bytes.
"""


class Fact(BaseModel):
    """Something that happened. Immutable; its class name is past tense.

    ``topic`` names the kind on the log, for ever. ``schema_version`` counts the shapes the kind
    has had; an older shape is brought up to date by :mod:`agnt5.events.upcast` before it is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1
