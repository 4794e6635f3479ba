"""Replay checks: does this code ask again for what was recorded of a run?

The body runs from its top, recorded results are handed out as the engine hands them out, and
nothing is executed or recorded. It stops at the first call that the history does not hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from typing import cast

from agnt5.actors.branch import chain_task_factory
from agnt5.actors.rehearsal import Rehearsed, rehearse
from agnt5.events.projections import status_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.comparison import asked_of, compare_end
from agnt5.events.run.state import Phase, RunState, fold
from agnt5.exceptions import ConfigurationError, InvalidInputError, RunTimeoutError
from agnt5.function_context import enter_runtime
from agnt5.histories import History, Place, read_histories
from agnt5.payloads import decode_error
from agnt5.registry import Component
from agnt5.testing.replay_report import NextCall, ReplayReport, Verdict

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
        history = _only_one(await asyncio.to_thread(read_histories, history))
    definition = component_of(workflow).definition()
    facts = history.facts
    state = fold(history.run_id, facts)
    cut = facts[:-1] if state.is_finished else facts
    over = _ended_by_its_body(facts, history.run_id)
    context = copy_context()
    context.run(enter_runtime)
    undo = chain_task_factory(asyncio.get_running_loop())
    try:
        if state.is_finished and state.started_at is None:
            # It ended before a body began, which never will: any code will do.
            found = Rehearsed(passed=len(cut))
        else:
            found = await rehearse(
                history.run_id,
                cut,
                definition,
                context=context,
                wants_end=over,
                stall_limit_s=stall_limit,
                patience_s=patience,
            )
    finally:
        undo()
    if found.crashed is not None:
        raise found.crashed
    end = facts[-1][0] if over else None
    if end is not None and found.end is not None:
        found.differences += compare_end(cast("f.Terminal", end), found.end)
    return _report(history, state, found, definition.where, was_over=over)


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


def _ended_by_its_body(facts: Sequence[tuple[f.RunFact, int]], run_id: str) -> bool:
    """Whether the run has ended, and not by its timeout, a trigger's error, or while suspended."""
    end = facts[-1][0] if facts else None
    if not isinstance(end, f.Terminal):
        return False
    before = fold(run_id, facts[:-1])
    if before.phase is not Phase.RUNNING:
        return False
    if isinstance(end, f.RunFailed) and before.timeout_us is not None:
        return not isinstance(decode_error(end.error), RunTimeoutError)
    return True


def _report(
    history: History, state: RunState, found: Rehearsed, where: str, *, was_over: bool
) -> ReplayReport:
    verdict, reason = Verdict.COMPATIBLE, ""
    if found.unreadable is not None:
        verdict, reason = Verdict.NEEDS_FORK, found.unreadable
    elif found.divergence is not None:
        verdict, reason = Verdict.NEEDS_PATCHED, f"the code {found.divergence.how}"
    elif found.stuck:
        verdict, reason = Verdict.UNDECIDED, "the body waits for something that is no durable call"
    passed = found.passed
    if passed == len(history.events) - 1 and was_over and found.end is not None:
        passed += 1
    return ReplayReport(
        run_id=history.run_id,
        component=history.queued.component,
        where=where,
        status=status_of(state),
        events=len(history.events),
        reproduced=passed if verdict is not Verdict.COMPATIBLE or was_over else len(history.events),
        verdict=verdict,
        reason=reason,
        divergence=found.divergence,
        differences=tuple(found.differences),
        next_calls=tuple(_calls(found.beyond)),
        not_entered=found.not_entered,
        was_over=was_over,
    )


def _calls(commands: Sequence[c.RunCommand]) -> list[NextCall]:
    found: list[NextCall] = []
    for command in commands:
        match command:
            case c.AddNote():
                found.append(NextCall(command.note.key, "note"))
            case c.AbandonOperation():
                found.append(NextCall(command.key, "no longer waits for"))
            case c.AnswerUpdate():
                found.append(NextCall(command.update_id, "answer to update"))
            case _:
                key, line = getattr(command, "key", ""), getattr(command, "line", None)
                found.append(NextCall(key, str(asked_of(command).get("kind")), line))
    return found


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
