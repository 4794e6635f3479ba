"""What user code is handed: contexts. A method of a context is one command and one wait."""

from __future__ import annotations

from agnt5.batch_calls import BatchCalls
from agnt5.child_calls import ChildCalls
from agnt5.context_logger import ContextLogger
from agnt5.continuations import Continuations
from agnt5.direct_calls import DirectCalls
from agnt5.exceptions import InvalidInputError
from agnt5.function_context import (
    Context,
    FunctionContext,
    get_current_context,
    is_attempt,
    reset_current_context,
    set_current_context,
)
from agnt5.handlers import HandlerCalls
from agnt5.people import People
from agnt5.recorded import Recorded
from agnt5.saga import Sagas
from agnt5.scopes import Scopes
from agnt5.waits import Waits

__all__ = [
    "Context",
    "ContextLogger",
    "FunctionContext",
    "WorkflowContext",
    "get_current_context",
    "is_attempt",
    "reset_current_context",
    "running_body",
    "set_current_context",
]


class WorkflowContext(
    DirectCalls,
    BatchCalls,
    Sagas,
    ChildCalls,
    Waits,
    People,
    HandlerCalls,
    Recorded,
    Scopes,
    Continuations,
):
    """The body's handle on durability: steps, children, sleeps, questions, signals, state."""


def running_body() -> WorkflowContext | None:
    """The context of the workflow whose body is calling, or None."""
    current = get_current_context()
    if isinstance(current, FunctionContext):
        current = current.called_by
    return current if isinstance(current, WorkflowContext) else None


def refuse_in_step(name: str) -> InvalidInputError:
    """The error of a workflow that is called inside the function of a step."""
    return InvalidInputError(
        f"workflow {name!r} was called inside a function, which may be tried again: call it from"
        f" the body of a workflow, or start it: AsyncClient().run({name!r}, {{...}}, 'workflow',"
        " idempotency_key=ctx.idempotency_key)"
    )
