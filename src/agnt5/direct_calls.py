"""Components that a body calls like plain functions, and calls that a person confirms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any, cast

from agnt5.actors.images import Arguments
from agnt5.actors.ports import InlineWork
from agnt5.calls import MISSING, Call, nothing
from agnt5.exceptions import ExecutionError
from agnt5.registry import Component, FunctionComponent, WorkflowComponent
from agnt5.step_calls import StepCalls

_SHOWN = 300


class DirectCalls(StepCalls):
    """Direct calls: a workflow without ``ctx`` calls its steps as if they were plain functions."""

    _implicit = False
    """Whether a direct call of any component is a step; of tasks and tools it always is."""

    def _direct(
        self, component: Component, args: tuple[Any, ...], kwargs: dict[str, Any], line: str
    ) -> asyncio.Future[Any]:
        """A component was called by the body: make it a step."""
        if not self.script.closed and asyncio.get_running_loop() is not self.script.loop:
            msg = (
                f"{component.name!r} was called by run {self.run_id!r} from another thread, where"
                " it cannot be a step: call it in the body itself"
            )
            raise RuntimeError(msg)
        call = Call(args, kwargs, MISSING, MISSING, line)
        if isinstance(component, FunctionComponent):
            return self._scheduled(component, component.name, args, kwargs, call)
        return self._workflow(cast("WorkflowComponent", component), component.name, call)

    def _scheduled(
        self,
        function: FunctionComponent,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call: Call,
    ) -> asyncio.Future[Any]:
        if not function.confirmation:
            return super()._scheduled(function, name, args, kwargs, call)
        return self._confirmed(function, name, args, kwargs, call)

    def _confirmed(
        self,
        function: FunctionComponent,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call: Call,
    ) -> asyncio.Future[Any]:
        """A step around a question and, once that is answered well, the call."""
        function.check_call(args, kwargs)
        inner = Call(args, kwargs, MISSING, MISSING, call.line)
        scheduled = super()._scheduled

        async def ask_first() -> object:
            shown = [repr(arg) for arg in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
            question = f"Run {name}({', '.join(shown):.{_SHOWN}})?"
            answer = await cast("Any", self).wait_for_user(question, input_type="approval")
            if answer != "approve":
                msg = f"tool {name!r} was not run: a person answered {answer!r} to {question!r}"
                raise ExecutionError(msg)
            return await scheduled(function, name, args, kwargs, inner)

        work = InlineWork(ask_first, nothing, Arguments.of(args, kwargs))
        return self._inline(name, work, call)


class RecordedItems:
    """What a direct call of an async generator gives a body: a list to await, or to iterate."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        """Every item."""
        return self._future.__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        """Item by item, once the step has ended."""
        return self._each()

    async def _each(self) -> AsyncIterator[Any]:
        for item in await self._future:
            yield item
