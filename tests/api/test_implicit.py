"""Implicit mode: what a workflow without ctx calls directly is a step of its run."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.helpers import event_types, python, run_workflow

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    Context,
    FunctionContext,
    InvalidInputError,
    Runtime,
    WorkflowContext,
    function,
    get_current_context,
    task,
    tool,
    workflow,
)
from agnt5.actors.branch import StepFuture
from agnt5.events.codec import decode_history
from agnt5.events.run import facts as f

calls: list[str] = []


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def steps_of(runtime, run_id):
    """The keys of the steps that were asked for."""
    history = decode_history(runtime._log.read(run_id))
    return [fact.key for fact, _ in history if isinstance(fact, f.StepScheduled)]


async def keys(store, name, given=None):
    """Run a workflow; its response and the keys of its steps."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run(name, given or {}, "workflow", timeout=15)
        return response, steps_of(runtime, response.run_id)


def define():
    """One component of every kind, and a workflow that calls them all."""

    @task
    def add(a: int, b: int = 1) -> int:
        calls.append("add")
        return a + b

    @task
    async def twice(a: int) -> int:
        calls.append("twice")
        return 2 * a

    @function
    async def three(ctx: FunctionContext, a: int) -> int:
        calls.append("three")
        assert ctx.run_id
        return 3 * a

    @function
    def four(a: int) -> int:
        calls.append("four")
        return 4 * a

    @tool
    def five(a: int) -> int:
        """Five times."""
        calls.append("five")
        return 5 * a

    async def helper(a: int) -> int:
        calls.append("helper")
        return await twice(a)

    @workflow
    async def inner(a: int) -> int:
        return await add(a) + await add(a, b=10)

    @workflow
    async def outer(n: int) -> list[int]:
        results = [await add(n), await add(n, 2), await add(a=n, b=3)]
        results += await asyncio.gather(*[twice(i) for i in range(3)])
        results += [await three(n), await four(n), await five(n), await helper(n)]
        results.append(await inner(n))
        return results

    return outer


EXPECTED = [2, 3, 4, 0, 2, 4, 3, 4, 5, 2, 13]


async def test_every_direct_call_is_a_step(store):
    define()
    response, asked = await keys(store, "outer", {"n": 1})
    assert response.output == EXPECTED
    assert asked == [
        *(":add#0", ":add#1", ":add#2", ":twice#0", ":twice#1", ":twice#2"),
        *(":three#0", ":four#0", ":five#0", ":twice#3", ":inner#0"),
        *(":inner#0>:add#0", ":inner#0>:add#1"),
    ]
    assert calls.count("add") == 5


async def test_a_replay_calls_none_of_them(store):
    """The body alone runs again, undecorated helpers with it."""

    @task
    def work(n: int) -> int:
        calls.append(f"work {n}")
        return n

    async def helper() -> int:
        calls.append("helper")
        return await work(2)

    @workflow
    async def body() -> int:
        total = await work(1) + await helper()
        calls.append("waits")
        await get_current_context().wait_for_signal("go")
        return total + await work(3)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("body", {}, "workflow")).run_id
        while "waits" not in calls:
            await asyncio.sleep(0.002)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(run_id, "go")
        response = await client.wait_for_result(run_id, 15)
    assert response.output == 6
    assert calls == ["work 1", "helper", "work 2", "waits", "helper", "waits", "work 3"]


async def test_a_direct_call_in_explicit_mode_is_no_step_unless_it_is_a_task(store):
    @function
    async def plain(ctx, n: int) -> int:
        return n

    @function
    def blocking(n: int) -> int:
        return n

    @task
    def recorded(n: int) -> int:
        return n

    @function
    async def calls_a_task(ctx, n: int) -> int:
        return await recorded(n)

    @workflow
    async def body(ctx: WorkflowContext) -> int:
        result = await plain(ctx, 1) + await plain(1) + await blocking(1)
        return result + await recorded(1) + await recorded(ctx, 1) + await calls_a_task(ctx, 1)

    response, asked = await keys(store, "body")
    assert response.output == 6
    assert asked == [":recorded#0", ":recorded#1", ":recorded#2"]


async def test_what_a_function_on_a_thread_calls_is_no_step(store):
    """It runs beside the body, not in it: the order of its calls is nobody's promise."""

    @task
    async def recorded(n: int) -> int:
        return n

    @function
    def blocking(ctx, n: int) -> int:
        return asyncio.run(recorded(n))

    @function
    def bare(n: int) -> int:
        return asyncio.run(recorded(n))

    @workflow
    async def body(ctx: WorkflowContext) -> int:
        return await blocking(ctx, 1) + await blocking(1) + await bare(1)

    response, asked = await keys(store, "body")
    assert (response.output, asked) == (3, [])


