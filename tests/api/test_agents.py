"""The minimal agent: its loop, its steps, what it refuses; and the scripted model of its tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.helpers import run_workflow, until, written

from agnt5 import (
    Agent,
    AgentRegistry,
    AgentResult,
    AsyncClient,
    ConfigurationError,
    Context,
    ExecutionError,
    FunctionRegistry,
    Handoff,
    InvalidInputError,
    Runtime,
    ToolRegistry,
    Workflow,
    WorkflowContext,
    WorkflowRegistry,
    function,
    lm,
    tool,
    workflow,
)
from agnt5.lm import (
    GenerateRequest,
    GenerateResponse,
    LanguageModel,
    Message,
    MessageRole,
    ScriptedModel,
    ToolCall,
)
from agnt5.payloads import decode, encode


@pytest.fixture(autouse=True)
def agents(monkeypatch):
    """No agent, tool or provider of another test."""
    monkeypatch.setattr(lm, "_factories", {})
    for registry in (AgentRegistry, ToolRegistry):
        registry.clear()
    yield
    for registry in (AgentRegistry, ToolRegistry):
        registry.clear()


class Echo(LanguageModel):
    """A model of somebody else's: it repeats the last message."""

    def __init__(self) -> None:
        self.calls = 0

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        self.calls += 1
        return GenerateResponse(f"you said: {request.messages[-1].content}")


# ------------------------------------------------------------------------------------- the loop


async def test_without_tools_the_first_answer_is_the_result() -> None:
    model = ScriptedModel(["Hello, Ada"])
    result = await Agent("greeter", model, "Be kind to {{who}}.", max_tokens=9).run(
        "Hi",
        history=[{"role": "user", "content": "before"}, Message.assistant("yes?")],
        prompt_context={"who": "all"},
    )
    assert (str(result), f"{result}", result.output) == ("Hello, Ada",) * 3
    assert (result.tool_calls, result.handoff_to, result.handoff_metadata) == ([], None, {})
    (request,) = model.requests
    assert request.system_prompt == "Be kind to all."
    assert [(m.role, m.content) for m in request.messages] == [
        ("user", "before"),
        ("assistant", "yes?"),
        ("user", "Hi"),
    ]
    assert (request.config.temperature, request.config.max_tokens) == (0.7, 9)


async def test_tools_are_called_until_the_model_wants_none() -> None:
    @tool
    async def add(ctx: Context, a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @function
    def shout(text: str) -> str:
        """Say it loud."""
        return text.upper()

    model = ScriptedModel(
        [
            [ToolCall("add", '{"a": 1, "b": 2}'), ToolCall("shout", '{"text": "hey"}')],
            ToolCall("add", '{"a": 3, "b": 3}', id="mine"),
            "six",
        ]
    )
    result = await Agent("calculator", model, "", tools=[add, shout]).run(user_message="1+2+3?")
    assert result.output == "six"
    assert [call["name"] for call in result.tool_calls] == ["add", "shout", "add"]
    assert [call["iteration"] for call in result.tool_calls] == [1, 1, 2]
    assert result.tool_calls[2] == {
        "name": "add",
        "arguments": '{"a": 3, "b": 3}',
        "iteration": 2,
        "id": "mine",
    }
    said = model.requests[-1].messages
    assert [m.content for m in said if m.role is MessageRole.TOOL] == ["3", "HEY", "6"]
    add_seen, shout_seen = model.requests[0].tools
    assert (add_seen.name, add_seen.description) == ("add", "Add two numbers.")
    assert add_seen.parameters["properties"] == {"a": {"type": "integer"}, "b": {"type": "integer"}}
    assert (shout_seen.description, shout_seen.parameters["required"]) == ("Say it loud.", ["text"])


@tool
async def picky(n: int) -> int:
    """Fail for odd numbers."""
    if n % 2:
        raise KeyError("odd")
    return n


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall("picky", '{"n": 1}'), "Error: 'odd'"),
        (ToolCall("picky", '{"m": 1}'), "Error: picky(): missing a required argument"),
        (ToolCall("picky", "{"), "Error: the arguments of 'picky' are no JSON"),
        (ToolCall("picky", "[1]"), "Error: the arguments of 'picky' must be a JSON object"),
        (ToolCall("pikcy"), "Error: there is no tool 'pikcy'; known: picky"),
        (ToolCall("picky", '{"n": 2}'), "2"),
    ],
)
@pytest.mark.parametrize("is_inside", [False, True])
async def test_what_goes_wrong_is_told_to_the_model(call, told, is_inside) -> None:
    model = ScriptedModel([call, "I see"])
    agent = Agent("careful", model, "", tools=[picky])

    @workflow
    async def careful_flow(ctx: WorkflowContext) -> str:
        return str(await agent.run("Try"))

    if is_inside:
        assert (await run_workflow("memory://", "careful_flow")).output == "I see"
    else:
        assert str(await agent.run("Try")) == "I see"
    (answer,) = (m.content for m in model.requests[-1].messages if m.role is MessageRole.TOOL)
    assert answer.startswith(told)


