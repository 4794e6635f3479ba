"""``@workflow``: a body whose steps are recorded and that goes on where it was after a crash."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, overload

from agnt5.actors.ports import AttemptInfo, Definition
from agnt5.actors.script import Script
from agnt5.calls import line_of
from agnt5.context import (
    Context,
    WorkflowContext,
    is_attempt,
    refuse_in_step,
    running_body,
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
    enable_durability: bool = True


StartRun = Callable[[str, dict[str, Any]], Coroutine[Any, Any, Any]]

run_starters: list[StartRun] = []
"""How a workflow becomes a run where none is; :mod:`agnt5.direct_runs`, floors above, adds it."""


class DecoratedWorkflow(WorkflowComponent):
    """A decorated workflow. Calling it inside a workflow makes it a step of that run."""

    def __init__(self, config: WorkflowConfig) -> None:
        self._agnt5_config = config
        self._function = config.handler
        self.name = config.name
        self.description = config.description
        self._signature = Signature(config.handler, Context)
        self.is_implicit = not self._signature.takes_context
        if self.is_implicit and not inspect.iscoroutinefunction(config.handler):
            msg = (
                f"workflow {config.name!r} must have 'ctx: WorkflowContext' as first parameter, or"
                " be 'async def': then the tasks, functions and tools that it calls are its steps"
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

    def _body(
        self, script: Any, run_input: dict[str, object], info: AttemptInfo
    ) -> Coroutine[Any, Any, object]:
        return self._run(script, info, (), self._signature.coerce(self.name, run_input))

    async def _run(
        self, script: Script, info: AttemptInfo, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> object:
        context = WorkflowContext(script, info)
        context._implicit = self.is_implicit  # noqa: SLF001 - hidden from users
        set_current_context(context)
        if self.is_implicit:
            return await self._function(*args, **kwargs)
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
        """Call it, and await the result.

        Inside a workflow it is a step whose own steps are steps of the same run. Outside of any it
        is a run of its own: in the runtime of this process, which is started if there is none.

        Raises:
            InvalidInputError: Inside a function, or when the arguments do not fit.
        """
        if args and isinstance(args[0], Context):
            args = args[1:]
        elif isinstance(kwargs.get("ctx"), Context):
            del kwargs["ctx"]
        body = running_body()
        if body is not None:
            return body._direct(self, args, kwargs, line_of(2))  # noqa: SLF001 - hidden from users
        if is_attempt() or not run_starters:
            raise refuse_in_step(self.name)
        return run_starters[-1](self.name, self._signature.by_name(self.name, args, kwargs))

    def __repr__(self) -> str:
        return f"<agnt5 workflow {self.name!r}>"


@overload
def workflow(handler: Callable[..., Any]) -> DecoratedWorkflow: ...
@overload
def workflow(
    *, name: str | None = None, description: str = "", enable_durability: bool = True
) -> Callable[[Callable[..., Any]], DecoratedWorkflow]: ...
def workflow(
    handler: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str = "",
    enable_durability: bool = True,
) -> DecoratedWorkflow | Callable[[Callable[..., Any]], DecoratedWorkflow]:
    """Make an async function a workflow.

    If its first parameter is a :class:`WorkflowContext`, its steps are what it runs with
    ``ctx.step``. If it takes none, every ``@task``, ``@function``, ``@tool`` and ``@workflow`` that
    it calls is a step (implicit mode).

    The body runs again from the top after a crash, so that it must ask for the same steps again:
    what differs from one pass to the next (time, chance, network, files) belongs into a step.

    Args:
        handler: The function.
        name: Its name for clients and logs; its own by default.
        description: What it does, for people; by default the first line of its docstring.
        enable_durability: True. Runs that are kept in memory only belong to a runtime with
            ``store="memory://"``; False is refused.

    Raises:
        ValueError: When it is not ``async def``, or the name is taken.
        ConfigurationError: When another setting is wrong.

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
        if enable_durability is not True:
            msg = (
                f"enable_durability={enable_durability!r}: runs of one store are all durable; to"
                " keep runs in memory only, run them in Runtime(store='memory://')"
            )
            raise ConfigurationError(msg)
        made = DecoratedWorkflow(WorkflowConfig(name or handler.__name__, handler, about))
        WorkflowRegistry.register(made)
        return made

    return decorate if handler is None else decorate(handler)
