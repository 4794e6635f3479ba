"""What can be done with a store, each as a value: a history of steps can be played again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from agnt5.events.index import IndexChange, KeyBinding
from agnt5.events.leases import STORE_SCOPE
from agnt5.events.query import EventQuery
from agnt5.exceptions import StaleEpochError, StoreError
from agnt5.testing.stores.caring import Forget as Forget  # noqa: PLC0414 - a step like the others
from agnt5.testing.stores.caring import View as View  # noqa: PLC0414
from agnt5.testing.stores.comparing import same_list, same_query, same_window
from agnt5.testing.stores.plans import Put
from agnt5.testing.stores.port import Moment, StoreConformanceError
from agnt5.testing.stores.trial import Trial


@dataclass(frozen=True)
class UseMemory:
    """From now on one stream is volatile: a restart may forget it."""

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.uses_memory = True


@dataclass(frozen=True)
class Append:
    """Hand over a group and, unless the disk is full, wait until it is settled."""

    puts: Sequence[Put]

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.hand_over(trial.build(self.puts, with_facts=trial.is_full))
        if trial.is_full:
            trial.settle_edges()
        else:
            trial.settle()


@dataclass(frozen=True)
class AppendAndGoOn:
    """Hand over a group, and do not wait."""

    puts: Sequence[Put]

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.hand_over(trial.build(self.puts, with_facts=True))


@dataclass(frozen=True)
class AppendAgain:
    """Send again what was written: whoever sent it has not heard of it."""

    which: int

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        if trial.sent:
            trial.hand_over([trial.again(self.which)])
            trial.settle()


@dataclass(frozen=True)
class Read:
    """Read a window of a stream."""

    stream: str
    after: int
    upto: int | None
    limit: int | None

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.say(f"read {self.stream}, after={self.after}, upto={self.upto}, limit={self.limit}")
        same_window(trial.store, trial.model, self.stream, self.after, self.upto, self.limit)


@dataclass(frozen=True)
class ListRuns:
    """List some runs."""

    status: str | None
    component: str | None
    parent_run_id: str | None
    limit: int
    before: str | None

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.say("list runs")
        same_list(
            trial.store,
            trial.model,
            status=self.status,
            component=self.component,
            parent_run_id=self.parent_run_id,
            limit=self.limit,
            before=self.before,
        )


@dataclass(frozen=True)
class Query:
    """Ask the whole log, and count."""

    query: EventQuery
    limit: int
    by: str | None

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        if trial.model.volatile:  # what lies in memory alone is not asked
            return
        trial.say("ask the whole log")
        same_query(trial.store, trial.model, self.query, self.limit, self.by)


@dataclass(frozen=True)
class Rebuild:
    """Write the index again, without some runs; a list that binds a key twice is refused, whole.

    Then drop what belongs to no fact: nothing does.
    """

    dropped: frozenset[str]
    is_wrong: bool

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        model = trial.model
        trial.say("rebuild the index" + (" with a key that is bound twice" * self.is_wrong))
        changes: list[IndexChange] = [
            row for run_id, row in reversed(model.rows.items()) if run_id not in self.dropped
        ]
        changes += [key for key in model.keys.values() if key.run_id not in self.dropped]
        if self.is_wrong:
            changes = [KeyBinding("twice", "a", "d"), KeyBinding("twice", "b", "d", "c")]
        try:
            trial.store.rebuild(changes)
        except StoreError as error:
            if model.fenced is not isinstance(error, StaleEpochError):
                raise
            if not (self.is_wrong or model.fenced):
                raise
            return
        if self.is_wrong or model.fenced:
            law = "owner" if model.fenced else "rebuild"
            raise StoreConformanceError(law, "rebuild() had to raise a StoreError.")
        model.rebuild(changes)
        trial.store.collect()


@dataclass(frozen=True)
class Claim:
    """Claim a scope; the whole store only for who has it already."""

    scope: str
    owner: str
    then_release: Literal["nothing", "new", "old"] = "nothing"
    """Give it up again at once, or the one before it, which is void."""

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        owner = trial.store.owner if self.scope == STORE_SCOPE else self.owner
        trial.say(f"claim {self.scope} for {owner}")
        trial.owners.claim(trial.store, self.scope, owner, trial.ground.faults.lapse)
        if self.then_release != "nothing" and self.scope != STORE_SCOPE:
            trial.say(f"release the {self.then_release} lease of {self.scope}")
            trial.owners.release(trial.store, self.scope, 0 if self.then_release == "new" else 1)


@dataclass(frozen=True)
class Lose:
    """Lose the store to somebody else."""

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.say("somebody else claims the store")
        trial.lose()


@dataclass(frozen=True)
class OpenTwice:
    """Open the place a second time."""

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.say("open the place while it is open")
        trial.open_twice()


@dataclass(frozen=True)
class Reopen:
    """Close the store with all that is under way, and open it again."""

    puts: Sequence[Put] = ()

    def play(self, trial: Trial) -> None:
        """Do it."""
        if self.puts:
            trial.hand_over(trial.build(self.puts, with_facts=True))
        trial.say("close, open again")
        trial.reopen()


@dataclass(frozen=True)
class Crash:
    """Let the process die, with a group under way."""

    puts: Sequence[Put] = ()

    def play(self, trial: Trial) -> None:
        """Do it."""
        if self.puts:
            trial.hand_over(trial.build(self.puts, with_facts=True))
        trial.say("crash, open again")
        trial.crash()


@dataclass(frozen=True)
class Fill:
    """Nothing can be written any more; the first that comes then is from the edge."""

    puts: Sequence[Put] = ()

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.say("the disk is full")
        trial.fill()
        if self.puts:
            puts = [replace(self.puts[0], edge=True), *self.puts[1:]]
            trial.hand_over(trial.build(puts, with_facts=True))
            trial.settle_edges()


@dataclass(frozen=True)
class Mend:
    """It can be written again."""

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.say("the disk has room again")
        trial.mend()


@dataclass(frozen=True)
class Strike:
    """A write fails once."""

    puts: Sequence[Put]
    moment: Moment

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.say(f"the next write fails once: {_STRIKES[self.moment]}")
        trial.strike(self.moment, trial.build(self.puts, with_facts=True))


@dataclass(frozen=True)
class WriteSlowly:
    """Writes take longer, and readers look on."""

    puts: Sequence[Put]

    def play(self, trial: Trial) -> None:
        """Do it."""
        slow = trial.ground.faults.slow
        trial.settle()
        with ExitStack() as stack:
            if slow is not None:
                trial.say("writes are slow")
                stack.enter_context(slow(trial.store))
            trial.hand_over(trial.build(self.puts, with_facts=True))
            trial.settle()


Step = (
    UseMemory
    | Forget
    | View
    | Append
    | AppendAndGoOn
    | AppendAgain
    | Read
    | ListRuns
    | Query
    | Rebuild
    | Claim
    | Lose
    | OpenTwice
    | Reopen
    | Crash
    | Fill
    | Mend
    | Strike
    | WriteSlowly
)

_STRIKES: dict[Moment, str] = {
    "before": "nothing is carried out",
    "middle": "in the middle",
    "after": "all is carried out, the answer is lost",
}


def is_calm(trial: Trial) -> bool:
    """The store can write."""
    return not trial.is_full


def is_owning(trial: Trial) -> bool:
    """The store can write, and has not lost itself to another owner."""
    return not trial.is_full and not trial.model.fenced


def _always(_: Trial) -> bool:
    return True


_MAY: dict[type[Step], Callable[[Trial], bool]] = {
    UseMemory: lambda trial: not trial.model.streams,
    Forget: lambda trial: not trial.is_full,
    View: is_calm,
    Append: _always,
    Reopen: _always,
    Crash: lambda trial: trial.ground.faults.crash is not None,
    Mend: lambda trial: trial.is_full,
    Fill: lambda trial: trial.ground.faults.full is not None and is_owning(trial),
    Strike: lambda trial: trial.ground.faults.strike is not None and is_owning(trial),
    WriteSlowly: lambda trial: trial.ground.faults.slow is not None and is_calm(trial),
    Claim: is_owning,
    Lose: is_owning,
    OpenTwice: is_owning,
}


def may(trial: Trial, step: type[Step]) -> bool:
    """Whether a step makes sense now. That follows from the steps before, not from their speed."""
    return _MAY.get(step, is_calm)(trial)


@contextmanager
def told(history: Sequence[str]) -> Generator[None, None, None]:
    """Whatever goes wrong inside breaks a law, and comes with the history.

    Raises:
        StoreConformanceError: Something went wrong.
    """
    try:
        yield
    except StoreConformanceError as error:
        raise StoreConformanceError(error.law, error.found, tuple(history)) from error.__cause__
    except Exception as error:
        found = f"It raised {type(error).__name__}: {error}"
        raise StoreConformanceError("no surprise", found, tuple(history)) from error
