"""The index that was written with the facts is the one that a rebuild makes of the facts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agnt5.events.base import Fact
from agnt5.events.codec import encode_fact
from agnt5.events.entity import decider as of_entity
from agnt5.events.entity.commands import CompleteCall
from agnt5.events.entity.state import EntityState
from agnt5.events.entity.state import evolve as evolve_entity
from agnt5.events.entity.streams import call_scope, entity_stream
from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.projections import call_binding_of, changes_of, row_of
from agnt5.events.run import commands as c
from agnt5.events.run import decider as of_run
from agnt5.events.run.state import RunState, evolve
from agnt5.exceptions import AGNT5Error
from agnt5.maintenance import rebuild_log_index
from agnt5.testing.stores.comparing import same
from agnt5.testing.stores.contract.opening import MakeLog, Opening
from agnt5.testing.stores.driving import Driver, make_append
from agnt5.testing.stores.port import Store

_settings = settings  # what the parameter below hides
_RUNS = ("r1", "r2", "r3")
_ENTITY = entity_stream("Cart", "c1")
_MICROSECONDS = 1_700_000_000_000_000
_KEYS = ("workflow:order:k", "queue:mail:once", call_scope(_ENTITY, "1"), call_scope(_ENTITY, "2"))

_queued = st.builds(
    c.QueueRun,
    st.just("order"),
    st.sampled_from(["workflow", "function"]),
    st.just({"n": 1}),
    idempotency_key=st.sampled_from([None, "k"]),
    replaces=st.sampled_from([None, *_RUNS]),
    session_id=st.sampled_from([None, "s"]),
    user_id=st.sampled_from([None, "u"]),
    version_label=st.sampled_from([None, "v1"]),
    parent_run_id=st.sampled_from([None, "r1"]),
    parent_key=st.just(":c#0"),
    queue=st.sampled_from([None, "mail"]),
    priority=st.sampled_from([0, 5]),
    deduplication_id=st.sampled_from([None, "once"]),
    replaces_duplicate=st.sampled_from([None, *_RUNS]),
    traceparent=st.sampled_from([None, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
)
_commands = st.one_of(
    st.just(c.StartRun("d1")),
    st.just(c.RequestTimer(":t#0", 3)),
    st.just(c.RequestInput(":q#0", "well?", "text", None, allow_custom=True, skippable=True)),
    st.just(c.SubmitAnswer("yes", ":q#0", "ada")),
    st.builds(
        c.RequestChild,
        st.just(":c#0"),
        st.sampled_from(["r2", "r9"]),
        st.just("order"),
        st.just("workflow"),
        st.none(),
        st.sampled_from(["cancel", "abandon"]),
    ),
    st.just(c.ReportChild(":c#0", "completed", 1)),
    st.just(c.AbandonOperation(":c#0")),
    st.just(c.ParkRun()),
    st.just(c.WakeRun()),
    st.just(c.SuspendRun("diverged", "report", "d1")),
    st.just(c.ResumeRun("d2")),
    st.just(c.PauseRun("later")),
    st.just(c.RequestCancel("enough")),
    st.just(c.CompleteRun(None)),
    st.just(c.FailRun({"type": "builtins:OSError", "message": "down"})),
    st.just(c.CancelRun()),
)
_of_runs: st.SearchStrategy[tuple[str, c.RunCommand]] = st.tuples(
    st.sampled_from(_RUNS), _queued | _commands | _commands | _commands
)
_calls = st.builds(
    CompleteCall,
    st.just("add"),
    st.sampled_from([None, "1", "2"]),
    changes=st.sampled_from([{}, {"n": 1}]),
)
Script = tuple[dict[str, c.QueueRun], list[tuple[str, c.RunCommand] | CompleteCall]]
scripts: st.SearchStrategy[Script] = st.tuples(
    st.dictionaries(st.sampled_from(_RUNS), _queued, min_size=1),
    st.lists(_of_runs | _of_runs | _of_runs | _calls, max_size=20),
)
"""The first commands of some runs, then commands to runs and calls of an entity, in any order."""


@dataclass
class _Ledger:
    """Decides commands and appends what follows, as the engine does."""

    d: Driver[Store]
    runs: dict[str, RunState] = field(default_factory=dict)
    entity: EntityState = field(default_factory=EntityState)
    now: int = _MICROSECONDS

    def send(self, run_id: str, command: c.RunCommand) -> None:
        """To a run. What is refused leaves no trace, and what the log refuses neither."""
        state = deepcopy(self.runs.get(run_id) or RunState(run_id))
        version = state.version
        self.now += 1
        try:
            facts = of_run.decide(state, command, self.now)
        except AGNT5Error:
            return
        for fact in facts:
            evolve(state, fact, self.now)
        if facts and self._append(run_id, version, facts, changes_of(state, facts)):
            self.runs[run_id] = state

    def call(self, command: CompleteCall) -> None:
        """Of the entity."""
        state, version = self.entity, self.entity.version
        facts = of_entity.decide(state, command)
        changes: list[IndexChange] = []
        for fact in facts:
            state = evolve_entity(state, fact)
            binding = call_binding_of(_ENTITY, state.version, fact)
            changes += [] if binding is None else [binding]
        if facts and self._append(_ENTITY, version, facts, changes):
            self.entity = state

    def _append(
        self, stream: str, after: int, facts: Sequence[Fact], changes: Sequence[IndexChange]
    ) -> bool:
        raw = [
            encode_fact(fact, self.now, f"{stream}.{after}.{self.now}.{number}")
            for number, fact in enumerate(facts)
        ]
        return self.d.put(make_append(stream, after, raw, *changes)) == [None]


Index = tuple[list[RunRow], dict[str, KeyBinding | None]]


def index_of_store(store: Store) -> Index:
    """All rows, and the keys that a script may bind."""
    return store.list_runs(), {scope: store.key_binding(scope) for scope in _KEYS}


def _without_debts(index: Index) -> Index:
    return [replace(row, owes=False) for row in index[0]], index[1]


def check_rebuild(store: Store, script: Script) -> None:
    """Play a script on an empty store, and hold its index against the one that is rebuilt.

    Raises:
        StoreConformanceError: They differ.
    """
    ledger = _Ledger(Driver(store))
    first, commands = script
    for run_id, command in first.items():
        ledger.send(run_id, command)
    for each in commands:
        if isinstance(each, CompleteCall):
            ledger.call(each)
        else:
            ledger.send(*each)
    written = index_of_store(store)
    decided = [row_of(state) for _, state in sorted(ledger.runs.items(), reverse=True)]
    same("index", "list_runs()", written[0], decided)
    same("rebuild", "The number of runs", rebuild_log_index(store), len(ledger.runs))
    rebuilt = index_of_store(store)
    asked = "The index that a rebuild has made of the log"
    same("rebuild", asked, _without_debts(rebuilt), _without_debts(written))
    # Who sees all runs at once knows of some that they owe nothing any more.
    owing = {row.run_id for row in rebuilt[0] if row.owes}
    more = owing - {row.run_id for row in written[0] if row.owes}
    same("rebuild", "What owes more than was written with the facts", more, set())
    store.rebuild([])
    nothing: Index = ([], dict.fromkeys(_KEYS))
    same("rebuild", "The index after rebuild([])", index_of_store(store), nothing)
    rebuild_log_index(store)
    same("rebuild", f"{asked}, from nothing,", index_of_store(store), rebuilt)


class RebuildContract(Opening):
    """Any history of real facts leaves the index that a rebuild makes."""

    def test_the_index_is_what_a_rebuild_makes_of_the_log(self, make_log: MakeLog) -> None:
        check_on_scripts(make_log, self.max_examples)


def check_on_scripts(
    make_log: Callable[[], Store],
    max_examples: int | None = None,
    *,
    settings: settings | None = None,
) -> None:
    """`check_rebuild` on random scripts, each on a new store.

    Args:
        make_log: Opens a new, empty store.
        max_examples: How many scripts; by default as many as Hypothesis' profile says.
        settings: Settings of Hypothesis in the place of the profile's.

    Raises:
        StoreConformanceError: The index differs from the one that is rebuilt.
    """
    base = settings or _settings()

    @_settings(
        base,
        max_examples=max_examples or base.max_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(script=scripts)
    def check(script: Script) -> None:
        store = make_log()
        try:
            check_rebuild(store, script)
        finally:
            store.close()

    check()
