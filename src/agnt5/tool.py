"""``@tool``: a function that a model, or a workflow, may call to act on the outside world."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, overload

from agnt5.context import Context, WorkflowContext
from agnt5.exceptions import ConfigurationError
from agnt5.function import Function, FunctionConfig
from agnt5.names import check_component_name
from agnt5.policies import BackoffPolicy, RecoveryPolicy, recovery_policy
from agnt5.registry import LatestByName
from agnt5.schemas import input_schema as derived_schema
from agnt5.schemas import summary_of
from agnt5.signatures import Signature
from agnt5.types import Json

logger = logging.getLogger("agnt5.tool")

UNKNOWN_OUTCOME = "unknown_outcome"
"""The default of tools: an attempt that a crash cut short may have acted, and is not repeated."""

_POLICIES = {
    UNKNOWN_OUTCOME: RecoveryPolicy.FAIL,
    "compensate": RecoveryPolicy.FAIL,
    "idempotent_retry": RecoveryPolicy.RETRY,
    "durable_steps": RecoveryPolicy.RETRY,
}


class Tool(Function):
    """A tool. :func:`tool` makes one of a function; calling it calls the function.

    In the body of a workflow a call is a durable step, with ``ctx`` or without. Elsewhere it is a
    plain call. It is always awaited.

    Args:
        name: Its name for models and workflows.
        description: What it does, for models.
        handler: The function.
        input_schema: A JSON schema of its parameters; what ``auto_schema`` derives by default.
        confirmation: Whether a person must agree before a workflow runs it. Outside of workflows
            a warning is logged and it runs.
        auto_schema: Derive the schema from annotations and the docstring.
        recovery_policy: What to do with an attempt that a crash cut short: ``"unknown_outcome"``
            (the default), ``"compensate"`` and ``"fail"`` do not repeat it, and the call raises
            UnknownOutcomeError; ``"idempotent_retry"``, ``"durable_steps"`` and ``"retry"`` repeat
            it, with the same idempotency key; ``"ask"`` asks a person.
        durable: Whether calls in a workflow are recorded; False runs them as a part of the body.

    Raises:
        ConfigurationError: When a setting or the function's signature is wrong.
    """

    def __init__(
        self,
        name: str,
        description: str,
        handler: Callable[..., Any],
        input_schema: dict[str, Json] | None = None,
        confirmation: bool = False,
        auto_schema: bool = False,
        recovery_policy: str = UNKNOWN_OUTCOME,
        durable: bool = True,
    ) -> None:
        check_component_name(name, "tool")
        function = handler.__func__ if isinstance(handler, staticmethod) else handler
        if not callable(function) or isinstance(function, type):
            msg = f"a tool is made of a function, not of {handler!r}"
            raise ConfigurationError(msg)
        if input_schema is not None and not isinstance(input_schema, dict):
            msg = (
                f"input_schema of tool {name!r} takes a JSON schema (a dict), not {input_schema!r}"
            )
            raise ConfigurationError(msg)
        config = FunctionConfig(
            name=name,
            handler=function,
            retries=None,
            backoff=BackoffPolicy(),
            timeout_ms=None,
            recovery=_recovery(name, recovery_policy),
        )
        super().__init__(config, None, _signature_of(name, function))
        self.description = description
        self.handler = function
        self.confirmation = confirmation
        self.durable = durable
        self.input_schema = input_schema
        if input_schema is None and auto_schema:
            self.input_schema = derived_schema(self._signature, inspect.getdoc(function))

    def invoke(self, ctx: Context, **arguments: Any) -> Any:
        """Call it with a context and its arguments by name; await the result."""
        return self(ctx, **arguments)

    def get_schema(self) -> dict[str, Json]:
        """What a model is told: name, description, input_schema, requires_confirmation."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": self.input_schema or {"type": "object", "properties": {}},
            "requires_confirmation": self.confirmation,
        }

    def _is_step_of(self, body: WorkflowContext) -> bool:  # noqa: ARG002 - every body's
        return self.durable or self.confirmation

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any], line: str) -> Any:
        called = super()._called(args, kwargs, line)
        if self.confirmation and inspect.iscoroutine(called):
            logger.warning(
                "tool %r wants a confirmation, which only workflows can ask for: it runs without",
                self.name,
            )
        return called

    def __repr__(self) -> str:
        return f"<agnt5 tool {self.name!r}>"


def _recovery(name: str, given: str) -> RecoveryPolicy:
    known = _POLICIES.get(given.lower()) if isinstance(given, str) else None
    if known is not None:
        return known
    try:
        return recovery_policy(given.lower() if isinstance(given, str) else given)
    except ConfigurationError as error:
        also = ", ".join(map(repr, _POLICIES))
        msg = f"tool {name!r}: {error}; also for tools: {also}"
        raise ConfigurationError(msg) from None


def _signature_of(name: str, function: Callable[..., Any]) -> Signature:
    """What it takes: a context first, or none if its docstring shows that this is meant."""
    signature = Signature(function, Context, bare_first_is_context=True)
    if signature.takes_context or inspect.getdoc(function):
        return signature
    if not signature.parameters:
        msg = (
            f"tool {name!r} must have at least one parameter, 'ctx: Context', or a docstring that"
            " tells models what it does"
        )
        raise ConfigurationError(msg)
    msg = (
        f"tool {name!r}: its first parameter must be 'ctx: Context'; a tool that takes none needs a"
        " docstring that tells models what it does"
    )
    raise ConfigurationError(msg)


ToolRegistry: LatestByName[Tool] = LatestByName("tool")


@overload
def tool(handler: Callable[..., Any]) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    auto_schema: bool = True,
    confirmation: bool = False,
    input_schema: dict[str, Json] | None = None,
    recovery_policy: str = UNKNOWN_OUTCOME,
    durable: bool = True,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    handler: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    auto_schema: bool = True,
    confirmation: bool = False,
    input_schema: dict[str, Json] | None = None,
    recovery_policy: str = UNKNOWN_OUTCOME,
    durable: bool = True,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool; see :class:`Tool`.

    The first parameter is ``ctx: Context``. A function with a docstring may do without.

    Args:
        handler: The function, ``async def`` or ``def``.
        name: Its name; the function's own by default.
        description: What it does, for models; the first line of the docstring by default.
        auto_schema: Derive the schema from annotations and the docstring's ``Args``.
        confirmation: Whether a person must agree before a workflow runs it.
        input_schema: A JSON schema instead of the derived one.
        recovery_policy: After a crash, see :class:`Tool`; ``"unknown_outcome"`` by default.
        durable: Whether calls in a workflow are recorded steps.

    Raises:
        ConfigurationError: When a setting or the function's signature is wrong.

    >>> @tool
    ... def add(a: int, b: int) -> int:
    ...     '''Add two numbers.'''
    ...     return a + b
    >>> add.get_schema()["input_schema"]["required"]
    ['a', 'b']
    """

    def decorate(handler: Callable[..., Any]) -> Tool:
        doc = inspect.getdoc(handler) if callable(handler) else None
        about = summary_of(doc) if description is None else description
        settings = (input_schema, confirmation, auto_schema, recovery_policy, durable)
        made = Tool(name or str(getattr(handler, "__name__", "")), about, handler, *settings)
        ToolRegistry.register(made)
        return made

    return decorate if handler is None else decorate(handler)
