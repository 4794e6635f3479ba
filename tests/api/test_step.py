"""Every way to write a step: it runs once, its result is recorded, a replay runs nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest
from tests.api.helpers import event_types, run_workflow, turns, twice, until

from agnt5 import AsyncClient, FunctionContext, Runtime, WorkflowContext, function, workflow


@pytest.fixture
def calls():
    """What was executed, in order."""
    return []


@pytest.fixture
def components(calls):
    """Functions of every shape; each notes that it ran."""

    @function
    async def plain(a, b=2):
        calls.append(("plain", a, b))
        return [a, b]

    @function
    async def with_context(ctx: FunctionContext, a):
        calls.append(("with_context", ctx.attempt, a))
        return a

    @function
    async def annotated_context(context: FunctionContext, a):
        calls.append(("annotated_context", context.attempt, a))
        return a

    @function
    def blocking(a):
        calls.append(("blocking", a))
        return threading.current_thread().name

    @function
    def blocking_with_context(ctx, a):
        calls.append(("blocking_with_context", a))
        return ctx.idempotency_key

    @function
    async def stream(n):
        calls.append(("stream", n))
        for i in range(n):
            yield i

    @function
    async def stream_with_context(ctx, n):
        calls.append(("stream_with_context", n))
        for i in range(n):
            yield ctx.attempt, i

    return {
        "plain": plain,
        "with_context": with_context,
        "annotated_context": annotated_context,
        "blocking": blocking,
        "blocking_with_context": blocking_with_context,
        "stream": stream,
        "stream_with_context": stream_with_context,
    }


async def answer(calls, value):
    calls.append(("answer", value))
    return value


async def numbers(calls, n):
    calls.append(("numbers", n))
    for i in range(n):
        yield i


FORMS = {
    "function, positional": (lambda ctx, f, c: ctx.step(f["plain"], 1, 3), [1, 3]),
    "function, keywords": (lambda ctx, f, c: ctx.step(f["plain"], a=1, b=3), [1, 3]),
    "function, default": (lambda ctx, f, c: ctx.step(f["plain"], 1), [1, 2]),
    "function, None as argument": (lambda ctx, f, c: ctx.step(f["plain"], None), [None, 2]),
    "function, two None": (lambda ctx, f, c: ctx.step(f["plain"], None, None), [None, None]),
    "function, falsy arguments": (lambda ctx, f, c: ctx.step(f["plain"], 0, ""), [0, ""]),
    "function with ctx": (lambda ctx, f, c: ctx.step(f["with_context"], 7), 7),
    "function with ctx, keyword": (lambda ctx, f, c: ctx.step(f["with_context"], a=7), 7),
    "function with ctx, None": (lambda ctx, f, c: ctx.step(f["with_context"], None), None),
    "function, annotated": (lambda ctx, f, c: ctx.step(f["annotated_context"], 7), 7),
    "async generator": (lambda ctx, f, c: ctx.step(f["stream"], 3), [0, 1, 2]),
    "async generator with ctx": (
        lambda ctx, f, c: ctx.step(f["stream_with_context"], 2),
        [(0, 0), (0, 1)],
    ),
    "task": (lambda ctx, f, c: ctx.task(f["plain"], 1, b=5), [1, 5]),
    "run": (lambda ctx, f, c: ctx.run(f["plain"], 1, b=5), [1, 5]),
    "name and coroutine": (lambda ctx, f, c: ctx.step("answer", answer(c, 42)), 42),
    "name and async callable": (lambda ctx, f, c: ctx.step("answer", answer, c, 42), 42),
    "name and lambda": (lambda ctx, f, c: ctx.step("value", lambda: c.append("l") or 5), 5),
    "name and lambda returning a coroutine": (
        lambda ctx, f, c: ctx.step("value", lambda: answer(c, 6)),
        6,
    ),
    "name and callable with arguments": (
        lambda ctx, f, c: ctx.step("sum", lambda a, b: c.append("l") or a + b, 2, b=3),
        5,
    ),
    "name and lambda, None as argument": (
        lambda ctx, f, c: ctx.step("same", lambda a: c.append("l") or [a], None),
        [None],
    ),
    "name and async generator": (lambda ctx, f, c: ctx.step("n", numbers(c, 2)), [0, 1]),
    "name and function": (lambda ctx, f, c: ctx.step("other name", f["plain"], 1), [1, 2]),
    "name of a function": (lambda ctx, f, c: ctx.step("plain", 1, b=9), [1, 9]),
    "name of a function, None": (lambda ctx, f, c: ctx.step("plain", None), [None, 2]),
    "name of a function, coroutine": (lambda ctx, f, c: ctx.step("plain", answer(c, 1)), 1),
    "service and function": (lambda ctx, f, c: ctx.task("service", "plain", 1), [1, 2]),
    "service, function, input": (
        lambda ctx, f, c: ctx.task("service", "plain", input={"a": 1, "b": 4}),
        [1, 4],
    ),
    "input= expands": (lambda ctx, f, c: ctx.task("plain", input={"a": 1, "b": 4}), [1, 4]),
    "input= as a value": (lambda ctx, f, c: ctx.task(f["plain"], input=[5]), [[5], 2]),
    "input= as a dict that does not fit": (
        lambda ctx, f, c: ctx.task(f["plain"], input={"x": 1}),
        [{"x": 1}, 2],
    ),
    "coroutine alone": (lambda ctx, f, c: ctx.step(answer(c, 8)), 8),
    "chosen key": (lambda ctx, f, c: ctx.step(f["plain"], 1, key="k"), [1, 2]),
    "chosen key, coroutine": (lambda ctx, f, c: ctx.step("x", answer(c, 3), key="k"), 3),
    "timeout not reached": (lambda ctx, f, c: ctx.step(f["plain"], 1, timeout=60), [1, 2]),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_gives_the_value_and_runs_once(store, components, calls, form):
    """Each form returns its value, live and on replay, and executes exactly once."""
    make, expected = FORMS[form]
    live, replayed = await twice(store, lambda ctx: make(ctx, components, calls))
    assert live == replayed == expected
    assert len(calls) == 1


async def test_a_future_can_be_checkpointed(store, calls):
    """``ctx.step(name, task)``: a task that runs already is awaited, its result recorded."""
    live, replayed = await twice(
        store, lambda ctx: ctx.step("t", asyncio.ensure_future(answer(calls, 4)))
    )
    assert live == replayed == 4


async def test_blocking_functions_run_on_threads_of_their_own(store, components, calls):
    """A plain ``def`` function runs off the loop, with or without a context."""

    async def body(ctx):
        name = await ctx.step(components["blocking"], 1)
        key = await ctx.step(components["blocking_with_context"], 2)
        return name, key

    live, replayed = await twice(store, body)
    assert live == replayed
    assert live[0] != threading.current_thread().name
    assert len(live[1]) == 32
    assert calls == [("blocking", 1), ("blocking_with_context", 2)]


async def test_a_blocking_function_does_not_block_the_loop(store):
    """While a ``def`` function waits, other runs go on."""
    gate = threading.Event()

    @function
    def waits():
        assert gate.wait(10)
        return "waited"

    @function
    async def opens():
        gate.set()
        return "opened"

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = asyncio.create_task(client.run("waits", timeout=10))
        assert (await client.run("opens", timeout=10)).output == "opened"
        assert (await first).output == "waited"


async def test_the_same_name_in_a_loop_is_a_new_occurrence(store, calls):
    """A name may repeat; each occurrence has a result of its own."""

    async def body(ctx):
        return [await ctx.step("each", answer(calls, n)) for n in range(5)]

    live, replayed = await twice(store, body)
    assert live == replayed == [0, 1, 2, 3, 4]
    assert len(calls) == 5


async def test_the_identity_is_fixed_by_the_call_and_not_by_the_await(store, calls):
    """Steps awaited in another order than they were called keep their own results."""

    async def body(ctx):
        first = ctx.step("each", answer(calls, "first"))
        second = ctx.step("each", answer(calls, "second"))
        late = await second
        return [await first, late]

    live, replayed = await twice(store, body)
    assert live == replayed == ["first", "second"]
    assert len(calls) == 2


async def test_a_step_that_is_never_awaited_still_runs_and_is_recorded(store, calls):
    """A step begins when it is called."""

    async def body(ctx):
        ctx.step("forgotten", answer(calls, 1))
        return await ctx.step("next", answer(calls, 2))

    await twice(store, body)
    assert sorted(calls) == [("answer", 1), ("answer", 2)]


async def test_a_chosen_key_is_the_identity(store, calls):
    """The same key is the same step, wherever it is called; another key is another step."""

    async def body(ctx):
        one = ctx.step("charge", answer(calls, 1), key="order-1")
        same = ctx.step("charge", answer(calls, 99), key="order-1")
        other = ctx.step("charge", answer(calls, 2), key="order-2")
        again = asyncio.create_task(later(ctx))
        return [await one, await same, await other, await again]

    async def later(ctx):
        return await ctx.step("charge", answer(calls, 98), key="order-1")

    live, replayed = await twice(store, body)
    assert live == replayed == [1, 1, 2, 1]
    assert sorted(calls) == [("answer", 1), ("answer", 2)]


async def test_a_function_keeps_its_own_parameters_key_timeout_and_input(store):
    """Keywords that the function itself takes are passed on to it."""

    @function
    async def greedy(key, timeout, input):
        return [key, timeout, input]

    live, replayed = await twice(
        store, lambda ctx: ctx.step(greedy, key="k", timeout=-5, input={"key": 1})
    )
    assert live == replayed == ["k", -5, {"key": 1}]


async def test_a_coroutine_whose_result_is_recorded_is_closed_and_never_warned_about(store, calls):
    """On replay the coroutine handed to a step is closed unstarted: no 'never awaited'."""
    closed = []

    async def noted(value):
        calls.append(value)
        return value

    async def body(ctx):
        coroutine = noted(1)
        closed.append(coroutine)
        return await ctx.step("once", coroutine)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert await twice(store, body) == (1, 1)
        assert calls == [1]
        assert [coroutine.cr_frame for coroutine in closed] == [None, None]
        closed.clear()
        gc.collect()
    assert not [w for w in caught if "never awaited" in str(w.message)]


async def test_a_coroutine_of_a_run_that_is_cancelled_before_it_starts_is_closed(store):
    """A refused or cancelled step does not leak its coroutine."""

    async def never():
        return 1

    @workflow
    async def refused(ctx):
        coroutine = never()
        with pytest.raises(ValueError, match="key"):
            ctx.step("x", coroutine, key="")
        coroutine.close()
        step = ctx.step("y", never())
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
        return "ok"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        response = await run_workflow(store, "refused")
        gc.collect()
    assert response.output == "ok", response.error
    assert not [w for w in caught if "never awaited" in str(w.message)]


async def test_exceptions_reach_the_body_as_themselves(store, calls):
    """``except KeyError`` works, live and on replay, and the step is not run again."""

    @function
    async def lookup():
        calls.append(1)
        raise KeyError("sku")

    async def body(ctx):
        try:
            await ctx.step(lookup)
        except KeyError as error:
            return type(error), error.args
        return None

    live, replayed = await twice(store, body)
    assert live == replayed == (KeyError, ("sku",))
    assert len(calls) == 1


async def test_the_first_run_sees_the_object_itself(store):
    """Live, a step's value is the object that the function returned, not a copy."""
    made = []

    @function
    async def make():
        made.append({"a": (1, 2)})
        return made[0]

    async def body(ctx):
        return await ctx.step(make)

    live, replayed = await twice(store, body)
    assert live is made[0]
    assert replayed == live


