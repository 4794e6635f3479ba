"""Everything that operates runs, in any order, on a real file: and what must be true after each.

Runs are forked, paused, tried again, cancelled, pruned, shredded, exported, imported; the process
dies in the middle; the store is encrypted, chained, both or plain. Whatever was done, log, index
and views agree, no run is lost, no outcome is made twice, and what nothing holds back ends.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.laws import operated, programs
from tests.laws.operated import KEY, OUTPUTS, House

from agnt5 import Keyring, ShreddedError, import_runs, rebuild_index, vacuum_store, verify_store
from agnt5.entity import EntityRegistry
from agnt5.events.projections import settled_row_of, status_of
from agnt5.events.run import facts as f
from agnt5.events.run.operations import OpKind
from agnt5.events.run.state import RunState
from agnt5.events.sealing import shredded_at
from agnt5.events.stores import ask_store, open_store
from agnt5.exceptions import AGNT5Error, ConfigurationError, InvalidInputError, RunNotFoundError
from agnt5.limits import Limits
from agnt5.payloads import decode
from agnt5.registry import FunctionRegistry, WorkflowRegistry

ENDED = ("completed", "failed", "cancelled", "continued")
SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None
WHICH = st.integers(0, 30)
DIES = st.sampled_from([None, None, None, None, 0, 1, 2, 3])
"""After how many appends the process dies while it is asked."""
COMPONENTS = st.sampled_from(sorted(OUTPUTS))
USERS = st.sampled_from([None, "ann", "bob"])
MOVES = (f.Request, f.TimerFired, f.StepStarted, f.MarkerRecorded, f.StateChanged)
"""What a run says that does not stand still."""


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What is not as it was."""
    names = before.keys() | after.keys()
    pairs = {name: (before.get(name), after.get(name)) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


class Operations(RuleBasedStateMachine):
    """A house, and what somebody outside knows of it."""

    @initialize(
        encrypted=st.booleans(),
        chained=st.booleans(),
        park_after=st.sampled_from([0.0, 1.0, 100.0]),
        limits=st.sampled_from([{}, {}, {"events": 14}, {"size": 100_000}, {"open_calls": 2}]),
        first=st.lists(st.tuples(COMPONENTS, st.integers(0, 2), USERS), min_size=1, max_size=3),
    )
    def begin(
        self, encrypted: bool, chained: bool, park_after: float, limits: Any, first: Any
    ) -> None:
        operated.install()
        self.folder = Path(tempfile.mkdtemp(dir=SHM))
        self.house = operated.house = House(
            self.folder,
            encrypted=encrypted,
            chained=chained,
            park_after=park_after,
            limits=Limits(**limits),
        )
        self.known: set[str] = set()
        """Runs of which a client was told that they are there."""
        self.gone: set[str] = set()
        self.shredded: set[str] = set()
        self.forks: dict[str, tuple[set[str], set[str]]] = {}
        """Of each fork: the steps that it may do again, and all of its origin."""
        self.files = 0
        for name, fails, user in first:
            self.submit(name, fails, user, None, None)

    # How.

    @property
    def client(self) -> Any:
        return self.house.client

    @property
    def is_encrypted(self) -> bool:
        return bool(self.house.masters)

    def now(self) -> dict[str, RunState]:
        """Every run, when nothing happens by itself for a moment."""
        self.house.calm()
        return self.house.states()

    def run_at(self, which: int) -> str:
        """One of the runs that are there."""
        ids = sorted(self.house.log.run_ids())
        return ids[which % len(ids)] if ids else "nobody"

    def input_of(self, run_id: str) -> dict[str, Any]:
        """What a run was given: a fork that forgets it is one of other code."""
        state = self.house.states().get(run_id)
        given = state.queued.input if state is not None and state.queued is not None else None
        return given if isinstance(given, dict) else {}

    def live(self, states: dict[str, RunState], run_id: str) -> RunState | None:
        """The run that goes on in place of one."""
        state = states.get(run_id)
        while state is not None and state.successor is not None:
            state = states.get(state.successor)
        return state

    def place(self, suffix: str) -> Path:
        self.files += 1
        return self.folder / f"file{self.files}{suffix}"

    def tell(
        self,
        request: Coroutine[Any, Any, Any],
        *,
        refused: bool | None = False,
        error: tuple[type[Exception], ...] = (InvalidInputError,),
        dies: int | None = None,
    ) -> Any:
        """Ask; whether it is refused is known before, unless that is None."""
        house = self.house
        house.calm()
        before = house.contents()
        house.disk.left = dies
        answer: Any = None
        try:
            answer = house.do(request)
            assert house.disk.dead or refused is not True, "it should have been refused"
        except AGNT5Error as problem:
            if not house.disk.dead:
                assert refused is not False, f"it was refused: {problem!r}"
                assert isinstance(problem, error), repr(problem)
                assert not (wrote := changed(before, house.contents())), wrote
        finally:
            house.disk.left = None
        if dies is not None:
            house.crash()
            house.open()
        return answer

    def look(self, request: Coroutine[Any, Any, Any], **expected: Any) -> Any:
        """Ask something that must not write."""
        self.house.calm()
        before = self.house.contents()
        answer = self.tell(request, **expected)
        assert not (wrote := changed(before, self.house.contents())), wrote
        return answer

    def note(self, answer: Any) -> None:
        if answer is not None:
            self.known.add(answer.run_id)

    # Runs, and those who talk to them.

    @rule(
        name=COMPONENTS,
        fails=st.integers(0, 2),
        user=USERS,
        key=st.sampled_from([None, None, "same"]),
        dies=DIES,
    )
    def submit(self, name: str, fails: int, user: str | None, key: str | None, dies: Any) -> None:
        """A new run; some fail once and work then, some fail for good."""
        request = self.client.submit(
            name, {"fails": fails}, "workflow", user_id=user, idempotency_key=key
        )
        self.note(self.tell(request, dies=dies))

    @rule(which=WHICH, dies=DIES)
    def signal(self, which: int, dies: Any) -> None:
        states, run_id = self.now(), self.run_at(which)
        live = self.live(states, run_id)
        request = self.client.signal(run_id, "go", "said")
        over = live is None or live.is_finished
        self.tell(request, refused=over, error=(InvalidInputError, RunNotFoundError), dies=dies)

    @rule(which=WHICH, dies=DIES)
    def answer(self, which: int, dies: Any) -> None:
        """The answer to a question, or to nothing."""
        run_id = self.run_at(which)
        request = self.client.resume(run_id, "yes", actor="ann")
        self.tell(request, refused=None, error=(InvalidInputError, RunNotFoundError), dies=dies)

    @rule(seconds=st.sampled_from([0.5, 1.5, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.house.wait(seconds)

    @rule()
    def mend(self) -> None:
        """What fails is mended, or breaks again."""
        self.house.breaks = not self.house.breaks

    # Operators.

    @rule(which=WHICH, children=st.booleans(), dies=DIES)
    def pause(self, which: int, children: bool, dies: Any) -> None:
        states, run_id = self.now(), self.run_at(which)
        live = self.live(states, run_id)
        over = live is None or live.is_finished
        request = self.client.pause(run_id, "so", children=children)
        self.tell(request, refused=over, error=(InvalidInputError, RunNotFoundError), dies=dies)

    @rule(which=WHICH, dies=DIES)
    def resume(self, which: int, dies: Any) -> None:
        states, run_id = self.now(), self.run_at(which)
        live = self.live(states, run_id)
        stands = live is not None and status_of(live) in {"paused", "suspended"}
        request = self.client.resume(run_id)
        error = (InvalidInputError, RunNotFoundError)
        self.tell(request, refused=not stands, error=error, dies=dies)

    @rule(which=WHICH, dies=DIES)
    def cancel(self, which: int, dies: Any) -> None:
        run_id = self.run_at(which)
        refused = run_id not in self.now()
        request = self.client.cancel(run_id, "enough")
        self.tell(request, refused=refused, error=(RunNotFoundError,), dies=dies)

    def unreadable(self, run_id: str) -> bool:
        """Whether who needs the payloads of a run is refused."""
        return run_id in self.shredded or run_id == "nobody"

    @rule(which=WHICH, fails=st.none() | st.integers(0, 2), dies=DIES)
    def rerun(self, which: int, fails: int | None, dies: Any) -> None:
        run_id = self.run_at(which)
        given = None if fails is None else {"fails": fails}
        request = self.client.rerun(run_id, input_data=given)
        error = (ShreddedError, RunNotFoundError)
        self.note(self.tell(request, refused=self.unreadable(run_id), error=error, dies=dies))

    @rule(
        which=WHICH,
        at=st.none() | st.integers(1, 40),
        fails=st.none() | st.integers(0, 2),
        identity=st.sampled_from([None, "origin", "own"]),
        dies=DIES,
    )
    def fork(self, which: int, at: int | None, fails: Any, identity: Any, dies: Any) -> None:
        """At any event, with the same input or another."""
        self.house.calm(0.8)
        self.house.calm()
        run_id = self.run_at(which)
        events = len(self.house.log.read(run_id))
        refused = self.unreadable(run_id) or (at is not None and at > events)
        given = {} if fails is None else {"input_data": {**self.input_of(run_id), "fails": fails}}
        error = (ShreddedError, RunNotFoundError, InvalidInputError)
        asked: Any = {"refused": refused, "error": error}
        preview = self.look(
            self.client.preview_fork(run_id, at, identity=identity, **given), **asked
        )
        keys = {getattr(each, "key", None) for each in self.house.history(run_id)}
        request = self.client.fork(run_id, at, identity=identity, reason="so", **given)
        made = self.tell(request, **asked, dies=dies)
        if made is not None:
            self.note(made)
            again = {each.key for each in preview.redo}
            self.forks[made.run_id] = (again, {key for key in keys if key})

    @rule(which=WHICH, after_cleanup=st.booleans(), dies=DIES)
    def retry(self, which: int, after_cleanup: bool, dies: Any) -> None:
        self.house.calm(0.8)
        states, run_id = self.now(), self.run_at(which)
        state = states.get(run_id)
        refused = self.unreadable(run_id)
        if state is not None and status_of(state) not in {"failed", "cancelled"}:
            refused = True
        error = (ShreddedError, RunNotFoundError, InvalidInputError)
        preview = self.look(self.client.preview_retry(run_id), refused=refused, error=error)
        if preview is not None and preview.cleanup and not after_cleanup:
            refused = True
        request = self.client.retry(run_id, after_cleanup=after_cleanup)
        self.note(self.tell(request, refused=refused, error=error, dies=dies))

    @rule(which=WHICH, at=st.none() | st.integers(1, 20))
    def what_if(self, which: int, at: int | None) -> None:
        """The code is what it was, so that it asks for what is recorded."""
        self.house.calm()
        run_id = self.run_at(which)
        events = len(self.house.log.read(run_id))
        refused = self.unreadable(run_id) or (at is not None and at > events)
        error = (ShreddedError, RunNotFoundError, InvalidInputError)
        report = self.look(self.client.what_if(run_id, at=at), refused=refused, error=error)
        assert report is None or report.is_compatible, str(report)

    @rule(which=WHICH, at=st.integers(1, 20))
    def look_around(self, which: int, at: int) -> None:
        """Whoever asks is answered."""
        self.house.calm(0.8)
        run_id = self.run_at(which)
        events = len(self.house.log.read(run_id))
        gone = {"refused": events == 0, "error": (RunNotFoundError,)}
        self.look(self.client.get_result(run_id))
        self.look(self.client.get_events(run_id), **gone)
        refused = self.unreadable(run_id)
        error = (ShreddedError, RunNotFoundError, InvalidInputError)
        self.look(self.client.explain(run_id), refused=None, error=error)
        early = {"refused": refused or at > events, "error": error}
        then = self.look(self.client.state_at(run_id, at), **early)
        assert then is None or then.version == at
        self.look(self.client.diff(run_id, at), **early)
        self.look(self.client.doctor())

    @rule(
        action=st.sampled_from(["cancel", "pause", "resume", "retry", "rerun", "fork"]),
        status=st.sampled_from([None, *ENDED, "paused", "running"]),
        user=USERS,
        dies=DIES,
    )
    def bulk(self, action: Any, status: Any, user: Any, dies: Any) -> None:
        """The dry run names those to which the real one does it."""
        self.house.calm(0.8)
        filters = {"status": status, "user_id": user}
        dry = self.look(self.client.bulk(action, **filters))
        wanted = [(each.run_id, each.status) for each in dry.items]
        done = self.tell(self.client.bulk(action, **filters, dry_run=False), dies=dies)
        if done is None:
            return  # the process has died
        assert [(each.run_id, each.status) for each in done.items] == wanted
        self.known |= {each.new_run_id for each in done.done if each.new_run_id}

    # Those who look after the store.

    @rule(user=st.sampled_from(["ann", "bob"]), cancel=st.booleans(), dies=DIES)
    def shred(self, user: str, cancel: bool, dies: Any) -> None:
        states = self.now()
        mine = {run for run, each in states.items() if each.queued and each.queued.user_id == user}
        busy = any(not states[run].is_finished for run in mine)
        refused = None if cancel else busy
        if not self.is_encrypted:
            refused = True
        request = self.client.shred(user, cancel=cancel)
        error = (InvalidInputError, ConfigurationError)
        house = self.house
        if cancel:
            house.calm()
            house.disk.left = dies
            try:
                done = house.do(request)
            except AGNT5Error as problem:
                assert house.disk.dead or isinstance(problem, error), repr(problem)
                done = None
            house.disk.left = None
            if dies is not None:
                house.crash()
                house.open()
        else:
            done = self.tell(request, refused=refused, error=error, dies=dies)
        if done is not None:
            self.shredded |= set(done.runs)
        elif dies is not None:
            self.shredded |= {run for run in mine if self.is_shredded(run)}

    def is_shredded(self, run_id: str) -> bool:
        return any(shredded_at(row.state) is not None for row in self.house.log.read(run_id))

    @rule()
    def rotate(self) -> None:
        """A new master key; the old one is thrown away."""
        if not self.is_encrypted:
            self.tell(self.client.rotate_keys(), refused=True, error=(ConfigurationError,))
            return
        house = self.house
        house.close()
        house.masters.append(house.masters[-1] + 1)
        house.open()
        house.do(self.client.rotate_keys())
        house.close()
        del house.masters[:-1]
        house.open()

    @rule(archives=st.booleans(), comes_back=st.booleans(), status=st.sampled_from([None, *ENDED]))
    def prune(self, archives: bool, comes_back: bool, status: Any) -> None:
        """What has ended goes; from the archive it comes back as it was."""
        house = self.house
        archive = self.place("") if archives else None
        options: dict[str, Any] = {"archive": archive, "status": status}
        if self.is_encrypted:
            options["payloads"] = "plain" if archives else None
        house.calm(0.8)
        house.wait(0.01)  # what has ended at this very moment is not older than that
        planned = self.look(self.client.prune(timedelta(), **options, dry_run=True))
        before, states = house.contents(), house.states()
        done = house.do(self.client.prune(timedelta(), **options))
        left = set(house.log.run_ids())
        gone = states.keys() - left
        assert all(states[run].is_finished for run in gone)
        assert (planned.runs, planned.events) == (done.runs, done.events)
        assert done.runs == len(gone)
        if not (archives and comes_back):
            self.gone |= gone
            self.known -= gone
            self.shredded -= gone
            return
        for file in done.files:
            house.do(self.client.import_runs(file))
        assert not (wrote := changed(before, house.contents())), wrote

    @rule(encrypted=st.booleans(), form=st.sampled_from(["jsonl"]))
    def move(self, encrypted: bool, form: Any) -> None:
        """Export, import into another store: it holds the same, and holds together."""
        house, file = self.house, io.BytesIO()
        house.calm()
        payloads = "plain" if self.is_encrypted else None
        asked = [run for run in sorted(house.log.run_ids()) if run not in self.shredded]
        self.look(self.client.export_runs(file, asked, form=form, payloads=payloads))
        text = file.getvalue()
        again = self.look(self.client.import_runs(io.BytesIO(text), form=form))
        assert again.runs == 0
        assert sorted(again.skipped) == asked
        ring = Keyring({"other": bytes(32)}) if encrypted else None
        store = f"sqlite:///{self.place('.db')}"
        done = import_runs(io.BytesIO(text), store=store, form=form, encryption=ring)
        assert done.runs == len(asked)
        found = verify_store(store, encryption=ring)
        assert found.ok, str(found)

    # The process ends.

    @rule(how=st.sampled_from(["crash", "close", "rebuild", "vacuum"]))
    def restart(self, how: str) -> None:
        house = self.house
        if how == "crash":
            house.crash()
        else:
            house.close()
        address = f"sqlite:///{house.path}"
        if how == "rebuild":
            before = self.held(address)
            rebuild_index(address, encryption=house.keyring)
            assert self.held(address) == before
        elif how == "vacuum":
            vacuum_store(address)
        house.open()

    def held(self, address: str) -> Any:
        log = open_store(address, readonly=True)
        try:
            with log.view() as view:
                rows = {row.run_id: row for row in view.run_rows()}
                return rows, {(key.scope, key.run_id) for key in view.key_bindings()}
        finally:
            log.close()

    # What must be true.

    @invariant()
    def holds_together(self) -> None:
        if not hasattr(self, "house"):
            return
        house = self.house
        assert not house.problems, house.problems
        house.calm()
        found = house.do(self.client.verify())
        assert found.ok, str(found)
        if house.is_chained:
            chain = house.do(self.client.verify_chain(KEY.public))
            assert chain.ok, chain
        states = house.states()
        assert self.known <= states.keys(), self.known - states.keys()
        self.check_lists(states)
        self.check_views(states)
        for run_id in states:
            self.check_history(run_id)
        self.check_forks()

    def check_lists(self, states: dict[str, RunState]) -> None:
        rows = self.house.do(self.client.list_runs(limit=10_000))
        assert {row.run_id: str(row.status) for row in rows} == {
            run: status_of(state) for run, state in states.items()
        }
        for run, state in states.items():
            row = self.house.log.run_row(run)
            assert row is not None
            if not row.owes:
                assert row == settled_row_of(state), (row, state)

    def sql(self, asked: str) -> list[tuple[Any, ...]]:
        found = ask_store(f"sqlite:///{self.house.path}", asked, limit=10_000, timeout=30)
        return [tuple(row) for row in found.rows]

    def check_views(self, states: dict[str, RunState]) -> None:
        waits = self.sql("SELECT run_id, step_key FROM agnt5_waits WHERE status='open'")
        steps = self.sql("SELECT run_id, step_key FROM agnt5_steps WHERE status='open'")
        kinds = {
            (run, op.key): op.kind for run, each in states.items() for op in each.open.values()
        }
        asked = {OpKind.STEP, OpKind.INLINE}
        assert set(steps) == {place for place, kind in kinds.items() if kind in asked}
        assert set(waits) == {place for place, kind in kinds.items() if kind not in asked}
        columns = "run_id, status, events, continued_to, forked_from, forked_at"
        rows = self.sql(f"SELECT {columns} FROM agnt5_runs")
        events = {run: len(self.house.log.read(run)) for run in states}
        assert {row[0]: tuple(row[1:]) for row in rows} == {
            run: (
                status_of(state),
                events[run],
                state.successor,
                state.forked.origin if state.forked else None,
                state.forked.at if state.forked else None,
            )
            for run, state in states.items()
        }

    def check_history(self, run_id: str) -> None:
        """What was paused stands still; nothing follows the end; what ended well says so."""
        facts = self.house.history(run_id)
        paused = False
        for number, fact in enumerate(facts):
            if isinstance(fact, f.RunPaused | f.RunResumed):
                paused = isinstance(fact, f.RunPaused)
            elif paused and isinstance(fact, f.RunForked):
                paused = False
            elif paused and isinstance(fact, MOVES):
                raise AssertionError(f"{run_id} moved while it was paused: {number} {fact}")
        queued, last = facts[0], facts[-1]
        assert isinstance(queued, f.RunQueued)
        if isinstance(last, f.RunCompleted) and run_id not in self.shredded:
            assert decode(last.output) == OUTPUTS[queued.component]

    def check_forks(self) -> None:
        for run_id, key, _ in self.house.began:
            again, origin = self.forks.get(run_id, (set(), set()))
            assert key not in origin or key in again, f"{key} of {run_id} was not announced"

    def teardown(self) -> None:
        """What nothing holds back ends."""
        if not hasattr(self, "house"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.end()
        finally:
            self.house.close()
            self.house.runner.close()
            shutil.rmtree(self.folder)
            for registry in (FunctionRegistry, WorkflowRegistry, EntityRegistry):
                registry.clear()
            programs.install()

    def end(self) -> None:
        house = self.house
        house.close()
        house.breaks, house.limits = False, Limits()
        house.open()
        for _ in range(40):
            house.wait(200)
            left = [(run, each) for run, each in house.states().items() if not each.is_finished]
            if not left:
                break
            for run, state in left:
                self.help(run, state)
        left = [(run, house.history(run)) for run, e in house.states().items() if not e.is_finished]
        assert not left, left
        self.holds_together()

    def help(self, run_id: str, state: RunState) -> None:
        """Give it what it waits for."""
        match status_of(state):
            case "paused" | "suspended":
                self.house.do(self.client.resume(run_id))
            case "awaiting_user_input":
                self.house.do(self.client.resume(run_id, "yes", actor="ann"))
            case _:
                self.house.do(self.client.signal(run_id, "go", "said"))


PROFILE = os.environ.get("HYPOTHESIS_PROFILE")
TestOperations = pytest.mark.timeout(3600 if PROFILE == "night" else 170)(Operations.TestCase)
TestOperations.settings = settings(
    max_examples=settings.default.max_examples if PROFILE == "night" else 20,
    stateful_step_count=12,
    deadline=None,
)
