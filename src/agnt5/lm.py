"""Language models: what an agent asks of one, and a scripted one for tests. No network here."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agnt5.exceptions import ConfigurationError, ExecutionError

__all__ = [
    "PROVIDERS",
    "GenerateRequest",
    "GenerateResponse",
    "GenerationConfig",
    "LanguageModel",
    "Message",
    "MessageRole",
    "ScriptedModel",
    "TokenUsage",
    "ToolCall",
    "ToolDefinition",
    "register_provider",
]

PROVIDERS = (
    "anthropic",
    "baseten",
    "deepseek",
    "fireworks",
    "google",
    "groq",
    "huggingface",
    "lepton",
    "mistral",
    "moonshot",
    "ollama",
    "openai",
    "openrouter",
    "together",
    "xai",
)
"""Names that a model may begin with, beside those that were registered."""


class MessageRole(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True)
class ToolCall:
    """A model wants a tool to be called. The arguments are JSON, as the model wrote them."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    >>> Message.user("Hello").role
    <MessageRole.USER: 'user'>
    """

    role: MessageRole
    content: str
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None

    @classmethod
    def system(cls, content: str) -> Message:
        """An instruction."""
        return cls(MessageRole.SYSTEM, content)

    @classmethod
    def user(cls, content: str) -> Message:
        """What the user says."""
        return cls(MessageRole.USER, content)

    @classmethod
    def assistant(cls, content: str, tool_calls: Sequence[ToolCall] = ()) -> Message:
        """What the model has said."""
        return cls(MessageRole.ASSISTANT, content, list(tool_calls))

    @classmethod
    def tool_result(cls, tool_call_id: str, content: str) -> Message:
        """What a tool has answered."""
        return cls(MessageRole.TOOL, content, tool_call_id=tool_call_id)


@dataclass(frozen=True)
class TokenUsage:
    """Tokens that a call has used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_creation_tokens: int = 0


@dataclass(frozen=True)
class ToolDefinition:
    """A tool as a model sees it; the parameters are a JSON schema."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GenerationConfig:
    """How a model shall generate. None leaves it to the provider.

    Attributes:
        temperature: How freely it answers, 0 or more.
        max_tokens: At most so many tokens in an answer, 1 or more.
        top_p: The share of likely tokens from which it chooses, from 0 to 1.

    Raises:
        ValueError: When a number is out of range, or none.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        most = self.max_tokens
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ValueError(f"max_tokens takes a whole number of at least 1, not {most!r}")
        for name, high in (("temperature", sys.float_info.max), ("top_p", 1)):
            number: Any = getattr(self, name)
            known = isinstance(number, int | float) and not isinstance(number, bool)
            if number is not None and not (known and 0 <= number <= high):
                limit = " to 1" if high == 1 else " upwards"
                raise ValueError(f"{name} takes a number from 0{limit}, not {number!r}")


@dataclass(frozen=True)
class GenerateRequest:
    """What a model is asked. ``model`` is the provider's own name of it, without a prefix."""

    model: str
    messages: list[Message]
    system_prompt: str | None = None
    tools: list[ToolDefinition] = field(default_factory=list)
    config: GenerationConfig = GenerationConfig()


@dataclass(frozen=True)
class GenerateResponse:
    """What a model answers: a text, or tools to call, or both."""

    text: str
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    response_id: str | None = None


class LanguageModel(ABC):
    """A model, local or remote. Derive from it to use your own with an :class:`agnt5.Agent`."""

    @abstractmethod
    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Answer."""


ModelFactory = Callable[[str], LanguageModel]
"""The name of a model, without the provider's prefix, to the model."""

_factories: dict[str, ModelFactory] = {}


