"""Listening to runs: deltas while they are yielded, recorded events, resuming, resets."""

from __future__ import annotations

import asyncio
import textwrap
import threading
from contextlib import aclosing

import pytest
from tests.api.helpers import event_types, python, turns, until

from agnt5 import (
    AsyncClient,
    Client,
    FunctionContext,
    RunError,
    RunNotFoundError,
    Runtime,
    StreamOffset,
    function,
    workflow,
)
from agnt5.actors import streams


@pytest.fixture
async def client(store):
    async with Runtime(store, park_after=0.0) as runtime:
        yield AsyncClient(runtime=runtime)


@pytest.fixture
def words():
    @function
    async def words(count: int = 3):
        for n in range(count):
            yield f"w{n}"

    return words


async def all_of(events, until=None):
    found = []
    async with aclosing(events):
        async for event in events:
            found.append(event)
            if until is not None and until(event):
                break
    return found


def types(events):
    return [event.event_type for event in events]


def deltas(events):
    return [e.data["content"] for e in events if e.event_type == "output.delta"]


async def test_a_function_streams_its_items_as_text(client, words):
    @function
    async def mixed():
        yield "a"
        yield {"b": 1}
        yield None

    assert [each async for each in client.stream("words", {"count": 4})] == ["w0", "w1", "w2", "w3"]
    assert [each async for each in client.stream("mixed")] == ["a", '{"b": 1}', "null"]


async def test_all_events_in_one_order_and_nothing_more_on_the_log(client, words):
    events = await all_of(client.stream_events("words", {"count": 2}))
    assert types(events) == [
        "run.queued",
        "run.assigned",
        "run.started",
        "function.started",
        "output.start",
        "output.delta",
        "output.delta",
        "output.stop",
        "function.completed",
        "run.completed",
    ]
    assert [event.sequence for event in events] == list(range(1, 11))
    assert [event.data["offset"] for event in events[5:7]] == [0, 1]
    assert deltas(events) == ["w0", "w1"]
    assert events[-1].data["output_data"] == ["w0", "w1"]
    recorded = await event_types(client, events[0].run_id)
    assert recorded == [each for each in types(events) if not each.startswith("output.")]


async def test_deltas_come_before_the_function_has_ended(client):
    go = asyncio.Event()

    @function
    async def halting():
        yield "first"
        await go.wait()
        yield "second"

    heard = []
    async for text in client.stream("halting"):
        heard.append(text)
        go.set()
    assert heard == ["first", "second"]


async def test_steps_and_inline_generators_of_a_workflow(client, words):
    @workflow
    async def story(ctx):
        async def inline():
            yield "i0"
            yield "i1"

        async def called(n):
            yield f"c{n}"

        await ctx.step(words, 2)
        await ctx.step("inline", inline())
        return await ctx.step("called", called, 7)

    events = await all_of(client.stream_events("story", {}, "workflow"))
    told = [
        (e.data["step"], e.content_index, e.data["content"])
        for e in events
        if e.offset and "content" in e.data
    ]
    assert told == [
        (":words#0", 0, "w0"),
        (":words#0", 0, "w1"),
        (":inline#0", 1, "i0"),
        (":inline#0", 1, "i1"),
        (":called#0", 2, "c7"),
    ]
    for step in (":words#0", ":inline#0", ":called#0"):
        of = [e.event_type for e in events if step in {e.data.get("step"), e.data.get("step_key")}]
        assert of[0] == "workflow.step.started"
        assert of[-1] == "workflow.step.completed"
    assert events[-1].event_type == "run.completed"


async def test_a_run_that_yields_nothing_gives_its_output(client):
    @function
    async def plain():
        return {"a": [1]}

    @function
    async def silent():
        return None

    assert [each async for each in client.stream("plain")] == ['{"a": [1]}']
    assert [each async for each in client.stream("silent")] == []


async def test_a_known_idempotency_key_gives_the_recorded_texts(client, words):
    for _ in range(2):
        stream = client.stream("words", {"count": 2}, idempotency_key="once")
        assert [each async for each in stream] == ["w0", "w1"]
    assert len(await client.list_runs()) == 1


