"""Ids are derived, and what a caller says of its span is read as the recommendation wants it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from tests.api.test_webhook_signatures import NOW, sign
from tests.telemetry.tools import new_spans

from agnt5 import AsyncClient, Runtime, WorkflowContext, function, workflow
from agnt5.actors.clock import ManualClock
from agnt5.events.traces import (
    TraceParent,
    child_traceparent,
    read_traceparent,
    span_id_of,
    trace_id_of,
)
from agnt5.responses import SubmitResponse
from agnt5.types import webhook

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEX = "0123456789abcdef"


def ids(digits: int):
    return st.text(HEX, min_size=digits, max_size=digits).filter(lambda text: text.strip("0"))


@given(st.builds(TraceParent, ids(32), ids(16), st.booleans()))
def test_what_is_written_is_read(parent):
    assert read_traceparent(str(parent)) == parent


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        GOOD.upper(),
        GOOD.replace("00-", "ff-", 1),
        GOOD + "-more",
        GOOD[:-1],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        GOOD + "\n",
    ],
)
def test_what_says_nothing_is_no_caller(text):
    assert read_traceparent(text) is None
    assert trace_id_of("r1", text) == trace_id_of("r1", None)


def test_a_later_version_may_say_more():
    assert read_traceparent("01-" + GOOD[3:] + "-more") == read_traceparent(GOOD)


@given(st.text(), st.text(), st.text(), st.integers(0, 9))
def test_ids_are_of_a_run_a_key_and_an_attempt(run_id, key, other, attempt):
    assert len(trace_id_of(run_id, None)) == 32
    assert int(span_id_of(run_id, key, attempt), 16)
    assert trace_id_of(run_id, GOOD) == "0af7651916cd43dd8448eb211c80319c"
    if key != other:
        assert span_id_of(run_id, key) != span_id_of(run_id, other)
        assert trace_id_of(key, None) != trace_id_of(other, None)
    assert span_id_of(run_id, key, attempt) != span_id_of(run_id, key, attempt + 1)
    assert span_id_of(run_id, key, attempt) != span_id_of(run_id, key)


def test_ids_stay_what_they_are():
    """A run under way must find its trace again, whatever has been deployed since."""
    assert trace_id_of("r1", None) == "010e0d65f7a49c4feab7a506a1c72772"
    assert span_id_of("r1") == "1760a3dbf1e750d9"
    assert span_id_of("r1", ":a#0", 0) == "3c13134b2b6b6424"


def test_a_child_is_started_in_the_span_of_the_call():
    text = child_traceparent("r1", None, ":child:pay#0", sampled=False)
    span = TraceParent(trace_id_of("r1", None), span_id_of("r1", ":child:pay#0"), sampled=False)
    assert text == str(span)


# In a program that has set up nothing, traces still have names.


async def test_without_an_sdk_responses_name_the_trace_all_the_same():
    @function
    async def double(n: int) -> int:
        return 2 * n

    @workflow
    async def packing(ctx: WorkflowContext) -> str:
        return "packed"

    found = []

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        found.append(await ctx.batch(double, [{"n": 1}, {"n": 2}]))
        return await ctx.child(packing)

    async with Runtime("memory://"):
        client = AsyncClient()
        response = await client.run("order", {}, "workflow")
        (child,) = await client.list_runs(parent_run_id=response.run_id)
        late = await client.run("order", {}, "workflow", timeout=0)
        assert late.status == "timeout"
        assert late.trace_id == trace_id_of(late.run_id, None)
    assert response.trace_id == child.trace_id == trace_id_of(response.run_id, None)
    assert [each.trace_id for each in found][:1] == [response.trace_id]


async def test_a_webhook_may_name_the_span_of_its_sender(monkeypatch):
    body = json.dumps({"type": "paid"}).encode()
    secrets = {"acme": "secret-of-acme"}

    @workflow(triggers=[webhook("acme", event="paid")])
    async def paid(ctx: WorkflowContext, event: dict) -> str:
        return "thanks"

    async def started(**headers: str) -> SubmitResponse:
        clock = ManualClock(NOW * 10**6)
        async with Runtime("memory://", webhook_secrets=secrets, clock=clock):
            signed = sign("standard", "secret-of-acme", body)
            return (await AsyncClient().deliver_webhook("acme", signed | headers, body)).runs[0]

    assert (await started(Traceparent=GOOD)).trace_id == GOOD[3:35]
    alone = await started(traceparent="nonsense")
    assert alone.trace_id == trace_id_of(alone.run_id, None)
    found = new_spans()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found.provider)
    with found.provider.get_tracer("web").start_as_current_span("server") as span:
        served = await started(traceparent=GOOD)
    assert served.trace_id == trace.format_trace_id(span.get_span_context().trace_id)
