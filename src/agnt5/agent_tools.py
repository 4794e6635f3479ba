"""What an agent's model may call: tools, other agents, and those it may hand over to."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from agnt5.context import Context, FunctionContext, WorkflowContext
from agnt5.exceptions import ConfigurationError
from agnt5.lm import ToolCall, ToolDefinition
from agnt5.registry import FunctionComponent

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


@runtime_checkable
class Colleague(Protocol):
    """An agent, as another one sees it."""

    name: str
    instructions: str

    async def run(self, user_message: str, context: Any = None, history: Any = None) -> Any:
        """Converse."""
        ...


@dataclass(frozen=True)
class Handoff:
    """The conversation may be handed over to another agent, which gives the result then.

    Args:
        agent: The other agent.
        description: When to do so, for the model.
        tool_name: The name under which the model sees it; ``transfer_to_NAME`` by default.
        pass_full_history: Whether the other agent gets what was said before the last message.
    """

    agent: Any
    description: str = ""
    tool_name: str = ""
    pass_full_history: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.agent, Colleague):
            raise ConfigurationError(f"a handoff goes to an Agent, not to {self.agent!r}")
        if not self.tool_name:
            object.__setattr__(self, "tool_name", f"transfer_to_{self.agent.name}")


class ToolBox:
    """The tools of one agent, by the names that its model knows."""

    def __init__(self, owner: str, tools: Iterable[object], handoffs: Iterable[object]) -> None:
        self.skipped: list[object] = []
        self.definitions: list[ToolDefinition] = []
        self._tools: dict[str, FunctionComponent | Colleague] = {}
        self._handoffs: dict[str, Handoff] = {}
        self._owner = owner
        for tool in tools:
            self._add(tool)
        for each in handoffs:
            handoff = each if isinstance(each, Handoff) else Handoff(each)
            self._handoffs[self._define(handoff.tool_name, handoff.description, _TEXT)] = handoff

    @property
    def names(self) -> tuple[str, ...]:
        """What the model may call."""
        return tuple(tool.name for tool in self.definitions)

    def handoff(self, name: str) -> Handoff | None:
        """Whom the model hands over to, if this is what it has called."""
        return self._handoffs.get(name)

    async def answer(self, context: Context | None, call: ToolCall) -> str:
        """What the model is told about its call; whatever went wrong is told to it, too."""
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self.names) or "none"
            return f"Error: there is no tool {call.name!r}; known: {known}"
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError as error:
            return f"Error: the arguments of {call.name!r} are no JSON: {error}"
        if not isinstance(arguments, dict):
            return f"Error: the arguments of {call.name!r} must be a JSON object"
        try:
            return _as_text(await self._call(context, tool, arguments))
        except Exception as error:  # noqa: BLE001 - the model decides what to do about it
            return f"Error: {error}" if str(error) else f"Error: {type(error).__name__}"

    async def _call(self, context: Context | None, tool: Any, arguments: dict[str, Any]) -> object:
        if isinstance(tool, Colleague):
            return await tool.run(str(arguments.get("message", "")), context)
        tool.check_call((), arguments)
        if isinstance(context, WorkflowContext):
            return await context.step(tool.name, tool, **arguments)
        outside = context or FunctionContext(component_name=self._owner)
        takes_context = hasattr(tool, "invoke")
        return await (tool.invoke(outside, **arguments) if takes_context else tool(**arguments))

    def _add(self, tool: object) -> None:
        if isinstance(tool, FunctionComponent):
            self._tools[self._define(tool.name, *_described(tool))] = tool
        elif isinstance(tool, Colleague):
            about = f"Ask {tool.name}. {tool.instructions}".strip()
            self._tools[self._define(f"ask_{tool.name}", about, _TEXT)] = tool
        else:
            self.skipped.append(tool)

    def _define(self, name: str, about: str, parameters: dict[str, Any]) -> str:
        if name in self.names:
            raise ConfigurationError(f"agent {self._owner!r} has two tools named {name!r}")
        self.definitions.append(ToolDefinition(name, about, parameters))
        return name


_TEXT = {
    "type": "object",
    "properties": {"message": {"type": "string"}},
    "required": ["message"],
}


def _described(tool: Any) -> tuple[str, dict[str, Any]]:
    """What a tool says of itself; of a mere function, its first line and its parameters."""
    if hasattr(tool, "get_schema"):
        schema = tool.get_schema()
        return schema.get("description") or "", schema.get("input_schema") or {}
    parameters = {n: p for n, p in inspect.signature(tool).parameters.items() if n != "ctx"}
    kinds = {n: getattr(p.annotation, "__name__", p.annotation) for n, p in parameters.items()}
    properties = {n: {"type": _TYPES[k]} if k in _TYPES else {} for n, k in kinds.items()}
    required = [name for name, p in parameters.items() if p.default is p.empty]
    about = (inspect.getdoc(tool) or "").partition("\n")[0]
    return about, {"type": "object", "properties": properties, "required": required}


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)
