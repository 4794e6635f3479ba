"""A recorded run, played again on code of today: what the replay checks and what-if rest on."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import cast

from agnt5.actors.ports import Definition
from agnt5.actors.rehearsal import Rehearsed, rehearse
from agnt5.events.projections import status_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.comparison import asked_of, compare_end
from agnt5.events.run.state import Phase, RunState, fold
from agnt5.exceptions import RunTimeoutError
from agnt5.payloads import decode_error
from agnt5.replay_reports import NextCall, ReplayReport, Verdict


async def replay_facts(
    run_id: str,
    facts: Sequence[tuple[f.RunFact, int]],
    definition: Definition,
    *,
    context: Context,
    stall_limit_s: float,
    patience_s: float,
) -> ReplayReport:
    """Run a body over a history, without effects, and say what differs. The loop must number tasks.

    Args:
        run_id: The run.
        facts: Its history, each fact with its time.
        definition: The code.
        context: Of the house, in which the body runs.
        stall_limit_s: Seconds after which a body that does not move has diverged.
        patience_s: Seconds for all of it.
    """
    state = fold(run_id, facts)
    cut = facts[:-1] if state.is_finished else facts
    over = _ended_by_its_body(facts, run_id)
    if state.is_finished and state.started_at is None:
        # It ended before a body began, which never will: any code will do.
        found = Rehearsed(passed=len(cut))
    else:
        found = await rehearse(
            run_id,
            cut,
            definition,
            context=context,
            wants_end=over,
            stall_limit_s=stall_limit_s,
            patience_s=patience_s,
        )
    if found.crashed is not None:
        raise found.crashed
    end = facts[-1][0] if over else None
    if end is not None and found.end is not None:
        found.differences += compare_end(cast("f.Terminal", end), found.end)
    return _report(state, found, definition.where, was_over=over)


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


def _report(state: RunState, found: Rehearsed, where: str, *, was_over: bool) -> ReplayReport:
    verdict, reason = Verdict.COMPATIBLE, ""
    if found.unreadable is not None:
        verdict, reason = Verdict.NEEDS_FORK, found.unreadable
    elif found.divergence is not None:
        verdict, reason = Verdict.NEEDS_PATCHED, f"the code {found.divergence.how}"
    elif found.stuck:
        verdict, reason = Verdict.UNDECIDED, "the body waits for something that is no durable call"
    passed = found.passed
    if passed == state.version - 1 and was_over and found.end is not None:
        passed += 1
    return ReplayReport(
        run_id=state.run_id,
        component=state.queued.component if state.queued else "",
        where=where,
        status=status_of(state),
        events=state.version,
        reproduced=passed if verdict is not Verdict.COMPATIBLE or was_over else state.version,
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
