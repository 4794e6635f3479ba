"""``@function``: a unit of work that is retried, recorded, and executed at least once."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, overload

import anyio.to_thread

from agnt5.actors.ports import AttemptInfo, Definition, FunctionWork
from agnt5.actors.streams import collect
from agnt5.calls import line_of
from agnt5.context import (
    Context,
    FunctionContext,
    WorkflowContext,
    get_current_context,
    reset_current_context,
    running_body,
    set_current_context,
)
from agnt5.direct_calls import RecordedItems
from agnt5.events.keys import operation_key
from agnt5.events.run.commands import RequestStep
from agnt5.events.run.facts import RetryPlan
from agnt5.exceptions import ConfigurationError
from agnt5.flow import RateLimit
from agnt5.flow import rate_limit as read_rate_limit
from agnt5.policies import (
    Backoff,
    BackoffPolicy,
    Recovery,
    RecoveryPolicy,
    Retries,
    RetryPolicy,
    Verify,
    backoff_policy,
    recovery_policy,
    retry_policy,
)
from agnt5.registry import FunctionComponent, FunctionRegistry
from agnt5.signatures import Signature

_MILLISECONDS = 1000


@dataclass(frozen=True)
class FunctionConfig:
    """How a function was declared."""

    name: str
    handler: Callable[..., Any]
    retries: RetryPolicy | None
    backoff: BackoffPolicy
    timeout_ms: int | None
    recovery: RecoveryPolicy
    chose_backoff: bool = False
    verify: Verify | None = None
    rate_limit: RateLimit | None = None


class Function(FunctionComponent):
    """A decorated function.

    Called directly it runs here and now, unrecorded; but in a workflow that takes no ``ctx``, every
    such call is a step.
    """

    def __init__(
        self,
        config: FunctionConfig,
        concurrency: int | None,
        signature: Signature | None = None,
    ) -> None:
        self._agnt5_config = config
        self._function = config.handler
        self.name = config.name
        self.recovery = str(config.recovery)
        self.timeout_s = config.timeout_ms / _MILLISECONDS if config.timeout_ms else None
        self.concurrency = concurrency
        self.rate = config.rate_limit
        self.plan = retry_plan(config.retries, config.backoff)
        backoff = config.backoff
        self.own_backoff = (str(backoff.type), backoff.multiplier) if config.chose_backoff else None
        self._verifier = Verifier(config.verify.function) if config.verify else None
        self.verify_on_thread = self._verifier is not None and self._verifier.on_thread
        self.is_generator = inspect.isasyncgenfunction(config.handler)
        self.on_thread = not self.is_generator and not inspect.iscoroutinefunction(config.handler)
        self._signature = signature or Signature(config.handler, Context)
        functools.update_wrapper(self, config.handler)

    @functools.cached_property
    def _definition(self) -> Definition:
        digest, where = digest_of(self._function)
        return Definition(self.name, "function", digest, self._body, where)

    def definition(self) -> Definition:
        """What the cast needs to know of it."""
        return self._definition

    def _body(
        self, script: Any, run_input: dict[str, object], _info: AttemptInfo
    ) -> Coroutine[Any, Any, object]:
        """A run of a function: one step, with the function's own policy."""
        work = FunctionWork(self, (), self._signature.coerce(self.name, run_input))
        return self._one_step(script, work)

    async def _one_step(self, script: Any, work: FunctionWork) -> object:
        key, plan = operation_key("", self.name, 0), self.plan_under(script.defaults)

        def command() -> RequestStep:
            return RequestStep(key, self.name, self.name, None, plan, self.recovery)

        return await script.request(key, command, work)

    def check_input(self, given: Mapping[str, object]) -> None:
        """Refuse an input that does not fit."""
        self._signature.check_input(self.name, given)

    def name_arguments(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> dict[str, object]:
        """The arguments of a call by their names, as the input of a run."""
        return self._signature.named(self.name, args, kwargs)

    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit."""
        self._signature.check_call(self.name, args, kwargs)

    def takes(self, parameter: str) -> bool:
        """Whether it has a parameter of that name."""
        return self._signature.takes(parameter)

    def is_retryable(self, error: BaseException) -> bool | None:
        """Whether its policy allows another attempt after an exception; None: it has no policy."""
        policy = self._agnt5_config.retries
        return None if policy is None else policy.allows(error)

    def verify(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Find out whether the effect of an attempt that a crash cut short has happened."""
        if self._verifier is None:
            return super().verify(info, args, kwargs)
        return self._verifier.call(info, args, kwargs)

    def call(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Call it as an attempt: on the loop if it is async, else where the executor is."""
        if not self._signature.takes_context:
            if self.is_generator:
                return self._collected(self._function(*args, **kwargs), info)
            return self._function(*args, **kwargs)
        context = FunctionContext.of(info)
        # The task, or the thread, of an attempt has a context of its own: nothing to reset.
        set_current_context(context)
        result = self._function(context, *args, **kwargs)
        return self._collected(result, info) if self.is_generator else result

    @staticmethod
    def _collected(generator: Any, info: AttemptInfo) -> Coroutine[Any, Any, list[object]]:
        return collect(generator, info.streams, info.run_id, info.key, info.attempt)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it directly: once, without retries, not recorded; in implicit mode, as a step.

        Raises:
            TypeError: When it takes a context, none is given, and no run is under way here.
        """
        return self._called(args, kwargs, line_of(2))

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any], line: str) -> Any:
        given = get_current_context()
        if args and isinstance(args[0], Context):
            given, args = args[0], args[1:]
        elif isinstance(kwargs.get("ctx"), Context):
            given = kwargs.pop("ctx")
        body = running_body()
        if body is not None and self._is_step_of(body):
            step = body._direct(self, args, kwargs, line)  # noqa: SLF001 - hidden from users
            return RecordedItems(step) if self.is_generator else step
        if not self._signature.takes_context:
            context = None
            if given is not None and self.on_thread:
                # A thread is no part of the body: what is called there is no step.
                context = FunctionContext.derived(given, self.name, inline=False)
            return self._call_here(None, args, kwargs, context)
        if given is None:
            msg = (
                f"{self.name!r} requires FunctionContext as first argument when it is called"
                " directly; in a workflow, call it with ctx.step"
            )
            raise TypeError(msg)
        if not isinstance(given, FunctionContext) or (self.on_thread and given.called_by):
            given = FunctionContext.derived(given, self.name, inline=not self.on_thread)
        return self._call_here(given, args, kwargs, given)

    def _is_step_of(self, body: WorkflowContext) -> bool:
        """Whether a direct call from this body is a step of it."""
        return body._implicit  # noqa: SLF001 - hidden from users, who see this class

    def _call_here(
        self,
        given: FunctionContext | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: FunctionContext | None,
    ) -> Any:
        if given is not None:
            args = (given, *args)
        if self.is_generator:
            generator: AsyncIterator[Any] = self._function(*args, **kwargs)
            return generator
        return self._awaited(context, args, kwargs)

    async def _awaited(
        self, context: FunctionContext | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        token = set_current_context(context) if context is not None else None
        try:
            if self.on_thread:
                call = functools.partial(self._function, *args, **kwargs)
                return await anyio.to_thread.run_sync(call)
            return await self._function(*args, **kwargs)
        finally:
            if token is not None:
                reset_current_context(token)

    def __repr__(self) -> str:
        return f"<agnt5 function {self.name!r}>"


class Verifier:
    """The function of a ``verify`` policy, ready to be called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes_context = Signature(function, Context).takes_context
        self.on_thread = not inspect.iscoroutinefunction(function)

    def call(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Call it with the arguments of the step."""
        if not self._takes_context:
            return self._function(*args, **kwargs)
        context = FunctionContext.of(info)
        set_current_context(context)
        return self._function(context, *args, **kwargs)


def retry_plan(retries: RetryPolicy | None, backoff: BackoffPolicy) -> RetryPlan | None:
    """A policy as it is recorded."""
    if retries is None:
        return None
    return RetryPlan(
        max_attempts=retries.max_attempts,
        initial_ms=retries.initial_interval_ms,
        max_ms=retries.max_interval_ms,
        backoff=str(backoff.type),
        multiplier=backoff.multiplier,
        jitter=retries.jitter,
    )


def digest_of(function: Callable[..., Any]) -> tuple[str, str]:
    """A digest of a function's code, and where it is, ``file.py:12``."""
    code = inspect.unwrap(function).__code__
    where = f"{code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}"
    try:
        source = inspect.getsource(function).encode()
    except (OSError, TypeError):
        source = code.co_code + repr(code.co_names).encode()
    return hashlib.sha256(source).hexdigest()[:16], where


def _checked_timeout(timeout_ms: int | None) -> int | None:
    if timeout_ms is None:
        return None
    if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, int) or timeout_ms <= 0:
        msg = f"timeout_ms takes a positive number of milliseconds, not {timeout_ms!r}"
        raise ConfigurationError(msg)
    return timeout_ms


