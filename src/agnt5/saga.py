"""``ctx.saga()``: steps that are undone, the last one first, when the block fails."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import anyio

from agnt5.calls import MISSING, Call, is_awaitable, line_of
from agnt5.exceptions import (
    BodyClosed,
    InvalidInputError,
    SagaError,
    StepTimeoutError,
    UnknownOutcomeError,
)
from agnt5.registry import FunctionComponent, FunctionRegistry, WorkflowComponent
from agnt5.step_calls import StepCalls, service_function


@dataclass(slots=True)
class _Undo:
    """One step that was begun, and how it is undone."""

    step: asyncio.Future[Any]
    name: str
    undo: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    undo_failed: bool

    @property
    def is_due(self) -> bool:
        """Whether the effect of the step stands, or may stand."""
        if self.step.cancelled():
            return True
        error = self.step.exception()
        unknown = isinstance(error, StepTimeoutError | UnknownOutcomeError)
        return error is None or unknown or self.undo_failed

    @property
    def result(self) -> Any:
        """What the step gave, or None."""
        known = not self.step.cancelled() and self.step.exception() is None
        return self.step.result() if known else None


Run = Callable[[object, Call], "asyncio.Future[Any]"]


class Saga:
    """Remembers how its steps are undone. Made by ``ctx.saga()``."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._undos: dict[Any, _Undo] = {}
        self._left = False

    def step(
        self,
        name_or_handler: object,
        *args: Any,
        undo: object,
        undo_failed: bool = False,
        key: str | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> asyncio.Future[Any]:
        """A step as of ``ctx.step``, with what undoes it.

        Args:
            name_or_handler: The function, or the name of the step.
            args: As for ``ctx.step``.
            undo: A ``@function`` or workflow, called with the arguments of the step, and with its
                result as ``result=`` if it has a parameter of that name; or another callable,
                called with the result (nothing, if it takes nothing).
            undo_failed: Undo it also when it has failed. A step whose outcome is unknown (it was
                cancelled, or timed out, under way) is always undone.
            key: As for ``ctx.step``.
            timeout: Seconds, as for ``ctx.step``; it does not limit the undo.
            kwargs: As for ``ctx.step``.

        Returns:
            An awaitable of the step's result.

        Raises:
            InvalidInputError: When ``undo`` is nothing that can be called, or the saga has ended;
                nothing was begun.
            TypeError: When ``undo`` does not take the arguments; nothing was begun.
            ValueError: As for ``ctx.step``.
        """
        if self._left:
            msg = "this saga has ended: begin another one with ctx.saga()"
            raise InvalidInputError(msg)
        name = _name_of(undo)
        key_given = MISSING if key is None else key
        limit = MISSING if timeout is None else timeout
        call = Call(args, kwargs, key_given, limit, line_of(2), undo=name)
        given, named = _arguments(name_or_handler, call)
        if isinstance(undo, FunctionComponent | WorkflowComponent):
            _check_fits(undo, given, named)
        step = self._run(name_or_handler, call)
        place = getattr(step, "key", step)
        if place not in self._undos:
            self._undos[place] = _Undo(step, name, undo, given, named, undo_failed)
        return step

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; after an error or a cancellation, undo the steps, the last one first.

        Raises:
            SagaError: When something could not be undone; the rest was undone all the same.
        """
        self._left = True
        if error is None or isinstance(error, BodyClosed | GeneratorExit):
            return
        cancelled = False
        failures: list[tuple[str, BaseException]] = []
        with anyio.CancelScope(shield=True):
            for each in self._undos.values():
                cancelled |= await _ended(each.step)
            for each in reversed(list(self._undos.values())):
                if not each.is_due:
                    continue
                try:
                    undoing = self._start_undo(each)
                    cancelled |= await _ended(undoing)
                    undoing.result()
                except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - all are tried
                    failures.append((each.name, failure))
        if failures:
            words = "; ".join(f"{name!r}: {type(e).__name__}: {e}" for name, e in failures)
            msg = (
                f"{len(failures)} of the steps of a saga could not be undone, and what they did"
                f" stands: {words}. The rest was undone."
            )
            raise SagaError(msg, failures) from error
        if cancelled and not isinstance(error, asyncio.CancelledError):
            raise asyncio.CancelledError from error

    def _start_undo(self, each: _Undo) -> asyncio.Future[Any]:
        undo = each.undo
        if isinstance(undo, FunctionComponent | WorkflowComponent):
            kwargs = dict(each.kwargs)
            if undo.takes("result") and "result" not in kwargs:
                kwargs["result"] = each.result
            return self._run(undo, Call(each.args, kwargs, MISSING, MISSING, "undo"))
        args = (undo, each.result) if _takes_one(undo) else (undo,)
        return self._run(each.name, Call(args, {}, MISSING, MISSING, "undo"))


class Sagas(StepCalls):
    """All or nothing, as far as effects can be undone."""

    def saga(self) -> Saga:
        """``async with ctx.saga() as s: await s.step(charge, order, undo=refund)``.

        When the block ends with an error or is cancelled, the steps that were done are undone, the
        last one first, each as a step of its own with the policy of its function.

        Raises:
            SagaError: On leaving the block, when something could not be undone.
        """
        return Saga(self._run_step)


def _arguments(target: object, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the step's function is given: neither names, nor what they name, nor step settings."""
    if isinstance(target, str):
        first = call.args[0] if call.args else None
        if callable(first) or is_awaitable(first):
            target, call = first, call.without_first()
        else:
            target = FunctionRegistry.get(target)
            if target is None and (target := service_function(call)) is not None:
                call = call.without_first()
    if isinstance(target, FunctionComponent):
        # Of a copy: what the function takes is taken from the call.
        return call.with_args(call.args).arguments_for(target)
    return call.args, call.kwargs


async def _ended(future: asyncio.Future[Any]) -> bool:
    """Wait for its end, whatever it is; whether somebody cancelled the wait meanwhile."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


def _name_of(undo: object) -> str:
    if isinstance(undo, FunctionComponent | WorkflowComponent):
        return undo.name
    if not callable(undo):
        msg = f"undo= takes a @function, a workflow or a callable, not {undo!r}"
        raise InvalidInputError(msg)
    name = getattr(undo, "__name__", type(undo).__name__)
    return "undo" if name == "<lambda>" else str(name)


def _takes_one(undo: Callable[..., Any]) -> bool:
    try:
        inspect.signature(undo).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def _check_fits(
    undo: FunctionComponent | WorkflowComponent, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if undo.takes("result") and "result" not in kwargs:
        kwargs = {**kwargs, "result": None}
    try:
        undo.check_call(args, cast("dict[str, object]", kwargs))
    except TypeError as error:
        msg = (
            f"undo={undo.name} is called with the arguments of the step, and they do not fit:"
            f" {error}. Or pass undo=lambda result: ..., which is called with the result."
        )
        raise TypeError(msg) from None