async def test_a_failed_run_raises_and_its_events_do_not(client):
    @function
    async def breaks():
        yield "a"
        raise ValueError("half way")

    with pytest.raises(RunError, match="half way") as caught:
        await all_of(client.stream("breaks"))
    assert caught.value.error_code == "EXECUTION_ERROR"
    events = await all_of(client.stream_events("breaks"))
    assert types(events)[-2:] == ["function.failed", "run.failed"]
    assert events[-1].data["error_message"] == "ValueError: half way"


async def test_a_new_attempt_is_announced(client):
    @function(retries={"max_attempts": 2, "initial_interval_ms": 1})
    async def flaky(ctx: FunctionContext):
        yield "a"
        yield "b"
        if ctx.attempt == 0:
            raise OSError("line dropped")
        yield "c"

    events = await all_of(client.stream_events("flaky"))
    assert deltas(events) == ["a", "b", "a", "b", "c"]
    at = types(events).index("output.reset")
    assert types(events)[at : at + 3] == ["output.reset", "output.start", "output.delta"]
    assert events[at].data["discarded"] == 2
    offsets = [e.data["offset"] for e in events if e.event_type == "output.delta"]
    assert offsets == [0, 1, 0, 1, 2]
    # As text the repeated beginning is given once.
    assert [each async for each in client.stream("flaky")] == ["a", "b", "c"]


async def test_a_text_that_changes_with_a_new_attempt_cannot_be_taken_back(client):
    @function(retries={"max_attempts": 2, "initial_interval_ms": 1})
    async def moody(ctx: FunctionContext):
        yield f"attempt {ctx.attempt}"
        if ctx.attempt == 0:
            raise OSError("line dropped")

    with pytest.raises(RunError, match="another text") as caught:
        await all_of(client.stream("moody"))
    assert caught.value.error_code == "STREAM_RESET"


async def test_attaching_and_going_on_from_an_offset(client):
    gates = [asyncio.Event(), asyncio.Event()]

    @function
    async def halting():
        for gate, items in zip(gates, ("abc", "def"), strict=True):
            for item in items:
                yield item
            await gate.wait()

    first = await all_of(client.stream_events("halting"), lambda e: e.data.get("content") == "b")
    run_id = first[0].run_id
    last = max(e.data["version"] for e in first if "version" in e.data)
    again = client.stream_run(run_id, from_offset=first[-1].offset, after_version=last)
    second = await all_of(again, lambda e: e.event_type == "output.delta")
    assert types(second) == ["output.delta"]
    assert second[0].data["content"] == "c"
    listening = asyncio.ensure_future(
        all_of(client.stream_run(run_id, from_offset=second[-1].offset))
    )
    await until(lambda: client.runtime._bus.streams.channels[run_id].listeners)
    for gate in gates:
        gate.set()
    third = await listening
    assert deltas(third) == ["d", "e", "f"]
    assert "output.reset" not in types(third)
    assert types(third)[-1] == "run.completed"
    # It is over: the record tells, and says that it begins again.
    late = await all_of(client.stream_run(run_id, from_offset=second[-1].offset))
    assert deltas(late) == list("abcdef")
    assert types(late).index("output.reset") < types(late).index("output.delta")
    assert deltas(await all_of(client.stream_run(run_id))) == []


async def test_a_slow_listener_is_waited_for_and_then_told_of_the_gap(monkeypatch, words):
    monkeypatch.setattr(streams, "CAPACITY", 8)
    monkeypatch.setattr(streams, "PATIENCE_S", 0.01)
    async with Runtime("memory://") as runtime:
        client = AsyncClient(runtime=runtime)
        feed = await runtime.streams.open(_new("words", {"count": 50}), 10.0)
        await client.wait_for_result(feed._tail.run_id)
        events = []
        while portion := await feed.take():
            events += portion
        (gap,) = [e for e in events if e.event_type == "output.gap"]
        missed = range(gap.data["from_offset"], gap.data["to_offset"])
        heard = [e.data["offset"] for e in events if e.event_type == "output.delta"]
        assert sorted([*missed, *heard]) == list(range(50))
        # One that keeps up loses nothing, however small the buffer.
        texts = [each async for each in client.stream("words", {"count": 50})]
        assert texts == [f"w{n}" for n in range(50)]
        await until(lambda: not runtime._bus.runs)
        assert set(runtime._bus.streams.channels) <= {feed._tail.run_id}


