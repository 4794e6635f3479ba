"""Bad input: refused with an error of the right type that says what is wrong; nothing written."""

from __future__ import annotations

import asyncio
import math
from datetime import date, datetime

import pydantic
import pytest
from tests.api.helpers import run_workflow, written

from agnt5 import (
    Agent,
    AsyncClient,
    BackoffPolicy,
    ConfigurationError,
    FunctionRegistry,
    InvalidInputError,
    PayloadError,
    PayloadTooLargeError,
    RetryPolicy,
    Runtime,
    StoreError,
    UnknownComponentError,
    function,
    query,
    tool,
    workflow,
)


class Order(pydantic.BaseModel):
    sku: str
    count: int = 1


@pytest.fixture(autouse=True)
def components():
    """What is called wrongly here."""
    executed.clear()

    @function
    async def charge(amount: float, currency: str = "EUR") -> float:
        executed.append(amount)
        return amount

    @function
    async def place(order: Order, on: date, tags: list[str] | None = None) -> str:
        executed.append(order)
        return f"{type(order).__name__} {on.year} {tags}"

    @function
    async def anything(**fields):
        return sorted(fields)

    @function
    async def untyped(x, y=None):
        return [x, y]

    @workflow
    async def fulfil(ctx, order_id: str, items: list) -> str:
        executed.append(order_id)
        return order_id


executed: list = []

