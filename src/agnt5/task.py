"""``@task``: a function that is a step wherever a workflow calls it."""

from __future__ import annotations

from typing import Any, overload

from agnt5.context import WorkflowContext
from agnt5.exceptions import ConfigurationError
from agnt5.function import Function, FunctionConfig, Handler
from agnt5.policies import BackoffPolicy, RecoveryPolicy
from agnt5.registry import FunctionRegistry


class Task(Function):
    """A decorated task: a call from the body of any workflow is a step of its run."""

    def _is_step_of(self, body: WorkflowContext) -> bool:  # noqa: ARG002 - every body's
        return True

    def __repr__(self) -> str:
        return f"<agnt5 task {self.name!r}>"


@overload
def task(handler: Handler) -> Task: ...
@overload
def task() -> Any: ...
def task(handler: Handler | None = None) -> Any:
    """Make a function a step of every workflow that calls it.

    Its call is awaited, be it ``def`` (it runs on a thread) or ``async def``. In the body of a
    workflow, with ``ctx`` or without, a call is a durable step: run once, recorded, and answered
    from the record after a crash. Anywhere else it is a plain call. For retries, timeouts and
    limits use ``@function``.

    Args:
        handler: The function.

    Raises:
        ValueError: When the name is taken by another function or task.
        ConfigurationError: When it is no function.

    >>> import asyncio
    >>> @task
    ... def add_tax(net: int) -> int:
    ...     return net * 12 // 10
    >>> asyncio.run(add_tax(100))
    120
    """
    if handler is None:
        return task
    if not callable(handler) or isinstance(handler, type):
        msg = f"@task decorates functions, not {handler!r}"
        raise ConfigurationError(msg)
    config = FunctionConfig(
        name=handler.__name__,
        handler=handler,
        retries=None,
        backoff=BackoffPolicy(),
        timeout_ms=None,
        recovery=RecoveryPolicy.RETRY,
    )
    made = Task(config, None)
    FunctionRegistry.register(made)
    return made
