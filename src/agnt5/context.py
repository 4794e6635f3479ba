"""What user code is handed: contexts. A method of a context is one command and one wait."""

from __future__ import annotations

from agnt5.batch_calls import BatchCalls
from agnt5.context_logger import ContextLogger
from agnt5.exceptions import InvalidInputError
from agnt5.function_context import (
    Context,
    FunctionContext,
    get_current_context,
    reset_current_context,
    set_current_context,
)
from agnt5.recorded import Recorded
from agnt5.saga import Sagas
from agnt5.waits import Waits

__all__ = [
    "Context",
    "ContextLogger",
    "FunctionContext",
    "WorkflowContext",
    "get_current_context",
    "reset_current_context",
    "set_current_context",
]


class WorkflowContext(BatchCalls, Sagas, Waits, Recorded):
    """The body's handle on durability: steps, sleeps, timeouts, questions, signals."""

    user: None = None


def refuse_context(name: str) -> InvalidInputError:
    """The error of a workflow that is called where no run is."""
    return InvalidInputError(
        f"workflow {name!r} was called outside of a run: start it with"
        f" Client().run({name!r}, {{...}}, component_type='workflow')"
    )
