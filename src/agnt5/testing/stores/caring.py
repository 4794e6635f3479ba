"""Steps that care for a store: forgetting runs, and looking at everything at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass

from agnt5.events.index import NO_RUN, RunRow
from agnt5.events.log import LogView, Removal, StoredFact, StreamSize
from agnt5.exceptions import StaleEpochError
from agnt5.testing.stores.comparing import same, same_facts
from agnt5.testing.stores.model import Model
from agnt5.testing.stores.plans import Put
from agnt5.testing.stores.port import StoreConformanceError
from agnt5.testing.stores.trial import Trial

_NOBODY = "nobody"


@dataclass(frozen=True)
class Forget:
    """Delete runs, and one that is not there."""

    streams: frozenset[str]
    off: int
    """How far it misses where they end; 0 for where they do."""
    keys: tuple[str, ...]

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        trial.check()  # what was settled just now has positions that nobody has seen yet
        model = trial.model
        removals = [
            Removal(stream, model.tail(stream) + self.off, self.keys)
            for stream in (*sorted(self.streams), _NOBODY)
            if not stream.startswith(NO_RUN)
        ]
        # One by one: of two logs side by side each has a transaction of its own.
        trial.say(f"forget {', '.join(f'{each.stream} at {each.version}' for each in removals)}")
        if not model.fenced:
            trial.forget(removals)
            return
        durable = [each for each in removals if each.stream not in model.volatile]
        try:
            trial.store.forget(durable)
        except StaleEpochError:
            return
        raise StoreConformanceError("owner", "forget() had to raise a StaleEpochError.")


@dataclass(frozen=True)
class View:
    """Look at everything, while more is appended."""

    puts: Sequence[Put]
    streams: frozenset[str]

    def play(self, trial: Trial) -> None:
        """Do it."""
        trial.settle()
        if trial.uses_memory:  # what lies in memory alone is not part of it
            return
        trial.say("take a view")
        with trial.store.view() as view:
            before = deepcopy(trial.model)
            trial.hand_over(trial.build(self.puts, with_facts=True))
            trial.settle()
            same_view(view, before, sorted(self.streams))


def same_view(view: LogView, model: Model, some: Sequence[str]) -> None:
    """A view shows what the model says.

    Raises:
        StoreConformanceError: It shows something else.
    """
    found = _by_stream(view.facts())
    same("view", "The streams of facts()", list(found), sorted(model.streams))
    for stream, facts in found.items():
        expected = model.streams[stream]
        same_facts(f"facts() of {stream!r}", stream, facts, expected, 1)
        same("view", f"read({stream!r}) of a view", view.read(stream), facts)
        second = view.read(stream, after=1, upto=2)
        same("view", f"read({stream!r}, after=1, upto=2) of a view", second, facts[1:2])
    same("view", f"read({_NOBODY!r}) of a view", view.read(_NOBODY), [])
    wanted = {stream: facts for stream, facts in found.items() if stream in some}
    same("view", f"facts({some})", _by_stream(view.facts([*some, _NOBODY])), wanted)
    rows = sorted(model.rows.values(), key=lambda row: row.run_id)
    same("view", "run_rows()", list(view.run_rows()), rows)
    for run_id in [*model.streams, _NOBODY]:
        row: RunRow | None = view.run_row(run_id)
        same("view", f"run_row({run_id!r}) of a view", row, model.rows.get(run_id))
    keys = sorted(model.keys.values(), key=lambda key: key.scope)
    same("view", "key_bindings()", list(view.key_bindings()), keys)
    for scope in (*model.keys, "none"):
        same("view", f"key_binding({scope!r})", view.key_binding(scope), model.keys.get(scope))
    sizes = [
        StreamSize(stream, len(facts), sum(len(fact.state) for fact in facts))
        for stream, facts in model.streams.items()
    ]
    sizes.sort(key=lambda each: (-each.size, each.stream))
    same("view", "sizes(2)", view.sizes(2), sizes[:2])
    same("view", "repeated()", list(view.repeated()), _repeated(model))
    same("view", "damages()", view.damages(), [])


def _by_stream(facts: Iterable[StoredFact]) -> dict[str, list[StoredFact]]:
    found: dict[str, list[StoredFact]] = {}
    last: str | None = None
    for fact in facts:
        if fact.stream != last and fact.stream in found:
            raise StoreConformanceError("view", f"facts() gave {fact.stream!r} in two pieces.")
        last = fact.stream
        found.setdefault(fact.stream, []).append(fact)
    return found


def _repeated(model: Model) -> list[str]:
    ids = [fact.event_id for facts in model.streams.values() for fact in facts]
    return sorted({each for each in ids if ids.count(each) > 1})
