"""Replay checks: does this code ask again for what was recorded of a run?

The body runs from its top, recorded results are handed out as the engine hands them out, and
nothing is executed or recorded. It stops at the first call that the history does not hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context

from agnt5.actors.branch import chain_task_factory
from agnt5.events.projections import status_of
from agnt5.exceptions import ConfigurationError, InvalidInputError
from agnt5.function_context import enter_runtime
from agnt5.histories import MAX_BYTES, History, Place
from agnt5.history_forms import read_form
from agnt5.registry import Component
from agnt5.replay_reports import ReplayReport, Verdict
from agnt5.replaying import replay_facts

__all__ = ["ReplayReport", "Verdict", "component_of", "replay", "replay_async"]

STALL_LIMIT_S = 2.0
PATIENCE_S = 30.0


def replay(
    history: History | Place,
    workflow: object,
    *,
    stall_limit: float = STALL_LIMIT_S,
    patience: float = PATIENCE_S,
) -> ReplayReport:
    """Run a workflow's body again over a recorded history, without effects, and say what differs.

    For code without an event loop; with one, await :func:`replay_async`.

    Args:
        history: From :meth:`agnt5.Client.history`, or a file with the history of one run.
        workflow: The code: what ``@workflow`` or ``@function`` made, or a ``Workflow`` class. Its
            name need not be that of the run.
        stall_limit: Seconds after which a body that waits, and does not ask for what is recorded,
            has diverged. Only bodies with several branches are waited for; 2 by default.
        patience: Seconds for all of it; 30 by default.

    Returns:
        The report. Its ``verdict`` says whether a run with this history can go on with this code,
        ``is_exact`` whether the code did just the same again.

    Raises:
        InvalidInputError: When the history cannot be read, or holds not one run.
        ConfigurationError: When ``workflow`` is no component.
        RuntimeError: When it is called where an event loop runs.

    >>> from agnt5 import Client, workflow
    >>> @workflow
    ... async def greet(ctx, name: str) -> str:
    ...     return await ctx.step("greet", lambda: f"Hello, {name}")
    >>> with Client(store="memory://") as client:
    ...     run = client.run("greet", {"name": "Ada"}, "workflow")
    ...     history = client.history(run.run_id)
    >>> replay(history, greet).is_exact
    True
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        again = replay_async(history, workflow, stall_limit=stall_limit, patience=patience)
        return asyncio.run(again)
    raise RuntimeError("replay() was called in an event loop: await replay_async() there")


async def replay_async(
    history: History | Place,
    workflow: object,
    *,
    stall_limit: float = STALL_LIMIT_S,
    patience: float = PATIENCE_S,
) -> ReplayReport:
    """The same as :func:`replay`, in the running event loop."""
    if not isinstance(history, History):
        history = _only_one(await asyncio.to_thread(read_form, history, None, MAX_BYTES))
    definition = component_of(workflow).definition()
    context = copy_context()
    context.run(enter_runtime)
    undo = chain_task_factory(asyncio.get_running_loop())
    try:
        return await replay_facts(
            history.run_id,
            history.facts,
            definition,
            context=context,
            stall_limit_s=stall_limit,
            patience_s=patience,
        )
    finally:
        undo()


def component_of(workflow: object) -> Component:
    """The component that somebody means.

    Raises:
        ConfigurationError: When it is none.
    """
    found = getattr(workflow, "agnt5_component", workflow)
    if not isinstance(found, Component):
        msg = (
            f"{workflow!r} is no workflow: give what @workflow or @function has made, or a class"
            " that derives from agnt5.Workflow"
        )
        raise ConfigurationError(msg)
    return found


def _only_one(histories: Sequence[History]) -> History:
    if len(histories) != 1:
        msg = f"the file holds {len(histories)} runs, not one: use replay_corpus for several"
        raise InvalidInputError(msg)
    return histories[0]


def missing(history: History, problem: str) -> ReplayReport:
    """The report on a history of which the code is not there at all."""
    return ReplayReport(
        run_id=history.run_id,
        component=history.queued.component,
        where="nowhere",
        status=status_of(history.state()),
        events=len(history.events),
        reproduced=0,
        verdict=Verdict.NEEDS_FORK,
        reason=problem,
    )