async def test_the_loop_ends_after_max_iterations(caplog) -> None:
    again = GenerateResponse("not yet", tool_calls=[ToolCall("picky", '{"n": 2}', "1")])
    model = ScriptedModel([again] * 5)
    result = await Agent("restless", model, "", tools=[picky], max_iterations=3).run("Go")
    assert (result.output, len(result.tool_calls), len(model.requests)) == ("not yet", 3, 3)
    assert "stopped after 3 answers" in caplog.text


async def test_agents_ask_and_hand_over_to_agents() -> None:
    expert = Agent("expert", ScriptedModel(["42"]), "Know everything.")
    clerk_model = ScriptedModel(["All done"])
    clerk = Agent("clerk", clerk_model, "")
    model = ScriptedModel(
        [ToolCall("ask_expert", '{"message": "Why?"}'), ToolCall("transfer_to_clerk")]
    )
    front = Agent("front", model, "", tools=[expert], handoffs=[Handoff(clerk, "For the rest")])
    result = await front.run("Help", history=[Message.user("earlier")])
    assert (result.output, result.handoff_to) == ("All done", "clerk")
    assert result.handoff_metadata == {"from": "front", "tool_name": "transfer_to_clerk"}
    assert model.requests[1].messages[-1].content == "42"
    assert [m.content for m in clerk_model.requests[0].messages] == ["earlier", "Help"]
    with pytest.raises(ConfigurationError, match="a handoff goes to an Agent"):
        Agent("wrong", model, "", handoffs=["clerk"])


# ---------------------------------------------------------------------------- steps of a workflow


def counting_tool() -> tuple[Any, list[int]]:
    counted: list[int] = []

    @tool(recovery_policy="retry")
    async def count(n: int) -> int:
        """Count."""
        counted.append(n)
        return n

    return count, counted


@pytest.mark.parametrize("style", ["explicit", "implicit", "class", "named step", "call_agent"])
async def test_no_call_is_made_twice_on_replay(store, style) -> None:
    count, counted = counting_tool()
    model = ScriptedModel(
        [ToolCall("count", '{"n": 1}'), "one", ToolCall("count", '{"n": 2}'), "two"]
    )
    Agent("counter", model, "", tools=[count])

    async def converse(wait: Callable[[], Any], ask: Callable[[str], Any]) -> list[str]:
        first = await ask("First")
        await wait()
        return [str(first), str(await ask("Second"))]

    def ask(message: str) -> Any:
        return AgentRegistry.get("counter").run(message)

    if style in {"explicit", "named step"}:

        @workflow(name="talk")
        async def with_ctx(ctx: WorkflowContext) -> list[str]:
            step = ask if style == "explicit" else lambda m: ctx.step("ask", ask(m))
            return await converse(lambda: ctx.wait_for_signal("go"), step)

    elif style == "implicit":

        @workflow(name="talk")
        async def without_ctx() -> list[str]:
            from agnt5 import get_current_context

            return await converse(lambda: get_current_context().wait_for_signal("go"), ask)

    else:

        class Talk(Workflow):
            def __init__(self) -> None:
                super().__init__("talk")
                self.agent = Agent("own", model, "", tools=[count])

            async def run(self) -> list[str]:
                def call(message: str) -> Any:
                    return self.call_agent("own" if style == "class" else "counter", message)

                return await converse(lambda: self.ctx.wait_for_signal("go"), call)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("talk", {}, "workflow")).run_id
        await until(lambda: len(model.requests) == 2)
        await written(runtime)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(run_id, "go")
        response = await client.wait_for_result(run_id, 15)
        keys = {event.step_key for event in await client.get_events(run_id)} - {None}
    assert response.output == ["one", "two"], response.error
    assert counted == [1, 2]
    assert len(model.requests) == 4
    assert sum(key.endswith((">:model#0", ">:model#1")) for key in keys) == 4
    assert sum(key.endswith(">:count#0") for key in keys) == 2


