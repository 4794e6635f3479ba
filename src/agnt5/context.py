"""What user code is handed: contexts. A method of a context is one command and one wait."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    MutableMapping,
)
from contextvars import ContextVar
from typing import Any, cast

from agnt5.actors.ports import AttemptInfo, FunctionWork, InlineWork
from agnt5.actors.script import Script, StepFuture
from agnt5.combinators import Checkpoint, gather_all, parallel_all
from agnt5.events.keys import chosen_key, operation_key
from agnt5.events.run import commands as c
from agnt5.exceptions import InvalidInputError, PayloadError
from agnt5.payloads import encode
from agnt5.registry import FunctionComponent, FunctionRegistry, WorkflowComponent
from agnt5.timeouts import DurableTimeout
from agnt5.types import Json

_MISSING: Any = type("Missing", (), {"__repr__": lambda _: "<not given>"})()
_LONGEST_S = 10 * 365 * 24 * 3600

_current: ContextVar[Context | None] = ContextVar("agnt5_context", default=None)


def get_current_context() -> Context | None:
    """The context of the function or workflow that is running here, or None."""
    return _current.get()


def set_current_context(context: Context | None) -> object:
    """Make this the current context; returns a token for ``reset_current_context``."""
    return _current.set(context)


def reset_current_context(token: object) -> None:
    """Undo :func:`set_current_context`."""
    _current.reset(cast("Any", token))


class ContextLogger(logging.LoggerAdapter["logging.Logger"]):
    """A standard logger that also takes fields as keywords, and is silent on replay.

    >>> ContextLogger(logging.getLogger("doc"), {}).info("sent to %s", "Ada", channel="mail")
    """

    _KNOWN = frozenset({"exc_info", "stack_info", "stacklevel", "extra"})

    def __init__(
        self,
        logger: logging.Logger,
        fields: Mapping[str, object],
        is_silent: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(logger, fields)
        self._is_silent = is_silent

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Move unknown keywords into the record's fields."""
        given = {k: kwargs.pop(k) for k in list(kwargs) if k not in self._KNOWN}
        fields = {**(self.extra or {}), **given}
        kwargs["extra"] = {**kwargs.get("extra", {}), "agnt5": fields}
        if given:
            shown = " ".join(f"{k}={v!r}" for k, v in given.items()).replace("%", "%%")
            msg = f"{msg} [{shown}]" if isinstance(msg, str) else msg
        return msg, kwargs

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        """Whether a record of this level goes anywhere; never on replay."""
        return not self._is_silent() and super().isEnabledFor(level)