async def test_modes_nest_and_each_workflow_keeps_its_own(store):
    @function
    async def plain(n: int) -> int:
        return n

    @workflow
    async def explicit(ctx: WorkflowContext, n: int) -> int:
        return await plain(n)

    @workflow
    async def implicit(n: int) -> int:
        return await plain(n) + await explicit(n) + await plain(n)

    @workflow
    async def top(ctx: WorkflowContext) -> int:
        return await implicit(1) + await plain(1) + await ctx.step(implicit, 2)

    response, asked = await keys(store, "top")
    assert response.output == 10
    assert len(asked) == 8
    assert sum(key.endswith(("plain#0", "plain#1")) for key in asked) == 4


async def test_calls_inside_the_function_of_a_step_are_plain_calls(store):
    @task
    def inner(n: int) -> int:
        return n + 1

    @task
    async def outer(n: int) -> int:
        called = inner(n)
        assert not isinstance(called, StepFuture)
        return await called

    @workflow
    async def body() -> int:
        return await outer(1)

    response, asked = await keys(store, "body")
    assert (response.output, asked) == (2, [":outer#0"])


async def test_a_call_inside_an_inline_step_is_a_step_within_it(store):
    @task
    def inner(n: int) -> int:
        return n + 1

    @workflow
    async def body(ctx: WorkflowContext) -> int:
        return await ctx.step("outer", lambda: inner(1))

    response, asked = await keys(store, "body")
    assert (response.output, asked) == (2, [":outer#0", ":outer#0>:inner#0"])


async def test_a_call_returns_a_step_future_whose_identity_is_fixed_by_the_call(store):
    @task
    async def work(n: int) -> int:
        return n

    @workflow
    async def body() -> list[int]:
        first, second = work(1), work(2)
        assert isinstance(first, StepFuture)
        assert (first.key, second.key) == (":work#0", ":work#1")
        late = await second
        return [await first, late]

    response, _ = await keys(store, "body")
    assert response.output == [1, 2]


async def test_arguments_that_do_not_fit_are_a_type_error_at_the_call(store):
    @task
    def work(n: int) -> int:
        return n

    @workflow
    async def body() -> str:
        with pytest.raises(TypeError, match=r"work\(\)"):
            work()
        with pytest.raises(TypeError, match="missing"):
            work(input={"n": 1})
        return "done"

    response, asked = await keys(store, "body")
    assert (response.output, asked) == ("done", [])


async def test_keywords_that_ctx_step_knows_are_the_functions_own(store):
    @task
    def work(key: str, timeout: int, name: str) -> list:
        return [key, timeout, name]

    @workflow
    async def sub(key: str, timeout: int) -> list:
        return await work(key=key, timeout=timeout, name="n")

    @workflow
    async def body() -> list:
        return await sub(key="k", timeout=5)

    response, _ = await keys(store, "body")
    assert response.output == ["k", 5, "n"]


async def test_an_async_generator_is_a_list_or_a_stream_of_recorded_items(store):
    @function
    async def items(n: int):
        for i in range(n):
            yield i

    @workflow
    async def body() -> list:
        return [await items(2), [item async for item in items(3)]]

    response, asked = await keys(store, "body")
    assert response.output == [[0, 1], [0, 1, 2]]
    assert asked == [":items#0", ":items#1"]


async def test_a_failing_step_raises_its_own_error_and_is_not_run_again(store):
    @task
    def charge() -> None:
        calls.append("charge")
        raise ValueError("declined")

    @workflow
    async def body() -> str:
        try:
            await charge()
        except ValueError as error:
            return f"caught {error}"
        return "charged"

    response, _ = await keys(store, "body")
    assert (response.output, calls) == ("caught declined", ["charge"])


async def test_the_steps_of_a_sub_workflow_are_steps_of_the_same_run(store):
    define()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("outer", {"n": 1}, "workflow", timeout=15)
        assert len(await client.list_runs()) == 1
        assert (await event_types(client, response.run_id)).count("workflow.step.started") == 13


# ----------------------------------------------------------------------- outside of any workflow


