"""``Agent``: a language model with instructions and tools. In a workflow each call is a step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agnt5.agent_tools import Handoff, ToolBox
from agnt5.context import Context, WorkflowContext, get_current_context, running_body
from agnt5.exceptions import ConfigurationError, InvalidInputError
from agnt5.lm import (
    GenerateRequest,
    GenerateResponse,
    GenerationConfig,
    LanguageModel,
    Message,
    MessageRole,
    check_model,
    open_model,
)
from agnt5.registry import LatestByName

logger = logging.getLogger("agnt5.agent")

_LATER = frozenset(
    {
        "after_agent_callback",
        "after_model_callback",
        "after_tool_callback",
        "agents_md",
        "before_agent_callback",
        "before_model_callback",
        "before_tool_callback",
        "built_in_tools",
        "cache",
        "cache_control",
        "cache_ttl",
        "callbacks",
        "model_config",
        "sandbox",
        "skills",
        "skills_dir",
    }
)
"""Options of the public SDK that are accepted and have no effect yet."""


@dataclass(frozen=True)
class AgentContext:
    """Where an agent has run."""

    run_id: str
    agent_name: str
    session_id: str | None = None


@dataclass(frozen=True)
class AgentResult:
    """What an agent has answered. As text it is its output; it can be recorded like any value.

    Attributes:
        output: The last text of the model.
        tool_calls: Dicts with ``name``, ``arguments`` (JSON), ``iteration`` and ``id``.
        context: Where it has run.
        handoff_to: The agent that the conversation was handed over to, if it was.
        handoff_metadata: Who handed it over (``from``) and by which tool (``tool_name``).
    """

    output: str
    tool_calls: list[dict[str, Any]]
    context: AgentContext | None = None
    handoff_to: str | None = None
    handoff_metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.output


class Agent:
    """A language model with instructions and tools.

    :meth:`run` asks the model, calls the tools that it wants, and asks again, until it wants none.
    In the body of a workflow the conversation is a step, and every call of the model or of a tool
    is a step within it, so that a crash repeats none that is on record. Elsewhere it just runs.

    Args:
        name: Its name for :class:`AgentRegistry`, logs and other agents.
        model: ``"provider/model"``, or a :class:`agnt5.lm.LanguageModel`. A bare name means
            ``openai``, if ``instructions`` is not given.
        instructions: What the model is told before every conversation; ``{{name}}`` is filled in
            from ``prompt_context``.
        tools: Tools, functions, or other agents.
        handoffs: Agents, or :class:`Handoff`, to which the conversation may be handed over.
        model_name: The name that the model is asked for, instead of the one in ``model``.
        temperature: How freely the model answers; None leaves it to the provider.
        max_tokens: At most so many tokens in an answer; the provider's limit by default.
        top_p: The share of likely tokens from which the model chooses, from 0 to 1; the
            provider's by default.
        max_iterations: After so many answers that want tools, 10 by default, the last text is the
            result, and a warning is logged.
        system_prompt: Another spelling of ``instructions``.
        options: What the public SDK takes besides: ``sandbox``, ``built_in_tools``,
            ``model_config``, ``callbacks``, ``before_agent_callback`` and its kind, ``cache``,
            ``cache_control``, ``cache_ttl``, ``skills``, ``skills_dir``, ``agents_md``. They have
            no effect in this version, and a warning says so.

    Raises:
        ValueError: When the model's provider is missing or unknown, or a number is out of range.
        ConfigurationError: When another argument is wrong.
        TypeError: When an option is unknown.

    >>> import asyncio
    >>> from agnt5.lm import ScriptedModel
    >>> poet = Agent("poet", ScriptedModel(["Roses are red"]), "You write verses.")
    >>> print(asyncio.run(poet.run("A verse, please")))
    Roses are red
    """

    def __init__(
        self,
        name: str,
        model: str | LanguageModel,
        instructions: str | None = None,
        tools: Sequence[object] | None = None,
        handoffs: Sequence[object] | None = None,
        model_name: str | None = None,
        temperature: float | None = 0.7,
        max_tokens: int | None = None,
        top_p: float | None = None,
        max_iterations: int = 10,
        *,
        system_prompt: str | None = None,
        **options: object,
    ) -> None:
        if not isinstance(name, str) or not name:
            msg = f"the name of an agent must be a text that is not empty, not {name!r}"
            raise ConfigurationError(msg)
        if instructions is not None and system_prompt is not None:
            msg = f"agent {name!r}: give instructions or system_prompt, which mean the same"
            raise ConfigurationError(msg)
        most = max_iterations
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            msg = f"agent {name!r}: max_iterations takes a number of at least 1, not {most!r}"
            raise ValueError(msg)
        self.name = name
        self.instructions = instructions or system_prompt or ""
        self.model = _checked_model(name, model, is_bare_allowed=instructions is None)
        self.model_name = model_name
        self.config = GenerationConfig(temperature, max_tokens, top_p)
        self.max_iterations = max_iterations
        for what, given in (("tools", tools), ("handoffs", handoffs)):
            if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
                msg = f"agent {name!r}: {what} takes a list, not {given!r:.80}"
                raise ConfigurationError(msg)
        self.toolbox = ToolBox(name, tools or (), handoffs or ())
        if without_effect := _options_without_effect(options):
            warn("agent %r: no effect in this version: %s", name, without_effect)
        for skipped in self.toolbox.skipped:
            warn("agent %r: %r is no tool and was left out", name, skipped)
        AgentRegistry.register(self)

    async def run(
        self,
        user_message: str,
        context: Context | None = None,
        history: Sequence[Message | Mapping[str, str]] | None = None,
        prompt_context: Mapping[str, object] | None = None,
    ) -> AgentResult:
        """Converse until the model wants no more tools.

        Args:
            user_message: What the user says.
            context: The context in which to run; the one that is running here by default.
            history: What was said before: messages, or dicts with ``role`` and ``content``.
            prompt_context: Values for ``{{name}}`` in the instructions.

        Returns:
            An :class:`AgentResult`.

        Raises:
            InvalidInputError: When the message or the history is wrong.
            ConfigurationError: When nothing serves the model.
            Exception: What the model has raised. What a tool raises is told to the model.
        """
        conversation = self._conversation(user_message, history, prompt_context)
        body = context if isinstance(context, WorkflowContext) else running_body()
        if body is not None:
            result: AgentResult = await self._step_of(body, conversation)
            return result
        return await self._converse(context or get_current_context(), conversation)

    async def run_sync(
        self,
        user_message: str,
        context: Context | None = None,
        history: Sequence[Message | Mapping[str, str]] | None = None,
        prompt_context: Mapping[str, object] | None = None,
    ) -> AgentResult:
        """The same as :meth:`run`, and awaited like it; the name is that of the public SDK."""
        return await self.run(user_message, context, history, prompt_context)

    def as_step(self, context: WorkflowContext, user_message: str) -> asyncio.Future[Any]:
        """The conversation as a step of a workflow, whose identity is fixed now.

        Args:
            context: The context of the workflow's body.
            user_message: What the user says.

        Returns:
            An awaitable of an :class:`AgentResult`.

        Raises:
            InvalidInputError: When the message is no text.
        """
        return self._step_of(context, self._conversation(user_message, None, None))

    def _conversation(
        self,
        user_message: str,
        history: Sequence[Message | Mapping[str, str]] | None,
        prompt_context: Mapping[str, object] | None,
    ) -> GenerateRequest:
        if not isinstance(user_message, str):
            msg = f"agent {self.name!r} takes a message as text, not {user_message!r:.80}"
            raise InvalidInputError(msg)
        instructions = self.instructions
        for name, value in (prompt_context or {}).items():
            instructions = instructions.replace("{{" + name + "}}", str(value))
        before = [_message(self.name, each) for each in history or ()]
        model = self.model
        asked = model.partition("/")[2] if isinstance(model, str) else type(model).__name__
        return GenerateRequest(
            self.model_name or asked,
            [*before, Message.user(user_message)],
            instructions or None,
            self.toolbox.definitions,
            self.config,
        )

    def _step_of(
        self, context: WorkflowContext, conversation: GenerateRequest
    ) -> asyncio.Future[Any]:
        async def converse() -> AgentResult:
            return await self._converse(context, conversation)

        return context.step(self.name, converse)

    async def _converse(
        self, context: Context | None, conversation: GenerateRequest
    ) -> AgentResult:
        messages = list(conversation.messages)
        made: list[dict[str, Any]] = []
        where = AgentContext(
            context.run_id if context else "", self.name, context.session_id if context else None
        )
        response = GenerateResponse("")
        for iteration in range(self.max_iterations):
            response = await self._ask(context, conversation, messages)
            if not response.tool_calls:
                return AgentResult(response.text, made, where)
            messages.append(Message.assistant(response.text, response.tool_calls))
            for call in response.tool_calls:
                made.append(
                    {
                        "name": call.name,
                        "arguments": call.arguments,
                        "iteration": iteration + 1,
                        "id": call.id,
                    }
                )
                handoff = self.toolbox.handoff(call.name)
                if handoff is not None:
                    return await self._hand_over(handoff, context, conversation, made, where)
                answer = await self.toolbox.answer(context, call)
                messages.append(Message.tool_result(call.id, answer))
        warn("agent %r stopped after %d answers that want tools", self.name, self.max_iterations)
        return AgentResult(response.text, made, where)

    async def _ask(
        self, context: Context | None, conversation: GenerateRequest, messages: list[Message]
    ) -> GenerateResponse:
        request = GenerateRequest(
            conversation.model,
            list(messages),
            conversation.system_prompt,
            conversation.tools,
            conversation.config,
        )

        async def generate() -> GenerateResponse:
            model = open_model(self.model) if isinstance(self.model, str) else self.model
            return await model.generate(request)

        if isinstance(context, WorkflowContext):
            response = await context.step("model", generate)
        else:
            response = await generate()
        if not isinstance(response, GenerateResponse):
            msg = f"the model of agent {self.name!r} gave {response!r:.80}, no GenerateResponse"
            raise ConfigurationError(msg)
        return response

    async def _hand_over(
        self,
        handoff: Handoff,
        context: Context | None,
        conversation: GenerateRequest,
        made: list[dict[str, Any]],
        where: AgentContext,
    ) -> AgentResult:
        *before, last = conversation.messages
        history = before if handoff.pass_full_history else None
        result = await handoff.agent.run(last.content, context, history)
        calls = [*made, *result.tool_calls]
        told = {"from": self.name, "tool_name": handoff.tool_name}
        return AgentResult(result.output, calls, where, handoff.agent.name, told)

    def __repr__(self) -> str:
        return f"<agnt5 agent {self.name!r}>"


class _Agents(LatestByName[Agent]):
    """Agents by name. They are made anew in every run: only another declaration is worth a word."""

    def replaced(self, known: Agent, thing: Agent) -> None:
        if _declaration(known) != _declaration(thing):
            warn("agent %r was defined again, differently: the later one counts", thing.name)


AgentRegistry: LatestByName[Agent] = _Agents("agent")


def _declaration(agent: Agent) -> tuple[object, ...]:
    model = agent.model if isinstance(agent.model, str) else type(agent.model)
    return model, agent.model_name, agent.instructions, agent.config, agent.toolbox.names


def warn(message: str, *values: object) -> None:
    """A warning, but not when a replay comes by again."""
    context = get_current_context()
    if context is None:
        logger.warning(message, *values)
    else:
        context.logger.warning(message, *values)


def _options_without_effect(options: Mapping[str, object]) -> str:
    for option in options:
        if option not in _LATER:
            raise TypeError(f"Agent() got an unexpected keyword argument {option!r}")
    return ", ".join(option for option, value in options.items() if value)


def _checked_model(
    name: str, model: str | LanguageModel, *, is_bare_allowed: bool
) -> str | LanguageModel:
    if isinstance(model, LanguageModel):
        return model
    if not isinstance(model, str) or not model:
        msg = f"agent {name!r}: model takes 'provider/model' or a LanguageModel, not {model!r}"
        raise ConfigurationError(msg)
    if "/" not in model and is_bare_allowed:
        model = f"openai/{model}"
    check_model(model)
    return model


def _message(name: str, given: Message | Mapping[str, str]) -> Message:
    if isinstance(given, Message):
        return given
    try:
        return Message(MessageRole(given["role"]), given["content"])
    except (KeyError, TypeError, ValueError):
        msg = (
            f"agent {name!r}: history takes messages, or dicts with 'role' and 'content', not"
            f" {given!r:.80}"
        )
        raise InvalidInputError(msg) from None
