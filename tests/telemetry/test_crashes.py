"""Random programs, killed at random moments: each span is told once, and the trace is that of the
calm run. What a crash has cut short is told as such."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from tests.laws.crashing_log import Crash
from tests.laws.programs import Seq, Step, can_fail, install, small_programs
from tests.laws.world import RUN, World, play, run
from tests.telemetry.test_feed import History, spans_of
from tests.telemetry.tools import Spans, new_spans, repeated

from agnt5.events.log import Append
from agnt5.events.run import facts as f
from agnt5.events.traces import trace_id_of
from agnt5.telemetry.house import Telemetry
from agnt5.telemetry.run_spans import RunSpans

CRASHES = st.lists(st.builds(Crash, st.integers(0, 12), st.booleans()), min_size=1, max_size=3)
SHARE = 0.5


def examples() -> Any:
    """A share of the profile's; a crash costs a runtime."""
    derandomize = os.environ.get("HYPOTHESIS_PROFILE") != "night"
    most = max(5, int(settings.default.max_examples * SHARE))
    phases = [phase for phase in Phase if phase is not Phase.explain]
    return settings(max_examples=most, derandomize=derandomize, deadline=None, phases=phases)


class Played:
    """A program that was played to its end, and what was told of it."""

    def __init__(self, program: Any, crashes: list[Crash] | None = None, **options: Any) -> None:
        self.spans: Spans = new_spans()
        self.heard: set[int] = set()
        """Versions of the facts that were heard of."""
        tell = Telemetry.hear

        def hear(telemetry: Telemetry, settled: list[Append]) -> None:
            for each in settled:
                if each.error is None:
                    self.heard |= {each.after + 1 + n for n in range(len(each.facts))}
            tell(telemetry, settled)

        with (
            patch.object(trace, "get_tracer_provider", lambda: self.spans.provider),
            patch.object(Telemetry, "hear", hear),
        ):
            self.world: World = run(play(program, crashes or (), **options))

    @property
    def history(self) -> History:
        """What is on record in the end."""
        return self.world.disk.history(RUN)

    def expected(self) -> Counter[Any]:
        """The spans that are ended by what was heard of."""
        follower, found = RunSpans(RUN), Counter()
        for version, (fact, at) in enumerate(self.history, 1):
            ended = follower.see(fact, at)
            if version in self.heard:
                found += Counter((s.name, s.span_id, s.outcome) for s in ended)
        return found

    def told(self) -> Counter[Any]:
        """The spans that were told."""
        return Counter(
            (s.name, trace.format_span_id(s.context.span_id), s.attributes["agnt5.outcome"])
            for s in self.spans
        )


@pytest.fixture(autouse=True)
def programs(registries):
    install()


@given(small_programs(8), CRASHES, st.sampled_from([0, 2]), st.sampled_from([0.0, 1.0]))
@examples()
def test_each_span_is_told_once_whatever_dies(program, crashes, latency, park_after):
    played = Played(program, crashes, latency=latency, park_after=park_after)
    assert not repeated(played.spans)
    assert played.told() == played.expected()
    assert {s.context.trace_id for s in played.spans} <= {int(trace_id_of(RUN, None), 16)}


# Where something fails, a crash may decide what else has ended before it was given up.
CALM = small_programs(8, racy=False).filter(lambda node: not can_fail(node))


@given(CALM, CRASHES, st.sampled_from([0.0, 1.0]))
@examples()
def test_the_trace_of_a_crashed_run_is_that_of_the_calm_one(program, crashes, park_after):
    calm = Played(program, park_after=park_after)
    crashed = Played(program, crashes, park_after=park_after)
    assert calm.told() == calm.expected()
    assert len(calm.history) == len(calm.heard)

    def places(history: History) -> Counter[Any]:
        return Counter((s.name, s.span_id, s.parent_id, s.outcome) for s in spans_of(history))

    assert places(crashed.history) == places(calm.history)
    # All that nobody told was ended by a fact that became durable as a process died.
    assert crashed.told() == crashed.expected()
    assert crashed.told() <= calm.told()
    if len(crashed.heard) == len(crashed.history):
        assert crashed.told() == calm.told()


def test_an_attempt_that_was_cut_short_and_run_again_says_so():
    program = Seq((Step("a"), Step("b")))
    calm = Played(program)
    ends = [n for n, said in enumerate(appends_of(calm)) if "StepCompleted" in said]
    played = Played(program, [Crash(ends[1], recorded=False)])
    again = {s.name for s in played.spans if s.attributes.get("agnt5.attempt.began_again") is True}
    assert again == {"attempt b"}
    assert played.told() == calm.told()


def appends_of(played: Played) -> list[set[str]]:
    """What each append of the last life said."""
    return played.world.lives[-1].log.topics


def test_a_run_that_ends_unheard_is_not_told_of_by_the_next_process():
    """At most once: a process that dies with a span in its hand takes it along."""
    calm = Played(Step("a"))
    (last,) = [n for n, said in enumerate(appends_of(calm)) if "RunCompleted" in said]
    played = Played(Step("a"), [Crash(last, recorded=True)])
    assert isinstance(played.history[-1][0], f.RunCompleted)
    assert calm.told() - played.told() == Counter(
        {key: 1 for key in calm.told() if key[0].startswith("workflow")}
    )