async def test_outside_of_a_run_everything_but_a_workflow_just_runs():
    @task
    def add(a: int) -> int:
        return a + 1

    @task
    async def add_async(a: int) -> int:
        return a + 1

    @tool
    def add_tool(a: int) -> int:
        """Add one."""
        return a + 1

    assert [await add(1), await add_async(1), await add_tool(1), await add_tool(a=1)] == [2] * 4


async def test_a_workflow_called_outside_of_a_run_is_a_run_of_its_own(store):
    outer = define()

    @workflow
    async def fails(ctx: WorkflowContext, items: list) -> None:
        raise KeyError(items[0])

    async with Runtime(store) as runtime:
        assert await outer(1) == EXPECTED
        assert await outer(n=1) == EXPECTED
        with pytest.raises(KeyError, match="sku") as raised:
            await fails(["sku"])
        assert "of workflow 'fails'" in raised.value.__notes__[-1]
        runs = await AsyncClient(runtime=runtime).list_runs()
        assert sorted(run.component for run in runs) == ["fails", "outer", "outer"]


async def test_arguments_of_such_a_call_are_checked_before_anything_is_written(store):
    @workflow
    async def body(n: int, *rest: int) -> int:
        return n

    async with Runtime(store) as runtime:
        with pytest.raises(TypeError, match="body"):
            body()
        with pytest.raises(TypeError, match=r"\*rest"):
            body(1, 2)
        with pytest.raises(InvalidInputError, match="valid integer"):
            await body("x")
        assert await AsyncClient(runtime=runtime).list_runs() == []


async def test_a_workflow_called_inside_a_function_is_refused(store):
    """A retry would start it again, and nobody could tell."""

    @workflow
    async def inner() -> int:
        return 1

    @task
    async def outer() -> str:
        with pytest.raises(InvalidInputError, match="called inside a function"):
            inner()
        return "refused"

    @workflow
    async def body() -> str:
        return await outer()

    assert (await run_workflow(store, "body")).output == "refused"


def test_without_a_runtime_one_is_started(tmp_path):
    """Nothing is silently not durable: the run is in the default store."""
    code = """
import asyncio
from agnt5 import Client, task, workflow
@task
def work(n: int) -> int:
    return n + 1
@workflow
async def body(n: int) -> int:
    return await work(n)
print(asyncio.run(body(1)), [run.status.value for run in Client().list_runs()])
"""
    out, err = python(code, cwd=tmp_path).communicate(timeout=50)
    assert (out.strip(), err) == ("2 ['completed']", "")
    assert (tmp_path / ".agnt5" / "agnt5.db").exists()


async def test_a_call_from_another_thread_of_the_body_is_refused(store):
    @task
    async def work() -> int:
        return 1

    @workflow
    async def body() -> str:
        def elsewhere():
            async def call():
                return await work()

            return asyncio.run(call())

        with pytest.raises(RuntimeError, match="another thread"):
            await asyncio.to_thread(elsewhere)
        return "done"

    assert (await run_workflow(store, "body")).output == "done"


# --------------------------------------------------------------------------------- declarations


def test_a_workflow_without_ctx_must_be_async():
    with pytest.raises(ValueError, match="must have 'ctx: WorkflowContext' as first parameter"):

        @workflow
        def body(n: int) -> int:
            return n


def test_the_description_is_the_docstring_by_default():
    @workflow
    async def one() -> None:
        """First line.

        More.
        """

    @workflow(description="Given.", enable_durability=True)
    async def two(ctx: WorkflowContext) -> None:
        """Docstring."""

    assert (one.description, two.description) == ("First line.", "Given.")


@pytest.mark.parametrize("option", ["enable_durability", "chat", "default"])
def test_some_options_are_yes_or_no(option):
    with pytest.raises(ConfigurationError, match=f"{option} takes True or False"):

        @workflow(**{option: "no"})
        async def body() -> None: ...


def test_a_task_is_bare_or_called_and_decorates_functions():
    @task()
    def named() -> int:
        return 1

    assert repr(named) == "<agnt5 task 'named'>"
    with pytest.raises(ConfigurationError, match="@task decorates functions"):
        task(int)
    with pytest.raises(ValueError, match="already registered"):

        @function(name="named")
        def other() -> int:
            return 1


async def test_a_context_by_hand_still_serves_a_direct_call():
    @function
    async def with_ctx(ctx: FunctionContext, n: int) -> str:
        return f"{ctx.run_id} {n}"

    assert await with_ctx(Context(run_id="local-1"), 1) == "local-1 1"
    with pytest.raises(TypeError, match="requires FunctionContext"):
        with_ctx(1)
