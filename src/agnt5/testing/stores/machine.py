"""The state machine that draws what is done with a store. What must hold is said by the trial."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agnt5.events.index import FINISHED, UNFINISHED, IndexChange, KeyBinding
from agnt5.events.leases import STORE_SCOPE
from agnt5.exceptions import StaleEpochError, StoreError
from agnt5.testing.stores.comparing import same_list, same_window
from agnt5.testing.stores.plans import OWNERS, RUNS, SCOPES, STREAMS, Put, groups
from agnt5.testing.stores.port import Moment, StoreConformanceError
from agnt5.testing.stores.trial import Ground, Trial

_MOMENTS: tuple[Moment, ...] = ("before", "middle", "after")


class StoreMachine(RuleBasedStateMachine):
    """Random histories of one store; the model says what must be there after each step.

    Which rules may come next follows from what was drawn alone, never from how fast a store was.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        if ground.is_over():
            reject()
        self.ground = ground
        self.ground.last_history = []
        with self._told():
            self.trial = Trial(ground)
            self.ground.last_history = self.trial.history

    @contextmanager
    def _told(self, *lines: str) -> Generator[None, None, None]:
        """Tell what was done until then, whatever goes wrong."""
        for line in lines:
            self.trial.say(line)
        try:
            yield
        except StoreConformanceError as error:
            told = StoreConformanceError(error.law, error.found, tuple(self.ground.last_history))
            self.ground.note(told)
            raise told from error.__cause__
        except Exception as error:
            told = StoreConformanceError(
                "no surprise",
                f"It raised {type(error).__name__}: {error}",
                tuple(self.ground.last_history),
            )
            self.ground.note(told)
            raise told from error

    def teardown(self) -> None:
        """Close the store and remove its place."""
        if hasattr(self, "trial"):
            with self._told("close"):
                self.trial.end()

    def _calm(self) -> bool:
        return not self.trial.is_full

    def _owning(self) -> bool:
        return not self.trial.is_full and not self.trial.model.fenced

    # Appends

    @rule(puts=groups)
    def append(self, puts: list[Put]) -> None:
        """Hand over a group; in calm, wait until it is settled."""
        with self._told():
            self.trial.hand_over(self.trial.build(puts, with_facts=self.trial.is_full))
            if self.trial.is_full:
                self.trial.settle_edges()
            else:
                self.trial.settle()

    @precondition(_calm)
    @rule(puts=groups)
    def append_and_go_on(self, puts: list[Put]) -> None:
        """Hand over a group, and do not wait."""
        with self._told():
            self.trial.hand_over(self.trial.build(puts, with_facts=True))

    @precondition(_calm)
    @rule(which=st.integers(0, 9))
    def append_again(self, which: int) -> None:
        """Send again what was written: whoever sent it has not heard of it."""
        with self._told():
            self.trial.settle()
            if self.trial.sent:
                self.trial.hand_over([self.trial.again(which)])
                self.trial.settle()

    # Looking

    @precondition(_calm)
    @rule(
        stream=st.sampled_from(STREAMS),
        after=st.integers(0, 6),
        upto=st.none() | st.integers(0, 6),
        limit=st.none() | st.integers(0, 4),
    )
    def read(self, stream: str, after: int, upto: int | None, limit: int | None) -> None:
        """Read a window of a stream."""
        with self._told(f"read {stream}, after={after}, upto={upto}, limit={limit}"):
            self.trial.settle()
            same_window(self.trial.store, self.trial.model, stream, after, upto, limit)

    @precondition(_calm)
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
        """List some runs."""
        with self._told("list runs"):
            self.trial.settle()
            same_list(
                self.trial.store,
                self.trial.model,
                status=status,
                component=component,
                parent_run_id=parent_run_id,
                limit=limit,
                before=before,
            )

    # The index as a whole

    @precondition(_calm)
    @rule(dropped=st.sets(st.sampled_from(RUNS), max_size=2), is_wrong=st.booleans())
    def rebuild(self, dropped: set[str], is_wrong: bool) -> None:
        """Write the index again; a list that binds a key twice is refused, whole."""
        trial, model = self.trial, self.trial.model
        with self._told():
            trial.settle()
            if model.volatile:  # what lies in memory has an index of which a rebuild knows nothing
                return
            trial.say("rebuild the index" + (" with a key that is bound twice" * is_wrong))
            changes: list[IndexChange] = [
                row for run_id, row in reversed(model.rows.items()) if run_id not in dropped
            ]
            changes += model.keys.values()
            if is_wrong:
                changes += [KeyBinding("twice", "a", "d"), KeyBinding("twice", "b", "d", "c")]
            try:
                trial.store.rebuild(changes)
            except StoreError as error:
                if model.fenced is not isinstance(error, StaleEpochError):
                    raise
                if not (is_wrong or model.fenced):
                    raise
                return
            if is_wrong or model.fenced:
                why = "owner" if model.fenced else "rebuild"
                raise StoreConformanceError(why, "rebuild() had to raise a StoreError.")
            model.rebuild(changes)

    # Ownership

    @precondition(_owning)
    @rule(scope=st.sampled_from([*SCOPES, STORE_SCOPE]), owner=st.sampled_from(OWNERS))
    def claim(self, scope: str, owner: str) -> None:
        """Claim a scope; the whole store only for who has it already."""
        trial = self.trial
        with self._told():
            trial.settle()
            owner = trial.store.owner if scope == STORE_SCOPE else owner
            trial.say(f"claim {scope} for {owner}")
            trial.owners.claim(trial.store, scope, owner, self.ground.faults.lapse)

    @precondition(_owning)
    @rule(which=st.integers(0, 5))
    def release(self, which: int) -> None:
        """Give up a lease, be it the last one of its scope or an old one."""
        with self._told():
            self.trial.settle()
            lease = self.trial.owners.release(self.trial.store, which)
            self.trial.say(f"release {lease}")

    @precondition(_owning)
    @rule()
    def lose(self) -> None:
        """Lose the store to somebody else."""
        with self._told("somebody else claims the store"):
            self.trial.lose()

    @precondition(_owning)
    @rule()
    def open_twice(self) -> None:
        """Open the place a second time."""
        with self._told("open the place while it is open"):
            self.trial.open_twice()

    # Ends and trouble

    @rule()
    def reopen(self) -> None:
        """Close the store with all that is under way, and open it again."""
        with self._told("close, open again"):
            self.trial.reopen()

    @precondition(lambda self: self.ground.faults.crash)
    @rule(puts=st.just([]) | groups)
    def crash(self, puts: list[Put]) -> None:
        """Let the process die, with a group under way."""
        with self._told():
            if puts:
                self.trial.hand_over(self.trial.build(puts, with_facts=True))
            self.trial.say("crash, open again")
            self.trial.crash()

    @precondition(lambda self: self.ground.faults.full and self._owning())
    @rule()
    def fill(self) -> None:
        """Nothing can be written any more."""
        with self._told("the disk is full"):
            self.trial.fill()

    @precondition(lambda self: self.trial.is_full)
    @rule()
    def mend(self) -> None:
        """It can be written again."""
        with self._told("the disk has room again"):
            self.trial.mend()

    @precondition(lambda self: self.ground.faults.strike and self._owning())
    @rule(puts=groups, moment=st.sampled_from(_MOMENTS))
    def strike(self, puts: list[Put], moment: Moment) -> None:
        """A write fails once."""
        with self._told():
            self.trial.settle()
            self.trial.say(f"the next write fails once, {moment} it is carried out")
            self.trial.strike(moment, self.trial.build(puts, with_facts=True))

    @precondition(lambda self: self.ground.faults.slow and self._calm())
    @rule(puts=groups)
    def write_slowly(self, puts: list[Put]) -> None:
        """Writes take longer, and readers look on."""
        slow = self.ground.faults.slow
        assert slow is not None  # noqa: S101 - the precondition
        with self._told(), ExitStack() as stack:
            self.trial.settle()
            self.trial.say("writes are slow")
            stack.enter_context(slow(self.trial.store))
            self.trial.hand_over(self.trial.build(puts, with_facts=True))
            self.trial.settle()

    @invariant()
    def is_as_the_model_says(self) -> None:
        """Everything that can be read is as it must be."""
        with self._told():
            self.trial.check()
