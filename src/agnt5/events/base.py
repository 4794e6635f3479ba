"""What every fact has in common: frozen, strict, named."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Fact(BaseModel):
    """Something that happened. Immutable; its class name is past tense.

    ``topic`` names the kind on the log, for ever. ``schema_version`` counts the shapes the kind
    has had; an older shape is brought up to date by :mod:`agnt5.events.upcast` before it is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1