def _checked_concurrency(concurrency: int | None) -> int | None:
    number = isinstance(concurrency, int) and not isinstance(concurrency, bool)
    if concurrency is not None and (not number or concurrency < 1):
        msg = f"concurrency takes a number of attempts of at least 1, not {concurrency!r}"
        raise ConfigurationError(msg)
    return concurrency


Handler = Callable[..., Coroutine[Any, Any, Any]] | Callable[..., Any]


@overload
def function(handler: Handler) -> Function: ...
@overload
def function(
    *,
    name: str | None = None,
    retries: Retries = None,
    backoff: Backoff = None,
    timeout_ms: int | None = None,
    recovery: Recovery = "retry",
    concurrency: int | None = None,
    rate_limit: str | RateLimit | None = None,
) -> Callable[[Handler], Function]: ...
def function(
    handler: Handler | None = None,
    *,
    name: str | None = None,
    retries: Retries = None,
    backoff: Backoff = None,
    timeout_ms: int | None = None,
    recovery: Recovery = "retry",
    concurrency: int | None = None,
    rate_limit: str | RateLimit | None = None,
) -> Function | Callable[[Handler], Function]:
    """Make a function durable: usable as a step of workflows and as a run of its own.

    The function may be ``async def``, ``def`` (it runs on a thread) or an async generator (its
    items are collected). A first parameter named ``ctx``, or annotated with a context class,
    receives a :class:`FunctionContext`.

    Args:
        handler: The function.
        name: Its name for clients and logs; its own by default.
        retries: Attempts in all (a number), a dict or a RetryPolicy; one attempt by default.
        backoff: ``"constant"``, ``"linear"``, ``"exponential"``, a dict or a BackoffPolicy.
        timeout_ms: For one attempt, milliseconds.
        recovery: What to do with an attempt that a crash cut short: ``"retry"`` runs it again,
            ``"fail"`` does not, ``"ask"`` has a person decide, ``verify(fn)`` has a function find
            out.
        concurrency: How many attempts may run at once in this process; unlimited by default.
        rate_limit: How many attempts may start in a period in this process: ``"10/s"``,
            ``"100/min"`` or a RateLimit; unlimited by default.

    Raises:
        ValueError: When the name is taken, or a policy is out of range.
        TypeError: When a policy has the wrong shape.
        ConfigurationError: When another setting is wrong.

    >>> @function(retries=3)
    ... async def greet(name: str) -> str:
    ...     return f"Hello, {name}"
    >>> greet.name
    'greet'
    """
    settings = _Settings(name, retries, backoff, timeout_ms, recovery, concurrency, rate_limit)
    return settings.decorate if handler is None else settings.decorate(handler)


@dataclass(frozen=True)
class _Settings:
    """What was given to ``@function``, unread."""

    name: str | None
    retries: Retries
    backoff: Backoff
    timeout_ms: int | None
    recovery: Recovery
    concurrency: int | None
    rate_limit: str | RateLimit | None

    def decorate(self, handler: Handler) -> Function:
        if not callable(handler) or isinstance(handler, type):
            msg = f"@function decorates functions, not {handler!r}"
            raise ConfigurationError(msg)
        config = FunctionConfig(
            name=self.name or handler.__name__,
            handler=handler,
            retries=retry_policy(self.retries),
            backoff=backoff_policy(self.backoff),
            timeout_ms=_checked_timeout(self.timeout_ms),
            recovery=recovery_policy(self.recovery),
            chose_backoff=self.backoff is not None,
            verify=self.recovery if isinstance(self.recovery, Verify) else None,
            rate_limit=read_rate_limit(self.rate_limit),
        )
        made = Function(config, _checked_concurrency(self.concurrency))
        FunctionRegistry.register(made)
        return made
