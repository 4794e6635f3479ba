"""The steps of a workflow, alone and several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, cast

from agnt5.actors.branch import StepFuture
from agnt5.actors.images import Arguments, Together
from agnt5.actors.ports import FunctionWork, InlineWork
from agnt5.body_context import BodyContext
from agnt5.calls import MISSING, Call, inline_work, is_awaitable, line_of, nothing, recorded_input
from agnt5.combinators import Checkpoint, gather_all, parallel_all
from agnt5.events.keys import chosen_key, operation_key
from agnt5.events.run import commands as c
from agnt5.names import check_name
from agnt5.registry import FunctionComponent, FunctionRegistry, WorkflowComponent


def service_function(call: Call) -> FunctionComponent | None:
    """The function of ``step("service", "function", ...)``, if it was called like that."""
    named = call.args[0] if call.args else None
    return FunctionRegistry.get(named) if isinstance(named, str) else None


class StepCalls(BodyContext):
    """Steps: durable calls whose result is recorded once."""

    # Steps.

    def step(
        self,
        name_or_handler: object,
        func_or_awaitable: object = MISSING,
        *args: Any,
        key: str | None = MISSING,
        timeout: float | None = MISSING,
        **kwargs: Any,
    ) -> asyncio.Future[Any]:
        """Run something once and record its result; after a crash the record is returned.

        The identity of the step is fixed by this call, not by awaiting it: its name, how often the
        name was called before in this branch of the body, and the branch.

        Forms: ``step(fn, *args, **kwargs)`` with a ``@function``; ``step("name", awaitable)``;
        ``step("name", callable, *args)``; ``step("function name", *args)``; ``step(awaitable)``;
        ``step(workflow, *args)``, in which the workflow's own steps become steps of this run.

        Args:
            name_or_handler: The function, or the name of the step.
            func_or_awaitable: The first argument, or what to run under the name.
            args: Arguments of the function.
            key: An identity of your own instead of the count; the same key is the same step.
            timeout: Seconds for the step with all its attempts; recorded, so that it holds across
                restarts. On expiry the step raises StepTimeoutError.
            kwargs: Arguments of the function.

        Returns:
            An awaitable of the result. It works with ``asyncio.gather``, ``wait``, ``TaskGroup``...

        Raises:
            ValueError: When it is not clear what to run.
            TypeError: When the arguments do not fit the function.
            PayloadTooLargeError: When the arguments exceed the payload limit.
        """
        rest = args if func_or_awaitable is MISSING else (func_or_awaitable, *args)
        return self._run_step(name_or_handler, Call(rest, kwargs, key, timeout, line_of(2)))

    def task(self, name_or_handler: object, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """The older spelling of :meth:`step`, without ``key`` and ``timeout``."""
        return self._step(name_or_handler, args, kwargs, MISSING, MISSING, line_of(2))

    def run(self, name_or_handler: object, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Another spelling of :meth:`step`, without ``key`` and ``timeout``."""
        return self._step(name_or_handler, args, kwargs, MISSING, MISSING, line_of(2))

    def _step(
        self,
        target: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: str | None,
        timeout: float | None,
        line: str,
    ) -> asyncio.Future[Any]:
        return self._run_step(target, Call(args, kwargs, key, timeout, line))

    def _run_step(self, target: object, call: Call) -> asyncio.Future[Any]:
        if isinstance(target, FunctionComponent):
            return self._function(target, target.name, call)
        if isinstance(target, WorkflowComponent):
            return self._workflow(target, target.name, call)
        if isinstance(target, str):
            return self._named(target, call)
        if is_awaitable(target):
            name = getattr(target, "__name__", type(target).__name__)
            return self._checkpoint(str(name), target, call)
        if callable(target):
            name = getattr(target, "__name__", repr(target))
            msg = (
                f"{name!r} is not a registered @function: decorate it, or give the step a name:"
                f" ctx.step({name!r}, {name}, ...)"
            )
            raise ValueError(msg)
        msg = f"ctx.step takes a @function, a name or an awaitable first, not {target!r}"
        raise ValueError(msg)

    def _named(self, name: str, call: Call) -> asyncio.Future[Any]:
        if not name:
            msg = "the name of a step must not be empty"
            raise ValueError(msg)
        if call.args:
            first = call.args[0]
            if isinstance(first, FunctionComponent):
                return self._function(first, name, call.without_first())
            if isinstance(first, WorkflowComponent):
                return self._workflow(first, name, call.without_first())
            if is_awaitable(first) or callable(first):
                return self._checkpoint(name, first, call.without_first())
        known = FunctionRegistry.get(name)
        if known is not None:
            return self._function(known, name, call)
        service = service_function(call)
        if service is not None:
            return self._function(service, service.name, call.without_first())
        msg = (
            f"function {name!r} not found in registry. {FunctionRegistry.hint(name)}"
            " To checkpoint something under this name, pass an awaitable or a callable."
        )
        raise ValueError(msg)

    def _function(self, function: FunctionComponent, name: str, call: Call) -> asyncio.Future[Any]:
        args, kwargs = call.arguments_for(function)
        return self._scheduled(function, name, args, kwargs, call)

    def _scheduled(
        self,
        function: FunctionComponent,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call: Call,
    ) -> asyncio.Future[Any]:
        function.check_call(args, kwargs)
        key, timeout_us = self._key(name, call), call.timeout_us()
        script = self.script
        images = Arguments.of(args, kwargs)

        def command() -> c.RequestStep:
            recorded = recorded_input(args, kwargs)
            script.check_size(recorded, f"arguments of step {name!r} ({key!r})")
            if images is not None:
                images.were(recorded)
            return c.RequestStep(
                key,
                name,
                function.name,
                recorded,
                function.plan_under(script.defaults),
                function.recovery,
                timeout_us,
                call.line,
                call.undo,
            )

        work = FunctionWork(cast("Any", function), args, kwargs, images)
        return script.request(key, command, work, line=call.line, chosen=call.has_key)

    def _checkpoint(self, name: str, target: object, call: Call) -> asyncio.Future[Any]:
        if isinstance(target, StepFuture) or getattr(target, "is_durable", False):
            msg = (
                f"step {name!r} was given another durable call; await that call itself, it is"
                " recorded already"
            )
            raise ValueError(msg)
        work = inline_work(target, call.args, call.kwargs)
        if self.images is not None:
            work.images = Together(work.images, self.images)
        return self._inline(name, work, call)

    def _workflow(self, workflow: WorkflowComponent, name: str, call: Call) -> asyncio.Future[Any]:
        def start() -> Awaitable[object]:
            return cast("Awaitable[object]", workflow.call_inline(self, call.args, call.kwargs))

        images = Arguments.of(call.args, call.kwargs)
        return self._inline(name, InlineWork(start, nothing, images), call)

    def _inline(self, name: str, work: InlineWork, call: Call) -> asyncio.Future[Any]:
        key, timeout_us = self._key(name, call), call.timeout_us()

        def command() -> c.RequestStep:
            return c.RequestStep(
                key, name, None, None, None, "retry", timeout_us, call.line, call.undo
            )

        return self.script.request(key, command, work, line=call.line, chosen=call.has_key)

    def _key(self, name: str, call: Call) -> str:
        if call.place is not None:
            return call.place
        check_name(name, "the name of a step")
        if not call.has_key:
            branch = self.script.place()
            return operation_key(branch.path, name, branch.occurrence(name))
        key = check_name(call.key, f"the key of step {name!r}")
        return chosen_key(self.script.place().path, name, key)

    # Composition.

    def parallel(
        self, *awaitables: Awaitable[Any] | AsyncGenerator[Any, None]
    ) -> asyncio.Future[list[Any]]:
        """Wait for several things at once.

        Args:
            *awaitables: Durable calls, which pass through; raw coroutines and generators become
                inline steps, named ``parallel_0`` and so on by their position.

        Returns:
            An awaitable of the results, in the order of the arguments. The first error is raised,
            as by ``asyncio.gather``; the others keep running, and are recorded.
        """
        return parallel_all(self._checkpointer(line_of(2)), awaitables)

    def gather(
        self, **awaitables: Awaitable[Any] | AsyncGenerator[Any, None]
    ) -> Awaitable[dict[str, Any]]:
        """Wait for several things at once, by name.

        Args:
            **awaitables: As for :meth:`parallel`; raw coroutines become steps of their name.

        Returns:
            An awaitable of a dict of the results. The first error is raised.
        """
        return gather_all(self._checkpointer(line_of(2)), awaitables)

    def _checkpointer(self, line: str) -> Checkpoint:
        def checkpoint(name: str, awaitable: object) -> asyncio.Future[Any]:
            return self._checkpoint(name, awaitable, Call((), {}, MISSING, MISSING, line))

        return checkpoint