async def test_a_direct_call_is_not_recorded(store, components, calls):
    """Calling a function directly in a workflow runs it there; every pass runs it again."""

    async def body(ctx):
        one = await components["plain"](1)
        two = await components["with_context"](ctx, 2)
        three = await components["with_context"](3)
        four = [item async for item in components["stream"](2)]
        return [one, two, three, four]

    live, replayed = await twice(store, body)
    assert live == replayed == [[1, 2], 2, 3, [0, 1]]
    assert len(calls) == 8


async def test_a_direct_call_outside_of_any_run(components):
    """Without a run, a function is a function; one that wants a context must be given one."""
    assert await components["plain"](1, b=5) == [1, 5]
    assert await components["with_context"](FunctionContext(run_id="local"), 2) == 2
    assert await components["blocking"](1)
    with pytest.raises(TypeError, match="requires FunctionContext"):
        components["with_context"](2)


async def test_a_workflow_as_a_step(store, components, calls):
    """A workflow inside a workflow: its steps are steps of the same run, recorded once."""

    @workflow
    async def inner(ctx: WorkflowContext, n: int) -> list[int]:
        return [await ctx.step(components["plain"], i) for i in range(n)]

    async def body(ctx):
        by_step = await ctx.step(inner, 2)
        by_call = await inner(ctx, 1)
        by_keyword = await inner(n=1)
        return [by_step, by_call, by_keyword]

    live, replayed = await twice(store, body)
    assert live == replayed == [[[0, 2], [1, 2]], [[0, 2]], [[0, 2]]]
    assert len(calls) == 4