class Context:
    """What every piece of user code may know of its run.

    Built by hand it serves to call a function outside of any run:

    >>> Context(run_id="local-1").run_id
    'local-1'
    """

    def __init__(
        self,
        run_id: str = "",
        correlation_id: str | None = None,
        parent_correlation_id: str | None = None,
        attempt: int = 0,
        session_id: str | None = None,
        component_name: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.correlation_id = correlation_id or run_id
        self.parent_correlation_id = parent_correlation_id
        self.component_name = component_name
        self._session_id = session_id
        self._metadata = metadata
        self._logger: ContextLogger | None = None

    @property
    def session_id(self) -> str:
        """The session; a run without one has a private session of its own."""
        return self._session_id or self.run_id

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of what the caller attached to the run."""
        return dict(self._metadata or {})

    @property
    def logger(self) -> ContextLogger:
        """A logger that knows the run and the attempt."""
        if self._logger is None:
            fields = {"run_id": self.run_id, "attempt": self.attempt}
            name = f"agnt5.{self.component_name or 'run'}"
            self._logger = ContextLogger(logging.getLogger(name), fields, self._is_silent)
        return self._logger

    def log(self, message: str | None = None, **fields: object) -> ContextLogger:
        """Log a message at level INFO, with fields. Without a message: the logger."""
        if message is not None:
            cast("Any", self.logger).info("%s", message, stacklevel=3, **fields)
        return self.logger

    def _is_silent(self) -> bool:
        return False


class FunctionContext(Context):
    """What a function may know of the attempt that it is."""

    def __init__(
        self,
        run_id: str = "",
        correlation_id: str | None = None,
        parent_correlation_id: str | None = None,
        attempt: int = 0,
        session_id: str | None = None,
        component_name: str = "",
        metadata: Mapping[str, Any] | None = None,
        *,
        info: AttemptInfo | None = None,
    ) -> None:
        super().__init__(
            run_id,
            correlation_id,
            parent_correlation_id,
            attempt,
            session_id,
            component_name,
            metadata,
        )
        self._info = info

    @classmethod
    def of(cls, info: AttemptInfo) -> FunctionContext:
        """The context of an attempt."""
        return cls(
            info.run_id,
            attempt=info.attempt,
            session_id=info.session_id,
            component_name=info.name,
            metadata=info.metadata,
            info=info,
        )

    @classmethod
    def derived(cls, parent: Context, name: str) -> FunctionContext:
        """The context of a function that is called directly, within a run."""
        return cls(
            parent.run_id,
            parent.correlation_id,
            attempt=parent.attempt,
            session_id=parent.session_id,
            component_name=name,
            metadata=parent.metadata,
        )

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this step and after every crash.

        Hand it to the service that you call, so that it can tell a repetition. 32 hex digits in
        a step, the run's id elsewhere.
        """
        return self._info.idempotency_key if self._info else self.run_id

    async def sleep(self, seconds: float) -> None:
        """Sleep, not durably: a crash begins the attempt again."""
        await asyncio.sleep(max(0.0, seconds))

    def should_retry(self, error: BaseException) -> bool:  # noqa: ARG002 - the SDK's signature
        """Always True; the policy decides."""
        return True


class WorkflowContext(Context):
    """The body's handle on durability: steps, sleeps, timeouts, questions, signals."""

    def __init__(self, script: Script, info: AttemptInfo) -> None:
        super().__init__(
            info.run_id,
            session_id=info.session_id,
            component_name=info.name,
            metadata=info.metadata,
        )
        self.script = script
        self.info = info
        self.user: None = None

    @property
    def _is_replay(self) -> bool:
        return self.script.replaying

    def _is_silent(self) -> bool:
        return self.script.replaying or self.script.closed

    # Steps.

    def step(
        self,
        name_or_handler: object,
        func_or_awaitable: object = _MISSING,
        *args: Any,
        key: str | None = _MISSING,
        timeout: float | None = _MISSING,
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
        rest = args if func_or_awaitable is _MISSING else (func_or_awaitable, *args)
        return self._step(name_or_handler, rest, kwargs, key, timeout, _line(2))

    def task(self, name_or_handler: object, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """The older spelling of :meth:`step`."""
        return self._step(name_or_handler, args, kwargs, _MISSING, _MISSING, _line(2))

    def run(self, name_or_handler: object, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Another spelling of :meth:`step`."""
        return self._step(name_or_handler, args, kwargs, _MISSING, _MISSING, _line(2))

    def _step(
        self,
        target: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: str | None,
        timeout: float | None,
        line: str,
    ) -> asyncio.Future[Any]:
        call = _Call(args, kwargs, key, timeout, line)
        if isinstance(target, FunctionComponent):
            return self._function(target, target.name, call)
        if isinstance(target, WorkflowComponent):
            return self._workflow(target, target.name, call)
        if isinstance(target, str):
            return self._named(target, call)
        if _is_awaitable(target):
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

    def _named(self, name: str, call: _Call) -> asyncio.Future[Any]:
        if not name:
            msg = "the name of a step must not be empty"
            raise ValueError(msg)
        if call.args:
            first = call.args[0]
            if isinstance(first, FunctionComponent):
                return self._function(first, name, call.without_first())
            if isinstance(first, WorkflowComponent):
                return self._workflow(first, name, call.without_first())
            if _is_awaitable(first) or callable(first):
                return self._checkpoint(name, first, call.without_first())
        known = FunctionRegistry.get(name)
        if known is not None:
            return self._function(known, name, call)
        if call.args and isinstance(call.args[0], str):
            service = FunctionRegistry.get(call.args[0])
            if service is not None:
                return self._function(service, service.name, call.without_first())
        msg = (
            f"function {name!r} not found in registry. {FunctionRegistry.hint(name)}"
            " To checkpoint something under this name, pass an awaitable or a callable."
        )
        raise ValueError(msg)

    def _function(self, function: FunctionComponent, name: str, call: _Call) -> asyncio.Future[Any]:
        args, kwargs = call.arguments_for(function)
        function.check_call(args, kwargs)
        key, timeout_us = self._key(name, call), call.timeout_us()
        script = self.script

        def command() -> c.RequestStep:
            recorded = _recorded_input(args, kwargs)
            script.check_size(recorded, f"arguments of step {name!r} ({key!r})")
            return c.RequestStep(
                key,
                name,
                function.name,
                recorded,
                function.plan,
                function.recovery,
                timeout_us,
                call.line,
            )

        work = FunctionWork(cast("Any", function), args, kwargs)
        return script.request(key, command, work, line=call.line, chosen=call.has_key)

    def _checkpoint(self, name: str, target: object, call: _Call) -> asyncio.Future[Any]:
        if isinstance(target, StepFuture):
            msg = (
                f"step {name!r} was given another durable call; await that call itself, it is"
                " recorded already"
            )
            raise ValueError(msg)
        work = _inline_work(target, call.args, call.kwargs)
        return self._inline(name, work, call)

    def _workflow(self, workflow: WorkflowComponent, name: str, call: _Call) -> asyncio.Future[Any]:
        def start() -> Awaitable[object]:
            return cast("Awaitable[object]", workflow.call_inline(self, call.args, call.kwargs))

        return self._inline(name, InlineWork(start, _nothing), call)

    def _inline(self, name: str, work: InlineWork, call: _Call) -> asyncio.Future[Any]:
        key, timeout_us = self._key(name, call), call.timeout_us()

        def command() -> c.RequestStep:
            return c.RequestStep(key, name, None, None, None, "retry", timeout_us, call.line)

        return self.script.request(key, command, work, line=call.line, chosen=call.has_key)

    def _key(self, name: str, call: _Call) -> str:
        if not call.has_key:
            branch = self.script.place()
            return operation_key(branch.path, name, branch.occurrence(name))
        if not isinstance(call.key, str) or not call.key:
            msg = f"the key of step {name!r} must be a text that is not empty, not {call.key!r}"
            raise ValueError(msg)
        self.script.place()
        return chosen_key(name, call.key)

    # Composition.

    def parallel(
        self, *awaitables: Awaitable[Any] | AsyncGenerator[Any, None]
    ) -> asyncio.Future[list[Any]]:
        """Wait for all; results in argument order. The first error is raised, as by asyncio.gather.

        Durable calls pass through; raw coroutines become steps named by their position.
        """
        return parallel_all(self._checkpointer(_line(2)), awaitables)

    def gather(
        self, **awaitables: Awaitable[Any] | AsyncGenerator[Any, None]
    ) -> Awaitable[dict[str, Any]]:
        """Wait for all; results by name. Raw coroutines become steps of that name."""
        return gather_all(self._checkpointer(_line(2)), awaitables)

    def _checkpointer(self, line: str) -> Checkpoint:
        def checkpoint(name: str, awaitable: object) -> asyncio.Future[Any]:
            return self._checkpoint(name, awaitable, _Call((), {}, _MISSING, _MISSING, line))

        return checkpoint

    # Time.

    def sleep(self, seconds: float, name: str | None = None) -> Awaitable[None]:
        """Sleep; after a restart only what is left. A sleeping run costs no memory.

        Args:
            seconds: How long; 0 does nothing.
            name: A name for the log.

        Raises:
            ValueError: When it is not a number, negative, infinite or NaN.
        """
        delay_us = _microseconds(seconds, "ctx.sleep")
        if delay_us == 0:
            done = self.script.loop.create_future()
            done.set_result(None)
            return done
        return self.timer(f"sleep:{name}" if name else "sleep", delay_us, _line(2))

    def timeout(self, seconds: float) -> DurableTimeout:
        """``async with ctx.timeout(5): ...`` raises TimeoutError when the time is over.

        The deadline is recorded, so that it holds across restarts and replays the same way;
        ``asyncio.timeout`` races with the real clock again on every replay.

        Raises:
            ValueError: When it is not a number, negative, infinite or NaN.
        """
        delay_us = _microseconds(seconds, "ctx.timeout")
        line = _line(2)
        return DurableTimeout(lambda: self.timer("timeout", delay_us, line), seconds)

    def timer(self, name: str, delay_us: int, line: str | None = None) -> StepFuture:
        """A durable timer, in microseconds. :meth:`sleep` and :meth:`timeout` are made of it."""
        branch = self.script.place()
        key = operation_key(branch.path, name, branch.occurrence(name))
        return self.script.request(key, lambda: c.RequestTimer(key, delay_us, line), line=line)

    # The outside.

    def wait_for_signal(self, name: str) -> Awaitable[Any]:
        """Wait for the next signal of this name and return its payload.

        Signals that came earlier and were not consumed are taken first, in order.
        """
        if not isinstance(name, str) or not name:
            msg = f"a signal's name must be a text that is not empty, not {name!r}"
            raise ValueError(msg)
        line, branch = _line(2), self.script.place()
        label = f"signal:{name}"
        key = operation_key(branch.path, label, branch.occurrence(label))
        return self.script.request(key, lambda: c.RequestSignal(key, name, line), line=line)

    def wait_for_user(
        self,
        question: str,
        input_type: str = "text",
        options: list[dict[str, Json]] | None = None,
        *,
        allow_custom: bool = False,
        skippable: bool = False,
    ) -> Awaitable[str | None]:
        """Ask a person and wait for the answer, for days if need be.

        Args:
            question: What the person is asked.
            input_type: ``text``, ``approval``, ``select`` or ``multiselect``.
            options: Dicts with ``id`` and ``label``.
            allow_custom: Whether an answer may be none of the options.
            skippable: Whether the person may decline to answer; the result is None then.

        Returns:
            The answer: a text, an option's id, or several ids joined with commas.
        """
        known = {"text", "approval", "select", "selection", "multiselect", "choice"}
        if input_type not in known:
            msg = f"unknown input_type {input_type!r}; known: {', '.join(sorted(known))}"
            raise ValueError(msg)
        line, branch = _line(2), self.script.place()
        key = operation_key(branch.path, "wait_for_user", branch.occurrence("wait_for_user"))

        def command() -> c.RequestInput:
            return c.RequestInput(key, question, input_type, options, allow_custom, skippable, line)

        return self.script.request(key, command, line=line)


class _Call:
    """The arguments of a step, as they were given."""

    __slots__ = ("_timeout", "args", "key", "kwargs", "line")

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: str | None,
        timeout: float | None,
        line: str,
    ) -> None:
        self.args = args
        self.kwargs = kwargs
        self.key = key
        self._timeout = timeout
        self.line = line

    @property
    def has_key(self) -> bool:
        return self.key is not _MISSING and self.key is not None

    def without_first(self) -> _Call:
        return _Call(self.args[1:], self.kwargs, self.key, self._timeout, self.line)

    def timeout_us(self) -> int | None:
        if self._timeout is _MISSING or self._timeout is None:
            return None
        return _microseconds(self._timeout, "the timeout of a step")

    def arguments_for(self, function: FunctionComponent) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Keywords that the function takes itself are its own, not the step's."""
        kwargs = self.kwargs
        if self._timeout is not _MISSING and function.takes("timeout"):
            kwargs = {**kwargs, "timeout": self._timeout}
            self._timeout = _MISSING
        if self.key is not _MISSING and function.takes("key"):
            kwargs = {**kwargs, "key": self.key}
            self.key = _MISSING
        if len(kwargs) == 1 and "input" in kwargs and not function.takes("input"):
            given = kwargs["input"]
            if isinstance(given, dict) and all(function.takes(str(k)) for k in given):
                return self.args, {str(k): v for k, v in given.items()}
            return (*self.args, given), {}
        return self.args, kwargs


def _is_awaitable(value: object) -> bool:
    return inspect.isawaitable(value) or inspect.isasyncgen(value)


def _nothing() -> None:
    return None


async def _drained(generator: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in generator]


def _cancel_future(value: object) -> None:
    if asyncio.isfuture(value):
        value.cancel()


async def _awaited(value: Any) -> Any:
    if inspect.isasyncgen(value):
        return await _drained(value)
    return await value if inspect.isawaitable(value) else value


def _inline_work(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> InlineWork:
    """A step that only the body can run. A callable is called on the loop, not on a thread."""
    if not _is_awaitable(target):

        async def call() -> Any:
            return await _awaited(target(*args, **kwargs))

        return InlineWork(call, _nothing)
    if inspect.iscoroutine(target):
        return InlineWork(lambda: target, target.close)
    return InlineWork(lambda: _awaited(target), lambda: _cancel_future(target))


def _recorded_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
    """Arguments as they lie on the log: for people, so what cannot be recorded is only named."""
    recorded: list[Json] = [_recorded(arg) for arg in args]
    if not kwargs:
        return recorded
    return {"args": recorded, "kwargs": {name: _recorded(arg) for name, arg in kwargs.items()}}


def _recorded(value: object) -> Json:
    try:
        return encode(value)
    except PayloadError:
        cls = type(value)
        return {"$": "opaque", "t": f"{cls.__module__}:{cls.__qualname__}"}


def _microseconds(seconds: float, what: str) -> int:
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds < 0:
        msg = f"{what} takes a number of seconds that is finite and not negative, not {seconds!r}"
        raise ValueError(msg)
    if seconds > _LONGEST_S:
        msg = f"{what} takes at most ten years, not {seconds!r} seconds"
        raise ValueError(msg)
    return math.ceil(seconds * 1_000_000)


_lines: dict[tuple[str, int], str] = {}


def _line(depth: int) -> str:
    """The place in user code that called, ``file.py:12``."""
    frame = sys._getframe(depth)  # noqa: SLF001 - the documented way to find a caller cheaply
    place = (frame.f_code.co_filename, frame.f_lineno)
    known = _lines.get(place)
    if known is None:
        known = _lines[place] = f"{place[0].rpartition('/')[2]}:{place[1]}"
    return known


def refuse_context(name: str) -> InvalidInputError:
    """The error of a workflow that is called where no run is."""
    return InvalidInputError(
        f"workflow {name!r} was called outside of a run: start it with"
        f" Client().run({name!r}, {{...}}, component_type='workflow')"
    )
