"""Given these facts, when this command, then those facts: how the rules of a run are written down.

    given(QUEUED, STARTED).when(c.StartRun("d")).then()
    running(step("a")).when(c.ReportSuccess("a", 0, 1, 5)).then(f.StepCompleted(key="a", output=1))
    running(step("a")).owes(e.Execute("a", 0, eager=True))

``then`` sends every fact through the codec and folds it, so that no rule can decide a fact that
cannot be written, read or folded. The facts of ``given`` lie one microsecond apart, from ``T0``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy

from agnt5.events.codec import decode_fact, encode_fact
from agnt5.events.log import StoredFact
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide, react, resume
from agnt5.events.run.state import RunState, evolve, fold

RUN = "r1"
T0 = 1_000_000
NOW = 2_000_000
SECOND = 1_000_000

PLAN = f.RetryPlan(max_attempts=3, initial_ms=1000, max_ms=60_000, backoff="exponential")
QUEUED = f.RunQueued(component="order", kind="workflow", input={"n": 1})
STARTED = f.RunStarted(definition="d1")
SUSPENDED = f.RunSuspended(reason="nondeterminism", report="no such step", definition="d1")
RESUMED = f.RunResumed(definition="d2")
PARKED = f.RunParked(wake_at=None)
CANCEL = f.RunCancelRequested(reason="enough")
COMPLETED = f.RunCompleted(output=1)
FAILED = f.RunFailed(error={"type": "builtins:ValueError", "message": "no"})
CANCELLED = f.RunCancelled(reason="enough")
CONTINUED = f.RunContinued(successor="r1.next", input={"n": 2})
ERROR = {"type": "builtins:OSError", "message": "down", "args": ["down"]}


def step(key: str, **fields) -> f.StepScheduled:
    """A step of a registered function."""
    return f.StepScheduled(key=key, **{"name": key, "function": key, "retry": PLAN, **fields})


def inline(key: str, **fields) -> f.StepScheduled:
    """A step that only the body can run."""
    return f.StepScheduled(key=key, name=key, **fields)


def started(key: str, attempt: int = 0) -> f.StepStarted:
    """The intent of an attempt."""
    return f.StepStarted(key=key, attempt=attempt)


def backoff(key: str, attempt: int = 0, retry_at: int = NOW) -> f.StepAttemptFailed:
    """An attempt that failed and will be followed by another."""
    return f.StepAttemptFailed(key=key, attempt=attempt, error=ERROR, retry_at=retry_at)


def timer(key: str, due_at: int = NOW) -> f.TimerScheduled:
    """A timer."""
    return f.TimerScheduled(key=key, due_at=due_at)


def awaited(key: str, name: str = "go") -> f.SignalAwaited:
    """A call that waits for a signal."""
    return f.SignalAwaited(key=key, name=name)


def received(signal_id: str, name: str = "go", payload=None) -> f.SignalReceived:
    """A signal from outside."""
    return f.SignalReceived(signal_id=signal_id, name=name, payload=payload)


def question(key: str, **fields) -> f.UserInputRequested:
    """A question to a person."""
    return f.UserInputRequested(key=key, question=f"{key}?", **fields)


def through_codec(fact: f.RunFact, version: int = 1, at: int = NOW) -> f.RunFact:
    """The fact after it was written and read."""
    raw = encode_fact(fact, at, "event")
    return decode_fact(
        StoredFact(RUN, version, version, raw.topic, raw.state, raw.at, raw.event_id, raw.step)
    )


def timed(facts: Sequence[f.RunFact]) -> list[tuple[f.RunFact, int]]:
    """Facts with times."""
    return [(fact, T0 + n) for n, fact in enumerate(facts)]


class When:
    """A command that was given to a state."""

    def __init__(self, state: RunState, command: c.RunCommand, now: int) -> None:
        self._state = state
        self._command = command
        self._now = now

    def then(self, *expected: f.RunFact) -> When:
        """Exactly these facts are decided; each can be written, read and folded."""
        state = deepcopy(self._state)
        decided = list(decide(state, self._command, self._now))
        assert decided == list(expected)
        assert state == self._state, "decide must not change the state"
        for fact in decided:
            assert through_codec(fact, state.version + 1) == fact
            evolve(state, fact, self._now)
            assert not (state.is_finished and fact is not decided[-1])
        return self

    def decides(self, *kinds: type[f.RunFact]) -> tuple[f.RunFact, ...]:
        """Facts of these kinds are decided; returns them."""
        decided = tuple(decide(self._state, self._command, self._now))
        assert tuple(map(type, decided)) == kinds
        self.then(*decided)
        return decided

    def refuses(self, error: type[Exception], match: str = "") -> None:
        """The command is refused with this error, and changes nothing."""
        state = deepcopy(self._state)
        try:
            decided = decide(state, self._command, self._now)
        except error as refusal:
            assert re.search(match, str(refusal)), str(refusal)
            assert state == self._state
        else:
            raise AssertionError(f"not refused: {decided}")

    def owes(self, *expected: e.RunEffect) -> When:
        """Exactly these effects follow from what is decided."""
        state = deepcopy(self._state)
        owed: list[e.RunEffect] = []
        for fact in decide(state, self._command, self._now):
            evolve(state, fact, self._now)
            owed += react(state, fact)
        assert owed == list(expected)
        return self


class Given:
    """The state after some facts."""

    def __init__(self, facts: Sequence[f.RunFact]) -> None:
        self.facts = facts
        self.state = fold(RUN, timed(facts))

    def when(self, command: c.RunCommand, *, now: int = NOW) -> When:
        """Give it a command."""
        return When(self.state, command, now)

    def owes(self, *expected: e.RunEffect) -> Given:
        """Exactly these effects are owed after a restart."""
        assert list(resume(self.state)) == list(expected)
        return self


def given(*facts: f.RunFact) -> Given:
    """A run with this history."""
    return Given(facts)


def running(*facts: f.RunFact) -> Given:
    """A run that was started, and then this."""
    return Given((QUEUED, STARTED, *facts))
