"""``@workflow``: a body whose steps are recorded and that goes on where it was after a crash."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, overload

from agnt5.actors.ports import AttemptInfo, Definition
from agnt5.actors.script import Script
from agnt5.context import (
    Context,
    WorkflowContext,
    get_current_context,
    refuse_context,
    set_current_context,
)
from agnt5.exceptions import ConfigurationError
from agnt5.function import digest_of
from agnt5.registry import WorkflowComponent, WorkflowRegistry
from agnt5.signatures import Signature


@dataclass(frozen=True)
class WorkflowConfig:
    """How a workflow was declared."""

    name: str
    handler: Callable[..., Any]
    description: str


class DecoratedWorkflow(WorkflowComponent):
    """A decorated workflow. Calling it inside a workflow makes it a step of that run."""

    def __init__(self, config: WorkflowConfig) -> None:
        self._agnt5_config = config
        self._function = config.handler
        self.name = config.name
        self.description = config.description
        self._signature = Signature(config.handler, Context)
        if not self._signature.takes_context:
            msg = (
                f"workflow {config.name!r} must have 'ctx: WorkflowContext' as first parameter:"
                " it is the handle on durability"
            )
            raise ValueError(msg)
        if not inspect.iscoroutinefunction(config.handler):
            msg = (
                f"workflow {config.name!r} must be 'async def': its body awaits durable calls."
                " For blocking work without steps, use a @function."
            )
            raise ValueError(msg)
        functools.update_wrapper(self, config.handler)

    @functools.cached_property
    def _definition(self) -> Definition:
        digest, where = digest_of(self._function)
        return Definition(self.name, "workflow", digest, self._body, where)

    def definition(self) -> Definition:
        """What the cast needs to know of it."""
        return self._definition

    def check_input(self, given: Mapping[str, object]) -> None:
        """Refuse an input that does not fit."""
        self._signature.check_input(self.name, given)

    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit."""
        self._signature.check_call(self.name, args, kwargs)

    def takes(self, parameter: str) -> bool:
        """Whether it has a parameter of that name."""
        return self._signature.takes(parameter)

    def _body(
        self, script: Any, run_input: dict[str, object], info: AttemptInfo
    ) -> Coroutine[Any, Any, object]:
        return self._run(script, info, (), self._signature.coerce(self.name, run_input))

    async def _run(
        self, script: Script, info: AttemptInfo, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> object:
        context = WorkflowContext(script, info)
        set_current_context(context)
        return await self._function(context, *args, **kwargs)

    def call_inline(
        self, parent: object, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Run the body in the scope of a step of another run."""
        if args and isinstance(args[0], Context):
            args = args[1:]
        self._signature.check_call(self.name, args, kwargs)
        assert isinstance(parent, WorkflowContext)  # noqa: S101 - only contexts of bodies call this
        return self._run(parent.script, parent.info, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside a workflow: a step whose own steps are steps of the same run.

        Raises:
            InvalidInputError: When no workflow is running here.
        """
        parent = get_current_context()
        if not isinstance(parent, WorkflowContext):
            raise refuse_context(self.name)
        if args and isinstance(args[0], Context):
            args = args[1:]
        kwargs.pop("ctx", None)
        return parent.step(self, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<agnt5 workflow {self.name!r}>"


@overload
def workflow(handler: Callable[..., Any]) -> DecoratedWorkflow: ...
@overload
def workflow(
    *, name: str | None = None, description: str = ""
) -> Callable[[Callable[..., Any]], DecoratedWorkflow]: ...
def workflow(
    handler: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str = "",
) -> DecoratedWorkflow | Callable[[Callable[..., Any]], DecoratedWorkflow]:
    """Make an async function a workflow. Its first parameter is a :class:`WorkflowContext`.

    The body runs again from the top after a crash, so that it must ask for the same steps again:
    what differs from one pass to the next (time, chance, network, files) belongs into a step.

    Args:
        handler: The function.
        name: Its name for clients and logs; its own by default.
        description: What it does, for people.

    Raises:
        ValueError: When the first parameter is no context, or the name is taken.

    >>> @workflow
    ... async def hello(ctx, name: str) -> str:
    ...     return await ctx.step("greet", lambda: f"Hello, {name}")
    >>> hello.name
    'hello'
    """

    def decorate(handler: Callable[..., Any]) -> DecoratedWorkflow:
        if not callable(handler) or isinstance(handler, type):
            msg = f"@workflow decorates functions, not {handler!r}"
            raise ConfigurationError(msg)
        about = description or (inspect.getdoc(handler) or "").partition("\n")[0]
        made = DecoratedWorkflow(WorkflowConfig(name or handler.__name__, handler, about))
        WorkflowRegistry.register(made)
        return made

    return decorate if handler is None else decorate(handler)
