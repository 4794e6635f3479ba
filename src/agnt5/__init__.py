"""agnt5: durable workflows as event-sourced actors, embedded in your process."""

from agnt5 import _other_sdk as _other_sdk  # first: it refuses a mixed installation
from agnt5.client import AsyncClient, Client
from agnt5.context import Context, FunctionContext, WorkflowContext, get_current_context
from agnt5.exceptions import (
    ActivationError,
    AGNT5Error,
    CheckpointError,
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
    StateError,
    StepTimeoutError,
    StoreError,
    UnknownComponentError,
    UnknownOutcomeError,
    UpdateError,
)
from agnt5.function import function
from agnt5.people import UserReply
from agnt5.policies import BackoffPolicy, BackoffType, RecoveryPolicy, RetryPolicy
from agnt5.registry import FunctionRegistry, WorkflowRegistry
from agnt5.responses import (
    Event,
    EventsResponse,
    RunErrorDetail,
    RunResponse,
    RunStatus,
    StatusResponse,
    SubmitResponse,
)
from agnt5.runtime import Runtime, rebuild_index
from agnt5.workflow import workflow

__all__ = [
    "AGNT5Error",
    "ActivationError",
    "AsyncClient",
    "BackoffPolicy",
    "BackoffType",
    "CheckpointError",
    "Client",
    "ConfigurationError",
    "Context",
    "Event",
    "EventsResponse",
    "ExecutionError",
    "FunctionContext",
    "FunctionRegistry",
    "InvalidInputError",
    "NondeterminismError",
    "OverloadedError",
    "PayloadError",
    "PayloadTooLargeError",
    "QueryError",
    "RecordedError",
    "RecoveryPolicy",
    "RetryError",
    "RetryPolicy",
    "RunError",
    "RunErrorDetail",
    "RunNotFoundError",
    "RunResponse",
    "RunStatus",
    "Runtime",
    "RuntimeClosedError",
    "StateError",
    "StatusResponse",
    "StepTimeoutError",
    "StoreError",
    "SubmitResponse",
    "UnknownComponentError",
    "UnknownOutcomeError",
    "UpdateError",
    "UserReply",
    "WorkflowContext",
    "WorkflowRegistry",
    "function",
    "get_current_context",
    "rebuild_index",
    "workflow",
]
