"""Tools: their shapes, schemas, confirmations, and what a crash does to them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.helpers import run_workflow, until

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    Context,
    FunctionContext,
    Runtime,
    Tool,
    ToolRegistry,
    WorkflowContext,
    function,
    tool,
    workflow,
)
from agnt5.schemas import parameters_in, schema_of
from agnt5.signatures import Signature


@dataclass
class Address:
    street: str


class Opaque:
    pass


async def test_every_shape_is_awaited():
    @tool
    def plain(record_id: str, data: dict) -> str:
        """Update."""
        return f"{record_id} {data}"

    @tool
    async def with_ctx(ctx: Context, n: int) -> str:
        return f"{ctx.run_id} {n}"

    @tool(name="bare")
    def unannotated(anything, n: int) -> str:
        return f"{type(anything).__name__} {n}"

    ctx = Context(run_id="local-1")
    assert await plain("r", {}) == await plain(ctx, "r", data={}) == "r {}"
    assert await plain.invoke(ctx, record_id="r", data={}) == "r {}"
    assert await with_ctx(ctx, n=1) == await with_ctx(ctx, 1) == "local-1 1"
    assert await with_ctx.invoke(ctx, n=1) == "local-1 1"
    assert await unannotated(ctx, n=1) == "FunctionContext 1"
    with pytest.raises(TypeError, match="requires FunctionContext"):
        with_ctx(n=1)


async def test_a_static_method_may_be_a_tool():
    class Tools:
        @staticmethod
        @tool
        def outer(n: int) -> int:
            """Add one."""
            return n + 1

        @tool
        @staticmethod
        def inner(n: int) -> int:
            """Add two."""
            return n + 2

    assert isinstance(Tools.outer, Tool)
    assert (await Tools.outer(1), await Tools().outer(n=1), await Tools.inner(1)) == (2, 2, 3)
    assert ToolRegistry.list_names() == ["inner", "outer"]


def test_a_tool_without_context_needs_a_docstring():
    with pytest.raises(ConfigurationError, match="must have at least one parameter"):

        @tool
        def nothing(): ...

    with pytest.raises(ConfigurationError, match="first parameter must be 'ctx: Context'"):

        @tool
        def wrong(n: int): ...

    @tool
    def documented():
        """Nothing is needed."""

    assert ToolRegistry.list_names() == ["documented"]


@pytest.mark.parametrize(
    ("policy", "recovery"),
    [
        ("unknown_outcome", "fail"),
        ("UNKNOWN_OUTCOME", "fail"),
        ("COMPENSATE", "fail"),
        ("FAIL", "fail"),
        ("fail", "fail"),
        ("IDEMPOTENT_RETRY", "retry"),
        ("durable_steps", "retry"),
        ("retry", "retry"),
    ],
)
def test_recovery_policies_have_two_sets_of_names(policy, recovery):
    made = Tool("t", "", lambda ctx: None, recovery_policy=policy)
    assert made.recovery == recovery


def test_what_is_wrong_is_said():
    assert Tool("t", "", lambda ctx: None).recovery == "fail"
    with pytest.raises(ConfigurationError, match="tool 't': unknown recovery policy 'never'"):
        Tool("t", "", lambda ctx: None, recovery_policy="never")
    with pytest.raises(ConfigurationError, match="made of a function"):
        tool(int)
    with pytest.raises(ConfigurationError, match="input_schema"):
        Tool("t", "", lambda ctx: None, input_schema="{}")


def test_a_later_tool_replaces_an_earlier_one_with_a_warning(caplog):
    @tool
    def same(ctx): ...

    first = same

    @tool(name="same")
    def other(ctx): ...

    assert "tool 'same' was defined again" in caplog.text
    assert ToolRegistry.get("same") is other is not first
    assert ToolRegistry.all() == {"same": other}
    # Functions have names of their own.
    function(name="same")(lambda: None)


# --------------------------------------------------------------------------------------- schemas


def test_the_schema_comes_from_annotations_and_the_docstring():
    @tool(confirmation=True)
    def search(
        ctx: Context, query: str, tags: list[str], where: Address, limit: int = 5, *, deep=False
    ) -> list:
        """Search the catalogue.

        It is slow.

        Args:
            ctx: The context.
            query: What to look for,
                in words.
            limit (int): At most so many.

        Returns:
            The hits: best first.
        """

    schema = search.get_schema()
    assert (schema["name"], schema["description"]) == ("search", "Search the catalogue.")
    assert schema["requires_confirmation"] is True
    given = schema["input_schema"]
    assert given["required"] == ["query", "tags", "where"]
    assert given["description"] == "Search the catalogue."
    properties = given["properties"]
    assert properties["query"] == {
        "type": "string",
        "description": "What to look for, in words.",
    }
    assert properties["tags"] == {"type": "array", "items": {"type": "string"}}
    assert properties["where"]["properties"] == {"street": {"title": "Street", "type": "string"}}
    assert properties["limit"] == {
        "type": "integer",
        "default": 5,
        "description": "At most so many.",
    }
    assert properties["deep"] == {"type": "object", "default": False}


def test_a_schema_may_be_given_or_left_out():
    given = {"type": "object", "properties": {"q": {"type": "string"}}}
    assert Tool("t", "", lambda ctx, q: q, given).get_schema()["input_schema"] == given
    made = Tool("t", "About it.", lambda ctx, q: q)
    assert made.get_schema() == {
        "name": "t",
        "description": "About it.",
        "input_schema": {"type": "object", "properties": {}},
        "requires_confirmation": False,
    }

    @tool(auto_schema=False, description="Mine.")
    def mine(n: int):
        """Not mine."""

    assert mine.get_schema()["input_schema"]["properties"] == {}
    assert mine.description == "Mine."


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None | int, {"type": "integer"}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (dict[str, int], {"type": "object"}),
        (list, {"type": "array", "items": {}}),
        (Annotated[int, ["not hashable"]], {"type": "integer"}),
        (Annotated[list[Annotated[str, {}]], []], {"type": "array", "items": {"type": "string"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (Opaque, {"type": "string", "description": "a Opaque"}),
        ("nonsense", {"type": "string", "description": "a nonsense"}),
        (object(), None),
    ],
)
def test_every_annotation_has_a_schema(hint, schema):
    found = schema_of(hint)
    assert schema is None or found == schema


@given(st.text(alphabet="Args:\n abc()*", max_size=80))
def test_no_docstring_breaks_the_reading(doc):
    assert all(isinstance(text, str) for text in parameters_in(doc).values())


def test_annotations_that_cannot_be_resolved_are_left_out():
    def later(n: Missing): ...  # noqa: F821 - the point

    assert Signature(later, Context).hints == {}


# --------------------------------------------------------------------------------- in a workflow


async def test_a_tool_is_a_step_of_every_workflow_that_calls_it(store):
    ran = []

    @tool
    def act(n: int) -> int:
        """Act."""
        ran.append(n)
        return n

    @tool(durable=False)
    def look(ctx) -> str:
        return ctx.run_id

    @function(name="act")
    def same_name(n: int) -> int:
        return -n

    @workflow
    async def explicit(ctx: WorkflowContext) -> list:
        assert await look(ctx) == ctx.run_id
        return [
            await act(ctx, n=1),
            await act(2),
            await act.invoke(ctx, n=3),
            await ctx.step(act, 4),
            await ctx.step("named", act, 5),
            await ctx.step("act", 6),
        ]

    @workflow
    async def implicit() -> list:
        await look()
        return [await act(1), await explicit()]

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("implicit", {}, "workflow", timeout=15)
        assert response.output == [1, [1, 2, 3, 4, 5, -6]]
        events = await client.get_events(response.run_id)
        assert [e.event_type for e in events].count("workflow.step.started") == 8
    assert ran == [1, 1, 2, 3, 4, 5]


async def confirmed(store, answer, call):
    """Run a workflow whose tool wants a confirmation; the response, and what the person saw."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        paused = await client.run("subject", {}, "workflow", timeout=15)
        assert paused.status == "paused", paused
    assert call == []
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.resume(paused.run_id, answer)
        return await client.wait_for_result(paused.run_id, 15), paused.metadata


