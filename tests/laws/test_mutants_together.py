"""Do the laws see anything of the newer mechanisms? Each is broken on purpose, and must show.

What a broken engine does is held against the end of a sound one.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.laws import sinks
from tests.laws.crashing_log import Crash, CrashAt
from tests.laws.sinks import Kitchen
from tests.laws.test_together import deployed_everywhere, trouble
from tests.laws.world import run

from agnt5 import EntityRegistry, batch_calls, recorded, saga, scopes
from agnt5.actors.attributes import Attributes
from agnt5.actors.entity import EntityActor
from agnt5.actors.images import Arguments
from agnt5.actors.replay import Replay
from agnt5.actors.values import RunValues
from agnt5.batch_calls import BatchFuture
from agnt5.events.run import children, decider, steps
from agnt5.events.run import facts as f


@pytest.fixture(autouse=True)
def components(registries):
    """The sinks' components."""
    sinks.install()
    yield
    EntityRegistry.clear()


def a_batch_is_known_by_when_it_came(patch: Any) -> None:
    """The identity of a batch is not that of its place."""
    numbers = itertools.count()
    patch.setattr(batch_calls, "batch_branch", lambda at, name, _: f"{at}/{name}{next(numbers)}")


def a_batch_knows_no_limit(patch: Any) -> None:
    """All items begin at once, from the last to the first."""
    init = BatchFuture.__init__

    def greedy(self: Any, script: Any, key: str, items: Any, *args: Any, **kwargs: Any) -> None:
        init(self, script, key, items[::-1], *args, **kwargs)

    patch.setattr(BatchFuture, "__init__", greedy)


def a_saga_is_undone_from_the_first(patch: Any) -> None:
    """The first step is undone first."""
    patch.setattr(saga, "reversed", list, raising=False)


def a_saga_forgets(patch: Any) -> None:
    """A step whose undo was recorded once is not undone by a later pass."""
    patch.setattr(saga._Undo, "is_due", property(lambda self: not self.step.done()))


def state_of_a_step_is_not_applied(patch: Any) -> None:
    """The body does not see what a step has set."""
    patch.setattr(RunValues, "take", lambda self, fact: self.end(fact.key))


def state_inside_a_step_is_not_recorded(patch: Any) -> None:
    """What an inline step has set is seen beside it, but its record does not hold it."""
    made_in = RunValues.made_in

    def forget(self: RunValues, key: str) -> tuple[None, None]:
        values, deleted = made_in(self, key)
        self.now = {k: v for k, v in self.now.items() if k not in (deleted or ())} | (values or {})
        return None, None

    patch.setattr(RunValues, "made_in", forget)


def notes_are_lost_on_the_way(patch: Any) -> None:
    """What the body says while the log is replayed, and the log does not hold, is never said."""
    patch.setattr(Replay, "add_note", lambda self, note: None)


def after_images_are_ignored(patch: Any) -> None:
    """Nothing is written back into the arguments."""
    patch.setattr(Arguments, "restore", lambda *_: None)


def after_images_of_failures_are_forgotten(patch: Any) -> None:
    """What a failed step has changed is not recorded."""
    report = steps.report_failure
    patch.setattr(
        steps, "report_failure", lambda state, it, now: report(state, replace(it, after=None), now)
    )


def attributes_are_not_restored(patch: Any) -> None:
    """A class workflow's attributes are as they were made."""
    patch.setattr(Attributes, "restore", lambda *_: None)


def a_child_is_reported_again(patch: Any) -> None:
    """Whoever says it twice is believed twice."""

    def believe(state: Any, it: Any) -> Any:
        if state.is_finished:
            return ()
        return (
            f.ChildFinished(key=it.key, status=it.status, output=it.output, error=it.error),
        ) * 2

    patch.setattr(decider, "report_child", believe)


def a_child_has_another_id_each_time(patch: Any) -> None:
    """Its id does not follow from the call."""
    patch.setattr(children, "child_run_id", lambda run, key: f"{run}.{random.random()}")


def children_are_forgotten(patch: Any) -> None:
    """After a restart nobody starts or attaches to a child."""
    patch.setattr(decider, "owed_children", lambda state: ())
    patch.setattr(children, "owed_children", lambda state: ())


def an_update_is_delivered_again(patch: Any) -> None:
    """Whoever asks again for the same thing has it done again."""

    def send(state: Any, it: Any) -> Any:
        return (f.UpdateReceived(update_id=it.update_id, name=it.name, payload=it.payload),)

    patch.setattr(decider, "send_update", send)


def chance_is_drawn_again(patch: Any) -> None:
    """A number does not follow from the run and the place."""
    patch.setattr(recorded, "derived_fraction", lambda run, place: random.random())


