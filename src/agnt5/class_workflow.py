"""``class MyWorkflow(Workflow)``: a workflow with methods and attributes of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Self

from agnt5.agent import Agent, AgentRegistry
from agnt5.calls import MISSING, line_of
from agnt5.class_component import (
    NO_ARGUMENTS,
    ClassWorkflow,
    MadeOf,
    about,
    ask,
    checked_branches,
    checked_timeout,
    durable,
)
from agnt5.context import WorkflowContext
from agnt5.exceptions import ConfigurationError, InvalidInputError, UnknownComponentError
from agnt5.registry import WorkflowRegistry, hint_for
from agnt5.tool import ToolRegistry


class _OfContext:
    """An attribute of the context, unless the workflow has one of that name itself."""

    def __init__(self) -> None:
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, workflow: Workflow | None, owner: type | None = None) -> Any:
        return self if workflow is None else getattr(workflow.ctx, self._name)


class Workflow:
    """A workflow as a class: derive from it and write ``async def run(self, ...)``.

    Each run has an instance of its own, made by calling the class without arguments; after a crash
    it is made again, ``run`` starts from the top, and recorded steps return what is on record.
    Attributes that a step changed are recorded with its result and come back with it.

    ``await MyWorkflow().run(...)`` is a durable run of its own in the runtime of the process;
    inside a workflow it is a step whose own steps are steps of the same run. Either way ``run``
    works on a new instance, not on the one on which it was called.

    Args:
        name: For clients and logs; the name of the class by default.
        description: What it does, for people; by default the first line of the class's docstring.
        timeout: Seconds for a run, without the time in which it only waits; unlimited by default.

    Raises:
        ConfigurationError: When ``run`` is not ``async def``, or a value is wrong.

    >>> class Greeting(Workflow):
    ...     async def run(self, name: str) -> str:
    ...         return await self.step("greet", lambda: f"Hello, {name}")
    >>> Greeting().name
    'Greeting'
    """

    name: str
    description: str
    timeout: float | None
    agnt5_context: WorkflowContext | None = None
    agnt5_made_of: MadeOf = NO_ARGUMENTS
    agnt5_component: ClassVar[ClassWorkflow]

    run_id = _OfContext()
    state = _OfContext()
    logger = _OfContext()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make its ``run`` durable, and let clients find it."""
        super().__init_subclass__(**kwargs)
        body = cls.__dict__.get("run")
        if body is not None:
            if not inspect.iscoroutinefunction(body):
                msg = (
                    f"{cls.__qualname__}.run must be 'async def': a workflow's body awaits its"
                    " steps. Blocking work belongs into a @function."
                )
                raise ConfigurationError(msg)
            cls.run = durable(body)  # type: ignore[method-assign] # what a decorator would do
        if cls.run is not Workflow.run:
            component = cls.agnt5_component = ClassWorkflow(cls)
            WorkflowRegistry.announce(component.register)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Fill in what a subclass leaves out that never calls ``super().__init__``."""
        made = super().__new__(cls)
        made.agnt5_made_of = (args, kwargs)
        made.name, made.description, made.timeout = cls.__name__, about(cls), None
        return made

    def __init__(
        self,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = None,
    ) -> None:
        if name is not None:
            if not isinstance(name, str) or not name:
                msg = f"the name of a workflow must be a text that is not empty, not {name!r}"
                raise ConfigurationError(msg)
            self.name = name
        self.description = description or self.description
        self.timeout = checked_timeout(timeout)

    async def run(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - what a subclass overrides
        """The workflow's body; subclasses write it.

        Raises:
            ConfigurationError: In a class that has none.
        """
        msg = f"{type(self).__qualname__} has no 'async def run(self, ...)', the workflow's body"
        raise ConfigurationError(msg)

    @property
    def ctx(self) -> WorkflowContext:
        """The context of the run that executes this instance.

        Raises:
            InvalidInputError: Outside of a run.
        """
        if self.agnt5_context is None:
            msg = (
                f"no run executes this {type(self).__qualname__}: steps, ctx and what belongs to a"
                " run can be used within 'run' only; start it with"
                f" 'await {type(self).__qualname__}().run(...)'"
            )
            raise InvalidInputError(msg)
        return self.agnt5_context

    def step(
        self,
        name: str,
        target: Callable[..., Any] | Awaitable[Any],
        *args: Any,
        key: str | None = MISSING,
        timeout: float | None = MISSING,
        **kwargs: Any,
    ) -> asyncio.Future[Any]:
        """Run something once under a name and record its result, with the attributes it changed.

        Args:
            name: The name of the step.
            target: A method or another callable, a ``@function``, a workflow, or an awaitable.
            args: Its arguments.
            key: An identity of your own instead of the count.
            timeout: Seconds for the step with all its attempts, recorded; unlimited by default.
            kwargs: Its arguments.

        Returns:
            An awaitable of the result.

        Raises:
            ValueError: When it is not clear what to run.
            TypeError: When the arguments do not fit a function.
            InvalidInputError: Outside of a run.
        """
        if not isinstance(name, str):
            msg = f"self.step takes a name first and then what to run, not {name!r}"
            raise ValueError(msg)
        return ask(self.ctx, name, (target, *args), kwargs, key, timeout, line=line_of(2))

    def parallel(self, calls: Sequence[tuple[Any, ...]]) -> asyncio.Future[list[Any]]:
        """Run ``[(name, callable, *args), ...]`` at the same time; results in that order.

        The same name may repeat: a step is known by its name and how often that came before. The
        first error is raised, and the others keep running.

        Args:
            calls: For each branch a tuple of a name, what to run, and its arguments.

        Raises:
            ValueError: When an item is no such tuple; nothing was started.
            InvalidInputError: Outside of a run.
        """
        context, line = self.ctx, line_of(2)
        branches = checked_branches(calls)
        return asyncio.gather(*(ask(context, name, rest, {}, line=line) for name, rest in branches))

    def call_tool(self, name: str, /, **kwargs: Any) -> asyncio.Future[Any]:
        """Call a registered tool by its name; a step.

        Args:
            name: The tool's name.
            kwargs: Its arguments.

        Raises:
            TypeError: When the arguments do not fit the tool.
            UnknownComponentError: When no tool has that name.
        """
        context, tool = self.ctx, ToolRegistry.get(name)
        if tool is None:
            msg = f"workflow {self.name!r} calls tool {name!r}, which is not registered here. "
            raise UnknownComponentError(msg + hint_for("tool", ToolRegistry.list_names(), name))
        return ask(context, name, (tool,), kwargs, line=line_of(2))

    def call_agent(self, name: str, prompt: str) -> asyncio.Future[Any]:
        """Ask an agent by its name; a step. The workflow's own attributes come first.

        Args:
            name: The agent's name.
            prompt: What the user says.

        Returns:
            An awaitable of an :class:`AgentResult`.

        Raises:
            UnknownComponentError: When no agent has that name.
        """
        context = self.ctx
        own = [value for value in vars(self).values() if isinstance(value, Agent)]
        agent = next((each for each in own if each.name == name), None) or AgentRegistry.get(name)
        if agent is None:
            msg = f"workflow {self.name!r} calls agent {name!r}, which does not exist here. "
            raise UnknownComponentError(msg + hint_for("agent", AgentRegistry.list_names(), name))
        return agent.as_step(context, prompt)

    def sleep(self, seconds: float, name: str | None = None) -> Awaitable[None]:
        """Sleep durably. See :meth:`WorkflowContext.sleep`."""
        return self.ctx.sleep(seconds, name)

    def wait_for_user(self, question: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Ask a person. See :meth:`WorkflowContext.wait_for_user`."""
        return self.ctx.wait_for_user(question, *args, **kwargs)
