"""A body that is run again over a history, to see what it asks for: without a log, without effects.

It is the engine's own replay with another end. Nothing that the body asks for is executed or
recorded: what the history holds is handed out, and what it does not hold is the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field

from pydantic import JsonValue

from agnt5.actors.branch import StepFuture
from agnt5.actors.ports import AttemptInfo, Definition, FunctionWork, Work
from agnt5.actors.replay import Replay
from agnt5.actors.script import Script
from agnt5.events.keys import SCOPE, enclosing_keys
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.comparison import Difference, compare_call, compare_note
from agnt5.events.run.decider import decide
from agnt5.events.run.report import Divergence
from agnt5.events.run.state import OpKind, RunState, evolve, fold
from agnt5.events.run.walk import Walk
from agnt5.exceptions import InvalidInputError, PayloadError
from agnt5.payloads import check_size, decode, encode

_QUIET_TURNS = 12
"""More than it takes a body to come to rest, see :mod:`agnt5.actors.rest`."""
_PAYLOAD_LIMIT = 64 * 1024 * 1024
"""Nothing is recorded: only what could never be is refused."""

End = c.CompleteRun | c.ContinueRun | c.FailRun | c.CancelRun


@dataclass(slots=True)
class Rehearsed:
    """What came of it."""

    passed: int = 0
    """The version of the history up to which the body did the same again."""
    divergence: Divergence | None = None
    unreadable: str | None = None
    """Why the recorded input, or a recorded value, cannot be given to the code."""
    crashed: Exception | None = None
    """What the engine itself failed with."""
    stuck: bool = False
    """The body waits for something that is no durable call, and did not come in time."""
    differences: list[Difference] = field(default_factory=list)
    beyond: list[c.RunCommand] = field(default_factory=list)
    """What the body asks for that the history does not hold, once all of that was handed out."""
    end: End | None = None
    not_entered: int = 0
    """Events inside of steps that were under way: only their code could ask for them again."""


async def rehearse(
    run_id: str,
    history: Sequence[tuple[f.RunFact, int]],
    definition: Definition,
    *,
    context: Context,
    wants_end: bool,
    stall_limit_s: float,
    patience_s: float,
) -> Rehearsed:
    """Run a body over a history that has no terminal fact. Its loop must number tasks.

    Args:
        run_id: The run.
        history: Its facts with their times, from RunQueued on.
        definition: The code.
        context: Not the context of a body.
        wants_end: Whether the body must come to its end; else it may stop where the history does.
        stall_limit_s: Seconds after which a body that does not move has diverged.
        patience_s: Seconds for all of it.

    Raises:
        InvalidInputError: When the history has no beginning.
    """
    found = Rehearsed()
    state = fold(run_id, history)
    queued = state.queued
    if queued is None:
        raise InvalidInputError(f"the history of run {run_id!r} does not begin with RunQueued")
    info = AttemptInfo(
        run_id, "", queued.component, 0, queued.session_id, queued.metadata, user_id=queued.user_id
    )
    try:
        run_input = decode(queued.input, where=f"input of run {run_id}")
        given = run_input if isinstance(run_input, dict) else {}
        script = Rehearsal(info, definition, given, found, state, history, context, stall_limit_s)
        script.start()
    except (PayloadError, InvalidInputError) as error:
        found.unreadable = f"its recorded input cannot be given to {definition.name!r}: {error}"
        return found
    await _watch(script, found, wants_end=wants_end, patience_s=patience_s)
    found.passed = script.passed
    found.beyond = _that_matter(run_id, history, found.beyond)
    return found


def _that_matter(
    run_id: str, history: Sequence[tuple[f.RunFact, int]], commands: Sequence[c.RunCommand]
) -> list[c.RunCommand]:
    """Those of the commands of which something would follow, if the run went on."""
    state = fold(run_id, history)
    if state.suspension is not None or state.pause is not None:
        evolve(state, f.RunResumed(definition=""), state.updated_at)
    if state.may_start:
        evolve(state, f.RunStarted(definition=""), state.updated_at)
    kept: list[c.RunCommand] = []
    for command in commands:
        facts = decide(state, command, state.updated_at)
        for fact in facts:
            evolve(state, fact, state.updated_at)
        if facts:
            kept.append(command)
    return kept


async def _watch(
    script: Rehearsal, found: Rehearsed, *, wants_end: bool, patience_s: float
) -> None:
    try:
        await _watch_body(script, found, wants_end=wants_end, patience_s=patience_s)
    finally:
        script.close()
        for _ in range(100):
            if not script.guards:
                break
            await asyncio.sleep(0)


async def _watch_body(
    script: Rehearsal, found: Rehearsed, *, wants_end: bool, patience_s: float
) -> None:
    loop = asyncio.get_running_loop()
    deadline, quiet, last = loop.time() + patience_s, 0, -1
    while not script.is_decided:
        progress = script.moves + script.walk.passed + len(found.beyond)
        quiet, last = (quiet + 1, last) if progress == last else (0, progress)
        if not script.replaying and quiet > _QUIET_TURNS and (not wants_end or script.only_waits):
            return
        if loop.time() > deadline:
            found.stuck = wants_end or script.replaying
            return
        await asyncio.sleep(0 if quiet < 4 * _QUIET_TURNS else 0.002)


class Rehearsal(Script):
    """A script that compares what it asks for again, and of which nothing leaves."""

    def __init__(
        self,
        info: AttemptInfo,
        definition: Definition,
        run_input: dict[str, object],
        found: Rehearsed,
        state: RunState,
        history: Sequence[tuple[f.RunFact, int]],
        context: Context,
        stall_limit_s: float,
    ) -> None:
        numbered = list(enumerate(history, start=1))
        kept = [(n, fact, at) for n, (fact, at) in numbered if not _is_inside(fact, state)]
        found.not_entered = len(numbered) - len(kept)
        self._versions = [0, *(n for n, _, _ in kept)]
        self._length = len(numbered)
        self._found = found
        self._recorded = {
            fact.key: (fact, at) for fact, at in history if isinstance(fact, f.Request)
        }
        self._notes = {fact.key: fact for fact, _ in history if isinstance(fact, f.Note)}
        facts, times = [fact for _, fact, _ in kept], [at for _, _, at in kept]
        self.walk = Walk(state, facts, times)
        super().__init__(
            info,
            definition,
            run_input,
            _Stage(self, found),
            state=state,
            history=facts,
            context=context,
            stall_limit_s=stall_limit_s,
            times=times,
        )

    def _replay_of(self, walk: Walk, stall_limit_s: float) -> Replay:
        del walk  # the same, but this one can be looked at
        return super()._replay_of(self.walk, stall_limit_s)

    @property
    def passed(self) -> int:
        """The version of the history up to which the walk has come."""
        return self._length if self.walk.is_over else self._versions[self.walk.passed]

    @property
    def is_decided(self) -> bool:
        """Whether nothing more can be learnt."""
        found = self._found
        decided = (found.divergence, found.unreadable, found.crashed, found.end)
        return any(each is not None for each in decided)

    # What the body asks.

    def request(
        self,
        key: str,
        make_command: Callable[[], c.RunCommand],
        work: Work | None = None,
        *,
        line: str | None = None,
        chosen: bool = False,
    ) -> StepFuture:
        """Compare the call with the recorded one, if there is one."""
        recorded = None if self.closed else self._recorded.pop(key, None)
        if recorded is not None:
            try:
                self._found.differences += compare_call(*recorded, make_command())
            except PayloadError as error:
                fact, _ = recorded
                problem = f"it cannot be recorded: {error}"
                self._found.differences.append(
                    Difference(key, "input", None, problem, fact.line, line)
                )
        return super().request(key, make_command, work, line=line, chosen=chosen)

    def note(self, note: f.Note) -> None:
        """Compare what the body says with what it has said, if it has."""
        recorded = None if self.closed else self._notes.pop(note.key, None)
        if recorded is not None:
            self._found.differences += compare_note(recorded, note)
        super().note(note)

    def _diverge(self, how: str) -> None:
        if self._replay is not None and self._found.divergence is None:
            self._found.divergence = self._replay.divergence(how)


class _Stage:
    """The channel of a rehearsal: what would be decided about is kept, and nothing is executed."""

    def __init__(self, script: Rehearsal, found: Rehearsed) -> None:
        self._script = script
        self._found = found

    def command(self, command: c.RunCommand) -> None:
        """Keep it."""
        found = self._found
        if found.end is not None:
            return
        if not isinstance(command, End):
            found.beyond.append(command)
            return
        found.end = command
        found.beyond = [each for each in found.beyond if _is_of_main(each)]

    def execute(self, key: str, attempt: int, work: FunctionWork) -> None:
        """Nothing is executed."""

    def crashed(self, error: Exception) -> None:
        """The engine has failed."""
        self._found.crashed = error

    def diverged(self, report: str) -> None:
        """A recorded value cannot be rebuilt."""
        self._found.unreadable = report

    def encode(self, value: object, where: str) -> JsonValue:
        """A value as it would lie on the log."""
        return encode(value, where=f"{where} of run {self._script.run_id}")

    def check_size(self, value: JsonValue, where: str) -> None:
        """Refuse what no log would take."""
        check_size(value, _PAYLOAD_LIMIT, where)


def _is_inside(fact: f.RunFact, state: RunState) -> bool:
    """Whether it came of an inline step that has no outcome yet, whose code shall not run."""
    for outer in enclosing_keys(getattr(fact, "key", "")):
        op = state.open.get(outer)
        if op is not None and op.kind is OpKind.INLINE and outer != getattr(fact, "key", ""):
            return True
    return False


def _is_of_main(command: c.RunCommand) -> bool:
    """Whether the body itself has said it, and none of its tasks.

    Once the body has ended, its tasks are ones that it did not wait for: how far they have come by
    then is a matter of real time.
    """
    key = command.note.key if isinstance(command, c.AddNote) else getattr(command, "key", "")
    return key.startswith(":") and SCOPE not in key