async def test_a_crash_inside_a_workflow_that_is_a_step(store, calls):
    """The inner workflow's completed steps do not run again."""

    @function
    async def one():
        calls.append("one")
        return 1

    @workflow
    async def inner(ctx):
        first = await ctx.step(one)
        second = await ctx.wait_for_signal("go")
        return [first, second]

    @workflow
    async def outer(ctx):
        return await ctx.step(inner)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("outer", {}, "workflow")).run_id
        actor = runtime._bus.runs[run_id]
        await until(lambda: any("signal" in key for key in actor.state.open))
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(run_id, "go", 2)
        response = await client.wait_for_result(run_id, 10)
    assert response.output == [1, 2], response.error
    assert calls == ["one"]


WRONG = {
    "undecorated": (lambda ctx, f: ctx.step(print), ValueError, "is not a registered @function"),
    "unknown name": (lambda ctx, f: ctx.step("unknown"), ValueError, "not found in registry"),
    "near name": (lambda ctx, f: ctx.step("plian", 1), ValueError, "Did you mean 'plain'"),
    "number": (lambda ctx, f: ctx.step(5), ValueError, "not 5"),
    "None": (lambda ctx, f: ctx.step(None), ValueError, "not None"),
    "empty name": (lambda ctx, f: ctx.step(""), ValueError, "must not be empty"),
    "empty key": (lambda ctx, f: ctx.step(f["plain"], 1, key=""), ValueError, "must be a text"),
    "number as key": (lambda ctx, f: ctx.step(f["plain"], 1, key=5), ValueError, "must be a text"),
    "missing argument": (
        lambda ctx, f: ctx.step(f["plain"]),
        TypeError,
        "missing a required argument: 'a'",
    ),
    "too many arguments": (
        lambda ctx, f: ctx.step(f["plain"], 1, 2, 3),
        TypeError,
        "too many positional",
    ),
    "unknown keyword": (
        lambda ctx, f: ctx.step(f["plain"], 1, c=3),
        TypeError,
        "unexpected keyword",
    ),
    "negative timeout": (
        lambda ctx, f: ctx.step(f["plain"], 1, timeout=-1),
        ValueError,
        "timeout of a step",
    ),
    "text as timeout": (
        lambda ctx, f: ctx.step(f["plain"], 1, timeout="5"),
        ValueError,
        "timeout of a step",
    ),
    "a step in a step": (
        lambda ctx, f: ctx.step("x", ctx.step(f["plain"], 1)),
        ValueError,
        "durable call",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_step_is_refused_where_it_is_written(store, components, case):
    """A step that cannot run raises at the call, a clear error of the right type."""
    make, error, match = WRONG[case]

    @workflow
    async def wrong(ctx):
        with pytest.raises(error, match=match):
            make(ctx, components)
        return "refused"

    response = await run_workflow(store, "wrong")
    assert response.output == "refused", response.error


async def test_a_refused_step_leaves_no_trace(store, components):
    """Nothing of a refused call is recorded, and the next call has its occurrence."""

    @workflow
    async def wrong(ctx):
        for _ in range(3):
            with pytest.raises((TypeError, ValueError)):
                ctx.step(components["plain"], 1, 2, 3)
        return await ctx.step(components["plain"], 1)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("wrong", {}, "workflow", timeout=10)
        events = await client.get_events(response.run_id)
    assert response.output == [1, 2]
    assert [e.step_key for e in events if e.event_type == "workflow.step.started"] == [":plain#0"]


async def test_an_unrecordable_result_fails_the_step_with_its_name(store):
    """What could not come back is refused by name, and without a retry."""
    attempts = []

    @function(retries=3)
    async def handle():
        attempts.append(1)
        return object()

    @workflow
    async def body(ctx):
        await ctx.step(handle)

    response = await run_workflow(store, "body")
    assert response.error.code == "PAYLOAD_INVALID"
    assert "handle" in response.error.message
    assert len(attempts) == 1


async def test_unrecordable_arguments_are_only_named(store):
    """Arguments are recorded for people: a handle is passed on, and its type noted."""
    handle = object()

    @function
    async def use(given):
        return given is handle

    @workflow
    async def body(ctx):
        return await ctx.step(use, handle)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=10)
        events = await client.get_events(response.run_id)
    assert response.output is True
    (started,) = [e for e in events if e.event_type == "workflow.step.started"]
    assert started.input_data == [{"$": "opaque", "t": "builtins:object"}]


async def test_the_events_of_a_workflow(store, components):
    """The exact public sequence of a workflow with a function step and a named step."""

    @workflow
    async def body(ctx):
        await ctx.step(components["plain"], 1)
        return await ctx.step("named", lambda: 2)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=10)
        types = await event_types(client, response.run_id)
    assert types == [
        "run.queued",
        "run.assigned",
        "run.started",
        "workflow.started",
        "workflow.step.started",
        "function.started",
        "function.completed",
        "workflow.step.completed",
        "workflow.step.started",
        "workflow.step.completed",
        "workflow.completed",
        "run.completed",
    ]


async def test_a_durable_call_outside_of_the_body_is_refused(store):
    """A context that has escaped to another task says so instead of mixing up identities."""
    escaped = []

    @workflow
    async def body(ctx):
        escaped.append(ctx)
        return await ctx.wait_for_signal("go")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("body", {}, "workflow")).run_id
        await until(lambda: escaped)
        with pytest.raises(RuntimeError, match="outside of its body"):
            escaped[0].step("x", lambda: 1)
        await client.signal(run_id, "go", 5)
        assert (await client.wait_for_result(run_id, 10)).output == 5
        await turns()


async def test_one_function_may_be_limited_in_this_process(store):
    """``concurrency=2``: never more than two attempts at once, all are executed."""
    running, most = 0, 0

    @function(concurrency=2)
    async def limited(n):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return n

    @workflow
    async def body(ctx):
        return await ctx.parallel(*(ctx.step(limited, n) for n in range(12)))

    response = await run_workflow(store, "body")
    assert response.output == list(range(12))
    assert most == 2
