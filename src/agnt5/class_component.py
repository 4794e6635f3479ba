"""Classes of workflows as the house knows them: named, made anew for every run, executed."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import logging
import math
import types
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from agnt5.actors.attributes import Attributes
from agnt5.actors.ports import AttemptInfo, Definition
from agnt5.actors.script import Script
from agnt5.calls import MISSING, is_awaitable, line_of
from agnt5.context import (
    Context,
    WorkflowContext,
    is_attempt,
    refuse_in_step,
    running_body,
    set_current_context,
)
from agnt5.exceptions import ConfigurationError, InvalidInputError
from agnt5.function import digest_of
from agnt5.registry import WorkflowComponent, WorkflowRegistry
from agnt5.signatures import Signature
from agnt5.workflow import start_run

logger = logging.getLogger("agnt5.workflow")

MadeOf = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments with which an instance was made."""

NO_ARGUMENTS: MadeOf = ((), {})


class Instance(Protocol):
    """An instance of a user's class."""

    name: str
    description: str
    timeout: float | None
    agnt5_context: WorkflowContext | None
    agnt5_made_of: MadeOf
    agnt5_component: ClassWorkflow


class ClassWorkflow(WorkflowComponent):
    """A class of workflows as clients, runs and other workflows know it."""

    def __init__(self, cls: type[Any], made_of: MadeOf = NO_ARGUMENTS) -> None:
        self._cls = cls
        self._made_of = made_of
        self._function = inspect.unwrap(cls.run)
        self.__module__ = cls.__module__
        self.name = cls.__name__
        self.description = about(cls)
        self.timeout_s: float | None = None

    @functools.cached_property
    def _signature(self) -> Signature:
        # Bound to anything, so that `self` is no parameter of the run.
        return Signature(types.MethodType(self._function, self), Context)

    @functools.cached_property
    def _definition(self) -> Definition:
        digest, where = digest_of(self._function)
        try:
            source = inspect.getsource(self._cls).encode()
        except (OSError, TypeError):
            # A class that is in no file: the code of its body has to do.
            source = None
        if source is not None:
            digest = hashlib.sha256(source).hexdigest()[:16]
        limit_us = None if self.timeout_s is None else int(self.timeout_s * 1e6)
        return Definition(self.name, "workflow", digest, self._body, where, timeout_us=limit_us)

    def definition(self) -> Definition:
        """What the cast needs to know of it."""
        return self._definition

    def check_input(self, given: Mapping[str, object]) -> None:
        """Refuse an input that does not fit, and a class that cannot be made by name."""
        if missing := needed_arguments(self._cls):
            raise InvalidInputError(self._refusal(f"{self._cls.__qualname__}({missing})"))
        self._signature.check_input(self.name, given)

    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit ``run``."""
        self._signature.check_call(self.name, args, kwargs)

    def takes(self, parameter: str) -> bool:
        """Whether ``run`` has a parameter of that name."""
        return self._signature.takes(parameter)

    def register(self) -> None:
        """Take the name, which the class may give itself in ``__init__``.

        In one module a class replaces what had its name; elsewhere the earlier one keeps it.
        """
        if inspect.isabstract(self._cls):
            return
        self._learn_name()
        known = WorkflowRegistry.registered(self.name)
        if known is None or known.__module__ == self.__module__:
            WorkflowRegistry.replace(self)
        elif known is not self:
            logger.warning("%s", self._collision(known))

    def _learn_name(self) -> None:
        if needed_arguments(self._cls):
            return
        try:
            made = self._cls()
        except Exception as error:  # noqa: BLE001 - what a constructor does is the user's
            cls = self._cls.__qualname__
            logger.warning(
                "workflow class %s cannot be made, so that it has the name of its class: %r",
                cls,
                error,
            )
            return
        self.name, self.description = made.name, made.description
        self.timeout_s = made.timeout

    def _collision(self, known: WorkflowComponent) -> str:
        return (
            f"workflow name collision: {self.name!r} is already registered"
            f" ({known.definition().where}), so that class {self._cls.__qualname__}"
            f" ({self.definition().where}) has no name of its own; give it one with"
            " super().__init__(name=...)"
        )

    def name_arguments(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> dict[str, object]:
        """The arguments of a call by their names, as the input of a run."""
        return self._signature.named(self.name, args, kwargs)

    def call(self, made: Instance, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``made.run(...)``: a step of the workflow that is running here, else a run of its own."""
        parent = running_body()
        self._signature.check_call(made.name, args, kwargs)
        if parent is not None:
            child = ClassWorkflow(self._cls, made.agnt5_made_of)
            child.name = made.name
            return ask(parent, child, args, kwargs, line=line_of(3))
        if made.agnt5_made_of != NO_ARGUMENTS:
            raise InvalidInputError(self._refusal("arguments of its own"))
        if is_attempt():
            raise refuse_in_step(self.name)
        known = WorkflowRegistry.get(self.name)
        if known is None:
            self.register()
        elif known is not self:
            raise ValueError(self._collision(known))
        return start_run(self.name, self._signature.named(self.name, args, kwargs))

    def _refusal(self, what: str) -> str:
        return (
            f"workflow class {self._cls.__qualname__} cannot be a run of its own: it is made with"
            f" {what}, and every run, also after a crash, makes a new instance without arguments;"
            " make them arguments of 'run', or run it inside another workflow"
        )

    def _body(
        self, script: Any, run_input: dict[str, object], info: AttemptInfo
    ) -> Coroutine[Any, Any, object]:
        return self._run(script, info, (), self._signature.coerce(self.name, run_input))

    async def _run(
        self, script: Script, info: AttemptInfo, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> object:
        context = WorkflowContext(script, info)
        set_current_context(context)
        made = self._cls(*self._made_of[0], **self._made_of[1])
        made.agnt5_context = context
        context.images = Attributes(made, "agnt5_")
        if self._signature.takes_context:
            args = (context, *args)
        return await self._function(made, *args, **kwargs)

    def call_inline(
        self, parent: object, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Run the body in the scope of a step of another run."""
        self._signature.check_call(self.name, args, kwargs)
        assert isinstance(parent, WorkflowContext)  # noqa: S101 - only contexts of bodies call this
        return self._run(parent.script, parent.info, args, kwargs)

    def __repr__(self) -> str:
        return f"<agnt5 workflow class {self._cls.__qualname__!r}>"


def durable(body: Callable[..., Any]) -> Callable[..., Any]:
    """``run`` as users call it: the body itself only within the run that executes the instance."""

    @functools.wraps(body)
    def run(self: Instance, *args: Any, **kwargs: Any) -> Any:
        if self.agnt5_context is not None:
            return body(self, *args, **kwargs)
        return self.agnt5_component.call(self, args, kwargs)

    return run


def ask(
    context: WorkflowContext,
    target: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    key: str | None = MISSING,
    timeout: float | None = MISSING,
    *,
    line: str,
) -> asyncio.Future[Any]:
    """A step, with the line of user code from which it was asked for."""
    return context._step(target, args, kwargs, key, timeout, line)  # noqa: SLF001 - its public form names the line of its caller, which is ours


def about(cls: type[Any]) -> str:
    """The first line of what a class says of itself."""
    own = cls.__dict__.get("__doc__")
    return inspect.cleandoc(own).partition("\n")[0] if isinstance(own, str) else ""


def needed_arguments(cls: type[Any]) -> str:
    """What a class cannot be made without, such as ``(url, retries)``; empty when it can."""
    required = [
        parameter.name
        for parameter in inspect.signature(cls.__init__).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    return ", ".join(required[1:])


def checked_branches(calls: Sequence[tuple[Any, ...]]) -> list[tuple[str, tuple[Any, ...]]]:
    """``(name, callable, *args)`` tuples, as name and the rest.

    Raises:
        ValueError: When one is not of that shape.
    """
    return [_checked(number, each) for number, each in enumerate(calls)]


def _checked(number: int, each: object) -> tuple[str, tuple[Any, ...]]:
    match each:
        case [str() as name, target, *args] if name and (callable(target) or is_awaitable(target)):
            return name, (target, *args)
        case _:
            msg = (
                f"item {number} of self.parallel must be a tuple (name, callable, *args),"
                f" not {each!r:.80}"
            )
            raise ValueError(msg)


def checked_timeout(timeout: float | None) -> float | None:
    """Seconds, more than 0."""
    if timeout is None:
        return None
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or not math.isfinite(timeout) or timeout <= 0:
        msg = f"the timeout of a workflow takes seconds, more than 0, not {timeout!r}"
        raise ConfigurationError(msg)
    return float(timeout)
