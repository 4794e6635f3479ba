"""However a history comes in appends, and whoever has read what of it: a span is told once."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.programs import install, small_programs
from tests.laws.world import RUN, play, run

from agnt5.events.codec import decode_history, encode_fact
from agnt5.events.log import Append, Chain
from agnt5.events.run import facts as f
from agnt5.events.run.forking import ForkWish, fork
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StoreError
from agnt5.telemetry.feed import Feed
from agnt5.telemetry.run_spans import RunSpans
from agnt5.telemetry.spans import SpanRecord

History = list[tuple[f.RunFact, int]]


def spans_of(history: History) -> list[SpanRecord]:
    """What a process that sees all of it tells."""
    follower = RunSpans(RUN)
    return [span for fact, at in history for span in follower.see(fact, at)]


def appends(history: History, sizes: list[int], parks: list[bool]) -> list[Append]:
    """The history cut into appends of these sizes, at whose ends the run may be parked."""
    found: list[Append] = []
    left, after = list(history), 0
    for size, is_parked in zip([*sizes, len(left)], [*parks, False] * 20, strict=False):
        part, left = left[:size], left[size:]
        if not part:
            continue
        if is_parked and left:
            part.append((f.RunParked(), part[-1][1]))
        raw = [encode_fact(fact, at, f"{after}.{n}") for n, (fact, at) in enumerate(part)]
        found.append(Append(RUN, after, raw, (), Chain(), lambda _: None))
        after += len(part)
    return found


async def told(found: list[Append], restarts: set[int], lost: set[int]) -> list[SpanRecord]:
    """What is told when a process begins anew before some appends, and never hears of others."""
    log, heard = MemoryLog(), []
    log.start(lambda settled: None)
    log.append(found)
    assert not any(each.error for each in found)

    def hear(spans, fact, at, ended) -> None:
        heard.extend(ended)

    feed = Feed(log, hear)
    for n, append in enumerate(found):
        if n in restarts:
            feed = Feed(log, hear)
        if n in lost:
            continue
        feed.hear([append], since_opening=True)
        while feed._reading:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    await feed.close(5)
    return heard


def places(spans: list[SpanRecord]) -> Counter[tuple[str, str, str]]:
    return Counter((span.name, span.span_id, span.outcome) for span in spans)


@pytest.fixture(autouse=True)
def programs(registries):
    install()


@given(
    small_programs(8),
    st.lists(st.integers(1, 3), min_size=1, max_size=8),
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.sets(st.integers(0, 8), max_size=3),
    st.sets(st.integers(0, 8), max_size=2),
)
def test_what_is_told_is_what_the_appends_that_were_heard_have_ended(
    program, sizes, parks, restarts, lost
):
    history = run(play(program)).disk.history(RUN)
    found = appends(history, sizes, parks)
    lost = {n for n in lost if n < len(found)}
    expected, follower = [], RunSpans(RUN)
    for n, append in enumerate(found):
        for fact, at in decode(append):
            ended = follower.see(fact, at)
            expected += [] if n in lost else ended
    seen = asyncio.run(told(found, restarts, lost))
    assert places(seen) == places(expected)
    assert max(places(seen).values(), default=1) == 1


def decode(append: Append) -> History:
    rows = MemoryLog()
    rows.start(lambda settled: None)
    alone = Append(append.stream, 0, append.facts, (), Chain(), lambda _: None)
    rows.append([alone])
    return decode_history(rows.read(append.stream))


@given(small_programs(12))
def test_the_spans_of_a_run_are_a_tree_in_which_nothing_is_left_open(program):
    check_tree(spans_of(run(play(program)).disk.history(RUN)))


@given(small_programs(12), st.data())
def test_a_fork_at_any_event_tells_what_happened_since_and_nothing_of_its_origin(program, data):
    history = run(play(program)).disk.history(RUN)
    now = history[-1][1]
    at = data.draw(st.integers(1, len(history)))
    made = fork("origin", history, ForkWish(RUN, at, "origin", None), now)
    (copied,) = appends(made.facts, [], [])
    copied.imported = True
    later = now - history[made.kept - 1][1]
    rest = [(fact, at + later) for fact, at in history[made.kept :]]
    raw = [encode_fact(fact, at, f"r{n}") for n, (fact, at) in enumerate(rest)]
    following = Append(RUN, len(made.facts), raw, (), Chain(), lambda _: None)
    spans = asyncio.run(told([copied, following], set(), set()))
    check_tree(spans)
    assert all(span.began_at >= now for span in spans)
    assert not any("agnt5.attempt.began_again" in span.attributes for span in spans)
    assert [link.why for link in spans[-1].links] == ["fork"]


def check_tree(spans: list[SpanRecord]) -> None:
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "every span has an id of its own"
    roots = [span for span in spans if span.parent_id is None]
    assert [span.kind for span in roots] == ["run"]
    assert spans[-1] is roots[0]
    for span in spans:
        assert span.began_at <= span.ended_at
        if span.parent_id is not None:
            parent = by_id[span.parent_id]
            assert parent.began_at <= span.began_at
            assert span.ended_at <= parent.ended_at
        assert (span.kind == "attempt") == ("agnt5.attempt" in span.attributes)


async def test_a_beginning_that_cannot_be_read_is_told_of_and_read_at_the_next_event(caplog):
    facts = [
        (f.RunQueued(component="order", kind="workflow", input=None), 1),
        (f.RunStarted(definition="d"), 2),
        (f.StepScheduled(key=":a#0", name="a", function="a"), 3),
        (f.StepCompleted(key=":a#0"), 4),
        (f.RunCompleted(), 5),
    ]
    found = appends(facts, [2, 1, 1], [False])
    log, heard = MemoryLog(), []
    log.start(lambda settled: None)
    log.append(found)

    class Trouble(MemoryLog):
        def read(self, *args, **kwargs):
            raise StoreError("the disk is away")

    feed = Feed(Trouble(), lambda spans, fact, at, ended: heard.extend(ended))
    feed.hear([found[1]], since_opening=True)
    while feed._reading:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "cannot be told just now" in caplog.text
    feed._log = log
    for append in found[2:]:
        feed.hear([append], since_opening=True)
    await feed.close(5)
    assert [span.name for span in heard] == ["attempt a", "step a", "workflow order"]
    assert heard[0].attributes["agnt5.attempt.began_again"] is True
    assert heard[0].began_at == 3


async def test_a_run_that_waits_costs_no_memory():
    facts = [
        (f.RunQueued(component="order", kind="workflow", input=None), 1),
        (f.RunStarted(definition="d"), 2),
        (f.TimerScheduled(key=":sleep#0", due_at=9), 3),
    ]
    (append,) = appends([*facts, (f.RunParked(), 3)], [9], [False])
    feed = Feed(MemoryLog(), lambda spans, fact, at, ended: None)
    feed.hear([append], since_opening=True)
    assert feed._runs == {}


async def test_what_waits_for_one_beginning_after_another_is_told_before_the_end():
    facts = [
        (f.RunQueued(component="order", kind="workflow", input=None), 1),
        (f.TimerScheduled(key=":sleep#0", due_at=9), 2),
        (f.TimerFired(key=":sleep#0"), 3),
        (f.RunCompleted(), 4),
    ]
    found = appends(facts, [1, 1, 1], [False, True])
    log, heard = MemoryLog(), []
    log.start(lambda settled: None)
    log.append(found)
    feed = Feed(log, lambda spans, fact, at, ended: heard.extend(ended))
    feed.hear(found[1:], since_opening=True)
    await feed.close(5)
    assert [span.name for span in heard] == ["sleep", "workflow order"]