def register_provider(name: str, factory: ModelFactory) -> None:
    """Have ``"name/model"`` served by what the factory makes; the latest registration counts.

    Args:
        name: The prefix, such as ``openai``.
        factory: Called with the rest, such as ``gpt-4o``, at each first use by an agent.

    Raises:
        ConfigurationError: When the name is no plain word, or the factory cannot be called.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigurationError(f"a provider's name is a text without '/', not {name!r}")
    if not callable(factory):
        msg = f"the factory of provider {name!r} must be callable: model name -> LanguageModel"
        raise ConfigurationError(msg)
    _factories[name] = factory


def check_model(model: str) -> None:
    """Refuse a model whose provider nobody knows.

    Raises:
        ValueError: Without a prefix, or with an unknown one.
    """
    provider, slash, rest = model.partition("/")
    if not slash or not provider or not rest:
        msg = f"Model must include provider prefix, such as 'openai/gpt-4o', not {model!r}"
        raise ValueError(msg)
    known = {*PROVIDERS, *_factories}
    if provider not in known:
        msg = f"Unsupported model provider {provider!r}; known: {', '.join(sorted(known))}"
        raise ValueError(msg)


def open_model(model: str) -> LanguageModel:
    """The model behind ``"provider/model"``.

    Raises:
        ConfigurationError: When nothing serves the provider.
    """
    provider, _, rest = model.partition("/")
    factory = _factories.get(provider)
    if factory is None:
        msg = (
            f"nothing serves model {model!r}: this version of agnt5 brings no providers. Pass a"
            f" LanguageModel of your own (model=MyModel()), or register one for all agents:"
            f" agnt5.lm.register_provider({provider!r}, factory)"
        )
        raise ConfigurationError(msg)
    made = factory(rest)
    if not isinstance(made, LanguageModel):
        msg = f"the factory of provider {provider!r} made {made!r}, which is no LanguageModel"
        raise ConfigurationError(msg)
    return made


Reply = str | ToolCall | list[ToolCall] | GenerateResponse | BaseException


class ScriptedModel(LanguageModel):
    """A model for tests: it gives the replies that it was given, in order, and keeps the requests.

    It refuses conversations that a real model would refuse: none at all, or results of tools that
    nobody called.

    Args:
        replies: Texts, tool calls, lists of these, whole responses, or exceptions to raise.
        by_turn: Choose the reply by how often the model has answered in *this* conversation, not
            by how often it was asked at all. So a conversation that goes on in another process
            goes on with the right reply.

    >>> import asyncio
    >>> model = ScriptedModel(["four"])
    >>> asyncio.run(model.generate(GenerateRequest("any", [Message.user("2 + 2?")]))).text
    'four'
    """

    def __init__(self, replies: Sequence[Reply], *, by_turn: bool = False) -> None:
        self._replies = list(replies)
        self._by_turn = by_turn
        self.requests: list[GenerateRequest] = []

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """The next reply.

        Raises:
            ValueError: When no real model would take the conversation.
            ExecutionError: When there is no reply left.
        """
        _check_conversation(request)
        said = sum(message.role is MessageRole.ASSISTANT for message in request.messages)
        turn = said if self._by_turn else len(self.requests)
        self.requests.append(request)
        if turn >= len(self._replies):
            msg = (
                f"the scripted model was asked for reply number {turn + 1} and has"
                f" {len(self._replies)}; the last message was {request.messages[-1].content!r:.80}"
            )
            raise ExecutionError(msg)
        return _response(self._replies[turn], turn)


def _check_conversation(request: GenerateRequest) -> None:
    if not request.messages:
        raise ValueError("a conversation has at least one message")
    called: set[str] = set()
    for message in request.messages:
        called |= {call.id for call in message.tool_calls}
        if message.role is MessageRole.TOOL and message.tool_call_id not in called:
            msg = f"a tool's result answers no call: {message.tool_call_id!r}"
            raise ValueError(msg)
    names = [tool.name for tool in request.tools]
    if len(names) != len(set(names)):
        raise ValueError(f"two tools have the same name: {names}")


def _response(reply: Reply, turn: int) -> GenerateResponse:
    match reply:
        case BaseException():
            raise reply
        case GenerateResponse():
            return reply
        case str():
            return GenerateResponse(reply, TokenUsage(), "stop")
        case ToolCall():
            return _response([reply], turn)
        case list():
            calls = [
                ToolCall(call.name, call.arguments, call.id or f"call_{turn}_{number}")
                for number, call in enumerate(reply)
            ]
            return GenerateResponse("", TokenUsage(), "tool_calls", calls)