@pytest.mark.parametrize("mode", ["implicit", "explicit", "step"])
async def test_a_confirmation_pauses_the_run_before_the_tool(store, mode):
    ran = []

    @tool(confirmation=True)
    def delete(table: str, log: list) -> str:
        """Delete a table."""
        ran.append(table)
        log.append(table)
        return f"deleted {table}"

    async def subject() -> list:
        log = []
        return [await delete("users", log), log]

    async def subject_with_ctx(ctx: WorkflowContext) -> list:
        log = []
        if mode == "step":
            return [await ctx.step(delete, "users", log), log]
        return [await delete(ctx, "users", log=log), log]

    workflow(name="subject")(subject if mode == "implicit" else subject_with_ctx)
    response, asked = await confirmed(store, "approve", ran)
    assert response.output == ["deleted users", ["users"]]
    assert asked["question"].startswith("Run delete('users', ")
    assert asked["input_type"] == "approval"
    assert ran == ["users"]


async def test_a_refusal_is_an_error_of_the_call(store):
    ran = []

    @tool(confirmation=True)
    def delete(ctx: FunctionContext) -> None:
        ran.append(1)

    @workflow
    async def subject() -> str:
        try:
            await delete()
        except Exception as error:
            return str(error)
        return "deleted"

    response, _ = await confirmed(store, "reject", ran)
    assert "'delete' was not run" in response.output
    assert ran == []


async def test_outside_of_a_workflow_a_warning_is_logged_and_it_runs(caplog):
    @tool(confirmation=True)
    def delete() -> str:
        """Delete."""
        return "deleted"

    with caplog.at_level(logging.WARNING):
        assert await delete() == "deleted"
    assert "runs without" in caplog.text


@pytest.mark.parametrize("policy", ["unknown_outcome", "idempotent_retry"])
async def test_a_tool_that_a_crash_cut_short_follows_its_policy(store, policy):
    """By default it is not repeated: nobody knows whether it has acted."""
    begun = []

    @tool(recovery_policy=policy)
    async def act() -> str:
        """Act."""
        begun.append(1)
        if len(begun) == 1:
            await asyncio.sleep(60)
        return "acted"

    @workflow
    async def subject() -> str:
        try:
            return await act()
        except Exception as error:
            return type(error).__name__

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("subject", {}, "workflow")).run_id
        await until(lambda: begun)
        await runtime.aclose(0)
    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).wait_for_result(run_id, 15)
    wanted = {"unknown_outcome": ("UnknownOutcomeError", 1), "idempotent_retry": ("acted", 2)}
    assert (response.output, len(begun)) == wanted[policy]


async def test_a_tools_failure_is_recorded(store):
    @tool
    def act() -> None:
        """Act."""
        raise KeyError("sku")

    @workflow
    async def subject() -> str:
        try:
            await act()
        except KeyError as error:
            return f"caught {error}"
        return "acted"

    assert (await run_workflow(store, "subject")).output == "caught 'sku'"