async def test_a_conversation_goes_on_where_a_crash_cut_it(store) -> None:
    """Killed while the tool runs: the model's first answer is on record and not asked for again."""
    gate = asyncio.Event()
    began: list[int] = []

    @tool(recovery_policy="retry")
    async def slow(n: int) -> int:
        """Wait."""
        began.append(n)
        await gate.wait()
        return n

    model = ScriptedModel([ToolCall("slow", '{"n": 7}'), "seven"])
    agent = Agent("patient", model, "", tools=[slow])

    @workflow
    async def wait_for_it(ctx: WorkflowContext) -> AgentResult:
        return await agent.run("Go")

    async with Runtime(store, grace=0) as runtime:
        run_id = (await AsyncClient().submit("wait_for_it", {}, "workflow")).run_id
        await until(lambda: began)
        await written(runtime)
    gate.set()
    async with Runtime(store):
        response = await AsyncClient().wait_for_result(run_id, 15)
    assert isinstance(response.output, AgentResult), response.error
    assert (str(response.output), response.output.context.run_id) == ("seven", run_id)
    assert began == [7, 7]
    assert len(model.requests) == 2


async def test_agents_at_the_same_time_keep_their_answers(store) -> None:
    agents = [Agent(f"echo-{n}", Echo(), "") for n in range(3)]

    @workflow
    async def together(ctx: WorkflowContext) -> list[str]:
        some = await asyncio.gather(*(agent.run(agent.name) for agent in agents))
        more = await ctx.parallel(*(agent.run(agent.name) for agent in agents))
        return [str(each) for each in (*some, *more)]

    said = [f"you said: echo-{n}" for n in range(3)]
    assert (await run_workflow(store, "together")).output == said * 2


async def test_the_seed_document_runs(store) -> None:
    lm.register_provider("openai", lambda name: ScriptedModel([f"{name} says so"]))

    class MultiAgent(Workflow):
        def __init__(self) -> None:
            super().__init__("multi_agent_coordination")
            self.analyst = Agent(name="analyst", model="gpt-4o")
            self.strategist = Agent(name="strategist", model="gpt-4o")

        async def run(self, business_challenge: str) -> dict[str, Any]:
            analysis = await self.call_agent("analyst", f"Analyze: {business_challenge}")
            strategy = await self.call_agent("strategist", f"Based on: {analysis}")
            return {"analysis": analysis, "strategy": strategy, "text": f"{strategy}"}

    response = await run_workflow(store, "multi_agent_coordination", {"business_challenge": "grow"})
    assert response.output["text"] == "gpt-4o says so", response.error
    assert isinstance(response.output["analysis"], AgentResult)


# -------------------------------------------------------------------------------- what is refused


async def test_models_are_named_with_their_provider() -> None:
    assert Agent("a", "gpt-4o").model == "openai/gpt-4o"
    assert Agent("a", "gpt-4o", system_prompt="Be brief").model == "openai/gpt-4o"
    assert Agent("a", "openrouter/meta/llama", "x").model == "openrouter/meta/llama"
    with pytest.raises(ValueError, match="Model must include provider prefix"):
        Agent("a", "gpt-4o", "Be brief")
    with pytest.raises(ValueError, match="Unsupported model provider 'opneai'; known: anthropic"):
        Agent("a", "opneai/gpt-4o", "Be brief")
    lm.register_provider("house", lambda name: Echo())
    assert str(await Agent("a", "house/any", "x").run("hi")) == "you said: hi"


async def test_a_provider_that_nobody_serves_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"lm.register_provider\('openai', factory\)"):
        await Agent("a", "gpt-4o").run("hi")
    lm.register_provider("openai", lambda name: "no model")  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="is no LanguageModel"):
        await Agent("a", "gpt-4o").run("hi")
    for name, factory in (("", Echo), ("a/b", Echo), ("a", None)):
        with pytest.raises(ConfigurationError):
            lm.register_provider(name, factory)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": ""}, ConfigurationError),
        ({"model": 3}, ConfigurationError),
        ({"instructions": "a", "system_prompt": "b"}, ConfigurationError),
        ({"max_iterations": 0}, ValueError),
        ({"max_iterations": "3"}, ValueError),
        ({"max_iterations": 2.5}, ValueError),
        ({"temperature": "hot"}, ValueError),
        ({"temperature": -0.1}, ValueError),
        ({"max_tokens": 0}, ValueError),
        ({"max_tokens": 1.5}, ValueError),
        ({"top_p": 1.1}, ValueError),
        ({"top_p": float("nan")}, ValueError),
        ({"sandbx": True}, TypeError),
        ({"tools": [picky, picky]}, ConfigurationError),
    ],
)
def test_wrong_agents_are_refused(given, error) -> None:
    with pytest.raises(error):
        Agent(**{"name": "a", "model": Echo(), **given})
    assert AgentRegistry.list_names() == []