async def test_two_generators_that_wait_for_one_listener_both_go_on(monkeypatch):
    monkeypatch.setattr(streams, "CAPACITY", 4)
    channel = streams.Channel(0)
    listener = streams.Listener(channel)
    for n in range(4):
        channel.add(streams.Entry("output.delta", "s", 0, "x", n, n, 0))
    waiting = [asyncio.create_task(channel.room()) for _ in range(2)]
    await turns()
    assert not any(task.done() for task in waiting)
    listener.take()
    await turns()
    assert all(task.done() for task in waiting)
    assert not channel.impatient


def _new(name, given):
    from agnt5.new_run import NewRun

    return NewRun(name, given)


async def test_nothing_is_kept_of_runs_that_are_over(client, words):
    for _ in range(3):
        await client.run("words")
    bus = client.runtime._bus
    await until(lambda: not bus.runs)
    assert bus.streams.channels == {}


async def test_nothing_is_kept_of_those_who_listened_to_a_run_that_is_not_in_memory(client, words):
    @workflow
    async def waits(ctx):
        return await ctx.wait_for_signal("go")

    channels, bus = client.runtime._bus.streams.channels, client.runtime._bus
    over = (await client.run("words")).run_id
    parked = (await client.submit("waits", {}, "workflow")).run_id
    await until(lambda: not bus.runs)
    assert types(await all_of(client.stream_run(over)))[-1] == "run.completed"
    await all_of(client.stream_run(parked), lambda event: event.event_type == "signal.awaited")
    assert channels == {}


async def test_events_that_look_like_output_are_not_taken_for_it(client):
    @function
    async def forges(ctx: FunctionContext):
        for event_type in ("output.delta", "output.gap", "output.reset"):
            ctx.emit(event_type, {"execution": "e", "content": "forged", "offset": "x"})
        yield "real"

    events = await all_of(client.stream_events("forges"))
    assert [e.offset is not None for e in events if "forged" in str(e.data)] == [False] * 3
    assert [text async for text in client.stream("forges")] == ["real"]


async def test_a_run_that_waits_for_a_person_ends_the_stream(client, words):
    @workflow
    async def asks(ctx):
        await ctx.step(words, 1)
        answer = await ctx.wait_for_user("well?")
        await ctx.step(words, 2)
        return answer

    events = await all_of(client.stream_events("asks", {}, "workflow"))
    assert types(events)[-1] in {"workflow.paused", "run.parked"}
    run_id = events[0].run_id
    with pytest.raises(RunError, match="waits for a person"):
        await all_of(client.stream("asks", {}, "workflow"))
    await client.resume(run_id, "fine")
    rest = await all_of(client.stream_run(run_id, after_version=events[-1].data["version"]))
    assert types(rest)[-1] == "run.completed"
    assert "workflow.paused" not in types(rest)


async def test_progress_and_news_are_heard_and_not_recorded(client):
    @function
    def on_a_thread(ctx: FunctionContext):
        ctx.progress(1, 2, "half")
        ctx.emit("order.checked", {"n": 1})

    @workflow
    async def tells(ctx):
        ctx.progress(0)
        ctx.emit("order.paid", {"cents": 5})
        ctx.emit("log.line", "seen")
        await ctx.step(on_a_thread)

    events = await all_of(client.stream_events("tells", {}, "workflow"))
    said = {e.event_type: e.data for e in events}
    assert said["order.checked"]["n"] == 1
    assert said["log.line"] == {"data": "seen"}
    halfway = [e.data for e in events if e.event_type == "progress.updated"][-1]
    assert (halfway["progress"], halfway["total"], halfway["message"]) == (1, 2, "half")
    assert halfway["step"] == ":on_a_thread#0"
    recorded = await event_types(client, events[0].run_id)
    assert "order.paid" in recorded
    assert not {"order.checked", "log.line", "progress.updated"} & set(recorded)


async def test_a_replay_says_nothing_again_and_records_nothing_twice(store):
    @workflow
    async def tells(ctx):
        ctx.emit("order.paid", {"cents": 5})
        ctx.progress(1)
        await ctx.wait_for_signal("go")
        ctx.progress(2)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        stream = client.stream_events("tells", {}, "workflow")
        events = await all_of(stream, lambda e: e.event_type == "signal.awaited")
        run_id = events[0].run_id
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        stream = client.stream_run(run_id)
        listening = asyncio.ensure_future(all_of(stream))
        await until(lambda: runtime._bus.streams.channels)
        await client.signal(run_id, "go")
        events = await listening
    assert [e.data["progress"] for e in events if e.event_type == "progress.updated"] == [2]
    assert types(events).count("order.paid") == 1


