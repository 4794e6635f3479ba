"""What a sampler is asked, how often, and what comes of its answer; what telling costs."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from tests.telemetry.tools import metric, new_spans

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow
from agnt5.telemetry import feed, meters, tracer
from agnt5.telemetry.spans import RUN, SpanRecord


class Asked(Sampler):
    """Answers with one decision, and counts by name how often it is asked."""

    def __init__(self, decision: Decision) -> None:
        self.decision, self.names = decision, Counter()

    def should_sample(self, parent_context, trace_id, name, *args, **kwargs):
        self.names[name] += 1
        return SamplingResult(self.decision)

    def get_description(self) -> str:
        return "asked"


class Seen(SpanProcessor):
    """What is recorded, sampled or not."""

    def __init__(self) -> None:
        self.names = []

    def on_end(self, span) -> None:
        self.names.append(span.name)


@pytest.fixture
def shop():
    """A workflow of three steps."""

    @function
    async def add() -> int:
        return 1

    @workflow
    async def order(ctx: WorkflowContext) -> int:
        return sum([await ctx.step(add) for _ in range(3)])


async def test_a_run_that_is_not_wanted_costs_one_question(shop, monkeypatch):
    sampler = Asked(Decision.DROP)
    found = new_spans(sampler=sampler)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)
    async with Runtime("memory://"):
        await AsyncClient().run("order", {}, "workflow")
    assert sampler.names == {"workflow order": 1}
    assert found.names == []


async def test_what_is_recorded_and_not_sampled_is_told_to_processors(shop, monkeypatch):
    sampler, seen = Asked(Decision.RECORD_ONLY), Seen()
    found = new_spans(sampler=sampler)
    found.provider.add_span_processor(seen)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)
    async with Runtime("memory://"):
        await AsyncClient().run("order", {}, "workflow")
    assert Counter(seen.names) == {"workflow order": 1, "step add": 3, "attempt add": 3}
    assert found.names == []


@pytest.mark.parametrize("remembered", [1, 4096])
async def test_runs_of_two_stores_with_one_id_are_told_apart(shop, spans, monkeypatch, remembered):
    monkeypatch.setattr(tracer, "_REMEMBERED", remembered)
    ours = trace.get_tracer_provider().get_tracer("shop")
    traces = []
    async with Runtime("memory://") as one, Runtime("memory://") as two:
        for runtime in (one, two):
            client = AsyncClient(runtime=runtime)
            with ours.start_as_current_span("request") as request:
                done = await client.run("order", {}, "workflow", run_id="r")
            traces.append(f"{request.get_span_context().trace_id:032x}")
            assert done.trace_id == traces[-1]
    told = Counter(f"{span.context.trace_id:032x}" for span in spans)
    assert told == dict.fromkeys(traces, 8)


async def test_facts_are_not_decoded_where_they_were_made(shop, spans, reader, monkeypatch):
    """A large output would take longer to read again than the step took."""

    def refuse(_):
        raise AssertionError("decoded")

    monkeypatch.setattr(feed, "decode_fact", refuse)
    async with Runtime("memory://"):
        await AsyncClient().run("order", {}, "workflow")
    assert Counter(spans.names) == {"workflow order": 1, "step add": 3, "attempt add": 3}
    assert metric(reader, "agnt5.step.duration") == {("completed", "add"): 3}


async def test_a_commit_is_measured_once(shop, reader, monkeypatch):
    groups = []
    appended = meters.Meters.appended

    def watched(self, settled, now) -> None:
        groups.append((now, [append.facts[0].at for append in settled if append.facts]))
        appended(self, settled, now)

    monkeypatch.setattr(meters.Meters, "appended", watched)
    async with Runtime("memory://"):
        await AsyncClient().run("order", {}, "workflow")
    assert metric(reader, "agnt5.append.duration") == {(): len(groups)}
    [data] = reader.get_metrics_data().resource_metrics
    [point] = [
        point
        for each in data.scope_metrics[0].metrics
        if each.name == "agnt5.append.duration"
        for point in each.data.data_points
    ]
    longest = [max(now - at for at in decided) / 1e6 for now, decided in groups]
    assert point.sum == pytest.approx(sum(longest))
    assert point.max == pytest.approx(max(longest))


def test_a_span_does_not_end_before_it_begins(spans):
    """The clock of the process that began it was ahead of the one that ends it."""
    ours = tracer.tracer_now()
    place = tracer.RunTrace("r", 5, trace.TraceFlags(1), None, is_wanted=True)
    ours.tell(place, SpanRecord(RUN, "workflow x", "00000000000000aa", None, 9, 5, "failed", {}))
    span = spans.one("workflow x")
    assert (span.start_time, span.end_time) == (9000, 9000)