async def test_wrong_messages_are_refused_and_nothing_is_written(store) -> None:
    agent = Agent("a", Echo(), "")

    @workflow
    async def wrong(ctx: WorkflowContext) -> str:
        with pytest.raises(InvalidInputError, match="takes a message as text"):
            await agent.run(3)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="history takes messages"):
            await agent.run("hi", history=[{"role": "boss", "content": ""}])
        return "fine"

    response = await run_workflow(store, "wrong")
    assert response.output == "fine", response.error


async def test_a_model_that_gives_something_else_is_refused() -> None:
    class Wrong(LanguageModel):
        async def generate(self, request: GenerateRequest) -> Any:
            return "text"

    with pytest.raises(ConfigurationError, match="gave 'text', no GenerateResponse"):
        await Agent("a", Wrong(), "").run("hi")


def test_options_without_effect_and_wrong_tools_are_said(caplog) -> None:
    Agent("a", Echo(), "", tools=[len], sandbox=object(), cache_control=False, skills=["x"])
    assert "no effect in this version: sandbox, skills" in caplog.text
    assert "is no tool and was left out" in caplog.text


def test_the_latest_agent_of_a_name_counts(caplog) -> None:
    Agent("a", Echo(), "")
    same = Agent("a", Echo(), "")
    assert AgentRegistry.get("a") is same
    assert not caplog.text
    other = Agent("a", Echo(), "Be brief")
    assert AgentRegistry.all() == {"a": other}
    assert "agent 'a' was defined again" in caplog.text


async def test_run_sync_is_awaited_too() -> None:
    assert str(await Agent("a", Echo(), "").run_sync("hi")) == "you said: hi"


# ------------------------------------------------------------------------------ values and models


@given(
    st.text(),
    st.lists(st.dictionaries(st.sampled_from(["name", "arguments", "id"]), st.text())),
    st.none() | st.text(),
    st.dictionaries(st.text(), st.integers() | st.text()),
)
def test_a_result_is_recorded_like_any_value(output, calls, handoff_to, metadata) -> None:
    result = AgentResult(output, calls, None, handoff_to, metadata)
    assert decode(encode([result])) == [result]


@given(st.lists(st.text() | st.builds(ToolCall, st.text(), st.text(), st.text()), max_size=4))
def test_a_scripted_model_gives_what_it_was_given_and_then_says_that_it_is_over(replies) -> None:
    model = ScriptedModel(replies)

    async def ask_all() -> list[GenerateResponse]:
        request = GenerateRequest("m", [Message.user("hi")])
        found = [await model.generate(request) for _ in replies]
        with pytest.raises(ExecutionError, match=f"reply number {len(replies) + 1}"):
            await model.generate(request)
        return found

    for reply, response in zip(replies, asyncio.run(ask_all()), strict=True):
        if isinstance(reply, str):
            assert (response.text, response.tool_calls) == (reply, [])
        else:
            (call,) = response.tool_calls
            assert (call.name, call.arguments) == (reply.name, reply.arguments)
            assert call.id


async def test_a_scripted_model_can_follow_the_conversation() -> None:
    said = GenerateRequest("m", [Message.user("a"), Message.assistant("1"), Message.user("b")])
    assert (await ScriptedModel(["1", "2"], by_turn=True).generate(said)).text == "2"
    with pytest.raises(OSError, match="down"):
        await ScriptedModel([OSError("down")]).generate(said)


@pytest.mark.parametrize("model", [Echo(), ScriptedModel(["x"] * 3)])
async def test_every_model_answers_with_a_response(model) -> None:
    answer = await model.generate(GenerateRequest("m", [Message.user("hi")]))
    assert isinstance(answer, GenerateResponse)
    assert decode(encode(answer)) == answer


@pytest.mark.parametrize(
    "request_",
    [
        GenerateRequest("m", []),
        GenerateRequest("m", [Message.user("a"), Message.tool_result("1", "b")]),
        GenerateRequest("m", [Message.user("a")], tools=[lm.ToolDefinition("t")] * 2),
    ],
)
async def test_a_scripted_model_refuses_what_a_real_one_would(request_) -> None:
    with pytest.raises(ValueError):
        await ScriptedModel(["x"]).generate(request_)


def test_nothing_of_this_file_is_registered_elsewhere() -> None:
    assert FunctionRegistry.list_names() == []
    assert WorkflowRegistry.list_names() == []
