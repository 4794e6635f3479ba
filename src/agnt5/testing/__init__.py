"""The proof kit: run workflows through every crash, on virtual time, and see what differs.

Needs the extra ``testing``: ``pip install 'agnt5-actors[testing]'``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agnt5.testing.crash import DisprovedError, Verdict, crash_everywhere
    from agnt5.testing.effects import Effect, Effects
    from agnt5.testing.options import Options
    from agnt5.testing.seen import Outcome
    from agnt5.testing.simulation import Simulation

# Imported when they are asked for: hypothesis is heavy, and each part serves without the others.
_WHERE = {
    "DisprovedError": "crash",
    "Effect": "effects",
    "Effects": "effects",
    "Options": "options",
    "Outcome": "seen",
    "Simulation": "simulation",
    "Verdict": "crash",
    "crash_everywhere": "crash",
}

__all__ = [
    "DisprovedError",
    "Effect",
    "Effects",
    "Options",
    "Outcome",
    "Simulation",
    "Verdict",
    "crash_everywhere",
]


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(_WHERE)