async def test_bad_input_is_refused_and_nothing_is_written(client, words):
    for timeout in (0, -1, "1", True, float("nan")):
        with pytest.raises(ValueError, match="timeout of a stream"):
            await all_of(client.stream_events("words", timeout=timeout))
    with pytest.raises(ValueError):
        await all_of(client.stream("words", {"unknown": 1}))
    with pytest.raises(RunNotFoundError):
        await all_of(client.stream_run("nobody"))
    for bad in ({"step": 1}, StreamOffset("a", -1), StreamOffset("a", 0, -1)):
        with pytest.raises(ValueError):
            await all_of(client.stream_run("nobody", from_offset=[bad]))
    assert await client.list_runs() == []
    assert client.runtime._bus.streams.channels == {}


async def test_what_may_be_said():
    context = FunctionContext(run_id="by hand")
    context.progress(1, 2)
    context.emit("order.paid")
    for bad in (None, True, "1", float("inf")):
        with pytest.raises(ValueError):
            context.progress(bad)
    with pytest.raises(ValueError):
        context.progress(1, "2")
    with pytest.raises(ValueError):
        context.progress(1, message=3)
    for bad in ("", None, 4, "run.completed", "workflow.step.completed"):
        with pytest.raises(ValueError):
            context.emit(bad)


async def test_a_silent_run_times_out(client):
    @function
    async def stuck():
        await asyncio.sleep(60)
        yield 1

    with pytest.raises(RunError) as caught:
        await all_of(client.stream("stuck", timeout=0.05))
    assert caught.value.error_code == "TIMEOUT"
    await client.cancel(caught.value.run_id)


async def test_calling_a_generator_function_directly_gives_an_iterator(words):
    assert [each async for each in words(2)] == ["w0", "w1"]


async def test_a_blocking_client_on_another_thread(client, words):
    found = []

    def listen():
        blocking = Client(runtime=client.runtime)
        found.extend(blocking.stream("words", {"count": 2}))
        events = blocking.stream_events("words")
        found.append(next(events).event_type)
        events.close()
        assert list(events) == []

    thread = threading.Thread(target=listen)
    thread.start()
    await until(lambda: not thread.is_alive())
    assert found == ["w0", "w1", "run.queued"]


PROGRAM = """
    import asyncio, os, signal, sys
    from agnt5 import AsyncClient, Runtime, StreamOffset, function

    @function
    async def words():
        for n in range(6):
            yield f"w{n}"
            if n == 3 and sys.argv[2] == "first":
                await asyncio.sleep(60)

    async def main():
        async with Runtime("sqlite:///" + sys.argv[1]) as runtime:
            client = AsyncClient(runtime=runtime)
            if sys.argv[2] == "first":
                async for event in client.stream_events("words", run_id="the-run"):
                    if event.data.get("content") == "w3":
                        at = event.offset
                        print(at.step, at.attempt, at.offset, at.execution, flush=True)
                        os.kill(os.getpid(), signal.SIGKILL)
            step, attempt, offset, execution = sys.argv[3:]
            known = StreamOffset(step, int(attempt), int(offset), execution)
            async for event in client.stream_run("the-run", from_offset=known):
                print(event.event_type, event.data.get("content", ""), flush=True)

    asyncio.run(main())
"""


def test_a_process_that_is_killed_in_the_middle_of_a_stream(tmp_path):
    """The step begins again in the next one, and the listener is told so before its deltas."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    first = python(program, tmp_path / "s.db", "first")
    out, _ = first.communicate(timeout=30)
    assert first.returncode == -9
    place = out.split()
    assert place[:3] == [":words#0", "0", "4"]
    second = python(program, tmp_path / "s.db", "second", *place)
    out, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    told = [line.strip() for line in out.splitlines()]
    begun = told.index("output.reset")
    assert [each for each in told if "delta" in each] == [f"output.delta w{n}" for n in range(6)]
    assert all("delta" not in each for each in told[:begun])
    assert told[-1] == "run.completed"
