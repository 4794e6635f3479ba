"""``@workflow``: a body whose steps are recorded and that goes on where it was after a crash."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, overload

from agnt5.actors.ports import AttemptInfo, Definition
from agnt5.actors.script import Script
from agnt5.binding import bind
from agnt5.calls import line_of
from agnt5.chat import in_turn
from agnt5.context import (
    Context,
    WorkflowContext,
    is_attempt,
    refuse_in_step,
    running_body,
    set_current_context,
)
from agnt5.function import digest_of
from agnt5.registry import WorkflowComponent, WorkflowRegistry
from agnt5.signatures import Signature
from agnt5.triggers import Delivery, Secrets
from agnt5.types import TriggerSpec
from agnt5.workflow_options import WorkflowConfig, checked_options, configured

StartRun = Callable[[str, dict[str, Any]], Coroutine[Any, Any, Any]]

run_starters: list[StartRun] = []
"""How a workflow becomes a run where none is; :mod:`agnt5.direct_runs`, floors above, adds it."""


def start_run(name: str, given: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """A run of its own, in the runtime of this process, which is started if there is none."""
    if not run_starters:
        # By name, because it is floors above. Only a program that never asks for a name of the
        # package itself gets here without it.
        import_module("agnt5.direct_runs")
    return run_starters[-1](name, given)


class DecoratedWorkflow(WorkflowComponent):
    """A decorated workflow. Calling it inside a workflow makes it a step of that run."""

    def __init__(self, config: WorkflowConfig) -> None:
        self._agnt5_config = config
        self._function = config.handler
        self.name = config.name
        self.description = config.description
        self.version = config.version
        self.is_default = config.default
        self.queue = config.queue
        self.triggers = config.triggers
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
        seconds = self._agnt5_config.timeout_s
        return Definition(
            self.name,
            "workflow",
            digest,
            self._body,
            where,
            self.version,
            timeout_us=None if seconds is None else int(seconds * 1e6),
            queue=self.queue,
            durable=self._agnt5_config.durable,
        )

    def definition(self) -> Definition:
        """What the cast needs to know of it."""
        return self._definition

    def check_input(self, given: Mapping[str, object]) -> None:
        """Refuse an input that does not fit."""
        self._signature.check_input(self.name, given)

    def name_arguments(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> dict[str, object]:
        """The arguments of a call by their names, as the input of a run."""
        return self._signature.named(self.name, args, kwargs)

    def bind(self, delivery: Delivery) -> Mapping[str, object]:
        """The input that a delivery gives."""
        return bind(self._signature, delivery)

    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit."""
        self._signature.check_call(self.name, args, kwargs)

    def takes(self, parameter: str) -> bool:
        """Whether it has a parameter of that name."""
        return self._signature.takes(parameter)

    def _body(
        self, script: Any, run_input: dict[str, object], info: AttemptInfo
    ) -> Coroutine[Any, Any, object]:
        given = self._signature.coerce(self.name, run_input)
        if self._agnt5_config.chat and info.session_id is not None:
            return in_turn(script, info.session_id, lambda: self._run(script, info, (), given))
        return self._run(script, info, (), given)

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
        if is_attempt():
            raise refuse_in_step(self.name)
        return start_run(self.name, self._signature.named(self.name, args, kwargs))

    def __repr__(self) -> str:
        return f"<agnt5 workflow {self.name!r}>"


@overload
def workflow(handler: Callable[..., Any]) -> DecoratedWorkflow: ...
@overload
def workflow(
    *,
    name: str | None = None,
    description: str = "",
    timeout: float | None = None,
    queue: str | None = None,
    version: str | None = None,
    default: bool = False,
    enable_durability: bool = True,
    chat: bool = False,
    triggers: Sequence[TriggerSpec] | None = None,
    cron: str | None = None,
    cron_timezone: str | None = None,
    cron_missed: Literal["skip", "once", "all"] = "skip",
    webhook: bool = False,
    webhook_secret: Secrets | None = None,
) -> Callable[[Callable[..., Any]], DecoratedWorkflow]: ...
def workflow(
    handler: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str = "",
    **options: Any,
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
        description: What it does, for people.
        **options: ``timeout``, ``queue``, ``version``, ``default``, ``enable_durability``,
            ``chat``, ``triggers``, ``cron``, ``cron_timezone``, ``cron_missed``, ``webhook`` and
            ``webhook_secret``, as :func:`agnt5.workflow_options.workflow_options` says.

    Raises:
        ValueError: When it is not ``async def``, the name (with this version) is taken, or a
            trigger is wrong.
        ConfigurationError: When a setting is wrong.

    >>> @workflow
    ... async def hello(ctx, name: str) -> str:
    ...     return await ctx.step("greet", lambda: f"Hello, {name}")
    >>> hello.name
    'hello'
    """
    fields = checked_options(name, options)

    def decorate(handler: Callable[..., Any]) -> DecoratedWorkflow:
        made = DecoratedWorkflow(configured(handler, name, description, fields))
        WorkflowRegistry.register(made)
        return made

    return decorate if handler is None else decorate(handler)
