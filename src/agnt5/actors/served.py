"""Which code a run is executed with, and what is said when it is not here."""

from __future__ import annotations

from typing import Any

from agnt5.actors.ports import Definition
from agnt5.actors.surroundings import Surroundings
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.report import not_served_report
from agnt5.events.run.state import RunState


def definition_of(house: Surroundings[Any], state: RunState) -> Definition | None:
    """The code of a run; None when it is not here, or the run is not known."""
    queued = state.queued
    if queued is None:
        return None
    return house.definition(queued.kind, queued.component, queued.version_label)


def not_served(house: Surroundings[Any], run_id: str, queued: f.RunQueued) -> c.SuspendRun:
    """Have a run wait whose code is not here."""
    kind, name = queued.kind, queued.component
    known = house.known_components(kind, name)
    pinned = queued.version_label is not None and bool(house.definition(kind, name))
    report = not_served_report(run_id, queued, known, pinned=pinned)
    return c.SuspendRun("version" if pinned else "unknown_component", report, "")
