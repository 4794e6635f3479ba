"""The index as a function of the log."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given as given_any
from tests.events.run.spec import (
    CANCEL,
    CANCELLED,
    COMPLETED,
    FAILED,
    QUEUED,
    RESUMED,
    RUN,
    STARTED,
    SUSPENDED,
    T0,
    given,
    question,
    running,
    step,
    timer,
)
from tests.events.run.strategies import histories

from agnt5.events.index import FINISHED, UNFINISHED, KeyBinding, RunRow
from agnt5.events.projections import (
    affects_row,
    bindings_of,
    changes_of,
    index_of,
    key_scope,
    row_of,
    status_of,
)
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.payloads import digest

KEYED = f.RunQueued(component="order", kind="workflow", input={"n": 1}, idempotency_key="k")
SCOPE = "workflow:order:k"


STATUS = {
    "queued": (QUEUED,),
    "running": (QUEUED, STARTED),
    "running, waiting": (QUEUED, STARTED, timer("t")),
    "awaiting_user_input": (QUEUED, STARTED, step("a"), question("q")),
    "running, answered": (QUEUED, STARTED, question("q"), f.UserReplied(key="q", answer="x")),
    "running, given up": (QUEUED, STARTED, question("q"), f.OperationCancelled(key="q")),
    "suspended": (QUEUED, STARTED, question("q"), SUSPENDED),
    "awaiting_user_input, resumed": (QUEUED, STARTED, question("q"), SUSPENDED, RESUMED),
    "running, cancelling": (QUEUED, STARTED, CANCEL),
    "completed": (QUEUED, STARTED, question("q"), COMPLETED),
    "failed": (QUEUED, STARTED, FAILED),
    "cancelled": (QUEUED, CANCEL, CANCELLED),
}


@pytest.mark.parametrize("case", STATUS)
def test_status(case):
    state = given(*STATUS[case]).state
    assert status_of(state) == case.partition(",")[0]
    assert status_of(state) in (FINISHED if state.is_finished else UNFINISHED)


def test_a_row():
    queued = f.RunQueued(
        component="order",
        kind="workflow",
        input=None,
        idempotency_key="k",
        session_id="s",
        user_id="u",
        version_label="v",
    )
    assert row_of(given(queued, STARTED, COMPLETED).state) == RunRow(
        run_id=RUN,
        component="order",
        kind="workflow",
        status="completed",
        parked=False,
        wake_at=None,
        created_at=T0,
        started_at=T0 + 1,
        finished_at=T0 + 2,
        version_label="v",
        session_id="s",
        user_id="u",
        key_scope=SCOPE,
    )


def test_a_row_says_until_when_a_run_is_parked():
    parked = (timer("t", 9), f.RunParked(wake_at=9))
    row = row_of(running(*parked).state)
    assert (row.parked, row.wake_at) == (True, 9)
    row = row_of(running(*parked, f.TimerFired(key="t")).state)
    assert (row.parked, row.wake_at) == (False, None)
    row = row_of(running(question("q"), f.RunParked()).state)
    assert (row.parked, row.wake_at) == (True, None)


def test_an_idempotency_key_has_a_scope():
    assert key_scope("workflow", "order", "k") == SCOPE
    scopes = {key_scope(kind, name, "k") for kind in ("a", "b") for name in ("x", "y")}
    assert len(scopes) == 4


def test_a_binding():
    assert bindings_of(RUN, QUEUED) == []
    assert bindings_of(RUN, KEYED) == [KeyBinding(SCOPE, RUN, digest({"n": 1}), None)]
    taken = KEYED.model_copy(update={"replaces": "r0"})
    assert bindings_of(RUN, taken)[0].replaces == "r0"


def test_changes_of_an_append():
    state = given(KEYED, STARTED).state
    binding = KeyBinding(SCOPE, RUN, digest({"n": 1}))
    assert changes_of(state, [KEYED, STARTED]) == [binding, row_of(state)]
    assert changes_of(state, [STARTED]) == [row_of(state)]


class TestIndex:
    """What a rebuild writes."""

    def state(self, run_id: str, at: int, fact: f.RunQueued = KEYED) -> RunState:
        return fold(run_id, [(fact, at)])

    def test_nothing(self):
        assert index_of([]) == []

    def test_the_last_run_that_took_a_key_has_it(self):
        first, second = self.state("r9", 1), self.state("r1", 2)
        expected = [row_of(first), row_of(second), KeyBinding(SCOPE, "r1", digest({"n": 1}))]
        assert index_of([second, first]) == expected

    def test_at_the_same_time_the_greater_id_is_the_later_one(self):
        one, two = self.state("r1", 1), self.state("r2", 1)
        assert index_of([two, one])[-1].run_id == "r2"

    def test_in_an_empty_index_nobody_is_replaced(self):
        taken = self.state("r2", 2, KEYED.model_copy(update={"replaces": "r1"}))
        assert index_of([self.state("r1", 1), taken])[-1].replaces is None

    def test_runs_without_a_key_take_none(self):
        state = self.state("r1", 1, QUEUED)
        assert index_of([state]) == [row_of(state)]


@given_any(histories())
def test_an_index_that_is_kept_up_is_the_index_that_is_rebuilt(history):
    """The shell writes rows only when a fact affects them, or when the run was parked."""
    state, row, bindings = RunState(RUN), None, {}
    for fact, at in history:
        was_parked = state.parked
        evolve(state, fact, at)
        if was_parked or affects_row(fact):
            for change in changes_of(state, [fact]):
                if isinstance(change, RunRow):
                    row = change
                else:
                    bindings[change.scope] = replace(change, replaces=None)
    assert [row, *bindings.values()] == index_of([fold(RUN, history)])