def time_goes_on(patch: Any) -> None:
    """The clock on the wall instead of the log."""
    ticks = itertools.count(1_700_000_000)
    patch.setattr(
        recorded.Recorded,
        "now",
        lambda self: recorded.datetime.fromtimestamp(next(ticks), recorded.UTC),
    )


def an_entity_call_counts_again(patch: Any) -> None:
    """An attempt that is made again after a crash is another call."""
    patch.setattr(EntityActor, "_known", lambda self, call: None)


def writes_of_a_session_do_not_look(patch: Any) -> None:
    """Whoever writes last wins."""
    write = scopes._write
    patch.setattr(
        scopes,
        "_write",
        lambda name, value, expected, **options: write(name, value, None, **options),
    )


def an_answer_is_taken_again(patch: Any) -> None:
    """Whoever answers again after a crash is taken to answer for the first time."""
    submit = decider.submit_answer

    def take(state: Any, it: Any) -> Any:
        known = state.answers.get(it.key)
        return submit(state, it) if known is None else (known,)

    patch.setattr(decider, "submit_answer", take)


IN_ORDER, AT_ONCE, INSIDE, CLASS = "sink_in_order", "sink_at_once", "sink_inside", "sink_class"
MUTANTS: list[tuple[Any, str, str | None]] = [
    (a_batch_is_known_by_when_it_came, IN_ORDER, None),
    (a_batch_knows_no_limit, IN_ORDER, None),
    (a_saga_is_undone_from_the_first, IN_ORDER, None),
    (a_saga_forgets, IN_ORDER, None),
    (state_of_a_step_is_not_applied, IN_ORDER, None),
    (state_inside_a_step_is_not_recorded, INSIDE, None),
    (notes_are_lost_on_the_way, AT_ONCE, "StateChanged"),
    (after_images_are_ignored, AT_ONCE, None),
    (after_images_of_failures_are_forgotten, AT_ONCE, None),
    (attributes_are_not_restored, CLASS, None),
    (a_child_is_reported_again, AT_ONCE, None),
    (a_child_has_another_id_each_time, AT_ONCE, None),
    (children_are_forgotten, AT_ONCE, "ChildStarted"),
    (an_update_is_delivered_again, AT_ONCE, "UpdateReceived"),
    (chance_is_drawn_again, AT_ONCE, None),
    (time_goes_on, AT_ONCE, None),
    (an_entity_call_counts_again, IN_ORDER, "EntityCallCompleted"),
    (writes_of_a_session_do_not_look, AT_ONCE, None),
    (an_answer_is_taken_again, AT_ONCE, "UserReplied"),
]
"""With the variant that shows it, and the topic around which a crash is needed, if one is."""


def around(sound: Kitchen, topic: str | None) -> list[Crash | None]:
    """The calm run, or a crash before and after every append of such a fact."""
    if topic is None:
        return [None]
    times = sum(topic in said for said in sound.life.log.topics)
    assert times, topic
    return [CrashAt(n, recorded, topic) for n in range(times) for recorded in (False, True)]


async def caught(variant: str, sound: Kitchen, crashes: Sequence[Crash | None]) -> str | None:
    """What the law says first."""
    for crash in crashes:
        try:
            _, found = await trouble(variant, [crash] if crash else [], sound, stall_limit=0.2)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if found:
            return f"{crash}: {found[0]}"
    return None


@pytest.mark.filterwarnings("ignore")  # broken engines leave all sorts of things behind
@pytest.mark.parametrize(
    ("mutant", "variant", "topic"), MUTANTS, ids=[mutant.__name__ for mutant, *_ in MUTANTS]
)
def test_a_broken_engine_is_caught(mutant, variant, topic, monkeypatch):
    """The law goes red, and is green before."""
    sound = run(sinks.play(variant))
    crashes = around(sound, topic)
    assert run(caught(variant, sound, crashes[:2])) is None
    mutant(monkeypatch)
    assert run(caught(variant, sound, crashes)) is not None, f"nobody noticed: {mutant.__doc__}"


def test_a_patch_that_is_always_taken_is_caught(monkeypatch):
    """A run that went on with the code of before is led astray."""
    monkeypatch.setattr(recorded.Recorded, "patched", lambda self, patch: True)
    assert run(deployed_everywhere(stall_limit=0.2))


def test_a_patch_that_is_not_recorded_is_caught(monkeypatch):
    """Whether it was taken is asked of the process, and not of the log."""
    monkeypatch.setattr(recorded.Recorded, "patched", lambda self, patch: not self.script.replaying)
    assert run(deployed_everywhere(stall_limit=0.2))
