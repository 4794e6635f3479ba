"""The state machine that draws what is done with a store. What must hold is said by the trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import agnt5.testing.stores.steps as s
from agnt5.events.index import FINISHED, UNFINISHED
from agnt5.events.leases import STORE_SCOPE
from agnt5.events.query import GROUPS, EventQuery
from agnt5.testing.stores.plans import (
    OWNERS,
    RUNS,
    SCOPES,
    STREAMS,
    Put,
    groups,
    queries,
    scopes,
    subsets,
)
from agnt5.testing.stores.port import Moment, StoreConformanceError
from agnt5.testing.stores.trial import Ground, Trial

_RELEASED: tuple[Literal["nothing", "new", "old"], ...] = ("nothing", "new", "old")
_MOMENTS: tuple[Moment, ...] = ("before", "middle", "after")
# What is drawn seldom, and so done at the end of every history.
_ENDING: tuple[s.Step, ...] = (
    s.Mend(),
    s.Claim(SCOPES[0], OWNERS[0]),
    s.Claim(SCOPES[0], OWNERS[1], "old"),
    s.Claim(SCOPES[0], OWNERS[0], "new"),
    s.Claim(SCOPES[0], OWNERS[0]),
    s.Query(EventQuery(backward=True), 2, "component"),
    s.Query(EventQuery(after=1, upto=4), 100, "topic"),
    s.View((Put("d"), Put("a")), frozenset(STREAMS)),
    s.Forget(frozenset(RUNS[:1]), 1, ("k",)),
    s.Forget(frozenset(RUNS), 0, ("k", "l")),
    s.Append((Put("a", keys=(("m", None),)),)),
    s.Rebuild(frozenset(), is_wrong=True),
    s.Rebuild(frozenset(STREAMS), is_wrong=False),
    s.Reopen(),
)


class Seen:
    """What the machines of one check have found.

    Attributes:
        failure: The first broken law.
        steps: How it came to that.
    """

    def __init__(self) -> None:
        self.failure: StoreConformanceError | None = None
        self.steps: list[s.Step] = []


def _may(step: type[s.Step]) -> Callable[[StoreMachine], bool]:
    return lambda machine: s.may(machine.trial, step)


class StoreMachine(RuleBasedStateMachine):
    """Random histories of one store; the model says what must be there after each step."""

    def __init__(self, ground: Ground, seen: Seen) -> None:
        super().__init__()
        self.seen = seen
        self.steps: list[s.Step] = []
        with s.told(()):
            self.trial = Trial(ground)

    def play(self, step: s.Step) -> None:
        """Do one thing, and look at everything."""
        self.steps.append(step)
        try:
            with s.told(self.trial.history):
                step.play(self.trial)
                self.trial.check()
        except StoreConformanceError as failure:
            self.seen.failure, self.seen.steps = failure, self.steps
            raise

    def teardown(self) -> None:
        """Do what is done at the end, close the store and remove its place."""
        if not hasattr(self, "trial"):
            return
        try:
            for step in _ENDING:
                if self.seen.failure is None and s.may(self.trial, type(step)):
                    self.play(step)
        finally:
            self._end()

    def _end(self) -> None:
        try:
            with s.told([*self.trial.history, "close"]):
                self.trial.end()
        except StoreConformanceError as failure:
            if self.seen.failure is None:  # else it follows from that one
                self.seen.failure, self.seen.steps = failure, self.steps
                raise

    @initialize(uses_memory=st.sampled_from([False, False, True]))
    def begin(self, uses_memory: bool) -> None:
        """With a volatile stream, or without."""
        if uses_memory:
            self.play(s.UseMemory())

    @rule(puts=groups)
    def append(self, puts: list[Put]) -> None:
        """See `agnt5.testing.stores.steps` for this and all that follow."""
        self.play(s.Append(puts))

    @precondition(_may(s.AppendAndGoOn))
    @rule(puts=groups)
    def append_and_go_on(self, puts: list[Put]) -> None:
        """Do not wait."""
        self.play(s.AppendAndGoOn(puts))

    @precondition(_may(s.AppendAgain))
    @rule(which=st.integers(0, 9))
    def append_again(self, which: int) -> None:
        """What was written before."""
        self.play(s.AppendAgain(which))

    @precondition(_may(s.Read))
    @rule(
        stream=st.sampled_from(STREAMS),
        after=st.integers(0, 4),
        upto=st.sampled_from([None, 0, 1, 2, 4]),
        limit=st.sampled_from([None, None, 0, 1, 2]),
    )
    def read(self, stream: str, after: int, upto: int | None, limit: int | None) -> None:
        """A window."""
        self.play(s.Read(stream, after, upto, limit))

    @precondition(_may(s.ListRuns))
    @rule(
        status=st.none() | st.sampled_from([*UNFINISHED, *FINISHED]),
        component=st.sampled_from([None, None, "greet", "order"]),
        parent_run_id=st.sampled_from([None, None, "a", "p"]),
        limit=st.sampled_from([100, 2, 1, 0]),
        before=st.sampled_from([None, None, *RUNS]),
    )
    def list_runs(
        self,
        status: str | None,
        component: str | None,
        parent_run_id: str | None,
        limit: int,
        before: str | None,
    ) -> None:
        """Some of them."""
        self.play(s.ListRuns(status, component, parent_run_id, limit, before))

    @precondition(_may(s.Query))
    @rule(
        query=queries,
        limit=st.sampled_from([100, 100, 2, 0]),
        by=st.sampled_from([None, *GROUPS]),
    )
    def query(self, query: EventQuery, limit: int, by: str | None) -> None:
        """The whole log."""
        self.play(s.Query(query, limit, by))

    @precondition(_may(s.Rebuild))
    @rule(dropped=subsets, is_wrong=st.sampled_from([False, False, True]))
    def rebuild(self, dropped: frozenset[str], is_wrong: bool) -> None:
        """The index."""
        self.play(s.Rebuild(dropped, is_wrong))

    @precondition(_may(s.Forget))
    @rule(streams=subsets, off=st.sampled_from([0, 0, 0, 1]), scopes=scopes)
    def forget(self, streams: frozenset[str], off: int, scopes: tuple[str, ...]) -> None:
        """Some runs."""
        self.play(s.Forget(streams, off, scopes))

    @precondition(_may(s.View))
    @rule(puts=groups, streams=subsets)
    def view(self, puts: list[Put], streams: frozenset[str]) -> None:
        """Everything, while something is appended."""
        self.play(s.View(puts, streams))

    @precondition(_may(s.Claim))
    @rule(
        scope=st.sampled_from([SCOPES[0], *SCOPES, STORE_SCOPE]),
        owner=st.sampled_from(OWNERS),
        then_release=st.sampled_from(_RELEASED),
    )
    def claim(self, scope: str, owner: str, then_release: Literal["nothing", "new", "old"]) -> None:
        """A scope."""
        self.play(s.Claim(scope, owner, then_release))

    @precondition(_may(s.Lose))
    @rule()
    def lose(self) -> None:
        """The store."""
        self.play(s.Lose())

    @precondition(_may(s.OpenTwice))
    @rule()
    def open_twice(self) -> None:
        """The same place."""
        self.play(s.OpenTwice())

    @rule(puts=st.just([]) | groups)
    def reopen(self, puts: list[Put]) -> None:
        """After a close."""
        self.play(s.Reopen(puts))

    @precondition(_may(s.Crash))
    @rule(puts=st.just([]) | groups)
    def crash(self, puts: list[Put]) -> None:
        """With a group under way."""
        self.play(s.Crash(puts))

    @precondition(_may(s.Fill))
    @rule(puts=groups)
    def fill(self, puts: list[Put]) -> None:
        """The disk."""
        self.play(s.Fill(puts))

    @precondition(_may(s.Mend))
    @rule()
    def mend(self) -> None:
        """The disk."""
        self.play(s.Mend())

    @precondition(_may(s.Strike))
    @rule(puts=groups, moment=st.sampled_from(_MOMENTS))
    def strike(self, puts: list[Put], moment: Moment) -> None:
        """A write."""
        self.play(s.Strike(puts, moment))

    @precondition(_may(s.WriteSlowly))
    @rule(puts=groups)
    def write_slowly(self, puts: list[Put]) -> None:
        """A group."""
        self.play(s.WriteSlowly(puts))
