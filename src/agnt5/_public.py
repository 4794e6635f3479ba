"""The public names of agnt5, and where each comes from.

All is imported at the first name that somebody asks for, but for ``LATER``: what a program seldom
needs is imported by its own name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from agnt5.agent import Agent, AgentRegistry, AgentResult
from agnt5.agent_tools import Handoff
from agnt5.batch import (
    BatchConfig,
    BatchError,
    BatchItemError,
    BatchItemInput,
    BatchItemResult,
    BatchResult,
    BatchStats,
    BatchStatusResult,
    CancelBatchResult,
)
from agnt5.class_workflow import Workflow
from agnt5.client import AsyncClient, Client
from agnt5.context import Context, FunctionContext, WorkflowContext, get_current_context

# Workflows need it that are called where no run is.
from agnt5.direct_runs import run_directly as run_directly  # noqa: PLC0414 - it is not for users
from agnt5.entity import Entity, EntityRegistry, entity, query
from agnt5.event_queries import EventFilters
from agnt5.exceptions import (
    ActivationError,
    AGNT5Error,
    CheckpointError,
    ChildCancelledError,
    ConfigurationError,
    ExecutionError,
    InvalidInputError,
    NondeterminismError,
    OverloadedError,
    PayloadError,
    PayloadTooLargeError,
    QueryError,
    RecordedError,
    RetryError,
    RunError,
    RunNotFoundError,
    RuntimeClosedError,
    RunTimeoutError,
    SagaError,
    StateConflictError,
    StateError,
    StepTimeoutError,
    StoreError,
    UnknownComponentError,
    UnknownOutcomeError,
    UpdateError,
    WebhookVerificationError,
)
from agnt5.flow import Queue, RateLimit
from agnt5.function import function
from agnt5.histories import History
from agnt5.people import UserReply
from agnt5.policies import (
    BackoffPolicy,
    BackoffType,
    Happened,
    NotHappened,
    RecoveryPolicy,
    RetryPolicy,
    verify,
)
from agnt5.registry import FunctionRegistry, WorkflowRegistry
from agnt5.responses import (
    Event,
    EventsResponse,
    RunErrorDetail,
    RunResponse,
    RunStatus,
    StatusResponse,
    SubmitResponse,
    WebhookResponse,
)
from agnt5.runtime import Runtime, rebuild_index
from agnt5.tails import ReceivedEvent, StreamOffset
from agnt5.task import task
from agnt5.tool import Tool, ToolRegistry, tool
from agnt5.transfers import export_runs, import_runs
from agnt5.types import TriggerSpec, event, webhook
from agnt5.workflow import workflow

if TYPE_CHECKING:
    from agnt5.diffs import RunDiff
    from agnt5.explanations import Explanation
    from agnt5.snapshots import RunSnapshot

LATER: Final = {
    "Explanation": "agnt5.explanations",
    "RunDiff": "agnt5.diffs",
    "RunSnapshot": "agnt5.snapshots",
}
"""Where each of these is; the imports above say the same to type checkers."""


def __getattr__(name: str) -> object:
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AGNT5Error",
    "ActivationError",
    "Agent",
    "AgentRegistry",
    "AgentResult",
    "AsyncClient",
    "BackoffPolicy",
    "BackoffType",
    "BatchConfig",
    "BatchError",
    "BatchItemError",
    "BatchItemInput",
    "BatchItemResult",
    "BatchResult",
    "BatchStats",
    "BatchStatusResult",
    "CancelBatchResult",
    "CheckpointError",
    "ChildCancelledError",
    "Client",
    "ConfigurationError",
    "Context",
    "Entity",
    "EntityRegistry",
    "Event",
    "EventFilters",
    "EventsResponse",
    "ExecutionError",
    "Explanation",
    "FunctionContext",
    "FunctionRegistry",
    "Handoff",
    "Happened",
    "History",
    "InvalidInputError",
    "NondeterminismError",
    "NotHappened",
    "OverloadedError",
    "PayloadError",
    "PayloadTooLargeError",
    "QueryError",
    "Queue",
    "RateLimit",
    "ReceivedEvent",
    "RecordedError",
    "RecoveryPolicy",
    "RetryError",
    "RetryPolicy",
    "RunDiff",
    "RunError",
    "RunErrorDetail",
    "RunNotFoundError",
    "RunResponse",
    "RunSnapshot",
    "RunStatus",
    "RunTimeoutError",
    "Runtime",
    "RuntimeClosedError",
    "SagaError",
    "StateConflictError",
    "StateError",
    "StatusResponse",
    "StepTimeoutError",
    "StoreError",
    "StreamOffset",
    "SubmitResponse",
    "Tool",
    "ToolRegistry",
    "TriggerSpec",
    "UnknownComponentError",
    "UnknownOutcomeError",
    "UpdateError",
    "UserReply",
    "WebhookResponse",
    "WebhookVerificationError",
    "Workflow",
    "WorkflowContext",
    "WorkflowRegistry",
    "entity",
    "event",
    "export_runs",
    "function",
    "get_current_context",
    "import_runs",
    "query",
    "rebuild_index",
    "task",
    "tool",
    "verify",
    "webhook",
    "workflow",
]