GOOD = {"amount": 1.0}
F, W = "function", "workflow"
BAD = {
    "missing": (("charge", {}), InvalidInputError, "'amount' is missing"),
    "no input at all": (("charge", None), InvalidInputError, "'amount' is missing"),
    "unknown name": (("charge", {**GOOD, "x": 1}), InvalidInputError, "'x' is unknown"),
    "misspelt name": (
        ("charge", {**GOOD, "curency": "EUR"}),
        InvalidInputError,
        "did you mean 'currency'",
    ),
    "wrong type": (("charge", {"amount": "much"}), InvalidInputError, "amount: .*number"),
    "null": (("charge", {"amount": None}), InvalidInputError, "amount: .*number"),
    "wrong second type": (("charge", {**GOOD, "currency": 5}), InvalidInputError, "currency"),
    "several at once": (
        ("charge", {"currency": 5, "z": 1}),
        InvalidInputError,
        "'amount' is missing.*'z' is unknown.*currency",
    ),
    "workflow, missing": (
        ("fulfil", {"order_id": "1"}, W),
        InvalidInputError,
        "'items' is missing",
    ),
    "workflow, type": (
        ("fulfil", {"order_id": 1, "items": []}, W),
        InvalidInputError,
        "order_id: .*string",
    ),
    "model, field": (
        ("place", {"order": {"count": 2}, "on": "2026-01-01"}),
        InvalidInputError,
        r"order\['sku'\]",
    ),
    "model, type": (
        ("place", {"order": {"sku": "a", "count": "many"}, "on": "2026-01-01"}),
        InvalidInputError,
        r"order\['count'\]",
    ),
    "date": (("place", {"order": {"sku": "a"}, "on": "soon"}), InvalidInputError, "on: .*date"),
    "list": (("charge", [1.0]), InvalidInputError, "must be an object"),
    "text": (("charge", "1.0"), InvalidInputError, "must be an object"),
    "number": (("charge", 1.0), InvalidInputError, "must be an object"),
    "keys that are no texts": (("charge", {1: 2}), InvalidInputError, "must be an object"),
    "unknown function": (("refund", GOOD), UnknownComponentError, "no function named 'refund'"),
    "nearly a function": (("chrage", GOOD), UnknownComponentError, "Did you mean 'charge'"),
    "nearly a workflow": (("fulfill", {}, W), UnknownComponentError, "Did you mean 'fulfil'"),
    "a workflow taken for a function": (
        ("fulfil", {}),
        UnknownComponentError,
        "component_type='workflow'",
    ),
    "a function taken for a workflow": (
        ("charge", GOOD, W),
        UnknownComponentError,
        "component_type='function'",
    ),
    "empty name": (("", GOOD), UnknownComponentError, "no function named ''"),
    "unknown kind": (
        ("charge", GOOD, "agent"),
        InvalidInputError,
        "unknown component_type 'agent'",
    ),
    "kind None": (("charge", GOOD, None), InvalidInputError, "unknown component_type"),
    "not a value": (("untyped", {"x": object()}), PayloadError, "object"),
    "a function as a value": (("untyped", {"x": print}), PayloadError, "print|function"),
    "name that is no text": ((5, GOOD), InvalidInputError, "name of a component"),
    "name None": ((None, GOOD), InvalidInputError, "name of a component"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_calls(store, case):
    """Each is refused by run and by submit, with a typed error, and leaves no fact."""
    arguments, error, match = BAD[case]
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("charge", GOOD)
        executed.clear()
        before = await written(runtime)
        with pytest.raises(error, match=f"(?s){match}"):
            await client.run(*arguments)
        with pytest.raises(error, match=f"(?s){match}"):
            await client.submit(*arguments)
        assert await written(runtime) == before
        assert len(await client.list_runs()) == 1
    assert not executed


OPTIONS = {
    "empty key": {"idempotency_key": ""},
    "blank key": {"idempotency_key": "  "},
    "key with a line break": {"idempotency_key": "a\nb"},
    "key with a NUL": {"idempotency_key": "a\0b"},
    "long key": {"idempotency_key": "k" * 513},
    "number as key": {"idempotency_key": 5},
    "bytes as key": {"idempotency_key": b"k"},
    "empty run id": {"run_id": ""},
    "blank run id": {"run_id": " "},
    "long run id": {"run_id": "r" * 129},
    "number as run id": {"run_id": 5},
    "run id with a line break": {"run_id": "a\nb"},
    "metadata that cannot be recorded": {"metadata": {"x": object()}},
    "metadata that is no object": {"metadata": [1]},
    "number as session": {"session_id": 5},
    "number as user": {"user_id": 5},
}


@pytest.mark.parametrize("case", OPTIONS)
async def test_bad_options(store, case):
    """Keys, ids, sessions and metadata that cannot be meant."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        before = await written(runtime)
        with pytest.raises((InvalidInputError, PayloadError)):
            await client.run("charge", GOOD, **OPTIONS[case])
        with pytest.raises((InvalidInputError, PayloadError)):
            await client.submit("charge", GOOD, **OPTIONS[case])
        assert await written(runtime) == before
    assert not executed


async def test_what_fits_is_made_what_is_annotated(store):
    """JSON in, models and dates in the function; JSON numbers for floats; defaults apply."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        given = {"order": {"sku": "a"}, "on": "2026-01-31", "tags": ["x"]}
        assert (await client.run("place", given)).output == "Order 2026 ['x']"
        given = {"order": Order(sku="b"), "on": datetime(2025, 1, 1).date()}
        assert (await client.run("place", given)).output == "Order 2025 None"
        assert (await client.run("charge", {"amount": 5})).output == 5
        assert (await client.run("anything", {"b": 1, "a": 2})).output == ["a", "b"]
        assert (await client.run("untyped", {"x": None})).output == [None, None]
        assert (await client.run("untyped", {"x": (1, {2})})).output == [(1, {2}), None]


async def test_an_input_over_the_limit(store):
    """The limit of recorded values holds for inputs and metadata: refused, nothing written."""
    async with Runtime(store, max_payload_bytes=1000) as runtime:
        client = AsyncClient(runtime=runtime)
        before = await written(runtime)
        for ask in (client.run, client.submit):
            with pytest.raises(PayloadTooLargeError, match="untyped"):
                await ask("untyped", {"x": "y" * 1000})
            with pytest.raises(PayloadTooLargeError, match="metadata"):
                await ask("untyped", {"x": 1}, metadata={"note": "y" * 1000})
        assert await written(runtime) == before
        assert (await client.run("untyped", {"x": "y" * 900})).is_success


async def test_results_and_arguments_over_the_limit(store):
    """A step's result, a step's arguments, a run's result: the error names which."""

    @function(retries=3)
    async def big(n):
        executed.append(n)
        return "x" * n

    @workflow
    async def body(ctx, how: str):
        if how == "result":
            await ctx.step(big, 2000)
        if how == "argument":
            await ctx.step("untyped", "x" * 2000)
        return "x" * 2000

    async with Runtime(store, max_payload_bytes=1000) as runtime:
        client = AsyncClient(runtime=runtime)
        for how, name in (("result", "'big'"), ("argument", "'untyped'"), ("own", "'body'")):
            response = await client.run("body", {"how": how}, "workflow", timeout=10)
            assert response.error.code == "PAYLOAD_TOO_LARGE", how
            assert name in response.error.message
    assert executed == [2000]


async def test_deep_and_looping_inputs(store):
    """A value that contains itself, and one that is nested too deep."""
    loop: list = []
    loop.append(loop)
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for value in (loop, deep):
            with pytest.raises(PayloadError):
                await client.run("untyped", {"x": value})
        assert (await client.run("untyped", {"x": 1})).is_success
    while deep:
        deep = deep[0]


async def test_values_that_json_does_not_know(store):
    """NaN, infinities, integers of any size and lone surrogates come back as they are."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        found = (await client.run("untyped", {"x": [math.inf, -math.inf, 2**200]})).output
        assert found[0] == [math.inf, -math.inf, 2**200]
        nan = (await client.run("untyped", {"x": math.nan})).output[0]
        assert math.isnan(nan)
        assert (await client.run("untyped", {"x": "\ud800"})).output == ["\ud800", None]


STORES = {
    "nonsense": "nonsense",
    "a path": "store.db",
    "two slashes": "sqlite://store.db",
    "no path": "sqlite:///",
    "another database": "mysql://localhost/x",
    "postgres": "postgres://localhost/x",
    "memory with a name": "memory://x",
}


@pytest.mark.parametrize("case", STORES)
async def test_bad_store_addresses(case, tmp_path, monkeypatch):
    """An address that cannot be meant: ConfigurationError with the forms that can; no file made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        async with Runtime(STORES[case]):
            pass
    assert not list(tmp_path.iterdir())


async def test_bad_store_paths(tmp_path):
    """A folder, a file that is no database, a folder that cannot be made."""
    text = tmp_path / "text.db"
    text.write_text("this is no database, and it is long enough to be looked at " * 20)
    for path in (tmp_path, text, text / "below.db"):
        with pytest.raises(StoreError):
            async with Runtime(f"sqlite:///{path}"):
                pass
    assert text.read_text().startswith("this is no database")


@pytest.mark.parametrize(
    "setting",
    [
        {"durability": "perhaps"},
        {"grace": -1},
        {"grace": math.nan},
        {"park_after": -0.1},
        {"stall_limit": -1},
        {"max_active_runs": 0},
        {"max_payload_bytes": 0},
        {"threads": 0},
        {"threads": "4"},
        {"max_active_runs": 1.5},
        {"park_after": None},
        {"grace": "1"},
        {"default_timeout_ms": "1"},
        {"queues": 3},
    ],
    ids=str,
)
async def test_bad_settings(setting, tmp_path):
    """Settings are checked before a store is opened."""
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        async with Runtime(f"sqlite:///{tmp_path}/a.db", **setting):
            pass


async def test_bad_calls_inside_a_body(store):
    """Signals, questions: refused where they are written."""

    @workflow
    async def body(ctx):
        for call in (
            lambda: ctx.wait_for_signal(""),
            lambda: ctx.wait_for_signal(None),
            lambda: ctx.wait_for_signal(5),
            lambda: ctx.wait_for_user("Which?", "telepathy"),
            lambda: ctx.state.get([]),
            lambda: ctx.state.delete(5),
            lambda: ctx.session.state.update("visits", 5),
        ):
            with pytest.raises(ValueError, match=r"signal|input_type|name of a value|function"):
                call()
        return "ok"

    response = await run_workflow(store, "body")
    assert response.output == "ok", response.error


HALF = "photo-\udcff"
"""What Python makes of a file's name that is not UTF-8. JSON cannot hold it, and so no log can."""


async def test_texts_that_no_log_can_hold_are_refused_in_a_body(store):
    @function
    async def nothing(x: object = None) -> None: ...

    @workflow
    async def body(ctx):
        for call in (
            lambda: ctx.step(HALF, nothing),
            lambda: ctx.step(nothing, key=HALF),
            lambda: ctx.sleep(1, HALF),
            lambda: ctx.wait_for_signal(HALF),
            lambda: ctx.child(nothing, key=HALF),
            lambda: ctx.patched(HALF),
            lambda: ctx.wait_for_user(HALF),
            lambda: ctx.wait_for_user("Who?", assignees=[HALF]),
            lambda: ctx.wait_for_user("How?", timeout=1, on_timeout=HALF),
            lambda: ctx.state.set(HALF, 1),
        ):
            with pytest.raises(ValueError, match="recorded|printable"):
                call()
        await ctx.step(nothing, HALF)
        return "ok"

    response = await run_workflow(store, "body")
    assert response.output == "ok", response.error


async def test_texts_that_no_log_can_hold_are_refused_from_outside(store):
    @workflow
    async def body(ctx):
        ctx.set_update_handler(HALF, lambda _: 1)
        return await ctx.wait_for_user("Well?")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.run("body", {}, "workflow", timeout=10)).run_id
        before = await written(runtime)
        for call in (
            lambda: client.signal(run_id, HALF),
            lambda: client.signal(run_id, "go", signal_id=HALF),
            lambda: client.cancel(run_id, HALF),
            lambda: client.resume(run_id, HALF),
            lambda: client.resume(run_id, "yes", reason=HALF),
            lambda: client.update(run_id, HALF),
            lambda: client.update(run_id, "a", update_id=HALF),
        ):
            with pytest.raises(InvalidInputError, match="recorded"):
                await call()
        assert await written(runtime) == before
        await client.resume(run_id, "yes")
        assert (await client.wait_for_result(run_id, 10)).output == "yes"
    with pytest.raises(ConfigurationError, match="recorded"):
        function(name=HALF)(lambda: None)


async def test_options_are_recorded_as_they_are_shown(store):
    """As plain JSON: what is no JSON is made it before anybody sees it."""

    @workflow
    async def body(ctx):
        options = [{"id": "a", "label": "A", "on": date(2026, 1, 2), "most": math.inf}]
        return await ctx.wait_for_user("Which?", "select", options)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("body", {}, "workflow", timeout=10)
        (asked,) = response.metadata["questions"]
        plain = {"id": "a", "label": "A", "on": "2026-01-02", "most": "Infinity"}
        assert asked["options"] == [plain]
        await client.resume(response.run_id, "a", shown=asked["shown"])
        assert (await client.wait_for_result(response.run_id, 10)).output == "a"


async def test_bad_questions_about_runs(store):
    """Lists and streams of runs."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.run("charge", GOOD)).run_id
        for wrong in ({"limit": "x"}, {"limit": -1}, {"parent_run_id": 3}, {"status": 3}):
            with pytest.raises(InvalidInputError, match=next(iter(wrong))):
                await client.list_runs(**wrong)
        for wrong in ({"from_offset": 3}, {"from_offset": [3]}, {"after_version": "x"}):
            with pytest.raises(InvalidInputError, match=next(iter(wrong))):
                await anext(client.stream_run(run_id, **wrong))


async def test_bad_signals_and_answers(store):
    """What cannot be recorded or names nothing is refused, and the run still waits."""

    @workflow
    async def body(ctx):
        return await ctx.wait_for_signal("go")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("body", {}, "workflow")).run_id
        before = await written(runtime)
        with pytest.raises(PayloadError):
            await client.signal(run_id, "go", object())
        with pytest.raises(InvalidInputError):
            await client.signal(run_id, "")
        with pytest.raises(InvalidInputError):
            await client.signal(run_id, 5)
        for wrong in (5, ""):
            with pytest.raises(InvalidInputError, match="signal_id"):
                await client.signal(run_id, "go", signal_id=wrong)
        with pytest.raises(InvalidInputError, match="reason"):
            await client.cancel(run_id, 5)
        with pytest.raises(InvalidInputError, match="seconds"):
            await client.wait_for_result(run_id, "soon")
        with pytest.raises(InvalidInputError, match="seconds"):
            await client.run("body", {}, "workflow", timeout="soon")
        with pytest.raises(InvalidInputError, match="waits for no answer"):
            await client.resume(run_id, "yes")
        with pytest.raises(InvalidInputError, match="neither paused nor suspended"):
            await client.resume(run_id)
        with pytest.raises(InvalidInputError):
            await client.resume(run_id, 5)
        assert await written(runtime) == before
        await client.signal(run_id, "go", 1)
        assert (await client.wait_for_result(run_id, 10)).output == 1
        with pytest.raises(InvalidInputError, match="has ended"):
            await client.signal(run_id, "go", 1)


def test_names_are_taken_once():
    """A second function or workflow of the same name is refused, with where the first one is."""
    with pytest.raises(ValueError, match=r"name collision.*already registered.*test_bad_input"):

        @function(name="charge")
        async def other():
            pass

    with pytest.raises(ValueError, match=r"name collision.*already registered"):

        @workflow(name="fulfil")
        async def another(ctx):
            pass

    function(FunctionRegistry.get("charge")._function, name="another_name")


def test_bad_definitions():
    """What cannot be a function or a workflow is refused at the decorator."""
    with pytest.raises(ValueError, match="must have 'ctx: WorkflowContext' as first parameter"):

        @workflow
        def no_context(x):
            pass

    for thing in (5, "name", Order):
        with pytest.raises(ConfigurationError):
            function(thing)
        with pytest.raises(ConfigurationError):
            workflow(thing)

    async def body(ctx):
        """A body."""

    for decorator in (function, workflow, tool):
        with pytest.raises(ConfigurationError, match="name"):
            decorator(name=5)(body)
    with pytest.raises(ConfigurationError, match="concurrency"):
        function(concurrency="2")(Order.model_dump)
    with pytest.raises(ConfigurationError, match="query"):
        query(5)
    with pytest.raises(ConfigurationError, match="tools takes a list"):
        Agent("helper", "openai/gpt-4o", "", tools=5)
    for wrong in ({"max_attempts": "3"}, {"jitter": "x"}, {"non_retryable": 5}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            RetryPolicy(**wrong)
    with pytest.raises(TypeError, match="multiplier"):
        BackoffPolicy(multiplier="2")


async def test_a_closed_loop_of_bad_calls_leaves_a_working_runtime(store):
    """A hundred bad calls at once harm nobody."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        calls = [client.run("charge", {"amount": "x"}) for _ in range(100)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, InvalidInputError) for answer in answers)
        assert (await client.run("charge", GOOD)).output == 1.0
