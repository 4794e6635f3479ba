"""When and by which line things of a run happened: what the fold does not keep.

For whoever looks at a run from outside. Nothing is decided from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

from pydantic import JsonValue

from agnt5.events.keys import RECOVERY, is_inside
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, evolve

_REQUESTS: frozenset[type] = frozenset(get_args(f.Request))
_OUTCOMES: frozenset[type] = frozenset(get_args(f.Outcome))
_PLAIN: frozenset[type] = frozenset(
    {f.StepScheduled, f.StepCompleted, f.StepFailed, f.TimerScheduled, f.TimerFired, f.StateChanged}
)
"""Most of a long history, of which nothing is noted: to look at types first is many times quicker
than to match patterns."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Call:
    """A durable call, as it was asked for."""

    request: f.Request
    asked_at: int
    attempt_at: int
    """When its present attempt began or became due, or the last one failed."""
    error: JsonValue = None
    """Of the attempt that failed last."""


@dataclass(slots=True)
class Exchange(Generic[Asked, Answer]):
    """Something that is asked once and answered at most once, and when."""

    asked: Asked
    asked_at: int
    answer: Answer | None = None
    answered_at: int | None = None

    def close(self, answer: Answer, at: int) -> None:
        """The answer has come."""
        self.answer, self.answered_at = answer, at


Question = Exchange[f.UserInputRequested, f.UserReplied | f.UserInputExpired]
Child = Exchange[f.ChildStarted, f.ChildFinished]
Update = Exchange[f.UpdateReceived, f.UpdateAnswered]


class Annals:
    """The fold of a run, with what else its facts say. Times are microseconds since the epoch."""

    def __init__(self, run_id: str) -> None:
        self.state = RunState(run_id)
        self.calls: dict[str, Call] = {}
        """By key, from the request on."""
        self.questions: dict[str, Question] = {}
        self.children: dict[str, Child] = {}
        self.updates: dict[str, Update] = {}
        self.signals_at: dict[str, int] = {}
        """When each signal came, by its id."""
        self.phase_at = 0
        """Since when it has been in its phase."""
        self.cancel_at: int | None = None
        self.paused_at: int | None = None
        """When it was paused last."""
        self.forked_at: int | None = None
        """When it was forked last."""
        self.outcomes = 0
        """How many calls have had an outcome."""
        self._writers = _Writers()

    @property
    def uncertain(self) -> list[str]:
        """Names of state whose present value only a replay can tell, sorted.

        A step wrote them, and a branch beside it. The step counts when the body is told of it,
        which may be after a write of the branch that lies behind it on the log.
        """
        return sorted(self._writers.uncertain)

    def take(self, fact: f.RunFact, at: int) -> None:
        """One more fact."""
        self._writers.take(fact, self.state)
        phase = self.state.phase
        evolve(self.state, fact, at)
        if self.state.phase is not phase:
            self.phase_at = at
        if type(fact) in _REQUESTS and isinstance(fact, f.Request):
            self.calls[fact.key] = Call(fact, at, at)
        self.outcomes += type(fact) in _OUTCOMES
        if type(fact) not in _PLAIN:
            self._note(fact, at)

    def _note(self, fact: f.RunFact, at: int) -> None:
        match fact:
            case f.StepStarted():
                self.calls[fact.key].attempt_at = at
            case f.StepAttemptFailed():
                call = self.calls[fact.key]
                call.attempt_at, call.error = at, fact.error
            case f.SignalReceived():
                self.signals_at[fact.signal_id] = at
            case f.RunCancelRequested():
                self.cancel_at = at
            case f.RunPaused():
                self.paused_at = at
            case f.RunForked():
                self.forked_at = at
            case _:
                self._note_exchange(fact, at)

    def _note_exchange(self, fact: f.RunFact, at: int) -> None:
        match fact:
            case f.UserInputRequested():
                self.questions[fact.key] = Exchange(fact, at)
            case f.ChildStarted():
                self.children[fact.key] = Exchange(fact, at)
            case f.UpdateReceived():
                self.updates[fact.update_id] = Exchange(fact, at)
            case f.UserReplied() | f.UserInputExpired():
                self.questions[fact.key].close(fact, at)
            case f.ChildFinished():
                self.children[fact.key].close(fact, at)
            case f.UpdateAnswered():
                self.updates[fact.update_id].close(fact, at)
            case _:
                pass


def annals_of(run_id: str, facts: Iterable[tuple[f.RunFact, int]]) -> Annals:
    """The annals of these facts, each with its time."""
    annals = Annals(run_id)
    for fact, at in facts:
        annals.take(fact, at)
    return annals


class _Writers:
    """Who wrote which name of the state, as far as that makes its value uncertain.

    The log has a step's outcome where it became durable; the body is told of it later, when it is
    at rest. A write of another branch in between is behind it on the log, and before it in truth.
    """

    def __init__(self) -> None:
        self.uncertain: set[str] = set()
        self._by_step: set[str] = set()
        """Names of which a step was the last writer that the body may not have been told of."""
        self._side_by_side = False

    def take(self, fact: f.RunFact, before: RunState) -> None:
        match fact:
            case f.StepScheduled():
                self._look(fact.key, before)
            case f.RunParked():
                # A body that only waits has been told everything.
                self._by_step.clear()
            case f.StepCompleted() if not is_inside(fact.key):
                written = {*(fact.state or ()), *(fact.deleted or ())}
                self._by_step |= written
                # Whatever is behind is over now: steps count in the order of the log.
                self.uncertain -= written
            case f.StateChanged() if not is_inside(fact.key):
                self._look(fact.key, before)
                if self._side_by_side and fact.name in self._by_step:
                    self.uncertain.add(fact.name)
            case _ if type(fact) in _REQUESTS and isinstance(fact, f.Request):
                self._look(fact.key, before)
            case _:
                pass

    def _look(self, key: str, before: RunState) -> None:
        """Whether the body has more than one branch, or went on beside a call."""
        if self._side_by_side or is_inside(key) or key.startswith(RECOVERY):
            return
        of_body = key.startswith((":", "@"))
        beside = any(not is_inside(other) and other != key for other in before.open)
        self._side_by_side = not of_body or beside
